"""The hook that saves: never a weight that is not finite, never a file that is not whole."""

import logging
import os
import time

import tensorflow as tf

from albert.common.errors import Diverged
from albert.common.errors import UserError
from albert.run import checkpoints
from albert.run.logs import event_files

# Share of a run's time above which saving is worth a warning.
MOST_TIME = 0.01

_LOG = logging.getLogger('albert')


class DueHook:
  """When a checkpoint is due: a loop has reached or crossed a multiple of save_steps, or training has ended elsewhere.

  Part of a SessionRunHook that fetches _global_step_tensor in each run and has _save_steps, _run_steps, _last_step and
  _save(session, step). What ranks do at a checkpoint they must do at the same one: all of them have it from here.
  """

  def after_run(self, run_context, run_values):
    # The value that was fetched may be of before or after the update.
    if self._is_due(int(run_values.results) + self._run_steps):
      step = int(run_context.session.run(self._global_step_tensor))
      if self._is_due(step):
        self._save(run_context.session, step)

  def end(self, session):
    self.save_now(session)

  def save_now(self, session):
    """Saves unless this step is saved already."""
    step = int(session.run(self._global_step_tensor))
    if step != self._last_step:
      self._save(session, step)

  def _is_due(self, step):
    return step // self._save_steps > self._last_step // self._save_steps


class SaverHook(DueHook, tf.train.CheckpointSaverHook):
  """Saves at every multiple of save_steps and at the end.

  A CheckpointSaverHook only so that tf.estimator recognises it and adds none of its own. Put it last among the hooks:
  what they say of a step is then on the disk before the checkpoint of that step.
  """

  def __init__(self, folder, save_steps, steps_per_run, describe, after_save, check_writer=lambda: None,
               option='save_checkpoints_steps'):
    """Watches a training loop.

    Args:
      folder: of the run.
      save_steps: int.
      steps_per_run: updates that one Session.run makes.
      describe: callable() -> dict, what the manifest is to say of this moment.
      after_save: callable(prefix, step).
      check_writer: callable() that raises where this process may not write any more.
      option: str, what the user sets save_steps with.
    """
    super().__init__(folder, save_steps=save_steps)
    self._folder = folder
    self._save_steps = save_steps
    self._run_steps = steps_per_run
    self._describe = describe
    self._saved_callback = after_save
    self._check_writer = check_writer
    self._option = option
    self._is_advised = False
    self._finite = None
    self._last_step = None
    self._last_time = None

  def begin(self):
    super().begin()
    with tf.name_scope('all_finite'):
      self._finite = {variable.op.name: tf.reduce_all(tf.is_finite(variable)) for variable in tf.global_variables()
                      if variable.dtype.base_dtype.is_floating}

  def after_create_session(self, session, coord):
    self._summary_writer.add_graph(tf.get_default_graph())
    self._last_step, self._last_time = int(session.run(self._global_step_tensor)), time.time()
    if checkpoints.pointed_to(self._folder) is None:
      self._save(session, self._last_step)

  def _save(self, session, step):
    started, before = time.time(), checkpoints.pointed_to(self._folder)
    self._check_writer()  # before anything is written: the folder may be another run's
    wrong = sorted(name for name, finite in session.run(self._finite).items() if not finite)
    if wrong:
      raise Diverged('expected finite weights at step {:,}, found others in {}; they are not saved, {} stays the '
                     'newest checkpoint; lower OptimizerOptions.learning_rate and start again'.format(
                         step, ', '.join(wrong[:3]), before))
    try:
      temporary = checkpoints.temporary_prefix(self._folder, step)
      self._get_saver().save(session, temporary, write_state=False)
      self._summary_writer.flush()
      event_files.sync(self._folder)
      prefix = checkpoints.commit(self._folder, temporary, step, self._describe(), self._check_writer)
    except (OSError, tf.errors.OpError) as error:
      self._check_writer()  # another run's files are not there to be tidied
      checkpoints.discard_unfinished(self._folder)
      raise UserError('{}: expected to write the checkpoint of step {:,}, found {}; make room or make the folder '
                      'writable and start again: the run goes on from {}'.format(
                          self._folder, step, _reason(error), os.path.basename(before or 'its beginning')))
    self._report_time(step, started)
    self._saved_callback(prefix, step)
    self._last_step, self._last_time = step, time.time()

  def _report_time(self, step, started):
    seconds, since = time.time() - started, time.time() - self._last_time
    share = seconds / max(since, 1e-9)
    said = 'saved step {:,} in {:.2f} s'.format(step, seconds)
    if step == self._last_step:  # the first one, before which nothing was trained
      _LOG.info('%s', said)
    elif share > MOST_TIME and 0 < self._last_step <= step - self._save_steps and not self._is_advised:
      # Once is enough, and not where a signal has made checkpoints closer than the option says.
      self._is_advised = True
      _LOG.warning('%s, %.1f%% of the time since the checkpoint before; a larger %s costs less', said, 100 * share,
                   self._option)
    else:
      _LOG.info('%s, %.1f%% of the time since the checkpoint before', said, 100 * share)


def _reason(error):
  if isinstance(error, OSError):
    return '{} ({})'.format(error.strerror, error.filename)
  return error.message.split('\n')[0]
