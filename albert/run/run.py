"""One run: what its folder remembers besides the weights, and going on with all of it.

    begin            the folder becomes that of this run, or is it already
    go_back          everything is as it was at the newest good checkpoint
    remember         what the manifest of a checkpoint says
    retain, keep     after a checkpoint; after its evaluation
    is_finished      whether the same command was carried out before
"""

import logging
import os

from albert.common.errors import Diverged
from albert.common import json_text
from albert.run import belonging
from albert.run.best import Best
from albert.run import checkpoints
from albert.run import directory
from albert.run.logs import event_files
from albert.run import names
from albert.run import results
from albert.run.results import History
from albert.run.run_lock import NoLock
from albert.run.run_state import RunState

_LOG = logging.getLogger('albert')


class Run:
  """The folder of one run, written by rank 0 and read by all.

  Attributes:
    folder: its path. is_chief: bool, whether this process writes there.
    state: RunState.
    position: data_order.Position of this rank. counters: what else is counted step by step, a
      training.stability.guard.Guard or anything with its state() and restore(state). Both after follow().
    start: int, the step that training goes on from.
    figures: dict, the entries of results.json about training, of the newest checkpoint.
    loss_history, heldout_history: History. best: Best.
    lock: run_lock.Lock of the folder, set by whoever took it; checked before anything is written that counts.
  """

  def __init__(self, folder, task, options, is_chief=True, steps_per_loop=1, phase_ends=()):
    """Reads run_state.json and nothing else.

    Args:
      folder: of the run.
      task: tasks.task.Task, for the columns of the histories and the criterion of the best.
      options: training.run_options.RunOptions.
      is_chief: bool.
      steps_per_loop: int, updates between two steps at which a checkpoint can be made, see npu_session.Device.
      phase_ends: ints, steps at which a phase ends, see training/phases.py.
    """
    self.folder = folder
    self.is_chief = is_chief
    self.state = RunState(folder, fresh=options.performance)
    self.position = None
    self.counters = None
    self.start = 0
    self.figures = {}
    self.lock = NoLock()
    self.loss_history = History(folder, names.LOSS_HISTORY_FILE, task.loss_columns, self._check_writer)
    self.heldout_history = History(folder, names.HELDOUT_HISTORY_FILE, task.heldout_columns, self._check_writer)
    self.best = Best(folder, task.criterion)
    self._options = options
    self._steps_per_loop = steps_per_loop
    self._phase_ends = phase_ends
    self._position_at = None
    self._belongs_to = {}

  def _check_writer(self):
    self.lock.check()

  def begin(self, config, info, settings, schedule, init_checkpoint=None, chosen_again=()):
    """Makes the folder that of this run, or finds that it is. Called under the lock.

    Args:
      config: AlbertConfig. info: contract.DatasetInfo of the training data.
      settings, chosen_again: see RunState.agree. schedule: see RunState.follow.
      init_checkpoint: prefix of the weights to begin from, or None.

    Raises:
      UserError: it is the folder of a run with other settings.
    """
    self._belongs_to = belonging.entries(config, info)
    if not self.is_chief:
      return
    # Again, as the lock has it now: another run may have been here since the plan was made.
    directory.check(self.folder, config, info, self._options.performance)
    if self._options.performance:
      directory.start_afresh(self.folder)
    self.state = RunState(self.folder, fresh=self._options.performance)
    if self.state.problem:
      _LOG.warning('%s', self.state.problem)
    step, newest = self.newest_step(), self.newest()
    self.state.agree(settings, self._options.allow_changes, step, chosen_again,
                     self._options.named('allow_changes'))
    self.state.follow(schedule, step)
    self.state.begin_from(init_checkpoint, step if newest else None)
    directory.prepare(self.folder, config, info)

  def follow(self, position_at, counters):
    """From now on checkpoints remember these, and go_back() restores them.

    Args:
      position_at: callable(step) -> data_order.Position at its beginning, in the data that is used from `step` on.
      counters: as the attribute.
    """
    self._position_at, self.counters = position_at, counters

  def newest(self):
    """Prefix of the newest checkpoint, or None."""
    return checkpoints.latest(self.folder)

  def newest_step(self):
    """Global step of the newest checkpoint; 0 where there is none."""
    return checkpoints.step_of(self.newest())

  def go_back(self):
    """Goes back to the newest good checkpoint in everything that a run keeps.

    Raises:
      UserError: there are checkpoints, and every one is damaged.
    """
    find = checkpoints.recover if self.is_chief else checkpoints.newest_good
    checkpoint = find(self.folder)
    self.start = checkpoints.step_of(checkpoint)
    self._restore((checkpoint and checkpoints.read_manifest(checkpoint)) or {})
    if not self.is_chief:
      return
    self.best.mend()
    if checkpoints.steps_in(self.folder)[-1:] == [self.start]:
      self.retain(self.start)  # a process that was killed after saving has not got to it
    self.loss_history.forget_after(self.start)
    self.heldout_history.forget_after(self.start)
    heldout = os.path.join(self.folder, names.HELDOUT_FOLDER)
    event_files.renew_writers(self.folder, heldout)
    event_files.rewind(self.folder, lambda step: step <= self.start)
    evaluated = set(self.heldout_history.steps()) | {0}
    event_files.rewind(heldout, lambda step: step in evaluated)

  def _restore(self, manifest):
    """Takes over what a manifest says besides the weights."""
    counted = manifest.get('guard') or {}
    self.counters.restore(counted)
    self.figures = manifest.get('train') or {}
    self.position = self._position_of(self.start, manifest)

  def _position_of(self, step, manifest):
    """The data_order.Position of a checkpoint, after what is left out behind it. manifest: dict, {} without one."""
    position = self._position_at(step)
    position.restore(manifest.get('data_position'), step, (manifest.get('guard') or {}).get('record'))
    position.used = self.state.position_after(step, position.used)
    return position

  def remember(self, figures, config_hash):
    """The entries of a checkpoint's manifest: all that it remembers besides the weights.

    Args:
      figures: dict for results.json, of training so far.
      config_hash: hex SHA-256 of what the weights depend on.
    """
    self.figures = figures
    self.lock.check()
    return {'guard': dict(self.counters.state(), record=self.position.used), 'train': figures,
            'config_hash': config_hash, 'data_position': self.position.entries(), 'run_state': self.state.entries(),
            'belongs_to': self._belongs_to}

  def is_regular(self, step):
    """Whether an uninterrupted run has a checkpoint of this step, and evaluates it."""
    return (self._has_crossed(step, self._options.save_checkpoints_steps) or step >= self._options.num_train_steps
            or any(step - self._steps_per_loop < end <= step for end in self._phase_ends))

  def _has_crossed(self, step, every):
    """Whether the loop that ended at `step` reached a multiple of `every`: after a skipped update it ends beyond."""
    return step // every > (step - self._steps_per_loop) // every

  def retain(self, newest):
    """Removes superfluous checkpoints, once that of step `newest` is committed."""
    self.lock.check()
    every = self._options.keep_every_steps
    checkpoints.retain(self.folder, newest, self._options.keep_checkpoint_max,
                       lambda step: bool(every) and self._has_crossed(step, every), self.is_regular)

  def keep(self, checkpoint, step, figures, evaluated_on=None):
    """Writes down the held-out figures of a checkpoint of this run, and copies it if it is the best. Rank 0 does.

    Args:
      checkpoint: prefix. step: int. figures: dict of floats.
      evaluated_on: str that names the evaluation set, see Best.measured_elsewhere.

    Raises:
      Diverged: a figure is not finite. Nothing is kept of them but a note in results.json.
    """
    self.lock.check()
    if not json_text.all_finite(figures.values()):
      self.diverged(step, 'held-out figures', figures)
    if not self.is_chief:
      return
    best = self.best.keep_if_best(checkpoint, step, figures, evaluated_on)
    results.update(self.folder, without=[results.DIVERGED], heldout=figures, global_step=step,
                   checkpoint=os.path.basename(checkpoint))
    if step not in self.heldout_history.steps():
      self.heldout_history.add(step, figures)
    if best:
      _LOG.info('best so far: kept in %s', os.path.join(self.folder, names.BEST_FOLDER))

  def diverged(self, step, what, figures):
    """Writes down that figures of a step are not finite, and raises Diverged. Arguments as for divergence()."""
    if self.is_chief:
      results.update(self.folder, **{results.DIVERGED: {'global_step': step, 'what': what, 'figures': figures}})
    raise self.divergence(step, what, figures)

  def divergence(self, step, what, figures):
    """The Diverged that says so.

    Args:
      step: int. what: 'held-out figures', say. figures: dict of floats.
    """
    wrong = ', '.join(sorted(name for name, value in figures.items() if not json_text.all_finite([value])))
    good = [older for older in checkpoints.steps_in(self.folder)
            if older < step and older in self.heldout_history.steps()]
    prefix, _ = self.best.read()
    if good:
      remedy = 'remove the checkpoints after step {:,} from {}: the run goes on from there'.format(
          good[-1], self.folder)
    elif prefix:
      remedy = 'put {}.* in place of the checkpoints in {}: the run goes on from there'.format(prefix, self.folder)
    else:
      remedy = 'use another output folder (OUT=...)'
    return Diverged('the run has diverged: expected finite {} at step {:,}, found NaN or infinity in {}; {} lower '
                    'OptimizerOptions.learning_rate and {}'.format(
                        what, step, wrong, '{} stays the best;'.format(prefix) if prefix else 'there is no best yet;',
                        remedy))

  def lacks_evaluation_of(self, step):
    """Whether a checkpoint was not evaluated, or its figures were lost with results.json."""
    return step not in self.heldout_history.steps() or not results.read(self.folder).get('heldout')

  def measure_best_again(self, figures, evaluated_on):
    """Replaces the figures of the best checkpoint, which are of another evaluation set, by those of this one."""
    if not self.is_chief:
      return
    self.lock.check()
    _, before = self.best.read()
    self.best.measure_again(figures, evaluated_on)
    metric = self.best.metric
    _LOG.warning('the evaluation set is another: the best checkpoint, of step %s, was evaluated again: %s %.4f, was '
                 '%.4f', '{:,}'.format(before['global_step']), metric.replace('_', ' '), figures[metric],
                 before[metric])

  def is_over(self, step):
    """Whether a run is over at this step: all steps were made, or it gets no better."""
    return step >= self._options.num_train_steps or self.stands_still()

  def stands_still(self):
    """Whether the last options.early_stopping_evals evaluations were no better than the best one."""
    _, best = self.best.read()
    if self._options.early_stopping_evals is None or not best:
      return False
    later = [step for step in self.heldout_history.steps() if step > best['global_step']]
    return len(later) >= self._options.early_stopping_evals

  def is_finished(self, evaluates):
    """Whether the run is over, its results written, and, if it `evaluates`, the last checkpoint evaluated."""
    step = self.newest_step()
    missing = evaluates and step not in self.heldout_history.steps()
    if not self.is_over(step) or missing or results.read(self.folder).get('trained_steps') != step:
      return False
    return checkpoints.is_good(self.newest()) and not self.best.is_damaged()

  def leave_out(self, spike, units):
    """Notes that the data between the newest checkpoint and a loss spike is left out from now on.

    Args:
      spike: training.stability.spikes.SpikeFound.
      units: what the position counts, in words: 'records', say.

    Raises:
      UserError: the run has gone back to this checkpoint too often.
    """
    checkpoint = self.newest()
    step = checkpoints.step_of(checkpoint)
    first = self._position_of(step, checkpoints.read_manifest(checkpoint)).used
    _LOG.warning('LOSS SPIKE at step %s: %.4f, mean %.4f; going back to step %s and leaving out %s %s to %s',
                 '{:,}'.format(spike.step), spike.loss, spike.mean, '{:,}'.format(step), units,
                 '{:,}'.format(first), '{:,}'.format(self.position.used))
    self.state.skip_window({'checkpoint_step': step, 'spike_step': spike.step, 'loss': spike.loss, 'mean': spike.mean,
                            'from_record': first, 'to_record': self.position.used})
