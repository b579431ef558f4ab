"""After training: the best checkpoint on dev and once on test, results, report, pictures and predictions."""

import collections
import os
import shlex
import time

from albert.answers import fine_tuned
from albert.answers import learning
from albert.answers import outcome as outcomes
from albert.answers import pictures
from albert.answers import report
from albert.common import files
from albert.run import names
from albert.run import results
from albert.scoring import baseline

# The entry of results.json that says of which checkpoint, after how many steps, the answers are.
ANSWERED = 'answered'

# folder: of the run. splits: labelled.sources.Splits. learning_rate: float. init: str, what was loaded, or None.
# keep_logits: whether those of test are wanted afterwards. fgm_epsilon, rate_multipliers: of the options.
Ended = collections.namedtuple('Ended', [
    'folder', 'splits', 'learning_rate', 'init', 'keep_logits', 'fgm_epsilon', 'rate_multipliers'],
                               defaults=[False, 0.0, None])

# results: dict of results.json. test_logits: see outcome.Outcome, None unless they were kept. criterion: task.Criterion
# that the best was picked by.
Closed = collections.namedtuple('Closed', ['results', 'test_logits', 'criterion'])


def close(ended, device, check=lambda: None):
  """Answers dev and test with the best checkpoint, unless that was done, and prints the figures.

  Args:
    ended: Ended.
    device: npu_session.Device.
    check: callable() that raises to stop.

  Returns:
    Closed.
  """
  model = fine_tuned.find(ended.folder)
  key = {'checkpoint': os.path.relpath(model.prefix, ended.folder),
         'trained_steps': results.read(ended.folder).get('trained_steps')}
  logits = None
  if ended.keep_logits or results.read(ended.folder).get(ANSWERED) != key:
    logits = _answer(ended, model, device, key, check)
  written = results.read(ended.folder)
  print('\n'.join(summary(written, ended, model.task.heldout_columns[1:])))
  return Closed(written, logits, model.task.criterion)


def _answer(ended, model, device, key, check):
  """Writes everything, results.json last. Returns the logits of test or None."""
  began, splits = time.time(), ended.splits
  outcome_of = collections.OrderedDict()
  with model.predictor(device) as predictor:
    for split in ('dev', 'test'):
      examples = getattr(splits, split)
      if examples:
        outcome_of[split] = outcomes.of_examples(
            model, predictor, examples, os.path.join(ended.folder, names.PREDICTIONS_FILE.format(split)), check,
            ended.keep_logits and split == 'test')
  doubt = baseline.doubt(outcome_of['dev'].figures, outcome_of['dev'].labelled)
  not_learned = doubt and _not_learned(doubt, ended, model)
  by_number = pictures.draw(ended.folder, model.labels, outcome_of['dev'], model.task.figures[0])
  _write_confusion(ended.folder, outcome_of['dev'].figures)
  files.write_atomically(os.path.join(ended.folder, names.ANSWERS_FILE), report.write(
      _about(ended, model, key), outcome_of, model.labels, by_number, not_learned))
  before = results.read(ended.folder)
  figures = {split: _figures(outcome) for split, outcome in outcome_of.items()}
  figures['dev']['loss'] = fine_tuned.best_figures(model.prefix).get('loss')
  results.update(
      ended.folder, without=() if not_learned else ('not_learned',), learned=not not_learned, **dict(
          figures, **{
              ANSWERED: key, 'seconds': {'training': before.get('train', {}).get('seconds'),
                                         'answering': time.time() - began}},
          **({'not_learned': not_learned} if not_learned else {})))
  return outcome_of['test'].logits if 'test' in outcome_of else None


def _not_learned(doubt, ended, model):
  _, losses = results.columns(os.path.join(ended.folder, names.LOSS_HISTORY_FILE), 'total_loss')
  evidence = learning.Evidence(ended.learning_rate, model.model.config.hidden_size, ended.init, losses,
                               ended.fgm_epsilon, ended.rate_multipliers)
  return learning.line(doubt, evidence, ended.splits.train, model.tokenizer)


def _about(ended, model, key):
  return collections.OrderedDict([
      ('task', model.kind), ('weights to start from', ended.init or 'NONE: random weights'),
      ('training examples', '{:,}'.format(len(ended.splits.train))),
      ('tokens of a window', '{:,}'.format(model.data.max_seq_length)),
      ('learning rate', '{:g}'.format(ended.learning_rate)), ('steps', '{:,}'.format(key['trained_steps'] or 0)),
      ('best checkpoint', key['checkpoint'])])


def _figures(outcome):
  """An Outcome for results.json."""
  figures = collections.OrderedDict(examples=outcome.examples, labelled=outcome.labelled)
  for name, value in (outcome.figures or {}).items():
    if name != 'confusion':
      figures[name] = value
  return figures


def _write_confusion(folder, figures):
  if not figures or 'confusion' not in figures:
    return
  classes = list(figures['classes'])
  rows = [['label \\ predicted'] + classes] + [
      [name] + list(map(str, row)) for name, row in zip(classes, figures['confusion'])]
  files.write_atomically(os.path.join(folder, names.CONFUSION_TABLE), '\n'.join('\t'.join(row) for row in rows) + '\n')


def summary(written, ended, order=()):
  """Lines for the end of a run: the table, where everything is, and whether nothing was learned.

  Args:
    written: what results.json has. ended: Ended.
    order: names of the figures that come first.
  """
  lines = []
  for split in ('dev', 'test'):
    if split in written:
      figures = collections.OrderedDict((name, written[split][name]) for name in order if name in written[split])
      lines += report.split_lines(split, dict(figures, **written[split]), written[split]['labelled'])
  if 'test' in written and not written['test'].get('labelled'):
    lines.append('test has no labels: predictions only')
  lines.append('{:<17} {}'.format('started with:', ended.init or 'RANDOM WEIGHTS, no INIT'))
  lines += ['{:<17} {}'.format(title + ':', os.path.join(ended.folder, name)) for title, name in [
      ('report', names.ANSWERS_FILE)] + [('predictions', names.PREDICTIONS_FILE.format(split))
                                         for split in ('dev', 'test') if split == 'dev' or split in written]]
  return lines + [written.get('not_learned') or '{:<17} make predict INIT={} INPUT=FILE OUTPUT=FILE.jsonl'.format(
      'next:', shlex.quote(ended.folder))]
