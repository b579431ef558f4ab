"""The best checkpoint of a run: a copy in best/, with best.json beside it, which says why.

The folder is complete by itself and can be copied elsewhere: it has the configuration and the vocabulary that the
weights need.
"""

import glob
import logging
import os

from albert.common import files
from albert.common import json_text
from albert.run import checkpoints
from albert.run import names
from albert.run import run_files

_LOG = logging.getLogger('albert')


class Best:
  """best/ of a run's folder."""

  def __init__(self, output_dir, criterion):
    """criterion: tasks.task.Criterion."""
    self._output_dir = output_dir
    self._folder = os.path.join(output_dir, names.BEST_FOLDER)
    self._file = os.path.join(self._folder, names.BEST_FILE)
    self._criterion = criterion

  @property
  def metric(self):
    """The figure by which checkpoints are compared."""
    return self._criterion.metric

  def read(self):
    """(prefix, figures) of the best checkpoint, or (None, None) where there is none or a damaged best.json."""
    best, _ = run_files.read_json(self._file, self._is_valid)
    return (os.path.join(self._folder, best['checkpoint']), best) if best else (None, None)

  def _is_valid(self, value):
    """A figure that is not finite, as earlier versions kept, is none to compare with."""
    return run_files.is_best(value) and run_files.is_number(value.get(self._criterion.metric))

  def keep_if_best(self, checkpoint, step, figures, evaluated_on=None):
    """Copies a checkpoint to best/ if its figures are the best of the run. Returns whether they are.

    Figures that are not finite are never the best. Those of the best so far must be of the same evaluation set, see
    measured_elsewhere().
    """
    _, best = self.read()
    if not json_text.all_finite(figures.values()) or best and not self._is_better(figures, best):
      return False
    os.makedirs(self._folder, exist_ok=True)
    name = os.path.basename(checkpoint)
    self._copy(checkpoint)
    self._describe()
    self._write(figures, name, step, evaluated_on)
    self._tidy(name)
    return True

  def _write(self, figures, name, step, evaluated_on):
    run_files.write_json(self._file, dict(
        figures, checkpoint=name, global_step=step, **({'evaluated_on': evaluated_on} if evaluated_on else {})))

  def _describe(self):
    """Makes best/ complete: what its checkpoint is of no use without."""
    for name in names.DESCRIPTION + names.TASK_DESCRIPTION:
      own, copy = os.path.join(self._output_dir, name), os.path.join(self._folder, name)
      if os.path.exists(own) and not (os.path.exists(copy) and files.file_sha256(copy) == files.file_sha256(own)):
        files.copy_atomically(own, copy)

  def measured_elsewhere(self, evaluated_on):
    """Prefix of the best checkpoint if its figures are of another evaluation set than this one, else None.

    evaluated_on: str that names the evaluation set. Files of earlier versions do not say theirs: it counts as this one.
    """
    prefix, best = self.read()
    return prefix if best and best.get('evaluated_on', evaluated_on) != evaluated_on else None

  def measure_again(self, figures, evaluated_on):
    """Takes figures of the best checkpoint on another evaluation set instead of its own; not finite: no best."""
    _, best = self.read()
    if json_text.all_finite(figures.values()):
      self._write(figures, best['checkpoint'], best['global_step'], evaluated_on)
    else:
      self._forget('its figures on this evaluation set are not finite')

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
    self._describe()
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
    files.remove(self._file)
