"""Figures by step, in a file that a person and a spreadsheet can read."""

import logging
import os

from albert.common import files
from albert.run import small_files

_LOG = logging.getLogger('albert')


class History:
  """A tab-separated file with a header and a line per step, shortened to the step that a run goes on from."""

  def __init__(self, output_dir, name, columns, check=lambda: None):
    """A history; the file need not exist.

    Args:
      output_dir, name: of the file.
      columns: names of the values after the first column, which is the step.
      check: callable() that raises where nothing may be written any more.
    """
    self._check = check
    self._path = os.path.join(output_dir, name)
    self._columns = list(columns)

  def steps(self):
    """The steps that have a line."""
    return [step for step, _ in self._lines()]

  def forget_after(self, step):
    """Drops lines of steps that a killed run reached after its last checkpoint, and what is no line."""
    kept = [line for found, line in self._lines(tell=True) if found <= step]
    files.write_atomically(self._path, '\n'.join(['\t'.join(['step'] + self._columns)] + kept) + '\n')

  def add(self, step, values):
    """Appends the line of `step`; values: dict with the columns as keys."""
    self._check()
    with open(self._path, 'a', encoding='utf-8') as target:
      target.write('\t'.join([str(step)] + ['{:.6f}'.format(values[column]) for column in self._columns]) + '\n')
      target.flush()
      os.fsync(target.fileno())

  def _lines(self, tell=False):
    """[(step, line)], without damaged lines. tell: whether the log has these."""
    lines, problem = small_files.read_text(self._path)
    # A line without an end was not written to its end.
    found = [(small_files.history_step(line, len(self._columns)), line) for line in (lines or '').split('\n')[1:-1]]
    damaged = [number for number, (step, _) in enumerate(found, 2) if step is None]
    if tell and (damaged or problem):
      _LOG.warning('%s: %s; what is damaged is left out, the checkpoints are not affected', self._path,
                   problem or 'no steps and figures in line ' + ', '.join(map(str, damaged[:5])))
    return [(step, line) for step, line in found if step is not None]
