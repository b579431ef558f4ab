"""pretrain(), the root that gin binds: checks what it is given, then trains, evaluates and keeps the best."""

import contextlib
import logging
import os

import gin
import tensorflow as tf

from albert import allocator
from albert import event_files
from albert import features
from albert import input_pipeline
from albert import lamb
from albert import memory
from albert import npu_session
from albert import packing
from albert import run_directory
from albert import run_lock
from albert import run_state
from albert import stopping
from albert import training_hooks
from albert.config import AlbertConfig
from albert.errors import UserError
from albert.trainer import Safety
from albert.trainer import Trainer

_LOG = logging.getLogger('albert')

# A bare TFRecord file of the original release says nothing of its vocabulary.
_PUBLISHED_VOCAB_SIZE = 21128


@gin.configurable
def pretrain(input_file, output_dir, eval_input_file=None, init_checkpoint=None, do_train=True, do_eval=True,
             max_seq_length=None, max_predictions_per_seq=None, train_batch_size=32, eval_batch_size=8,
             num_train_steps=125000, save_checkpoints_steps=5000, keep_checkpoint_max=5, max_eval_steps=None,
             log_every_steps=100, random_seed=12345, init_optimizer_slots=False, performance=False,
             keep_every_steps=None, max_bad_steps=10, spike_factor=None, allow_changes=(), micro_batch_size=None,
             recompute=False, architecture_given=False):
  """Trains an ALBERT, evaluates it on held-out documents, keeps the best; goes on where a former call stopped.

  Args:
    input_file: training data, see input_pipeline.open_dataset.
    output_dir: folder of the run.
    eval_input_file: held-out data if it is not in input_file.
    init_checkpoint: published weights to start from (training), or the checkpoint to evaluate (do_train=False).
    do_train, do_eval: what to do. Without do_train, the best checkpoint of output_dir is evaluated.
    max_seq_length, max_predictions_per_seq: S and P if they are to be checked; they come with the data.
    train_batch_size: examples per step on one rank; with InputOptions.packing, rows of several examples.
    eval_batch_size: examples per evaluation step, never packed.
    num_train_steps: updates in all.
    save_checkpoints_steps: a checkpoint is saved and evaluated each so many steps, and at the end.
    keep_checkpoint_max: how many of the newest checkpoints stay. keep_every_steps: and those of each so many steps.
    max_eval_steps: evaluation stops after so many batches; None evaluates every held-out record.
    log_every_steps: how often losses are logged and kept.
    random_seed: of the initial weights, dropout and the order of the data.
    init_optimizer_slots: whether init_checkpoint's optimizer moments are loaded too.
    performance: a short run that measures throughput; it starts afresh each time.
    max_bad_steps: updates that are not finite are skipped; so many in a row end the run.
    spike_factor: a training loss of so many times its running mean (at least 100 steps) makes the run go back to the
      checkpoint before and leave out the data since; None: never. One rank only.
    allow_changes: names of settings in run_state.json that may be other than when the run began.
    micro_batch_size: sequences that are computed at a time; a step and its result stay the same. None: the whole
      batch, on a CPU as many as suit the free memory.
    recompute: whether the backward pass computes each layer again instead of keeping what is in it: the same step in
      less memory and about a third more time.
    architecture_given: whether the user has asked for an architecture: a checkpoint to evaluate must then have it.

  Returns:
    None, or stopping.EXIT_CODE if a signal stopped the training: the same call goes on.

  Raises:
    UserError: anything that does not fit together, found before the graph is built where possible.
  """
  _check_positive(train_batch_size=train_batch_size, eval_batch_size=eval_batch_size,
                  num_train_steps=num_train_steps, save_checkpoints_steps=save_checkpoints_steps,
                  keep_checkpoint_max=keep_checkpoint_max, log_every_steps=log_every_steps,
                  keep_every_steps=keep_every_steps or 1, max_bad_steps=max_bad_steps)
  optimizer, input_options = lamb.OptimizerOptions(), input_pipeline.InputOptions()
  options = npu_session.SessionOptions()
  info = input_pipeline.open_dataset(input_file)
  input_pipeline.check_shapes(info, max_seq_length, max_predictions_per_seq)
  heldout = _heldout(info, eval_input_file, required=do_eval and not do_train)
  if init_checkpoint:
    init_checkpoint = run_directory.find_checkpoint(init_checkpoint)
  checkpoint = None if do_train else init_checkpoint or _checkpoint_to_evaluate(output_dir)
  config = _model_config(info, checkpoint, output_dir, architecture_given)
  if do_train:
    run_directory.check(output_dir, config, info, performance)
  if performance:
    _check_performance_run(num_train_steps)
  state = run_state.RunState(output_dir)
  recorded = {} if performance else state.settings
  _settle_threads(options, recorded)
  session = npu_session.start(options)
  if do_train and not performance and _is_finished(output_dir, num_train_steps, heldout if do_eval else None):
    return None
  if spike_factor is not None and session.ranks > 1:
    raise UserError('pretrain.spike_factor: expected None on several ranks, found {}; ranks would go back at '
                    'different steps'.format(spike_factor))
  _LOG.info('%s', allocator.describe(os.environ))
  if do_train:
    micro_batch_size = _settle_micro_batches(micro_batch_size or recorded.get('micro_batch_size'), config, info,
                                             train_batch_size, input_options.packing, session, recompute)
  # What the weights of a step depend on besides architecture and optimizer. A run keeps them; see run_state.
  settings = {'train_batch_size': train_batch_size, 'micro_batch_size': micro_batch_size, 'ranks': session.ranks,
              'data_set': info.fingerprint(), 'random_seed': random_seed,
              'shuffle_buffer_records': input_options.shuffle_buffer_records, 'packing': input_options.packing,
              'intra_op_parallelism_threads': options.intra_op_parallelism_threads,
              'inter_op_parallelism_threads': options.inter_op_parallelism_threads}
  safety = Safety(save_checkpoints_steps, keep_checkpoint_max, keep_every_steps, max_bad_steps, spike_factor)
  with contextlib.ExitStack() as stack:
    if session.is_chief:
      stack.enter_context(run_lock.hold(output_dir))
    if session.is_chief and do_train:
      if performance:
        run_directory.start_afresh(output_dir)
        state = run_state.RunState(output_dir)
      run_directory.prepare(output_dir, config, info)
      state.agree(settings, allow_changes, run_directory.step_of(run_directory.latest_checkpoint(output_dir)))
    stopper = stack.enter_context(stopping.Stopper())
    trainer = Trainer(
        info, heldout, config, optimizer, session, output_dir, num_train_steps=num_train_steps,
        train_batch_size=train_batch_size, eval_batch_size=eval_batch_size, max_eval_steps=max_eval_steps,
        log_every_steps=log_every_steps, random_seed=random_seed, init_checkpoint=init_checkpoint,
        init_optimizer_slots=init_optimizer_slots, input_options=input_options, safety=safety, state=state,
        stopper=stopper, micro_batch_size=micro_batch_size, recompute=recompute)
    stack.enter_context(_readable_errors(trainer))
    if do_train:
      session.check_steps(num_train_steps, save_checkpoints_steps)
      step = trainer.train(evaluate=bool(do_eval and heldout))
      _report_training(trainer, step, performance)
      results = run_directory.read_results(output_dir)
    elif do_eval and session.is_chief:
      results = run_directory.keep_evaluation(output_dir, heldout=trainer.evaluate(checkpoint), checkpoint=checkpoint,
                                              global_step=run_directory.step_of(checkpoint))
    if session.is_chief and (do_train or do_eval):
      print_summary(output_dir, results)
  return stopping.EXIT_CODE if stopper.requested else None


def _settle_micro_batches(asked, config, info, batch_size, packed, session, recompute):
  """The micro-batch size: as asked; on a CPU else chosen from the free memory, which is checked; else None."""
  if asked is not None and (not isinstance(asked, int) or asked < 1 or batch_size % asked):
    raise UserError('pretrain.micro_batch_size: expected a divisor of pretrain.train_batch_size={}, found {!r}'.format(
        batch_size, asked))
  if session.device != 'cpu':
    return asked
  labels = info.max_predictions_per_seq
  shape = (info.max_seq_length, packing.max_predictions(labels) if packed else labels)
  size = asked or memory.choose_micro_batch_size(config, batch_size, *shape, recompute=recompute)
  estimate, available = memory.check_fits(config, batch_size, size, *shape, recompute=recompute)
  _LOG.info('estimated memory %.1f GB of %.1f GB that are free, %s', estimate / 1e9, available / 1e9,
            'the whole batch at once' if size == batch_size else '{} sequences at a time'.format(size))
  return size


def _settle_threads(options, recorded):
  """Sets the numbers of threads that are left to the machine: sums depend on them, so a run keeps its own."""
  for name in ('intra_op_parallelism_threads', 'inter_op_parallelism_threads'):
    if getattr(options, name) is None:
      setattr(options, name, recorded.get(name) or len(os.sched_getaffinity(0)))


def _check_positive(**values):
  for name, value in values.items():
    if not (isinstance(value, int) and value > 0):
      raise UserError('pretrain.{}: expected a whole number of at least 1, found {!r}'.format(name, value))


def _check_performance_run(num_train_steps):
  if num_train_steps <= training_hooks.WARMUP_STEPS:
    raise UserError('pretrain.num_train_steps: expected at least {} in a performance run, of which {} are warm-up, '
                    'found {}'.format(training_hooks.WARMUP_STEPS + 1, training_hooks.WARMUP_STEPS, num_train_steps))


def _heldout(info, eval_input_file, required):
  """DatasetInfo of the held-out records, or None with a word about it."""
  if eval_input_file:
    heldout = input_pipeline.open_dataset(eval_input_file)
    input_pipeline.check_shapes(heldout, info.max_seq_length, info.max_predictions_per_seq, info.folder)
    if None not in (heldout.vocab_sha256, info.vocab_sha256) and heldout.vocab_sha256 != info.vocab_sha256:
      raise UserError('{}: expected the vocabulary of the training data {}, found another; make both with '
                      'one vocabulary'.format(eval_input_file, info.folder))
    return heldout
  if info.records(features.HELDOUT):
    return info
  if required:
    raise UserError('expected held-out records, found none in {}; give them with --eval_input_file (the training '
                    'records are not used for evaluation)'.format(info.folder))
  _LOG.warning('nothing is held out of %s: no evaluation, no best checkpoint; --eval_input_file would give them',
               info.folder)
  return None


def _checkpoint_to_evaluate(output_dir):
  best, _ = run_directory.best_checkpoint(output_dir)
  return best or run_directory.find_checkpoint(output_dir)


def _model_config(info, checkpoint, output_dir, architecture_given):
  """The architecture: of the checkpoint to evaluate if its folder or the run's tells, else what gin binds."""
  own = checkpoint and (run_directory.config_beside(checkpoint)
                        or run_directory.config_beside(os.path.join(output_dir, 'model.ckpt')))
  config = AlbertConfig()
  if own and architecture_given and run_directory.differences(own, config):
    raise UserError('{}: expected a checkpoint of the architecture asked for, found another: {}; leave the setting '
                    'out'.format(checkpoint, run_directory.differences(own, config)))
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


def _is_finished(output_dir, num_train_steps, heldout):
  """Whether the same command was carried out before; says so."""
  step = run_directory.step_of(run_directory.latest_checkpoint(output_dir))
  results = run_directory.read_results(output_dir)
  evaluated = run_directory.History(output_dir, run_directory.HELDOUT_HISTORY_FILE, []).steps()
  if step < num_train_steps or (heldout and step not in evaluated) or results.get('trained_steps') != step:
    return False
  print('nothing to do: {} was trained to step {:,} of {:,}'.format(output_dir, step, num_train_steps))
  print_summary(output_dir, results)
  return True


@contextlib.contextmanager
def _readable_errors(trainer):
  """Turns what broken files and full disks make TensorFlow and Python raise into one line; mends event files."""
  try:
    yield
  except tf.errors.OpError as error:
    for lost in (trainer.lost, trainer.heldout_lost):
      if lost.failure:  # raised in a thread of the input pipeline
        raise lost.failure
    if isinstance(error, (tf.errors.InvalidArgumentError, tf.errors.NotFoundError)):
      for dataset in [trainer.info] + ([trainer.heldout] if trainer.heldout else []):
        input_pipeline.check_readable(dataset, trainer.config.vocab_size)
    if isinstance(error, (tf.errors.DataLossError, tf.errors.ResourceExhaustedError)):
      raise UserError('expected readable files and room to write, found: {}; restore what it names or make room'.format(
          error.message.split('\n')[0]))
    raise
  except OSError as error:
    raise UserError('{}: expected to read and write files of the run, found {} ({}); correct it and start again: the '
                    'run goes on from its newest checkpoint'.format(
                        trainer.output_dir, error.strerror, error.filename))
  except stopping.Stopped:
    _LOG.warning('the evaluation was left unfinished')
  finally:
    if trainer.session.is_chief:
      tf.summary.FileWriterCache.clear()
      for folder in (trainer.output_dir, os.path.join(trainer.output_dir, 'eval_heldout')):
        event_files.mend(folder)


def _report_training(trainer, step, performance):
  if not trainer.session.is_chief:
    return
  if step < trainer.num_train_steps:
    _LOG.warning('stopped at step %s of %s; the same command goes on from there', '{:,}'.format(step),
                 '{:,}'.format(trainer.num_train_steps))
  if trainer.train_figures:
    run_directory.update_results(trainer.output_dir, global_step=step, trained_steps=step,
                                 **trainer.train_figures)
  throughput = trainer.progress and trainer.progress.throughput()
  if throughput is None:
    return
  if performance:
    run_directory.write_performance(trainer.output_dir, throughput._asdict())
    print('performance of {} steps after {} of warm-up: median step {:.4f} s, {:.2f} examples/s, {:,.0f} real '
          'tokens/s, {:,.0f} padded tokens/s'.format(
              throughput.steps, training_hooks.WARMUP_STEPS, throughput.median_step_seconds,
              throughput.examples_per_second, throughput.real_tokens_per_second, throughput.tokens_per_second))


def print_summary(output_dir, results):
  """Prints the held-out figures and where everything is. results: as in results.json."""
  heldout = results.get('heldout')
  if heldout:
    print('held-out at step {:,}: masked LM loss {:.4f}, accuracy {:.4f}; sentence order loss {:.4f}, accuracy {:.4f}'
          .format(results['global_step'], heldout['masked_lm_loss'], heldout['masked_lm_accuracy'],
                  heldout['sentence_order_loss'], heldout['sentence_order_accuracy']))
  if heldout and 'unigram_cross_entropy' in heldout:
    print('a unigram model would reach a loss of {:.4f}: {:.4f} nats {}'.format(
        heldout['unigram_cross_entropy'], abs(heldout['unigram_cross_entropy'] - heldout['masked_lm_loss']),
        'won' if heldout['masked_lm_loss'] < heldout['unigram_cross_entropy'] else 'behind it'))
  for title, path in (('checkpoint', run_directory.latest_checkpoint(output_dir)),
                      ('best checkpoint', run_directory.best_checkpoint(output_dir)[0]),
                      ('results', os.path.join(output_dir, run_directory.RESULTS_FILE)),
                      ('TensorBoard logs', output_dir)):
    if path:
      print('{:<17} {}'.format(title + ':', path))
