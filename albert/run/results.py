"""The figures of a run for people and programs: results.json and its like, and the histories by step."""

import logging
import os

from albert.common import files
from albert.run import names
from albert.run import run_files

# The entry of a run that has diverged; it goes when a later evaluation is finite.
DIVERGED = 'diverged'

_LOG = logging.getLogger('albert')


def read(output_dir):
  """results.json as a dict, empty if there is none or a damaged one."""
  path = os.path.join(output_dir, names.RESULTS_FILE)
  results, problem = run_files.read_json(path, run_files.is_results)
  if problem:
    _LOG.warning('%s counts as absent: %s; it is written again with the next results', path, problem)
  return results or {}


def keep_evaluation(output_dir, is_result, **figures):
  """Writes evaluation.json, and results.json too if `is_result`. Returns the paths written."""
  written = [os.path.join(output_dir, names.EVALUATION_FILE)]
  run_files.write_json(written[0], figures)
  if is_result:
    update(output_dir, **figures)
    written.append(os.path.join(output_dir, names.RESULTS_FILE))
  return written


def update(output_dir, without=(), **figures):
  """Replaces top-level entries of results.json, and drops those whose names are in `without`."""
  results = {name: value for name, value in dict(read(output_dir), **figures).items() if name not in without}
  run_files.write_json(os.path.join(output_dir, names.RESULTS_FILE), results)


def write_performance(output_dir, figures):
  """Writes performance.json; figures: dict of floats."""
  run_files.write_json(os.path.join(output_dir, names.PERFORMANCE_FILE), figures)


def columns(path, name):
  """([steps], [values]) of a column of a history, floats; empty where it has none."""
  text, _ = run_files.read_text(path)
  rows = [line.split('\t') for line in (text or '').split('\n')]
  if name not in rows[0]:
    return [], []
  place, steps, values = rows[0].index(name), [], []
  for row in rows[1:]:
    if len(row) == len(rows[0]):
      steps.append(int(row[0]))
      values.append(float(row[place]))
  return steps, values


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
    kept = [line for reached, line in self._lines(tell=True) if reached <= step]
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
    lines, problem = run_files.read_text(self._path)
    # A line without an end was not written to its end.
    parsed = [(run_files.history_step(line, len(self._columns)), line) for line in (lines or '').split('\n')[1:-1]]
    damaged = [number for number, (step, _) in enumerate(parsed, 2) if step is None]
    if tell and (damaged or problem):
      _LOG.warning('%s: %s; what is damaged is left out, the checkpoints are not affected', self._path,
                   problem or 'no steps and figures in line ' + ', '.join(map(str, damaged[:5])))
    return [(step, line) for step, line in parsed if step is not None]
