"""The hooks of a training loop that tell of it, watch its numbers and end it, made for a phase of a run."""

from albert.training import phases
from albert.training import schedule
from albert.training.stability import guard
from albert.training import stop_hooks
from albert.training.telling import progress
from albert.training.telling.remaining import Checkpoints
from albert.training.telling.remaining import Remaining
from albert.training import together


class LoopHooks:
  """Makes the hooks of one loop."""

  def __init__(self, plan, phase, device, run, order, stopper):
    """Makes none yet.

    Args:
      plan: planning.Plan of the whole run.
      phase: phases.Phase that the loop trains.
      device: npu_session.Device of the phase.
      run: run.Run.
      order: data_order.Order of the phase.
      stopper: stopping.Stopper.
    """
    self._plan, self._options = plan, plan.options
    self._phase = phase
    self._device = device
    self._run = run
    self._order = order
    self._stopper = stopper

  def steps(self):
    """The hook that tells the activity which step is made. To be put before the hook that saves."""
    return stop_hooks.StepHook(self._stopper.activity, self._run.start, self._device.steps_per_loop)

  def progress(self, step, figures, batch, waited):
    """The progress.ProgressHook.

    Args:
      step: int64 scalar tensor, the global step after the update.
      figures: OrderedDict of name to float32 scalar.
      batch: what Task.batch gave.
      waited: float64 scalar, seconds that the step waited for it, or None.
    """
    task, plan, run = self._plan.task, self._phase.plan, self._run
    examples, real_tokens = task.sizes(batch)
    loop = progress.Loop(
        self._device.ranks, plan.rows_per_step * plan.info.max_seq_length, self._device.steps_per_loop,
        self._options.num_train_steps, self._options.log_every_steps, self._device.fetches_the_same,
        self._remaining())
    told = progress.Told(task.line, task.name + '/', run.loss_history if run.is_chief else None,
                         run.folder if run.is_chief else None)
    return progress.ProgressHook(progress.Watched(step, figures, real_tokens, examples, waited), loop, told)

  def _remaining(self):
    options, heldout = self._options, self._plan.heldout if self._plan.where.do_eval else None
    return Remaining(options.num_train_steps, Checkpoints(
        options.save_checkpoints_steps, schedule.evaluated_records(options, heldout),
        self._phase.plan.options.train_batch_size, self._plan.task.recipes if self._device.kind == 'cpu' else ()),
        [(phase.end, phases.work(phase) / phases.work(self._phase)) for phase in self._plan.phases])

  def guard(self, step, loss, update):
    """The guard.GuardHook. step: as for progress(). loss: float32 scalar tensor. update: finite_updates.TrainStep."""
    return guard.GuardHook(self._run, step, loss, update, self._order.records_at, self._device.steps_per_loop,
                           self._options.log_every_steps)

  def stop(self, step, save, stands_still):
    """The hook that ends the loop, on one rank or on several together.

    Args:
      step: as for progress().
      save: as for stop_hooks.StopHook.
      stands_still: callable() -> bool, whether the run gets no better.
    """
    if self._device.ranks == 1:
      return stop_hooks.StopHook(self._stopper, save, stands_still)
    return together.StopTogetherHook(
        self._stopper, self._device.collectives, step,
        lambda step: step < self._options.num_train_steps and self._run.is_regular(step), stands_still, save)
