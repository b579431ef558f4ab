"""Curves of finished runs: held-out losses over CPU seconds, and when a run reached another's. No TensorFlow."""

import collections
import csv
import io
import os
import statistics

from albert.common.errors import UserError
from albert.common import files
from albert.run import names
from albert.run import run_files

# A held-out evaluation. step: int. cpu_seconds: of training until then, without evaluations and starts of the process.
# figures: dict of name to float.
Point = collections.namedtuple('Point', ['step', 'cpu_seconds', 'figures'])
LOSS, ORDER = 'masked_lm_loss', 'sentence_order_accuracy'
_COLUMNS = ['run', 'seed', 'step', 'cpu_seconds', 'masked_lm_loss', 'masked_lm_accuracy', 'sentence_order_loss',
            'sentence_order_accuracy']


def read(folder):
  """The points of a run's folder, a list by step.

  Raises:
    UserError: a checkpoint has no CPU time, as those of earlier versions.
  """
  path = os.path.join(folder, names.HELDOUT_HISTORY_FILE)
  text, _ = run_files.read_text(path)
  if not text:
    raise UserError('{}: expected held-out losses by step, found none; train first'.format(path))
  rows = list(csv.DictReader(io.StringIO(text), delimiter='\t'))
  return [Point(int(row['step']), _cpu_seconds(folder, int(row['step'])),
                {name: float(value) for name, value in row.items() if name != 'step'}) for row in rows]


def _cpu_seconds(folder, step):
  path = os.path.join(folder, '{}-{}{}'.format(names.CHECKPOINT, step, names.MANIFEST))
  manifest, problem = run_files.read_json(path, run_files.is_manifest)
  seconds = ((manifest or {}).get('train') or {}).get('train', {}).get('cpu_seconds')
  if seconds is None:
    raise UserError('{}: expected the CPU seconds of training, found none{}; keep all checkpoints of a study: '
                    'pretrain.keep_checkpoint_max'.format(path, problem and ' ({})'.format(problem) or ''))
  return seconds


def seconds_to(points, loss, figure=LOSS):
  """CPU seconds until a figure fell to `loss`, between two evaluations on the line through them; None: it never did.

  Args:
    points: list of Point. loss: float. figure: name of a figure that falls.
  """
  before = None
  for point in points:
    if point.figures[figure] <= loss:
      if before is None:
        return point.cpu_seconds
      part = (before.figures[figure] - loss) / (before.figures[figure] - point.figures[figure])
      return before.cpu_seconds + part * (point.cpu_seconds - before.cpu_seconds)
    before = point
  return None


def summary(curves):
  """How each run compares with the first.

  Args:
    curves: OrderedDict of name of a run to {seed: list of Point}; each seed of the first run is the measure of runs
      with that seed.

  Returns:
    list of dicts with run, seed, steps, loss, order (accuracy), cpu_seconds, seconds_to_target, share_of_baseline; the
    last two are None where the loss was not reached, or the first run has no such seed.
  """
  baseline = next(iter(curves.values()))
  rows = []
  for name, by_seed in curves.items():
    for seed, points in by_seed.items():
      row = {'run': name, 'seed': seed, 'steps': points[-1].step, 'loss': points[-1].figures[LOSS],
             'order': points[-1].figures.get(ORDER), 'cpu_seconds': points[-1].cpu_seconds,
             'seconds_to_target': None, 'share_of_baseline': None}
      if seed in baseline:
        own = baseline[seed]
        target = own[-1].figures[LOSS]
        row['seconds_to_target'] = seconds_to(points, target)
        if row['seconds_to_target'] is not None:
          row['share_of_baseline'] = row['seconds_to_target'] / seconds_to(own, target)
      rows.append(row)
  return rows


def write_csv(path, curves):
  """Writes all points, a line each. curves: as for summary."""
  target = io.StringIO()
  writer = csv.writer(target, lineterminator='\n')
  writer.writerow(_COLUMNS)
  for name, by_seed in curves.items():
    for seed, points in by_seed.items():
      for point in points:
        writer.writerow([name, seed, point.step, '{:.1f}'.format(point.cpu_seconds)] + [
            '{:.4f}'.format(point.figures[column]) if column in point.figures else '' for column in _COLUMNS[4:]])
  files.write_atomically(path, target.getvalue())


def write_text(path, lines):
  """Writes lines of text."""
  files.write_atomically(path, '\n'.join(lines) + '\n')


def as_table(rows):
  """Rows of summary() as lines of a Markdown table, the seeds of a run together.

  A figure of several seeds is their mean, and in brackets their range.
  """
  lines = ['| run | seeds | steps | CPU seconds | held-out loss | sentence order | CPU seconds to the loss of the '
           'first | share of its time |', '| --- | --- | --- | --- | --- | --- | --- | --- |']
  for name in collections.OrderedDict.fromkeys(row['run'] for row in rows):
    own = [row for row in rows if row['run'] == name]
    lines.append('| {} |'.format(' | '.join([name, str(len(own)), '{:,}'.format(own[0]['steps'])] + [
        _figure([row[column] for row in own], form) for column, form in (
            ('cpu_seconds', '{:.0f}'), ('loss', '{:.3f}'), ('order', '{:.3f}'), ('seconds_to_target', '{:.0f}'),
            ('share_of_baseline', '{:.2f}'))])))
  return lines


def _figure(values, form):
  known = [value for value in values if value is not None]
  if not known:
    return 'not reached'
  text = form.format(statistics.mean(known))
  if len(known) > 1:
    text += ' ({} to {})'.format(form.format(min(known)), form.format(max(known)))
  return text if len(known) == len(values) else '{}, {} of {} seeds'.format(text, len(known), len(values))
