"""Carries out a plan, whatever its task: trains, evaluates and keeps the best, or goes on where it stopped."""

import collections
import contextlib
import logging
import os

import tensorflow as tf

from albert.common import cli
from albert.common.errors import Diverged
from albert.common.errors import UserError
from albert.common.in_words import counted
from albert.common import json_text
from albert.dataset.data_order import Position
from albert.dataset.lost_records import LostRecords
from albert.device import allocator
from albert.device import cores
from albert.input import checking
from albert import input_pipeline
from albert import npu_session
from albert.run import checkpoints
from albert.run.logs import event_files
from albert.run.logs import train_log
from albert.run import names
from albert.run import results
from albert.run.run import Run
from albert.run import run_lock
from albert.run import run_state
from albert.training.evaluation import Evaluator
from albert.training import phases
from albert.training import planning
from albert.training import resources
from albert.training import schedule
from albert.training.stability.guard import Guard
from albert.training import stopping
from albert.training.telling import activity
from albert.training.telling import remaining
from albert.training import together
from albert.training.trainer import Trainer

_LOG = logging.getLogger('albert')


def carry_out(where, options, make_task, notes=(), describe=None):
  """Trains an ALBERT on a task, evaluates it on held-out data, keeps the best; or evaluates one checkpoint.

  Args:
    where: planning.Where. options: run_options.RunOptions. make_task: as for planning.decide.
    notes: lines for the log about what was made ready before.
    describe: callable() that writes what else the run's folder needs; called when nothing speaks against going on.

  Returns:
    None, or stopping.EXIT_CODE if a signal came: the same call goes on.

  Raises:
    UserError: anything that does not fit together, raised before the graph is built where possible; Diverged if the
      numbers of the run are not finite.
  """
  with train_log.collected() as log, activity.spoken() as doing:
    for note in notes:
      _LOG.info('%s', note)
    return _carry_out(where, options, make_task, log, doing, describe)


def _carry_out(where, options, make_task, log, doing, describe):
  """carry_out with its log, a train_log.TrainLog, and what it is doing, an activity.Activity."""
  doing.begin('reading the data set and the run so far')
  plan = planning.decide(where, options, make_task)
  if plan.placement.launched and plan.placement.rank:
    cli.say_only_warnings()  # ranks share a terminal, and would say everything at once
  else:
    planning.log(plan)
  device = npu_session.start(plan.session_options, plan.placement, plan.cores)
  run = Run(where.output_dir, plan.task, options, device.is_chief, device.steps_per_loop,
            [phase.end for phase in plan.phases])
  if where.do_train and not options.performance and run.is_finished(evaluates=bool(where.do_eval and plan.heldout)):
    if run.is_chief:
      _nothing_to_do(plan, run)
    return None
  _LOG.debug('%s', allocator.describe(os.environ))
  resources.check(plan)
  with stopping.Stopper(doing, may_leave_a_step=device.ranks == 1,
                        comes_twice=device.ranks > 1) as stopper, contextlib.ExitStack() as stack:
    if device.is_chief:
      run.lock = stack.enter_context(run_lock.hold(where.output_dir, *_way_out(plan)))
      if where.do_train:
        log.open(where.output_dir)
    stack.enter_context(_readable_file_errors(where.output_dir))
    ranks = stack.enter_context(contextlib.closing(together.Ranks(device)))
    if where.do_train:
      _train(plan, device, run, stopper, ranks, describe)
    else:
      _evaluate(plan, device, run, stopper, ranks)
  return stopping.EXIT_CODE if stopper.requested else None


def _way_out(plan):
  """The message of an evaluation where a run in progress holds its folder, a list for run_lock.hold."""
  return [] if plan.where.do_train else [
      'evaluate into another folder: OUT=... CKPT={}'.format(plan.checkpoint)]


def _nothing_to_do(plan, run):
  """Prints the results of a run that is finished, and warns of changes that come too late."""
  step, written = run.newest_step(), results.read(run.folder)
  for change in _too_late(plan, run.state):
    _LOG.warning('%s has no effect: all steps were made', change)
  if results.DIVERGED in written:
    raise run.divergence(step, 'losses', {'total_loss': None})
  print('nothing to do: {} was trained to step {:,} of {:,}'.format(run.folder, step, plan.options.num_train_steps))
  _print_summary(run, plan.task, written)


def _too_late(plan, state):
  """The settings of this call that differ from those of a finished run, in words: a list of str."""
  settings = [name for name in state.settings_other_than(plan.settings) if name not in plan.chosen_again]
  said = state.describe_settings([name for name in settings if name != 'data_set'], plan.settings)
  said += [run_state.describe(name, state.schedule[name], plan.schedule[name])
           for name in state.changes_of(plan.schedule) if name != 'evaluation_set']
  # Of data there are checksums, which say nothing.
  if 'data_set' in settings:
    return ['{}, another data set than that of the run,'.format(plan.info.folder)] + said
  if 'evaluation_set' in state.changes_of(plan.schedule):
    return ['{}, other held-out data than that of the run,'.format(plan.heldout.folder)] + said
  return said


def _train(plan, device, run, stopper, ranks, describe):
  """Trains, and evaluates if the plan says so."""
  run.begin(plan.config, plan.info, plan.settings, plan.schedule, plan.init_checkpoint, plan.chosen_again)
  if device.kind == 'cpu' and device.ranks == 1:
    guess = remaining.guess(plan.phases, run.newest_step(), cores.available(), plan.task.recipes)
    if guess:
      _LOG.info('%s', guess)
  if describe and run.is_chief:
    describe()
  together.compare(ranks, planning.same_on_ranks(plan))  # no other rank reads the folder before rank 0 has prepared it
  lost = {info.folder: LostRecords(info, run.folder if run.is_chief else None) for info in training_data(plan)}
  heldout_lost = plan.heldout and (
      plan.heldout is plan.info and lost.get(plan.info.folder) or LostRecords(plan.heldout))
  orders = _follow_data(plan, device, run, lost)
  evaluates = plan.where.do_eval and plan.heldout
  evaluator = Evaluator(plan, device, heldout_lost, stopper, ranks) if evaluates else None
  trainer = Trainer(plan, device, run, orders, stopper, ranks, evaluator)
  with _readable_errors(plan, run, list(lost.values()) + [heldout_lost] * bool(plan.heldout),
                        device.collectives.explain):
    with contextlib.closing(evaluator) if evaluator else contextlib.nullcontext():
      step = trainer.train()
    if run.is_chief:
      _report_training(plan, trainer, step, is_left=stopper.requested)
      _print_summary(run, plan.task, results.read(run.folder))


def _follow_data(plan, device, run, lost):
  """Makes the run remember where it is in the data of each phase; returns the order of each, a list.

  Args:
    plan: planning.Plan. device: npu_session.Device. run: Run.
    lost: {folder: LostRecords}.
  """
  orders = [input_pipeline.training_order(
      phase.plan.info, phase.plan.input_options, plan.options.random_seed, device.rank, device.ranks,
      lost[phase.plan.info.folder], run.folder, run.is_chief,
      phase.plan.options.train_batch_size, phase.plan.layout) for phase in plan.phases]

  def position_at(step):
    phase = phases.at(plan.phases, step)
    return Position(orders[phase.number - 1], phase.plan.options.train_batch_size)

  run.follow(position_at, Guard(
      plan.options.max_bad_steps + device.loss_scaling.most_overflows, plan.options.spike_factor))
  return orders


def training_data(plan):
  """The contract.DatasetInfo of each folder that a plan trains on, a list in order."""
  return list(collections.OrderedDict((phase.plan.info.folder, phase.plan.info) for phase in plan.phases).values())


def _evaluate(plan, device, run, stopper, ranks):
  """Evaluates one checkpoint; does nothing where neither training nor evaluation is wanted."""
  together.compare(ranks, planning.same_on_ranks(plan))
  if not plan.where.do_eval:
    return
  lost = LostRecords(plan.heldout, run.folder if plan.heldout is plan.info and run.is_chief else None)
  with _readable_errors(plan, run, [lost], device.collectives.explain):
    stopper.activity.begin('evaluating {}'.format(plan.checkpoint))
    _, best = run.best.read()
    elsewhere = best and schedule.evaluated_elsewhere(best.get('evaluated_on'), plan.options, plan.heldout)
    if elsewhere:
      _LOG.warning('%s: %s by which %s chose its best: these figures do not compare with its own', plan.heldout.folder,
                   elsewhere, run.folder)
    with contextlib.closing(Evaluator(plan, device, lost, stopper, ranks)) as evaluator:
      figures = evaluator.evaluate(plan.checkpoint, in_curve=False)
    is_finite = json_text.all_finite(figures.values())
    if run.is_chief:
      _report_evaluation(plan, run, figures, is_finite)
    if not is_finite:
      raise Diverged('{}: expected finite held-out figures, found NaN or infinity; evaluate another checkpoint'.format(
          plan.checkpoint))


def _report_evaluation(plan, run, figures, is_finite):
  """Writes and prints the held-out figures of the checkpoint that was evaluated.

  They are the results of a folder whose own run, if there is one, has evaluated nothing so far.
  """
  step = checkpoints.step_of(plan.checkpoint)
  run.lock.check()
  written = results.keep_evaluation(run.folder, is_finite and not run.heldout_history.steps(), heldout=figures,
                                    checkpoint=plan.checkpoint, global_step=step)
  if is_finite:
    print('\n'.join(plan.task.summary(step, figures)))
  _print_paths([('evaluated', plan.checkpoint), ('held-out data', plan.heldout.folder)]
               + [('written', path) for path in written])


@contextlib.contextmanager
def _readable_file_errors(output_dir):
  """Turns what full disks and folders that cannot be written make Python raise into one line."""
  try:
    yield
  except OSError as error:
    raise UserError('{}: expected to read and write files of the run, found {} ({}); correct it and start again: the '
                    'run goes on from its newest checkpoint'.format(output_dir, error.strerror, error.filename))


@contextlib.contextmanager
def _readable_errors(plan, run, all_lost, explain):
  """Turns what broken files, full disks and lost ranks make TensorFlow raise into one line; mends event files.

  Args:
    plan: planning.Plan. run: Run.
    all_lost: list of the LostRecords of what is read.
    explain: collectives.Collectives.explain.
  """
  try:
    yield
  except tf.errors.OpError as error:
    if explain(error):
      raise explain(error)
    for lost in all_lost:
      if lost.failure:  # raised in a thread of the input pipeline
        raise lost.failure
    if isinstance(error, (tf.errors.InvalidArgumentError, tf.errors.NotFoundError)):
      for dataset in training_data(plan) + ([plan.heldout] if plan.heldout else []):
        checking.check_readable(dataset, plan.config.vocab_size, plan.task.features)
    if isinstance(error, (tf.errors.DataLossError, tf.errors.ResourceExhaustedError)):
      raise UserError('expected readable files and room to write, found: {}; restore what it names or make room'.format(
          error.message.split('\n')[0]))
    raise
  except stopping.Stopped:
    _LOG.warning('the evaluation was left unfinished')
  finally:
    if run.is_chief:
      tf.summary.FileWriterCache.clear()
      for folder in (run.folder, os.path.join(run.folder, names.HELDOUT_FOLDER)):
        event_files.mend(folder)


def _report_training(plan, trainer, step, is_left):
  """Reports how far training came and how fast; writes the results of training.

  Args:
    plan: planning.Plan. trainer: Trainer. step: int, that it came to.
    is_left: whether a signal came: the run goes on later, where the last evaluation may be missing.

  Raises:
    Diverged: the run is over, its last loss is not finite, and no evaluation has shown that its weights are good.
  """
  run = trainer.run
  is_ended = run.is_over(step)
  if run.stands_still():
    _LOG.info('ended at step %s of %s: the last %d evaluations were no better', '{:,}'.format(step),
              '{:,}'.format(plan.options.num_train_steps), plan.options.early_stopping_evals)
  elif not is_ended:
    _LOG.warning('stopped at step %s of %s; the same command goes on from there', '{:,}'.format(step),
                 '{:,}'.format(plan.options.num_train_steps))
  loss = {'total_loss': run.figures.get('train', {}).get('total_loss', 0.0)}
  is_over = is_ended and not is_left
  is_good = not is_over or json_text.all_finite(loss.values()) or step in run.heldout_history.steps()
  if run.figures:
    results.update(run.folder, without=[results.DIVERGED] if is_good else (), global_step=step, trained_steps=step,
                   **run.figures)
  if not is_good:
    run.diverged(step, 'losses', loss)
  throughput = trainer.progress and trainer.progress.throughput()
  if plan.options.performance and throughput is not None:
    _report_performance(run.folder, throughput)


def _report_performance(folder, throughput):
  """Writes and prints how fast a performance run was. throughput: progress.Throughput."""
  if not throughput.is_measured:
    print('performance not measured: the {} steps that were made are those of the warm-up'.format(throughput.steps))
    return
  results.write_performance(folder, throughput._asdict())
  print('performance of {} after {} of warm-up: on average {:.4f} s a step, {:.2f} examples/s, {:,.0f} real '
        'tokens/s, {:,.0f} padded tokens/s, {}; the median step takes {:.4f} s'.format(
            counted(throughput.steps, 'step'), throughput.warmup_steps, throughput.mean_step_seconds,
            throughput.examples_per_second, throughput.real_tokens_per_second, throughput.tokens_per_second,
            _input_wait(throughput.input_wait_fraction), throughput.median_step_seconds))


def _input_wait(fraction):
  return 'time waiting for input not measured' if fraction is None else '{:.2%} waiting for input'.format(fraction)


def _print_summary(run, task, written):
  """Prints the held-out figures and where everything is. written: dict, as in results.json."""
  heldout = written.get('heldout')
  if heldout and json_text.all_finite(heldout.values()) and set(task.heldout_columns) <= set(heldout):
    # A run that was stopped stands at a later step than its last evaluation.
    evaluated = run.heldout_history.steps() or [written.get('global_step', 0)]
    print('\n'.join(task.summary(evaluated[-1], heldout)))
  _print_paths([('checkpoint', run.newest()), ('best checkpoint', run.best.read()[0]),
                ('results', os.path.join(run.folder, names.RESULTS_FILE)), ('TensorBoard logs', run.folder)])


def _print_paths(titles_and_paths):
  for title, path in titles_and_paths:
    if path:
      print('{:<17} {}'.format(title + ':', path))
