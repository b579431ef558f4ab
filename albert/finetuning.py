"""The root that gin binds as `finetune`, and `FinetuneData` for its text: from weights and labelled text to a run.

    DATA --labelled.sources, encoding--> OUT/records --training.running--> checkpoints, the best on dev
         --answers.closing--> figures of dev and test, predictions, report

What is particular about fine-tuning is decided here; the run itself is that of every task.
"""

import collections
import contextlib
import dataclasses
import functools
import logging
import os

import gin

from albert.answers import closing
from albert.answers import learning
from albert.answers import series
from albert.common.errors import UserError
from albert.common import files
from albert.common.in_words import counted
from albert.common import json_text
from albert import lamb
from albert import npu_session
from albert.labelled import options as labelled
from albert.labelled import preparing
from albert.labelled import sources
from albert.model.config import AlbertConfig
from albert.run import checkpoints
from albert.run import loading
from albert.run import names
from albert.run import results
from albert.run import run_lock
from albert.run.run_state import RunState
from albert.run import starting_weights
from albert.run import taking_back
from albert.tasks import labelled_tasks
from albert.training.finetune_options import FinetuneOptions
from albert.training import planning
from albert.training import running
from albert.training import stopping
from albert.training.telling import activity

_LOG = logging.getLogger('albert')
_RATE = 'OptimizerOptions.learning_rate'

DataOptions = gin.external_configurable(labelled.LabelledOptions, 'FinetuneData', module='albert.finetuning')


@gin.configurable('finetune')
class Options(FinetuneOptions):
  """The options of a run, as finetune.*."""

  root = 'finetune'


def finetune(data_dir, output_dir, init=None, vocab_file=None):
  """Trains a task on labelled text, evaluates it on dev, keeps the best; goes on where a former call stopped.

  Args:
    data_dir: folder of train, dev and test, see labelled.sources.
    output_dir: folder of the run.
    init: weights to start from: a run's folder, best/, a prefix or a release; None: random ones.
    vocab_file: path of a vocabulary: of random weights, or to be compared with that of the weights.

  Returns:
    None, or stopping.EXIT_CODE if a signal came: the same call goes on.

  Raises:
    UserError: anything that does not fit together, raised before the graph is built where possible.
  """
  if series.is_series(output_dir):
    raise UserError('{}: expected a folder for one run, found several with seeds or folds; use another output folder '
                    '(OUT=...)'.format(output_dir))
  return run_once(data_dir, output_dir, init, vocab_file)[0]


def run_once(data_dir, output_dir, init=None, vocab_file=None, seed=None, divide=None):
  """finetune(), as one of several runs.

  Args:
    data_dir, output_dir, init, vocab_file: as for finetune().
    seed: random_seed of the run; None: that of the options.
    divide: callable(sources.Splits) that gives others, of which the run learns; logits of test are kept then.

  Returns:
    (exit code or None, closing.Closed or None where the run is not finished).

  Raises:
    UserError: see finetune().
  """
  with taking_back.unless_begun(output_dir) as made:
    code, ended, options = _train(data_dir, output_dir, init, vocab_file, seed, divide, made)
  if code is not None or options.performance:
    return code, None
  return _close(ended)


def _train(data_dir, output_dir, init, vocab_file, seed, divide, made):
  """(exit code or None, closing.Ended, Options) of the arguments of run_once(). made: set, of taking_back."""
  options, data = Options(), DataOptions()
  if seed is not None:
    options = dataclasses.replace(options, random_seed=seed)
  checkpoints.check_path('--output_dir (OUT)', output_dir)
  _check_alone()
  weights, notes = _weights(init, vocab_file, output_dir)
  config = _config(weights, options, data)
  _choose_rate(config, notes)
  notes += _without_effect(options)
  loaded = None
  if weights.prefix:
    needs_pooler = not labelled_tasks.KINDS[options.kind].of_tokens
    loaded = '{}, from {}'.format(
        starting_weights.describe(weights, config, needs_pooler, options.new_pooler), _said(weights.prefix, init))
    notes.append('weights: ' + loaded)
  data = _with_spelling(data, weights, output_dir, notes)
  splits = sources.open_splits(data_dir, options.kind, data)
  splits = divide(splits) if divide else splits
  head = labelled_tasks.head_options(options, splits.labels)
  _check_folder(output_dir, options.kind)
  prepared = _prepare(splits, options, data, weights, vocab_file, output_dir, made)
  judged = labelled_tasks.Judged(splits.dev, prepared.dev_windows, splits.labels)
  task = labelled_tasks.Maker(options.kind, head, judged, data.max_answer_length, options.fgm_epsilon)
  examples = preparing.training_examples(prepared.info)
  options = options.with_steps(examples)
  where = planning.Where(prepared.info.folder, output_dir, init_checkpoint=weights.prefix, config=config)
  describe = functools.partial(_describe, output_dir, task, data, splits, prepared, loaded)
  code = running.carry_out(where, options, task, splits.notes + notes + _notes(options, examples, prepared), describe)
  optimizer = lamb.OptimizerOptions()
  return code, closing.Ended(output_dir, splits, optimizer.learning_rate, results.read(output_dir).get('init'),
                             keep_logits=divide is not None, fgm_epsilon=options.fgm_epsilon,
                             rate_multipliers=optimizer.rate_multipliers), options


def _close(ended):
  """Answers dev and test, see run_once()."""
  doing = activity.Activity()
  doing.begin('answering dev and test')
  with run_lock.hold(ended.folder), stopping.Stopper(doing) as stopper:
    try:
      return None, closing.close(ended, npu_session.start(), stopper.check)
    except stopping.Stopped:
      _LOG.warning('the answers to dev and test were left; the same command gives them')
      return stopping.EXIT_CODE, None


def _prepare(splits, options, data, weights, vocab_file, output_dir, made):
  """preparing.Prepared; records are written under the lock of the run's folder, whose path is added to `made` then."""
  is_begun = checkpoints.latest(output_dir) is not None
  check_ids = None
  if vocab_file and weights.prefix:
    check_ids = functools.partial(starting_weights.check_vocabulary, weights, vocab_file)

  @contextlib.contextmanager
  def writing():
    with run_lock.hold(output_dir):
      made.add(os.path.join(output_dir, preparing.RECORDS_FOLDER))
      yield

  try:
    return preparing.prepare(
        splits, options.kind, data, weights.vocab_file, output_dir, is_begun, check_ids, writing)
  except OSError as error:
    raise UserError('{}: expected to write the records there, found {} ({}); make room or name another folder '
                    '(OUT=...)'.format(output_dir, error.strerror, error.filename))


def _weights(init, vocab_file, output_dir):
  """(loading.Weights to start from, lines for the log). A run that goes on does without the ones that it began from."""
  is_begun = checkpoints.latest(output_dir) is not None
  try:
    weights = starting_weights.find(init, vocab_file)
  except UserError as error:
    if not is_begun:
      raise
    own = loading.find(output_dir)
    return own._replace(prefix=None), ['INIT has no effect: the run in {} goes on; {}'.format(output_dir, error)]
  if weights.prefix or is_begun:
    return weights, []
  return weights, ['RANDOM WEIGHTS: no INIT was given. This is a baseline that knows nothing of the language; '
                   'INIT=<run> starts from a pre-trained model']


def _with_spelling(data, weights, output_dir, notes):
  """DataOptions that say whether text is read in lower case: as the run, the weights or their vocabulary say."""
  if data.do_lower_case is not None:
    return data
  lower = starting_weights.lower_case(weights, output_dir)
  if not lower:
    notes.append('text keeps its capital letters and accents, as those of the vocabulary (FinetuneData.do_lower_case)')
  return dataclasses.replace(data, do_lower_case=lower)


def _choose_rate(config, notes):
  """Binds the rate that is usual for the size of a model, where none is bound; adds a line about it to notes."""
  try:
    gin.query_parameter(_RATE)
  except ValueError:
    rate = learning.usual_rate(config.hidden_size)
    with gin.unlock_config():
      gin.bind_parameter(_RATE, rate)
    notes.append('rate {:g}, that of hidden size {}; {} sets another'.format(rate, config.hidden_size, _RATE))


def _said(prefix, init):
  """A prefix in words, with what it is of the run that was named."""
  is_best = os.path.normpath(os.path.dirname(prefix)) == os.path.normpath(os.path.join(init, names.BEST_FOLDER))
  return '{} (the best of {})'.format(prefix, init) if is_best else prefix


def _check_alone():
  """Raises UserError where several ranks would train."""
  placement = npu_session.choose(npu_session.SessionOptions())
  if placement.ranks > 1:
    raise UserError('expected one rank in fine-tuning, found {}={}: its batches are a few rows, which a single device '
                    'holds; start one process, without a launcher and its variables'.format(
                        'HOROVOD_SIZE' if placement.launched else 'RANK_SIZE', placement.ranks))


def _config(weights, options, data):
  """AlbertConfig of the model: that beside the weights, or what gin binds, with the options' dropout."""
  config = weights.config or AlbertConfig()
  if options.dropout is not None:
    config = dataclasses.replace(config, hidden_dropout_prob=options.dropout,
                                 attention_probs_dropout_prob=options.dropout)
  if data.max_seq_length > config.max_position_embeddings:
    raise UserError('FinetuneData.max_seq_length: expected at most {} tokens, the positions of the model, found {}; '
                    'make it smaller'.format(config.max_position_embeddings, data.max_seq_length))
  return config


def _check_folder(output_dir, kind):
  """Raises UserError where the folder holds a run of another task, before anything is written there."""
  theirs = RunState(output_dir).task
  if theirs not in (None, kind):
    raise UserError('{}: expected an empty folder or a run of the task {}, found one of {}; use another output folder '
                    '(OUT=...)'.format(output_dir, kind, theirs))


def _describe(output_dir, task, data, splits, prepared, loaded):
  """Writes what prediction needs beside the weights: labels.json and task.json; and the counts into results.json."""
  if splits.labels is not None:
    splits.labels.save(os.path.join(output_dir, names.LABELS_FILE))
  described = dict(
      task.described(), max_seq_length=data.max_seq_length, do_lower_case=data.do_lower_case,
      multi_label=bool(splits.labels and splits.labels.multi_label), layout=list(splits.notes),
      pair=splits.train[0].text_b is not None,
      data=dataclasses.asdict(dataclasses.replace(data, train=None, dev=None, test=None, labels_file=None)))
  files.write_atomically(os.path.join(output_dir, names.TASK_FILE),
                         json_text.line(collections.OrderedDict(sorted(described.items())), indent=1) + '\n')
  # What a run began from is known when it begins.
  begun = {} if checkpoints.latest(output_dir) else {'init': loaded}
  results.update(output_dir, counts=dict(splits.counts, **prepared.counts, **_cut_percent(prepared.counts)),
                 **begun)


def _without_effect(options):
  """Lines about what gin binds and another setting decides. options: Options as they were given."""
  decided = (('finetune.num_train_steps', 'finetune.epochs', options.epochs),
             ('OptimizerOptions.num_warmup_steps', 'finetune.warmup_proportion', options.warmup_proportion),
             ('finetune.save_checkpoints_steps', 'finetune.eval_every_steps', options.eval_every_steps or 'an epoch'))
  lines = []
  for name, by, value in decided:
    with contextlib.suppress(ValueError):  # not bound
      given = gin.query_parameter(name)
      if value is not None:
        lines.append('{}={} has no effect: {} decides, which is {}{}'.format(
            name, given, by, value, '' if name.endswith('save_checkpoints_steps') else '; say {}=None'.format(by)))
  return lines


def _cut_percent(counts):
  """{'train_cut_percent', 'dev_cut_percent'}: floats, how many of the texts are longer than a window."""
  return {split + '_cut_percent': round(100. * counts.get(split + '_cut', 0) / counts[split + '_examples'], 2)
          for split in ('train', 'dev') if counts.get(split + '_examples')}


def _notes(options, examples, prepared):
  """Lines about the size of the work."""
  epoch = -(-examples // options.train_batch_size)
  lines = ['records: {} in {}'.format('made' if prepared.is_new else 'those of the same text and options are there',
                                      prepared.info.folder),
           '{} / {} = {} an epoch; {:.4g} epoch{} = {}; evaluated every {:,}'.format(
               counted(examples, 'training example'), options.train_batch_size, counted(epoch, 'step'),
               options.num_train_steps / epoch, '' if options.num_train_steps == epoch else 's',
               counted(options.num_train_steps, 'step'), options.save_checkpoints_steps)]
  unusable = prepared.counts.get('train_unusable', 0)
  if unusable:
    lines.append('train: {:,} of {:,} questions are left out, their answers are not in the text or longer than a '
                 'window of {} tokens'.format(unusable, unusable + prepared.counts['train_examples'],
                                       prepared.info.max_seq_length))
  for split in ('train', 'dev'):
    cut, texts = prepared.counts.get(split + '_cut', 0), prepared.counts.get(split + '_examples', 0)
    if cut:
      lines.append('{}: {:,} of {:,} texts are longer than {} tokens ({:.1%})'.format(
          split, cut, texts, prepared.info.max_seq_length, cut / texts))
  return lines
