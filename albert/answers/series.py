"""Several runs of one fine-tuning, with other seeds or over folds: mean, deviation, the best one."""

import collections
import os
import statistics

import numpy as np

from albert.answers import outcome as outcomes
from albert.answers import report
from albert.answers import writers
from albert.common import files
from albert.run import names
from albert.run import results

SPLITS = ('dev', 'test')
# Entries of figures that say how many examples there were.
_COUNTS = ('examples', 'labelled')


def spread(values):
  """{mean, std, min, max, runs} of floats; std is that of a sample, None of a single one."""
  std = statistics.stdev(values) if len(values) > 1 else None
  return collections.OrderedDict(
      mean=statistics.mean(values), std=std, min=min(values), max=max(values), runs=len(values))


def summary(all_results, split):
  """{figure: spread} of a split over runs, those that are numbers in all of them. all_results: list of dict."""
  of_runs = [entry[split] for entry in all_results if split in entry]
  if not of_runs:
    return collections.OrderedDict()
  shared = [name for name, value in of_runs[0].items() if name not in _COUNTS and all(
      isinstance(entry.get(name), float) for entry in of_runs)]
  return collections.OrderedDict((name, spread([entry[name] for entry in of_runs])) for name in shared)


def write(folder, title, of_runs, averaged=None):
  """Writes results.json and report.md of all runs, and prints the table.

  Args:
    folder: path above those of the runs.
    title: 'seed' or 'fold'.
    of_runs: OrderedDict, name of a run's folder to closing.Closed; the results of one that has none: {'failed': why}.
    averaged: figures of the averaged predictions on test, or None.
  """
  best = _best(of_runs)
  of_runs = collections.OrderedDict((name, closed.results) for name, closed in of_runs.items())
  finished = collections.OrderedDict((name, entry) for name, entry in of_runs.items() if 'dev' in entry)
  good = [entry for entry in finished.values() if entry['learned']]
  said = collections.OrderedDict(
      seeds={name: _of_run(entry) for name, entry in of_runs.items()}, best_run=best, learned=bool(good),
      failed=[name for name, entry in of_runs.items() if not entry.get('learned')],
      counts=finished[best]['counts'] if best else {},
      seconds={name: entry.get('seconds') for name, entry in finished.items()})
  for split in SPLITS:
    said[split] = summary(list(finished.values()), split)
    said[split + '_learned_only'] = summary(good, split)
  if averaged is not None:
    said['test_averaged'] = averaged
  results.update(folder, **said)
  text = _report(title, said)
  files.write_atomically(os.path.join(folder, names.ANSWERS_FILE), text)
  print('\n'.join(_printed(title, said, folder)))


def _best(of_runs):
  """The name of the run that is best on dev, of equal ones the first; None if all failed."""
  def value(name):
    closed = of_runs[name]
    figure = closed.results['dev'][closed.criterion.metric]
    return -figure if closed.criterion.lowest else figure
  return max((name for name, closed in of_runs.items() if closed.criterion), key=value, default=None)


def _of_run(entry):
  return {key: entry[key] for key in ('dev', 'test', 'learned', 'not_learned', 'failed') if key in entry}


def _rows(said, split, suffix=''):
  rows = [['figure', 'mean', 'std', 'min', 'max', 'runs']]
  for name, values in said[split + suffix].items():
    rows.append([name.replace('_', ' ')] + ['-' if values[key] is None else '{:.4f}'.format(values[key])
                                            for key in ('mean', 'std', 'min', 'max')] + [str(values['runs'])])
  return rows


def _tables(said):
  """(title, rows) of each table: all runs, and without those that learned nothing where there are such."""
  for split in SPLITS:
    if said[split]:
      yield split, _rows(said, split)
      if said['failed'] and said[split + '_learned_only']:
        yield split + ', without ' + ', '.join(said['failed']), _rows(said, split, '_learned_only')
  if said.get('test_averaged'):
    rows = [['figure', 'value']] + [[name.replace('_', ' '), '{:.4f}'.format(value)]
                                    for name, value in said['test_averaged'].items() if isinstance(value, float)]
    yield 'test, predictions of all runs averaged', rows


def _report(title, said):
  parts = ['# Fine-tuned: {} {}s'.format(len(said['seeds']), title), '']
  for heading, rows in _tables(said):
    parts += ['## ' + heading, ''] + report.markdown(rows) + ['']
  parts += ['## Runs', ''] + report.markdown([['run', 'learned', 'dev']] + [
      [name + (' (best on dev)' if name == said['best_run'] else ''), _fate(entry),
       ', '.join('{} {:.4f}'.format(key.replace('_', ' '), value) for key, value in entry.get('dev', {}).items()
                 if isinstance(value, float))] for name, entry in said['seeds'].items()])
  return '\n'.join(parts) + '\n'


def _fate(entry):
  if 'failed' in entry:
    return 'FAILED: ' + entry['failed']
  return 'yes' if entry['learned'] else 'NOT LEARNED'


def _printed(title, said, folder):
  lines_ = []
  for heading, rows in _tables(said):
    lines_.append(heading)
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines_ += ['  ' + '  '.join(cell.ljust(width) if not place else cell.rjust(width)
                                for place, (cell, width) in enumerate(zip(row, widths))) for row in rows]
  lines_.append('best {} on dev: {}'.format(
      title, os.path.join(folder, said['best_run']) if said['best_run'] else 'none, no run has figures'))
  lines_.append('report: ' + os.path.join(folder, names.ANSWERS_FILE))
  if said['failed']:
    # One whose numbers were not finite has no report of its own.
    lines_.append('NOT LEARNED: {} of {} runs: {}; see {}'.format(
        len(said['failed']), len(said['seeds']), ', '.join(
            name + ' (FAILED)' * ('failed' in said['seeds'][name]) for name in said['failed']),
        'their ' + names.ANSWERS_FILE if said['best_run'] else names.ANSWERS_FILE))
  return lines_


class Average:
  """The predictions of several runs on the same test, averaged: means of their logits."""

  def __init__(self):
    self._sums, self._runs = {}, 0

  def add(self, logits):
    """logits: list of (number of the example, list of arrays), as outcome.Outcome has them."""
    self._runs += 1
    for number, arrays in logits:
      before = self._sums.get(number)
      self._sums[number] = [np.asarray(array, np.float64) if before is None else before[place] + array
                            for place, array in enumerate(arrays)]

  def logits_of(self, number):
    """list of arrays, of the windows of an example."""
    return [array / self._runs for array in self._sums[number]]


def write_averaged(path, model, examples, average, judge):
  """Writes the averaged predictions of examples as JSON lines. Returns their figures, or None without labels.

  Args:
    path: str. model: fine_tuned.FineTuned, of one of the runs. examples: list of Example. average: Average.
    judge: outcome.Judge of the model.
  """
  with files.atomic(path) as target:
    rows = ((example, windows, average.logits_of(example.number)) for example, windows in model.windows(examples))
    for _ in outcomes.answered(model, rows, writers.JsonLines(target), judge):
      pass
  figures = judge.figures()
  return figures and {name: value for name, value in figures.items() if name != 'confusion'}


def is_series(folder):
  """Whether a folder is that of several runs, in which no single one may be made."""
  return 'seeds' in results.read(folder) and not os.path.exists(os.path.join(folder, names.TASK_FILE))
