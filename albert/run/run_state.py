"""run_state.json: the settings that a run was started with, those changed since, and the data that it has left out.

Settings are kept: a change is refused unless the user allows it. The schedule may change, and each change is logged.
Each checkpoint's manifest has a copy, from which a lost or damaged file is written again.
"""

import logging
import os

from albert.common.errors import UserError
from albert.common import files
from albert.common import json_text
from albert.run import checkpoints
from albert.run.names import STATE_FILE
from albert.run import run_files

# Returns to one checkpoint before we conclude that the data is not the cause.
MOST_RETURNS = 10
# Settings of runs that began before there was a choice.
_FORMERLY = {'packing': False, 'cpu_towers': 1, 'task': 'pretraining', 'phases': 1}

_LOG = logging.getLogger('albert')


class RunState:
  """run_state.json of a folder.

  Attributes:
    settings: dict of name to JSON value: what the sequence of weights depends on besides the configuration.
    schedule: dict of name to JSON value: what may be changed on the way; empty in runs of earlier versions.
    origin: dict with checkpoint and sha256, the weights that the run began from, see fingerprint(); None: none, or a
      run of an earlier version.
    skipped_windows: list of dicts with checkpoint_step, spike_step, loss, mean, from_record, to_record.
    problem: what is wrong with the file, a line for the log; None for a good one.
  """

  def __init__(self, folder, fresh=False):
    """Reads the file, if there is one. fresh: what is there is of another run, and is left alone until save()."""
    self._path = os.path.join(folder, STATE_FILE)
    self.settings, self.schedule, self.origin, self.skipped_windows, self._changes = {}, {}, None, [], []
    self.problem = None
    if fresh:
      return
    content, problem = run_files.read_json(self._path, run_files.is_run_state)
    if content and not self._is_as_written(content, content.pop('sha256', None)):
      content, problem = None, 'it is not what was written'
    if content is None:
      content, self.problem = self._from_manifest(folder, problem)
    if content:
      self.settings, self.skipped_windows, self._changes = (
          content['settings'], content['skipped_windows'], content['changes'])
      self.schedule, self.origin = content.get('schedule', {}), content.get('origin')

  def _is_as_written(self, content, checksum):
    """Whether a checksum is that of the content. Earlier versions wrote none; one by another name is damaged too."""
    return checksum in (None, json_text.sha256(content)) and set(content) <= set(self.entries())

  @property
  def task(self):
    """Name of the task of the run; None where there is no run."""
    return dict(_FORMERLY, **self.settings)['task'] if self.settings else None

  def _from_manifest(self, folder, problem):
    """(what the newest manifest has of a file that is gone or damaged, or None; the line for the log, or None)."""
    for step in reversed(checkpoints.steps_in(folder)):
      manifest = checkpoints.read_manifest(checkpoints.prefix_of(folder, step)) or {}
      if 'run_state' in manifest:
        return manifest['run_state'], '{}: {}; written again as the checkpoint of step {:,} has it'.format(
            self._path, problem or 'it is gone', step)
    return None, problem and '{}: {}; the settings of the run so far are not known, those of this start are ' \
        'taken'.format(self._path, problem)

  def agree(self, settings, allowed, step, follow=(), allowed_by='allow_changes'):
    """Compares the settings of this start with those of the run so far and keeps them.

    Args:
      settings: dict like the attribute.
      allowed: names of settings that may be other than before.
      step: int, where the run goes on; 0 at its beginning, where nothing is to be compared.
      follow: names of settings that were chosen again because one that may change has changed.
      allowed_by: what the user gives `allowed` with, such as pretrain.allow_changes.

    Returns:
      The names that have changed.

    Raises:
      UserError: one differs that was not allowed to, or `allowed` names none of them.
    """
    unknown = sorted(set(allowed) - set(settings))
    if unknown:
      raise UserError('{}: expected names among {}, found {}'.format(
          allowed_by, ', '.join(sorted(settings)), ', '.join(unknown)))
    before = self._settings_before()
    changed = self.settings_other_than(settings) if step else []
    refused = [name for name in changed if name not in allowed and name not in follow]
    if refused:
      names = sorted(set(refused) | set(changed) & set(allowed))
      raise UserError('{}: expected the settings of the run so far, found {}; set them back, use another output folder '
                      '(OUT=...), or say that it is meant: {}={!r}'.format(
                          os.path.dirname(self._path), ', '.join('{} {} (here: {})'.format(
                              name, _short(before[name]), _short(settings[name])) for name in refused), allowed_by,
                          names))
    for name in changed:
      _LOG.warning('from step %s on %s is %s, it was %s: the run is no longer the one that was begun%s',
                   '{:,}'.format(step), name, _short(settings[name]), _short(before[name]),
                   '' if name in allowed else ' (chosen again)')
      self._note(step, name, before[name], settings[name])
    self.settings = settings
    self.save()
    return changed

  def _settings_before(self):
    """The recorded settings, with those that older runs did not record; nothing where they are lost."""
    return {} if self.problem and not self.settings else dict(_FORMERLY, **self.settings)

  def settings_other_than(self, settings):
    """The names in which the recorded settings differ from these, sorted."""
    before = self._settings_before()
    return sorted(name for name, value in settings.items() if name in before and before[name] != value)

  def describe_settings(self, names, settings):
    """These settings before and now, in the words of `describe`: a list of str."""
    before = self._settings_before()
    return [describe(name, before[name], settings[name]) for name in names]

  def changes_of(self, schedule):
    """The names in which a schedule differs from the recorded one, sorted."""
    return sorted(name for name, value in schedule.items()
                  if name in self.schedule and self.schedule[name] != value)

  def follow(self, schedule, step):
    """Takes over the schedule of this start; each change is a line of the log and an entry of `changes`.

    Args:
      schedule: dict like the attribute.
      step: int, where the run goes on; 0 at its beginning, where nothing is a change.
    """
    for name in self.changes_of(schedule) if step else []:
      _LOG.warning('%s from step %s', describe(name, self.schedule[name], schedule[name]), '{:,}'.format(step))
      self._note(step, name, self.schedule[name], schedule[name])
    self.schedule = schedule
    self.save()

  def begin_from(self, checkpoint, newest_step):
    """Notes the weights that a new run begins from; says where they have no effect, in a run that is there already.

    Args:
      checkpoint: prefix, or None.
      newest_step: int, the step that the run goes on from; None: there is no checkpoint yet.
    """
    given = checkpoint and fingerprint(checkpoint)
    if newest_step is None:
      self.origin = given or None
      self.save()
    elif given and given['sha256'] != (self.origin or {}).get('sha256'):
      began = 'from {}'.format(self.origin['checkpoint']) if self.origin else 'otherwise'
      _LOG.warning('--init_checkpoint=%s has no effect: the run in %s began %s and goes on from step %s; use another '
                   'output folder (OUT=...) to begin from it', checkpoint, os.path.dirname(self._path), began,
                   '{:,}'.format(newest_step))
      self._note(newest_step, 'init_checkpoint', self.origin and self.origin['checkpoint'], given['checkpoint'],
                 effect=False)
      self.save()

  def _note(self, step, name, before, after, **more):
    change = dict(more, step=step, name=name, to=after, **{'from': before})
    if self._changes[-1:] != [change]:  # a start that failed has said it already
      self._changes.append(change)

  def skip_window(self, window):
    """Notes that data is left out. window: dict like those of skipped_windows.

    Raises:
      UserError: the run has gone back to this checkpoint too often.
    """
    if window not in self.skipped_windows:
      self.skipped_windows.append(window)
    step = window['checkpoint_step']
    if len([1 for other in self.skipped_windows if other['checkpoint_step'] == step]) > MOST_RETURNS:
      raise UserError('expected the loss to recover with other data, found {} spikes after the checkpoint of step '
                      '{:,}; lower OptimizerOptions.learning_rate'.format(MOST_RETURNS + 1, step))
    self.save()

  def position_after(self, step, used):
    """The position from which a run goes on at the checkpoint of `step`. used: int, the position of the checkpoint."""
    return max([used] + [window['to_record'] for window in self.skipped_windows if window['checkpoint_step'] == step])

  def entries(self):
    """The content of the file, a dict for JSON."""
    return {'settings': self.settings, 'schedule': self.schedule, 'origin': self.origin,
            'skipped_windows': self.skipped_windows, 'changes': self._changes}

  def save(self):
    """Writes the file."""
    entries = json_text.finite(self.entries())
    run_files.write_json(self._path, dict(entries, sha256=json_text.sha256(entries)))


def fingerprint(checkpoint):
  """The record of the weights that a run begins from: path, and SHA-256 of the index, which has checksums of all."""
  index = checkpoint + '.index'
  return {'checkpoint': checkpoint, 'sha256': files.file_sha256(index if os.path.exists(index) else checkpoint)}


def describe(name, before, after):
  """'learning rate 1.375e-5 -> 1e-4', for the log."""
  return '{} {} -> {}'.format(name.replace('_', ' '), _short(before), _short(after))


def _short(value):
  if isinstance(value, str):
    return value[:12]
  if isinstance(value, float) and 0 < abs(value) < 1e-3:
    digits, exponent = '{:.6e}'.format(value).split('e')
    return '{}e{}'.format(digits.rstrip('0').rstrip('.'), int(exponent))
  return value
