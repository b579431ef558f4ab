"""Weights without the optimizer's variables: of one checkpoint, or the mean of several."""

import collections
import math
import os

import numpy as np

from albert.common.errors import UserError
from albert.run import checkpoints
from albert.run.names import BEST_FOLDER
from albert.run.names import HELDOUT_HISTORY_FILE
from tools.conversion import reading
from tools.conversion.reading import STEP

# Held-out figures with these in their name are better when lower.
_LOW_IS_GOOD = ('loss', 'mse', 'perplexity')


def strip(checkpoint):
  """{name: array} of a Checkpoint without the optimizer's variables."""
  return collections.OrderedDict((name, checkpoint.tensor(name)) for name in checkpoint.weights())


def average(sources):
  """{name: array}: the mean of the weights of several Checkpoints, and their largest global_step.

  Computed in float64, returned in the variable's own type. Integers come from the checkpoint with the largest step.

  Raises:
    UserError: other names or shapes than in the first one, or values that are not finite.
  """
  for other in sources[1:]:
    _check_same_weights(sources[0], other)
  latest = max(sources, key=lambda checkpoint: checkpoint.step or 0)
  mean = collections.OrderedDict()
  for name in latest.weights():
    value = np.asarray(latest.tensor(name))
    mean[name] = _mean_of(sources, name).astype(value.dtype) if reading.is_float(value) else value
  return mean


def _mean_of(sources, name):
  total = 0.0
  for checkpoint in sources:
    value = np.asarray(checkpoint.tensor(name))
    bad = reading.count_non_finite(value)
    if bad:
      raise UserError('{}: expected finite values, found {} NaN or infinite ones in {}; leave this checkpoint '
                      'out'.format(checkpoint.path, bad, name))
    total = total + value.astype(np.float64)
  return np.asarray(total / len(sources))


def _check_same_weights(first, other):
  ours, theirs = [{name: c.form(name) for name in c.weights() if name != STEP} for c in (first, other)]
  differences = sorted(name for name in set(ours) | set(theirs) if ours.get(name) != theirs.get(name))
  if differences:
    name = differences[0]
    raise UserError('{}: expected the architecture of {}, found {} variables that differ, e.g. {}: {} instead of '
                    '{}; average checkpoints of one model'.format(
                        other.path, first.path, len(differences), name, theirs.get(name, 'absent'),
                        ours.get(name, 'absent')))


def newest(run, count):
  """Prefixes of the `count` newest checkpoints of a run's folder. Raises UserError if it has fewer."""
  prefixes = _checkpoints_of(run)
  _check_enough(run, count, sorted(prefixes), 'checkpoints')
  return [prefixes[step] for step in sorted(prefixes)[-count:]]


def best(run, count):
  """The `count` best checkpoints that a run still has, by the first figure of its held-out history.

  Returns:
    (list of prefixes, best first; the figure's name and values in words).

  Raises:
    UserError: there is no such history, or fewer evaluated checkpoints.
  """
  figure, values = _heldout(run)
  prefixes = _checkpoints_of(run)
  sign = 1 if any(word in figure for word in _LOW_IS_GOOD) else -1
  steps = sorted((step for step in prefixes if step in values), key=lambda step: (sign * values[step], step))
  _check_enough(run, count, steps, 'evaluated checkpoints')
  chosen = steps[:count]
  return [prefixes[step] for step in chosen], '{}: {}'.format(
      figure, ', '.join('{:.4f} at step {}'.format(values[step], step) for step in chosen))


def _checkpoints_of(run):
  """{step: prefix} of the checkpoints of a run that are what their manifests say, those in best/ too."""
  folders = [os.path.join(run, BEST_FOLDER), run]
  prefixes = {step: checkpoints.prefix_of(folder, step) for folder in folders for step in checkpoints.steps_in(folder)}
  return {step: prefix for step, prefix in prefixes.items() if checkpoints.is_good(prefix)}


def _check_enough(run, count, steps, what):
  if count < 2 or len(steps) < count:
    raise UserError('{}: expected a run with at least {} {}, found {}; give a number from 2 to that'.format(
        run, max(count, 2), what, '{} (steps {})'.format(len(steps), ', '.join(map(str, steps))) if steps else 'none'))


def _heldout(run):
  """(name of the first figure, {step: finite value}) of a run's held-out history."""
  path = os.path.join(run, HELDOUT_HISTORY_FILE)
  try:
    with open(path, encoding='utf-8') as source:
      rows = [line.split('\t') for line in source.read().split('\n')[:-1]]
    values = {int(row[0]): float(row[1]) for row in rows[1:]}
    return rows[0][1], {step: value for step, value in values.items() if math.isfinite(value)}
  except (OSError, ValueError, IndexError) as error:
    raise UserError('{}: expected the held-out figures of a run, found none that can be read ({}); evaluate it, or '
                    'name the checkpoints'.format(path, getattr(error, 'strerror', None) or error))
