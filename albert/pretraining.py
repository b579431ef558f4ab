"""pretrain(), the root that gin binds: trains, evaluates and keeps the best, or goes on where it stopped."""

import contextlib
import functools
import logging
import os
import types

import gin
import tensorflow as tf

from albert.common.errors import UserError
from albert.device import allocator
from albert import input_pipeline
from albert.run import directory
from albert.run import event_files
from albert.run import run_lock
from albert.training import planning
from albert.training import progress
from albert.training import stopping
from albert.training.trainer import Trainer

_LOG = logging.getLogger('albert')


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
    max_bad_steps: updates that are not finite are skipped; so many in a row end the run, not counting those in which
      a loss scale falls from its start to 1.
    spike_factor: a training loss of so many times its running mean (at least 100 steps) makes the run go back to the
      checkpoint before and leave out the data since; None: never. One rank only.
    allow_changes: names of settings in run_state.json that may be other than when the run began.
    micro_batch_size: sequences that are computed at a time; a step and its result stay the same. None: the whole
      batch, on a CPU as many as suit the free memory.
    recompute: whether the backward pass computes each layer again instead of keeping what is in it: the same step in
      less memory and less than a third more time.
    architecture_given: whether the user has asked for an architecture: a checkpoint to evaluate must then have it.

  Returns:
    None, or stopping.EXIT_CODE if a signal came: the same call goes on.

  Raises:
    UserError: anything that does not fit together, found before the graph is built where possible.
  """
  plan = planning.make(types.SimpleNamespace(**locals()))
  if do_train and not performance and _is_finished(plan):
    return None
  _LOG.info('%s', allocator.describe(os.environ))
  micro_batch_size = planning.choose_micro_batch_size(plan) if do_train else None
  planning.settle_cores(plan, micro_batch_size or (train_batch_size if do_train else eval_batch_size))
  carry_out = functools.partial(_train, micro_batch_size) if do_train else _evaluate
  with stopping.Stopper() as stopper, contextlib.ExitStack() as stack:
    if plan.session.is_chief:
      stack.enter_context(run_lock.hold(output_dir))
    stack.enter_context(_readable_file_errors(output_dir))
    carry_out(plan, stopper)
  return stopping.EXIT_CODE if stopper.requested else None


def _train(micro_batch_size, plan, stopper):
  """Trains, and evaluates if that is asked for."""
  asked = plan.asked
  if plan.session.is_chief:
    _begin(plan, planning.settings(plan, micro_batch_size))
  trainer = Trainer(plan, stopper, micro_batch_size)
  with _readable_errors(trainer):
    step = trainer.train(evaluate=bool(asked.do_eval and plan.heldout))
    if plan.session.is_chief:
      _report_training(trainer, step)
      print_summary(asked.output_dir, directory.read_results(asked.output_dir))


def _begin(plan, settings):
  """Makes the folder that of this run, or finds that it is. settings: as planning.settings() gives them."""
  asked = plan.asked
  if asked.performance:
    directory.start_afresh(asked.output_dir)
  directory.prepare(asked.output_dir, plan.config, plan.info)
  plan.state.agree(settings, asked.allow_changes,
                   directory.step_of(directory.latest_checkpoint(asked.output_dir)))


def _evaluate(plan, stopper):
  """Evaluates one checkpoint, on rank 0 only; does nothing where neither training nor evaluation is asked for."""
  if not (plan.asked.do_eval and plan.session.is_chief):
    return
  trainer = Trainer(plan, stopper)
  with _readable_errors(trainer):
    results = directory.keep_evaluation(
        plan.asked.output_dir, heldout=trainer.evaluate(plan.checkpoint), checkpoint=plan.checkpoint,
        global_step=directory.step_of(plan.checkpoint))
    print_summary(plan.asked.output_dir, results)


def _is_finished(plan):
  """Whether the same command was carried out before; says so."""
  output_dir, num_train_steps = plan.asked.output_dir, plan.asked.num_train_steps
  step = directory.step_of(directory.latest_checkpoint(output_dir))
  results = directory.read_results(output_dir)
  evaluated = directory.History(output_dir, directory.HELDOUT_HISTORY_FILE, []).steps()
  missing = plan.asked.do_eval and plan.heldout and step not in evaluated
  if step < num_train_steps or missing or results.get('trained_steps') != step or directory.is_damaged(output_dir):
    return False
  print('nothing to do: {} was trained to step {:,} of {:,}'.format(output_dir, step, num_train_steps))
  print_summary(output_dir, results)
  return True


@contextlib.contextmanager
def _readable_file_errors(output_dir):
  """Turns what full disks and folders that cannot be written make Python raise into one line."""
  try:
    yield
  except OSError as error:
    raise UserError('{}: expected to read and write files of the run, found {} ({}); correct it and start again: the '
                    'run goes on from its newest checkpoint'.format(output_dir, error.strerror, error.filename))


@contextlib.contextmanager
def _readable_errors(trainer):
  """Turns what broken files and full disks make TensorFlow raise into one line; mends event files."""
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
  except stopping.Stopped:
    _LOG.warning('the evaluation was left unfinished')
  finally:
    if trainer.session.is_chief:
      tf.summary.FileWriterCache.clear()
      for folder in (trainer.asked.output_dir, os.path.join(trainer.asked.output_dir, 'eval_heldout')):
        event_files.mend(folder)


def _report_training(trainer, step):
  asked = trainer.asked
  if step < asked.num_train_steps:
    _LOG.warning('stopped at step %s of %s; the same command goes on from there', '{:,}'.format(step),
                 '{:,}'.format(asked.num_train_steps))
  if trainer.train_figures:
    directory.update_results(asked.output_dir, global_step=step, trained_steps=step,
                                 **trainer.train_figures)
  throughput = trainer.progress and trainer.progress.throughput()
  if throughput is None:
    return
  if asked.performance:
    directory.write_performance(asked.output_dir, throughput._asdict())
    print('performance of {} steps after {} of warm-up: median step {:.4f} s, {:.2f} examples/s, {:,.0f} real '
          'tokens/s, {:,.0f} padded tokens/s, {}'.format(
              throughput.steps, progress.WARMUP_STEPS, throughput.median_step_seconds,
              throughput.examples_per_second, throughput.real_tokens_per_second, throughput.tokens_per_second,
              _input_wait(throughput.input_wait_fraction)))


def _input_wait(fraction):
  return 'time waiting for input not measured' if fraction is None else '{:.2%} waiting for input'.format(fraction)


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
  for title, path in (('checkpoint', directory.latest_checkpoint(output_dir)),
                      ('best checkpoint', directory.best_checkpoint(output_dir)[0]),
                      ('results', os.path.join(output_dir, directory.RESULTS_FILE)),
                      ('TensorBoard logs', output_dir)):
    if path:
      print('{:<17} {}'.format(title + ':', path))
