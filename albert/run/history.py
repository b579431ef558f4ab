"""Figures by step, in a file that a person and a spreadsheet can read."""

import os

from albert.common import files


class History:
  """A tab-separated file with a header and a line per step, shortened to the step that a run goes on from."""

  def __init__(self, output_dir, name, columns):
    """columns: names of the values after the first column, which is the step."""
    self._path = os.path.join(output_dir, name)
    self._columns = list(columns)

  def steps(self):
    """The steps that have a line."""
    return [int(line.split('\t')[0]) for line in self._lines()]

  def forget_after(self, step):
    """Drops lines of steps that a killed run reached after its last checkpoint."""
    kept = [line for line in self._lines() if int(line.split('\t')[0]) <= step]
    files.write_atomically(self._path, '\n'.join(['\t'.join(['step'] + self._columns)] + kept) + '\n')

  def add(self, step, values):
    """Appends the line of `step`; values: dict with the columns as keys."""
    with open(self._path, 'a', encoding='utf-8') as target:
      target.write('\t'.join([str(step)] + ['{:.6f}'.format(values[column]) for column in self._columns]) + '\n')
      target.flush()
      os.fsync(target.fileno())

  def _lines(self):
    if not os.path.exists(self._path):
      return []
    with open(self._path, encoding='utf-8') as source:
      return source.read().split('\n')[1:-1]  # a line without an end was not written to its end
