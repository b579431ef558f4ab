"""What a run is made of, settled before anything is written or built: data, architecture, device, threads, memory."""

import collections
import logging
import os

from albert.common import checks
from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import packing
from albert.device import cores
from albert.device import memory
from albert import input_pipeline
from albert import lamb
from albert.model.config import AlbertConfig
from albert import npu_session
from albert.run import directory
from albert.run import run_state
from albert.training import progress

_LOG = logging.getLogger('albert')

# A bare TFRecord file of the original release says nothing of its vocabulary.
_PUBLISHED_VOCAB_SIZE = 21128
_POSITIVE = ('train_batch_size', 'eval_batch_size', 'num_train_steps', 'save_checkpoints_steps', 'keep_checkpoint_max',
             'log_every_steps', 'max_bad_steps', 'keep_every_steps', 'max_eval_steps')

# asked: the arguments of pretrain(), as attributes. info: contract.DatasetInfo of the training data. heldout: of the
# held-out data, or None. checkpoint: prefix of the one to evaluate, None if training. init_checkpoint: prefix of
# the weights to start from, or None. config: AlbertConfig with vocab_size. optimizer: lamb.OptimizerOptions.
# input_options: input_pipeline.InputOptions. options: npu_session.SessionOptions. session: npu_session.Session.
# state: run_state.RunState.
Plan = collections.namedtuple('Plan', [
    'asked', 'info', 'heldout', 'checkpoint', 'init_checkpoint', 'config', 'optimizer', 'input_options', 'options',
    'session', 'state'])


def make(asked):
  """Settles everything but what depends on the free memory and the cores.

  Args:
    asked: the arguments of pretrain() as attributes.

  Returns:
    Plan.

  Raises:
    UserError: something that does not fit together.
  """
  _check_numbers(asked)
  optimizer, input_options = lamb.OptimizerOptions(), input_pipeline.InputOptions()
  options = npu_session.SessionOptions()
  info = input_pipeline.open_dataset(asked.input_file)
  input_pipeline.check_shapes(info, asked.max_seq_length, asked.max_predictions_per_seq)
  heldout = _heldout(info, asked.eval_input_file, required=asked.do_eval and not asked.do_train)
  init_checkpoint = asked.init_checkpoint and directory.find_checkpoint(asked.init_checkpoint)
  checkpoint = None if asked.do_train else init_checkpoint or _checkpoint_to_evaluate(asked.output_dir)
  config = _model_config(info, checkpoint, asked)
  if asked.do_train:
    directory.check(asked.output_dir, config, info, asked.performance)
  state = run_state.RunState(asked.output_dir, fresh=asked.performance)
  session = npu_session.start(options)
  _check_device(asked, config, session)
  return Plan(asked, info, heldout, checkpoint, init_checkpoint, config, optimizer, input_options, options, session,
              state)


def _check_device(asked, config, session):
  """Raises UserError where training on this device, or on several, does not go with what was asked for."""
  if asked.do_train:
    session.check_steps(asked.num_train_steps, asked.save_checkpoints_steps)
  if asked.spike_factor is not None and session.ranks > 1:
    raise UserError('pretrain.spike_factor: expected None on several ranks, found {}; ranks would go back at '
                    'different steps'.format(asked.spike_factor))
  drops = config.hidden_dropout_prob or config.attention_probs_dropout_prob
  if asked.do_train and asked.recompute and session.dropout and drops:
    raise UserError('pretrain.recompute: expected SessionOptions.fused_ops=False, found True; the dropout of the NPU '
                    'draws other elements when it is computed again')


def _check_numbers(asked):
  for name in _POSITIVE:
    value = getattr(asked, name)
    if value is None and name in ('keep_every_steps', 'max_eval_steps'):
      continue
    checks.whole_number('pretrain.' + name, value)
  for name in ('recompute', 'performance', 'init_optimizer_slots'):
    if not isinstance(getattr(asked, name), bool):
      raise UserError('pretrain.{}: expected True or False, found {!r}'.format(name, getattr(asked, name)))
  if asked.performance and asked.num_train_steps <= progress.WARMUP_STEPS:
    raise UserError('pretrain.num_train_steps: expected at least {} in a performance run, of which {} are warm-up, '
                    'found {}'.format(progress.WARMUP_STEPS + 1, progress.WARMUP_STEPS,
                                      asked.num_train_steps))


def _heldout(info, eval_input_file, required):
  """DatasetInfo of the held-out records, or None with a word about it."""
  if eval_input_file:
    heldout = input_pipeline.open_dataset(eval_input_file)
    input_pipeline.check_shapes(heldout, info.max_seq_length, info.max_predictions_per_seq, info.folder)
    if None not in (heldout.vocab_sha256, info.vocab_sha256) and heldout.vocab_sha256 != info.vocab_sha256:
      raise UserError('{}: expected the vocabulary of the training data {}, found another; make both with '
                      'one vocabulary'.format(eval_input_file, info.folder))
    return heldout
  if info.records(contract.HELDOUT):
    return info
  if required:
    raise UserError('expected held-out records, found none in {}; give them with --eval_input_file (the training '
                    'records are not used for evaluation)'.format(info.folder))
  _LOG.warning('nothing is held out of %s: no evaluation, no best checkpoint; --eval_input_file would give them',
               info.folder)
  return None


def _checkpoint_to_evaluate(output_dir):
  best, _ = directory.best_checkpoint(output_dir)
  return best or directory.find_checkpoint(output_dir)


def _model_config(info, checkpoint, asked):
  """The architecture: of the checkpoint to evaluate if its folder or the run's tells, else what gin binds."""
  own = checkpoint and (directory.config_beside(checkpoint)
                        or directory.config_beside(os.path.join(asked.output_dir, 'model.ckpt')))
  config = AlbertConfig()
  if own and asked.architecture_given and directory.differences(own, config):
    raise UserError('{}: expected a checkpoint of the architecture asked for, found another: {}; leave the setting '
                    'out'.format(checkpoint, directory.differences(own, config)))
  config = own or config
  if info.vocab_size:
    config = config.with_vocab_size(info.vocab_size, info.folder)
  elif config.vocab_size is None:
    config = config.with_vocab_size(_PUBLISHED_VOCAB_SIZE, info.folder)
    _LOG.info('vocab_size=%d, that of the published Chinese models: the data does not say', _PUBLISHED_VOCAB_SIZE)
  if info.max_seq_length > config.max_position_embeddings:
    raise UserError('expected sequences of at most {} tokens (AlbertConfig.max_position_embeddings), found {} in {}; '
                    'make the data with a smaller --max_seq_length'.format(
                        config.max_position_embeddings, info.max_seq_length, info.folder))
  return config


def choose_micro_batch_size(plan):
  """As asked or as the run began; on a CPU else what suits the free memory, which is checked; else None.

  Raises:
    UserError: it does not divide the batch size, or a step does not fit into the free memory.
  """
  asked = plan.asked.micro_batch_size or plan.state.settings.get('micro_batch_size')
  batch_size = plan.asked.train_batch_size
  if asked is not None and (not isinstance(asked, int) or asked < 1 or batch_size % asked):
    raise UserError('pretrain.micro_batch_size: expected a divisor of pretrain.train_batch_size={}, found {!r}'.format(
        batch_size, asked))
  if plan.session.device != 'cpu':
    return asked
  labels, recompute = plan.info.max_predictions_per_seq, plan.asked.recompute
  shape = (plan.info.max_seq_length, packing.max_predictions(labels) if plan.input_options.packing else labels)
  towers = plan.options.cpu_towers or plan.state.settings.get('cpu_towers')
  size = asked or memory.choose_micro_batch_size(plan.config, batch_size, *shape, recompute=recompute, towers=towers)
  estimate, available = memory.check_fits(plan.config, batch_size, size, *shape, recompute=recompute)
  _LOG.info('estimated memory %.1f GB of %.1f GB that are free, %s', estimate / 1e9, available / 1e9,
            'the whole batch at once' if size == batch_size else '{} sequences at a time'.format(size))
  return size


def settle_cores(plan, sequences):
  """Decides how the cores share the work, see cores.settle. sequences: int, how many are computed at a time."""
  # The sums of an evaluation need not be those of the run.
  recorded = plan.state.settings if plan.asked.do_train else None
  cores.settle(plan.options, sequences, plan.session.device == 'cpu', recorded)


def settings(plan, micro_batch_size):
  """What the weights of a step depend on besides architecture and optimizer; a run keeps it, see run_state."""
  found = {'train_batch_size': plan.asked.train_batch_size, 'micro_batch_size': micro_batch_size,
           'ranks': plan.session.ranks, 'data_set': plan.info.fingerprint(), 'random_seed': plan.asked.random_seed,
           'shuffle_buffer_records': plan.input_options.shuffle_buffer_records,
           'packing': plan.input_options.packing}
  # Towers are no setting of other devices: there a run that began on a CPU has none to differ in.
  found.update((name, getattr(plan.options, name)) for name in cores.SETTINGS
               if name != 'cpu_towers' or plan.session.device == 'cpu')
  return found
