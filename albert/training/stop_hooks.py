"""The part of a training loop in stopping by a signal, see stopping; and which step it is making."""

import tensorflow as tf


class StepHook(tf.train.SessionRunHook):
  """Keeps the activity up to date on which step is made. To be put before the hook that saves."""

  def __init__(self, activity, start, steps_per_run):
    """activity: Activity. start: int, the step that training goes on from. steps_per_run: updates of a Session.run."""
    self._activity = activity
    self._step = start
    self._steps_per_run = steps_per_run

  def before_run(self, run_context):
    self._activity.begin_step(self._step + 1)

  def after_run(self, run_context, run_values):
    self._step += self._steps_per_run
    self._activity.end_step()


class StopHook(tf.train.SessionRunHook):
  """Ends a training loop after the step in which the signal came, or before the first one; saves if it should."""

  def __init__(self, stopper, save=None, is_over=lambda: False):
    """Watches a training loop.

    Args:
      stopper: stopping.Stopper.
      save: callable(session) that saves unless this step is saved; None where others save.
      is_over: callable() -> bool, whether the run has come to its end before its last step.
    """
    self._stopper = stopper
    self._save = save
    self._is_over = is_over

  def after_create_session(self, session, coord):
    if self._stopper.requested:
      coord.request_stop()

  def after_run(self, run_context, run_values):
    if self._stopper.save_requested:
      self._stopper.save_requested = False
      if self._save:
        self._save(run_context.session)
    if self._stopper.requested or self._is_over():
      run_context.request_stop()
