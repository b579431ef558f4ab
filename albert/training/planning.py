"""The plan of a run: everything that is decided before anything is started, written or built.

    where + options + what gin binds -> decide() -> Plan -> running.py

Deciding reads files and has no effect: it starts no device, writes nothing and logs nothing; what there is to say is
among the notes of the plan.
"""

import collections
import hashlib
import logging
import os

from albert.common.errors import UserError
from albert.dataset import contract
from albert.device import cores
from albert.input import checking
from albert import input_pipeline
from albert import lamb
from albert.model.config import AlbertConfig
from albert import npu_session
from albert.run import belonging
from albert.run.best import Best
from albert.run import checkpoints
from albert.run import directory
from albert.run import loading
from albert.run import names
from albert.run.run_state import RunState
from albert.training import phases
from albert.training import resources
from albert.training import schedule

_LOG = logging.getLogger('albert')

# A bare TFRecord file of the original release says nothing of its vocabulary.
_PUBLISHED_VOCAB_SIZE = 21128
# Settings that follow from the cores and the memory of a host: others may have others.
_OF_A_HOST = cores.Cores._fields + ('micro_batch_size',)

# Where things are, and what is to be done with them: what the command line says; hyperparameters are gin's.
# input_file: training data, see input_pipeline.open_dataset. output_dir: folder of the run. eval_input_file: held-out
# data if it is not in input_file. init_checkpoint: published weights to start from (training), or the checkpoint to
# evaluate (do_train=False). do_train, do_eval: what to do. max_seq_length, max_predictions_per_seq: S and P if they are
# to be checked; they come with the data. architecture_given: whether the user has given an architecture: a checkpoint
# to evaluate must then have it. config: AlbertConfig, in fine-tuning that of the weights to start from; None: what gin
# binds.
Where = collections.namedtuple('Where', [
    'input_file', 'output_dir', 'eval_input_file', 'init_checkpoint', 'do_train', 'do_eval', 'max_seq_length',
    'max_predictions_per_seq', 'architecture_given', 'config'],
    defaults=[None, None, True, True, None, None, False, None])

# where: Where. options: RunOptions. task: tasks.task.Task. info: contract.DatasetInfo of the training data. heldout: of
# the held-out data, or None. checkpoint: prefix of the one to evaluate, None if training. init_checkpoint: prefix of
# the weights to start from, or None. remapping: remapping.Remapping, how they become those of the model; None without
# them, and in a run that goes on. config: AlbertConfig with vocab_size. optimizer: lamb.OptimizerOptions.
# input_options: input_pipeline.InputOptions. session_options: npu_session.SessionOptions. placement:
# npu_session.Placement. layout: batch_order.Layout of a batch of labelled text, None in pre-training, where a batch has
# as many rows as its size. micro_batch_size: sequences that a rank computes at a time, None off the CPU: all.
# cores: cores.Cores. settings: dict, what the weights of a step depend on besides architecture and optimizer; a run
# keeps it, see RunState. chosen_again: names of settings that were chosen anew because what they follow from was
# changed on purpose. phases: tuple of phases.Phase, one where nothing changes on the way. schedule: dict, what a run
# may change on its way, see RunState. evaluated_on: str that names the evaluation set, None without one. notes: [(level
# of logging, line for the log)].
class Plan(collections.namedtuple('Plan', [
    'where', 'options', 'task', 'info', 'heldout', 'checkpoint', 'init_checkpoint', 'remapping', 'config', 'optimizer',
    'input_options', 'session_options', 'placement', 'layout', 'micro_batch_size', 'cores', 'settings', 'chosen_again',
    'phases', 'schedule', 'evaluated_on', 'notes'])):
  """The value that running carries out; its fields are described above."""

  __slots__ = ()

  @property
  def rows_per_step(self):
    """int, the sequences of a step, of all ranks together."""
    return self.layout.rows if self.layout else self.options.train_batch_size


def decide(where, options, make_task):
  """Decides everything.

  Args:
    where: Where.
    options: RunOptions.
    make_task: a subclass of tasks.task.Task, called with AlbertConfig and contract.DatasetInfo of the training data.

  Returns:
    Plan.

  Raises:
    UserError: something that does not fit together.
  """
  checkpoints.check_path('--output_dir (OUT)', where.output_dir)
  optimizer, input_options = options.adapt(lamb.OptimizerOptions()), input_pipeline.InputOptions()
  session_options = npu_session.SessionOptions()
  notes = []
  info = _open(where.input_file, make_task, notes)
  checking.check_shapes(info, where.max_seq_length, where.max_predictions_per_seq)
  heldout = _heldout(info, where, make_task, notes)
  init_checkpoint = where.init_checkpoint and _init_checkpoint(where, options, notes)
  checkpoint = None if where.do_train else init_checkpoint or _checkpoint_to_evaluate(
      where.output_dir, make_task, notes)
  config = _model_config(info, checkpoint, where, notes)
  info, heldout = _with_vocab_size(info, heldout, config.vocab_size)
  task = make_task(config, info)
  _check_task(where, options, task)
  if where.do_train:
    directory.check(where.output_dir, config, info, options.performance)
  remapping = _check_weights(where, options, checkpoint or init_checkpoint, config, info, heldout)
  notes += schedule.without_effect(where, options, optimizer)
  placement = npu_session.choose(session_options)
  _check_device(where, options, config, session_options, placement)
  plan = Plan(where, options, task, info, heldout, checkpoint, init_checkpoint, remapping, config, optimizer,
              input_options, session_options, placement, None, None, None, None, (), (),
              schedule.of(options, optimizer, heldout, npu_session.Device(session_options, placement)),
              schedule.evaluated_on(options, heldout), notes)

  def open_data(path, more_notes):
    opened = _open(path, make_task, more_notes)
    _check_length(config, opened)
    return opened

  return phases.with_phases(resources.computed(plan), make_task, open_data, resources.computed)


def _check_task(where, options, task):
  """Raises UserError where the folder holds a run of another task, whose histories and best are none of this one's."""
  theirs = RunState(where.output_dir, fresh=options.performance).task
  if theirs not in (None, task.name) and not where.do_train:
    raise UserError('{0}: expected a run of the task {1}, found one of {2}; name another (OUT=...), or, if it is '
                    'fine-tuned: make evaluate-task INIT={0} DATA=...'.format(where.output_dir, task.name, theirs))
  if theirs not in (None, task.name):
    raise UserError('{}: expected an empty folder or a run of the task {}, found one of {}; use another output folder '
                    '(OUT=...)'.format(where.output_dir, task.name, theirs))


def _open(source, make_task, notes):
  """DatasetInfo of a data set with records for a task; lost ones are among the notes."""
  return input_pipeline.open_dataset(source, make_task.features, _warner(notes))


def _warner(notes):
  """callable(line) that puts a warning about what is lost or damaged among the notes."""
  return lambda line: notes.append((logging.WARNING, line))


def _heldout(info, where, make_task, notes):
  """DatasetInfo of the held-out records, or None with a word about it among the notes."""
  if where.eval_input_file:
    heldout = _open(where.eval_input_file, make_task, notes)
    checking.check_shapes(heldout, info.max_seq_length, info.max_predictions_per_seq, info.folder)
    if None not in (heldout.vocab_sha256, info.vocab_sha256) and heldout.vocab_sha256 != info.vocab_sha256:
      raise UserError('{}: expected the vocabulary of the training data {}, found another; make both with '
                      'one vocabulary'.format(where.eval_input_file, info.folder))
    return heldout
  if info.records(contract.HELDOUT):
    return info
  if where.do_eval and not where.do_train:
    raise UserError('expected held-out records, found none in {}; give them with --eval_input_file (the training '
                    'records are not used for evaluation)'.format(info.folder))
  notes.append((logging.WARNING, 'nothing is held out of {}: no evaluation, no best checkpoint; --eval_input_file '
                'would give them'.format(info.folder)))
  return None


def _with_vocab_size(info, heldout, vocab_size):
  """(info, heldout) whose ids must be below a size; they stay the same one if they are."""
  sized = info.with_vocab_size(vocab_size)
  return sized, sized if heldout is info else heldout and heldout.with_vocab_size(vocab_size)


def _checkpoint_to_evaluate(output_dir, make_task, notes):
  best, _ = Best(output_dir, make_task.criterion).read()
  return best if best and os.path.exists(best + '.index') else checkpoints.find(output_dir, _warner(notes))


def _init_checkpoint(where, options, notes):
  """Prefix of the weights that were given; None where they are gone since a run has begun from them."""
  try:
    return loading.find(where.init_checkpoint, _warner(notes)).prefix
  except UserError as error:
    if not _is_begun(where, options):
      raise
    notes.append((logging.WARNING, '--init_checkpoint has no effect: the run in {} goes on; {}'.format(
        where.output_dir, error)))
    return None


def _is_begun(where, options):
  """Whether there is a run that training goes on with."""
  return where.do_train and not options.performance and checkpoints.latest(where.output_dir) is not None


def _check_weights(where, options, checkpoint, config, info, heldout):
  """How the weights to start from become those of the model.

  Args:
    checkpoint: prefix of weights to start from, or to evaluate, or None.
    config: AlbertConfig. info, heldout: contract.DatasetInfo; heldout may be None.

  Returns:
    remapping.Remapping; None where nothing is started from.

  Raises:
    UserError: they are not finite or belong to something else.
  """
  if checkpoint is None or _is_begun(where, options):
    return None
  remapping = None
  if where.do_train:
    remapping = loading.decide(checkpoint, config, info, options)  # rows follow their tokens
  else:
    belonging.check_config(checkpoint, config)
    for dataset in [info] + ([heldout] if heldout else []):
      belonging.check_vocabulary(checkpoint, dataset)
  loading.check_finite(checkpoint, where.do_train and options.init_optimizer_slots)
  return remapping


def _model_config(info, checkpoint, where, notes):
  """The architecture: of the checkpoint to evaluate if its folder or the run's has it, else what gin binds."""
  own = checkpoint and (directory.config_of(checkpoint)
                        or directory.config_beside(os.path.join(where.output_dir, names.CHECKPOINT)))
  config = where.config or AlbertConfig()
  if own and where.architecture_given and directory.differences(own, config):
    raise UserError('{}: expected a checkpoint of the requested architecture, found another: {}; leave the setting '
                    'out'.format(checkpoint, directory.differences(own, config)))
  config = own or config
  if info.vocab_size:
    config = config.with_vocab_size(info.vocab_size, info.folder)
  elif config.vocab_size is None:
    config = config.with_vocab_size(_PUBLISHED_VOCAB_SIZE, info.folder)
    notes.append((logging.INFO, 'vocab_size={}, that of the published Chinese models: the data does not say'.format(
        _PUBLISHED_VOCAB_SIZE)))
  _check_length(config, info)
  return config


def _check_length(config, info):
  if info.max_seq_length > config.max_position_embeddings:
    raise UserError('expected sequences of at most {} tokens (AlbertConfig.max_position_embeddings), found {} in {}; '
                    'make the data with a smaller --max_seq_length'.format(
                        config.max_position_embeddings, info.max_seq_length, info.folder))


def _check_device(where, options, config, session_options, placement):
  """Raises UserError where training on this device, or on several, does not go with the options."""
  if options.spike_factor is not None and placement.ranks > 1:
    raise UserError('{}: expected None on several ranks, found {}; ranks would go back at different steps'.format(
        options.named('spike_factor'), options.spike_factor))
  if not where.do_train:
    return
  device = npu_session.Device(session_options, placement)
  device.check_steps(options.num_train_steps, options.save_checkpoints_steps)
  drops = config.hidden_dropout_prob or config.attention_probs_dropout_prob
  if options.recompute and device.dropout and drops:
    raise UserError('{}: expected SessionOptions.fused_ops=False, found True; the dropout of the NPU draws other '
                    'elements when it is computed again'.format(options.named('recompute')))


def log(plan):
  """Logs the notes of a plan."""
  for level, text in plan.notes:
    _LOG.log(level, '%s', text)


def same_on_ranks(plan):
  """OrderedDict of name to value: what all ranks that train together must have in common."""
  values = collections.OrderedDict([
      ('--do_train', plan.where.do_train), ('--do_eval', plan.where.do_eval), ('checkpoint', plan.checkpoint),
      ('evaluation_set', plan.schedule['evaluation_set'])])
  # Of phases there may be more on another rank: one value for all of them, as all ranks have the same names.
  settings, of_phases = {}, {}
  for name, value in (plan.settings or {}).items():
    (of_phases if '.' in name else settings)[name] = value
  values['settings of phases'] = sorted(item for item in of_phases.items() if item[0].split('.')[1] not in _OF_A_HOST)
  for label, part in (('AlbertConfig.', plan.config.to_dict()), ('OptimizerOptions.', vars(plan.optimizer)),
                      ('', settings), (plan.options.named(''), vars(plan.options))):
    values.update((label + name, part[name]) for name in sorted(part) if name not in _OF_A_HOST)
  session = plan.session_options
  values.update([('SessionOptions.precision_mode', session.npu_precision),
                 ('SessionOptions.loss_scale', session.loss_scale), ('SessionOptions.fused_ops', session.fused_ops),
                 ('SessionOptions.iterations_per_loop', session.npu['iterations_per_loop']),
                 ('device', plan.placement.kind)])
  return values


def config_hash(plan):
  """Hex SHA-256 of what the weights depend on: architecture, optimizer, settings and the number of steps."""
  described = [sorted(plan.config.to_dict().items()), sorted(vars(plan.optimizer).items()),
               sorted(plan.settings.items()), plan.options.num_train_steps]
  return hashlib.sha256(repr(described).encode('utf-8')).hexdigest()
