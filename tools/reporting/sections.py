"""The parts of a report that every task has: how far it is, speed, settings, data, what was lost, its origin."""

import os

import numpy as np

from albert.common import files
from albert.common import in_words
from albert.dataset import contract
from albert.dataset import record_format
from albert.model import names as model_names
from albert.run import names
from albert.run import results
from tools.preprocessing import report as data_report
from tools.reporting import charts
from tools.reporting import words

_MOST_LINES = 12
_ARCHITECTURE = (
    ('num_hidden_layers', 'layers'), ('hidden_size', 'width, H'), ('num_attention_heads', 'attention heads'),
    ('intermediate_size', 'width of the feed-forward network'), ('embedding_size', 'width of the embeddings, E'),
    ('max_position_embeddings', 'positions'), ('hidden_act', 'activation'), ('hidden_dropout_prob', 'dropout'))
_SCHEDULE = (
    ('optimizer', 'optimizer'), ('learning_rate', 'highest learning rate'), ('num_warmup_steps', 'steps of warm-up'),
    ('num_train_steps', 'steps'), ('weight_decay_rate', 'weight decay'), ('clip_norm', 'gradients are clipped at norm'),
    ('device', 'device'))
_LABELLED = (
    ('train_examples', 'Training examples'), ('dev_examples', 'Examples of dev'),
    ('train_windows', 'Windows of the training examples'), ('train_cut', 'Training examples that were cut'),
    ('dev_cut', 'Examples of dev that were cut'), ('train_unusable', 'Questions that are left out'))
_SETTINGS = (
    ('train_batch_size', 'examples of a step, on each rank'), ('micro_batch_size', 'of these at a time'),
    ('ranks', 'ranks'), ('packing', 'several examples in a row (packing)'))


def status(run):
  """How far the run is, in a line. run: material.Material."""
  if results.DIVERGED in run.results:
    return 'The run has diverged at step {:,}.'.format(run.results[results.DIVERGED].get('global_step', run.step))
  if run.steps is None:
    return 'Step {:,}.'.format(run.step)
  if run.step >= run.steps:
    return 'Finished: all {:,} steps were made.'.format(run.steps)
  left = (run.last_line or '').rsplit('  ', 1)[-1]
  return 'Not finished: step {:,} of {:,}{}{}.'.format(
      run.step, run.steps, ', {}'.format(left) if left.endswith(' left') else '',
      '; last heard of at {}'.format(run.heard) if run.heard else '')


def speed(run):
  """Charts of the learning rate, gradients and throughput as HTML."""
  def of(tag):
    return [charts.Curve('training', run.curves.get(tag, []), charts.TRAINING)]
  group = run.task + '/'
  return ''.join([charts.chart('Learning rate', of(group + 'learning_rate')),
                  charts.chart('Norm of the gradient, before clipping', of(group + 'gradient_norm')),
                  charts.chart('Tokens a second, without padding', of('throughput/real_tokens_per_second')),
                  charts.chart('Time spent waiting for input', of('throughput/input_wait_fraction'),
                               '{:.1%}'.format)])


def speed_in_words(run):
  """Throughput and time, a list of lines."""
  rates = [value for _, value in run.curves.get('throughput/real_tokens_per_second', [])[1:]]
  train, told = run.results.get('train', {}), []
  if rates:
    told.append('{:,.0f} tokens a second in the median, without padding.'.format(float(np.median(rates))))
  if train.get('median_step_seconds'):
    told.append('A step takes {:.3g} s.'.format(train['median_step_seconds']))
  if train.get('seconds'):
    told.append('Training took {} in all.'.format(in_words.duration(train['seconds'])))
  return [' '.join(told)] if told else []


def data(run):
  """Main rows of the data report and its hints, as HTML."""
  if run.info is None:
    return words.paragraphs([run.info_problem])
  info = run.info
  if not info.statistics:
    return words.table([('Training records', info.records(contract.TRAIN)),
                        ('Held-out records', info.records(contract.HELDOUT))])
  if info.settings.get('record_format') == record_format.LABELLED:
    return words.table([(title, info.statistics.get(name) or None) for name, title in _LABELLED] + [
        ('Tokens of a window, at most', info.max_seq_length), ('Vocabulary', info.vocab_size)])
  told = data_report.hints(info)
  hints = '<ul class="hints">{}</ul>'.format(words.paragraphs(told, 'li')) if told else ''
  return words.table(data_report.overview(info) + [
      ('Tokens of a record, at most', info.max_seq_length), ('Vocabulary', info.vocab_size),
      ('Tokens that are [UNK]', '{:.3%}'.format(
          info.statistics.get('unknown_tokens', 0) / max(1, info.statistics.get('tokens', 0))))]) + hints


def settings(run):
  """Architecture and schedule as tables, everything that gin bound behind a fold, as HTML."""
  tables = []
  if run.config:
    tokens = run.config.vocab_size or (run.info.vocab_size if run.info else None)
    config = run.config if tokens is None else run.config.with_vocab_size(
        tokens, run.folder) if run.config.vocab_size is None else run.config
    count = sum(int(np.prod(shape)) for shape in model_names.model_shapes(config).values()) if tokens else None
    tables.append(('Model', [('parameters', count)] + _rows(_ARCHITECTURE, run.config.to_dict())))
  tables.append(('Training', _rows(_SETTINGS, run.settings) + _rows(_SCHEDULE, run.schedule) + _seed(
      run.settings)))
  made = '<div class="columns">{}</div>'.format(''.join(
      '<div><h3>{}</h3>{}</div>'.format(title, words.table(rows)) for title, rows in tables if rows))
  if run.gin:
    made += '<details><summary>Every setting, as gin bound it</summary><pre>{}</pre></details>'.format(
        words.escape(run.gin.strip()))
  return made


def _rows(titles, values):
  return [(title, _value(values[name])) for name, title in titles if values.get(name) is not None]


def _value(value):
  if isinstance(value, bool):
    return 'yes' if value else 'no'
  return '{:g}'.format(value) if isinstance(value, float) else value


def _seed(values):
  return [('random seed', str(values['random_seed']))] if 'random_seed' in values else []  # no number to be read


def losses(run):
  """What was skipped, lost or changed on the way, as HTML."""
  told = []
  skipped = [value for _, value in run.curves.get('skipped_updates/total', [])]
  if skipped and skipped[-1]:
    told.append('Updates that were skipped, their gradients not being finite: {:,.0f}.'.format(skipped[-1]))
  for window in run.state['skipped_windows']:
    told.append('A loss spike at step {:,}: the run went back to step {:,} and left out the data since.'.format(
        window.get('spike_step', 0), window['checkpoint_step']))
  if run.lost:
    told.append('Records that could not be read: {:,} ({}).'.format(len(run.lost), _first(
        ['{} of {}'.format(*line.split('\t')[1::-1]) for line in run.lost if line.count('\t')])))
  for change in run.state['changes']:
    told.append('From step {:,}: {} {} instead of {}.'.format(
        change['step'], change['name'].replace('_', ' '), change.get('to'), change.get('from')))
  if results.DIVERGED in run.results:
    told.append('At step {:,} the {} were not finite.'.format(
        run.results[results.DIVERGED].get('global_step', 0), run.results[results.DIVERGED].get('what', 'figures')))
  if not told:
    return '<p>Nothing: no update was skipped, no record lost, no setting changed.</p>'
  more = ['and {:,} more'.format(len(told) - _MOST_LINES)] if len(told) > _MOST_LINES else []
  return '<ul>{}</ul>'.format(words.paragraphs(told[:_MOST_LINES] + more, 'li'))


def _first(texts, most=3):
  return ', '.join(texts[:most]) + ' and {:,} more'.format(len(texts) - most) * (len(texts) > most)


def origin(run):
  """Where the run and its checkpoints are, and how it was started, as HTML."""
  best = run.best.get('checkpoint')
  rows = [('Folder', files.shown(os.path.abspath(run.folder))), ('Best checkpoint', best and os.path.join(
      names.BEST_FOLDER, best)), ('Checkpoints', ', '.join('{:,}'.format(step) for step in run.checkpoints) or None),
          ('Began from', (run.state.get('origin') or {}).get('checkpoint')), ('git commit', run.commit)]
  return words.table(rows) + ('<pre>{}</pre>'.format(words.escape('\n'.join(run.commands[-5:])))
                              if run.commands else '')
