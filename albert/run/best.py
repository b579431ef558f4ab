"""The best checkpoint of a run: a copy in best/, with best.json beside it, which says why."""

import glob
import json
import logging
import os

from albert.common import files
from albert.run import checkpoints
from albert.run import names

_LOG = logging.getLogger('albert')

class Best:
  """best/ of a run's folder."""

  def __init__(self, output_dir, criterion):
    """criterion: tasks.task.Criterion."""
    self._output_dir = output_dir
    self._folder = os.path.join(output_dir, names.BEST_FOLDER)
    self._file = os.path.join(self._folder, names.BEST_FILE)
    self._criterion = criterion

  def read(self):
    """(prefix, figures) of the best checkpoint, or (None, None) where there is none or a damaged best.json."""
    try:
      with open(self._file, encoding='utf-8') as source:
        best = json.load(source)
      prefix, _ = os.path.join(self._folder, best['checkpoint']), float(best[self._criterion.metric])
    except (OSError, ValueError, KeyError, TypeError):
      return None, None
    return prefix, best

  def keep_if_best(self, checkpoint, step, figures):
    """Copies a checkpoint to best/ if its figures are the best of the run. Returns whether they are."""
    _, best = self.read()
    if best and not self._is_better(figures, best):
      return False
    os.makedirs(self._folder, exist_ok=True)
    name = os.path.basename(checkpoint)
    self._copy(checkpoint)
    files.write_atomically(self._file, json.dumps(
        dict(figures, checkpoint=name, global_step=step), indent=1, sort_keys=True) + '\n')
    self._tidy(name)
    return True

  def _is_better(self, figures, best):
    new, old = figures[self._criterion.metric], best[self._criterion.metric]
    return new < old if self._criterion.lowest else new > old

  def mend(self):
    """Finishes what a killed process left of keep_if_best(); a damaged best is copied again, or else is no best."""
    checkpoint, best = self.read()
    if not checkpoint:
      if os.path.exists(self._file):
        self._forget('{} cannot be read'.format(names.BEST_FILE))
      return
    own = os.path.join(self._output_dir, best['checkpoint'])
    if not checkpoints.is_good(checkpoint):
      if not checkpoints.read_manifest(own) or not checkpoints.is_good(own):
        self._forget(checkpoints.problem_with(checkpoint))
        return
      _LOG.warning('DAMAGED BEST CHECKPOINT %s: %s; copied again from %s', checkpoint,
                   checkpoints.problem_with(checkpoint), own)
      self._copy(own)
    if checkpoints.pointed_to(self._folder) != checkpoint or self._others(best['checkpoint']):
      self._tidy(best['checkpoint'])

  def is_damaged(self):
    """Whether the best checkpoint is not what its manifest says."""
    checkpoint, _ = self.read()
    return checkpoint is not None and not checkpoints.is_good(checkpoint)

  def _copy(self, checkpoint):
    for path in sorted(glob.glob(glob.escape(checkpoint) + '.*')):
      files.copy_atomically(path, os.path.join(self._folder, os.path.basename(path)))

  def _tidy(self, name):
    """Leaves in best/ what best.json names, and makes it the checkpoint that TensorFlow takes."""
    checkpoints.point_to(self._folder, [name])
    for path in self._others(name):
      files.remove(path)

  def _others(self, name):
    """The files of checkpoints in best/ that do not belong to the one called `name`."""
    return [path for path in glob.glob(os.path.join(glob.escape(self._folder), names.CHECKPOINT + '-*'))
            if not os.path.basename(path).startswith(name + '.')]

  def _forget(self, problem):
    _LOG.warning('DAMAGED BEST CHECKPOINT %s: %s; the next evaluation chooses another', self._folder, problem)
    os.remove(self._file)
