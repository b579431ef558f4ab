"""Watches the numbers of a run: counts skipped updates, ends the run after too many, finds loss spikes."""

import logging
import os

import numpy as np
import tensorflow as tf

from albert.common.errors import Diverged
from albert.common.errors import UserError
from albert.common import files
from albert.common import json_text
from albert.run.logs import event_files
from albert.run import names
from albert.training.stability.spikes import SpikeDetector
from albert.training.stability.spikes import SpikeFound

_LOG = logging.getLogger('albert')


class Guard:
  """Counters of skipped updates and of losses, which each checkpoint remembers.

  Attributes:
    max_bad_steps: int, updates skipped in a row that end the run.
    skipped, in_a_row: updates that were skipped, in all and just now.
    spikes: SpikeDetector.
  """

  def __init__(self, max_bad_steps, spike_factor):
    """Arguments as the attribute; spike_factor: of SpikeDetector."""
    self.max_bad_steps = max_bad_steps
    self.spikes = SpikeDetector(spike_factor)
    self.skipped = self.in_a_row = 0

  def state(self):
    """The entry of a checkpoint's manifest, a dict."""
    return {'skipped': self.skipped, 'in_a_row': self.in_a_row, 'loss': self.spikes.state()}

  def restore(self, state):
    """state: what state() gave; empty at the beginning of a run."""
    self.skipped, self.in_a_row = state.get('skipped', 0), state.get('in_a_row', 0)
    self.spikes.restore(state.get('loss') or {})


class GuardHook(tf.train.SessionRunHook):
  """Counts, logs and shows skipped updates; ends the run after too many; finds spikes."""

  def __init__(self, run, step_after, loss, update, records_at, steps_per_run, log_every_steps):
    """Watches a training loop.

    Args:
      run: run.Run whose counters are a Guard; its position is moved with each step.
      step_after: int64 scalar tensor, the global step after the update.
      loss: float32 scalar tensor.
      update: TrainStep.
      records_at: callable(used, count) -> list of (file, index), the records from a position on.
      steps_per_run: updates that one Session.run makes.
      log_every_steps: how often the counters go to TensorBoard.
    """
    self._guard = run.counters
    self._position = run.position
    self._step = run.start
    self._fetches = {'step': step_after, 'loss': loss}
    if update.finite is not None:
      self._fetches.update(finite=update.finite, norms=update.norms)
    self._variables = update.variables
    self._records_at = records_at
    self._steps_per_run = steps_per_run
    self._log_every_steps = log_every_steps
    self._folder = run.folder if run.is_chief else None
    self._writer = self._folder and event_files.writer(self._folder)

  def after_create_session(self, session, coord):
    step = int(session.run(tf.train.get_global_step()))
    if step != self._step:
      # TensorFlow has made a second session from the newest checkpoint; the input would not fit it.
      raise UserError('expected to go on from step {:,}, found a session at step {:,}; start the same command again'
                      .format(self._step, step))

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._fetches)

  def after_run(self, run_context, run_values):
    values, guard = run_values.results, self._guard
    before, self._step = self._step, int(values['step'])
    batches = self._steps_per_run
    first = self._position.used
    self._position.advance(batches)
    # Loss scaling leaves global_step where it is; elsewhere a skipped step counts.
    made = int(values['finite']) if 'finite' in values else self._step - before
    skipped = int(not made) if 'finite' in values else batches - made
    guard.skipped += skipped
    # A loop of many that made one has broken the row: a scale that grows costs long loops an update each, for ever.
    guard.in_a_row = 0 if made else guard.in_a_row + skipped
    if skipped and made:
      _LOG.warning('%d of the %d updates of the loop to step %s skipped, whose gradients were not finite (%d in all)',
                   skipped, batches, '{:,}'.format(self._step), guard.skipped)
    elif skipped:
      _LOG.warning('step %s: loss %s or a gradient is not finite; update skipped (%d in all, %d in a row)',
                   '{:,}'.format(self._step), values['loss'], guard.skipped, guard.in_a_row)
    if self._writer and (skipped or self._step // self._log_every_steps > before // self._log_every_steps):
      self._writer.add_summary(tf.Summary(value=[
          tf.Summary.Value(tag='skipped_updates/total', simple_value=guard.skipped),
          tf.Summary.Value(tag='skipped_updates/in_a_row', simple_value=guard.in_a_row)]), self._step)
    if guard.in_a_row >= guard.max_bad_steps:
      self._give_up(first, values)
    if guard.spikes.is_spike(float(values['loss'])):
      raise SpikeFound(self._step, float(values['loss']), guard.spikes.mean)

  def _give_up(self, first, values):
    """Ends the run; leaves what there is to look at."""
    where = 'see the log'
    if self._folder:
      where = os.path.join(self._folder, names.BAD_STEP_FILE.format(self._step))
      files.write_atomically(where, json_text.dumps(self._report(first, values)))
    raise Diverged('expected finite losses and gradients, found {} steps in a row without, the last one step {:,}; '
                   'its records and norms are in {}; look at the data, lower OptimizerOptions.learning_rate or go on '
                   'from an older checkpoint'.format(self._guard.in_a_row, self._step, where))

  def _report(self, first, values):
    records = self._records_at(first, self._position.used - first)
    report = {'step': self._step, 'loss': str(values['loss']), 'skipped_in_a_row': self._guard.in_a_row,
              'records': [{'file': file, 'index': index} for file, index in records]}
    if 'norms' in values:
      gradients, weights = np.asarray(values['norms'], np.float64)
      report['gradient_norms'] = {name: str(norm) for name, norm in zip(self._variables, gradients)}
      report['weight_norms'] = {name: str(norm) for name, norm in zip(self._variables, weights)}
    return report
