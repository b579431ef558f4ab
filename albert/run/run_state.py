"""What a run was started with and has to keep, and where it has left out data: run_state.json."""

import json
import logging
import os

from albert.common.errors import UserError
from albert.common import files
from albert.run.names import STATE_FILE

# Returns to one checkpoint before we conclude that the data is not the cause.
MOST_RETURNS = 10
# Settings of runs that began before there was a choice.
_FORMERLY = {'packing': False, 'cpu_towers': 1}

_LOG = logging.getLogger('albert')


class RunState:
  """run_state.json of a folder.

  Attributes:
    settings: dict of name to JSON value: what the sequence of weights depends on besides the configuration.
    skipped_windows: list of dicts with checkpoint_step, spike_step, loss, mean, from_record, to_record.
  """

  def __init__(self, folder, fresh=False):
    """Reads the file, if there is one. fresh: what is there is of another run, and is left alone until save().

    Raises:
      UserError: it cannot be read.
    """
    self._path = os.path.join(folder, STATE_FILE)
    self.settings, self.skipped_windows, self._changes = {}, [], []
    if os.path.exists(self._path) and not fresh:
      try:
        with open(self._path, encoding='utf-8') as source:
          found = json.load(source)
        self.settings, self.skipped_windows, self._changes = (
            found['settings'], found['skipped_windows'], found['changes'])
      except (OSError, ValueError, KeyError) as error:
        raise UserError('{}: expected what a training run wrote, found a file that cannot be read ({!r}); restore or '
                        'remove it'.format(self._path, error))

  def agree(self, settings, allowed, step):
    """Compares the settings of this start with those of the run so far and keeps them.

    Args:
      settings: dict like the attribute.
      allowed: names of settings that may be other than before.
      step: int, where the run goes on; 0 at its beginning, where nothing is to be compared.

    Returns:
      The names that have changed.

    Raises:
      UserError: one differs that was not allowed to, or `allowed` names none of them.
    """
    unknown = sorted(set(allowed) - set(settings))
    if unknown:
      raise UserError('pretrain.allow_changes: expected names among {}, found {}'.format(
          ', '.join(sorted(settings)), ', '.join(unknown)))
    before = dict(_FORMERLY, **self.settings)
    changed = sorted(name for name, value in settings.items() if step and name in before and before[name] != value)
    refused = [name for name in changed if name not in allowed]
    if refused:
      raise UserError('{}: expected the settings of the run so far, found {}; set them back, use another output folder '
                      '(OUT=...), or say that it is meant: pretrain.allow_changes={!r}'.format(
                          os.path.dirname(self._path), ', '.join('{} {} (asked: {})'.format(
                              name, _short(before[name]), _short(settings[name])) for name in refused), changed))
    for name in changed:
      _LOG.warning('from step %s on %s is %s, it was %s: the run is no longer the one that was begun',
                   '{:,}'.format(step), name, _short(settings[name]), _short(before[name]))
    self._changes += [{'step': step, 'name': name, 'from': before[name], 'to': settings[name]}
                      for name in changed]
    self.settings = settings
    self.save()
    return changed

  def skip_window(self, window):
    """Notes that data is left out. window: dict like those of skipped_windows.

    Raises:
      UserError: the run has gone back to this checkpoint too often.
    """
    if window not in self.skipped_windows:
      self.skipped_windows.append(window)
    step = window['checkpoint_step']
    if len([1 for other in self.skipped_windows if other['checkpoint_step'] == step]) > MOST_RETURNS:
      raise UserError('expected the loss to settle after other data, found {} spikes after the checkpoint of step '
                      '{:,}; lower OptimizerOptions.learning_rate'.format(MOST_RETURNS + 1, step))
    self.save()

  def position_after(self, step, used):
    """The position from which a run goes on at the checkpoint of `step`. used: int, the position of the checkpoint."""
    return max([used] + [window['to_record'] for window in self.skipped_windows if window['checkpoint_step'] == step])

  def save(self):
    """Writes the file."""
    files.write_atomically(self._path, json.dumps(
        {'settings': self.settings, 'skipped_windows': self.skipped_windows, 'changes': self._changes},
        indent=1, sort_keys=True) + '\n')


def _short(value):
  return value[:12] if isinstance(value, str) else value
