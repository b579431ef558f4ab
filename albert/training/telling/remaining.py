"""How long a run still takes: its steps, and its checkpoints with their evaluations."""

import collections
import os

import numpy as np

from albert.common import files
from albert.common import in_words

_LONG_SECONDS = 24 * 3600
# A step has a forward pass and a backward one of about twice its work; an evaluation has the first.
_STEP_IN_FORWARD_PASSES = 3.0

# Floating-point operations a second of a core, for a guess before a step was made: it is 180e9 where this was measured
# (docs/performance.md), and a third of that without AVX-512.
_FLOP_PER_SECOND = 1e11

# What happens to checkpoints of a run. every: steps. heldout: records that each is evaluated on, 0 for no evaluation.
# batch_size: examples of a step; ranks divide both. recipes: Task.recipes on a CPU, elsewhere none.
Checkpoints = collections.namedtuple('Checkpoints', ['every', 'heldout', 'batch_size', 'recipes'], defaults=[()])


class Remaining:
  """Knows how long checkpoints took so far, and estimates the rest."""

  def __init__(self, num_train_steps, checkpoints, parts=None):
    """Knows of no checkpoint yet.

    Args:
      num_train_steps: int, at which training ends.
      checkpoints: Checkpoints.
      parts: of the run, [(end, work)]: the step at which it ends, and the work of a step relative to those that are
        being made. None: all steps are alike.
    """
    self._num_train_steps = num_train_steps
    self._checkpoints = checkpoints
    self._parts = parts or [(num_train_steps, 1.0)]
    self._took = []  # seconds of each checkpoint of this process, evaluation included

  def between_steps(self, before, after, seconds):
    """Notes the time between two Session.runs of training: a checkpoint, if the first one came to one.

    Args:
      before, after: ints, the steps at which the first one began and ended. seconds: until the second one.
    """
    every = self._checkpoints.every
    if after // every > before // every:
      self._took.append(seconds)

  def seconds(self, step, step_seconds):
    """float, what is left. step: int, that was made; its checkpoint, if it has one, was not. step_seconds: float."""
    last, every = self._num_train_steps, self._checkpoints.every
    left = last // every - (step - 1) // every + bool(last % every) if step <= last else 0
    took = np.mean(self._took) if self._took else self._expected(step_seconds)
    return self._steps(step) * step_seconds + left * float(took)

  def _steps(self, step):
    """float, how many steps like those that are being made the rest of the run is worth. step: int, that was made."""
    steps = 0.0
    for end, work in self._parts:
      steps += max(0, end - step) * work
      step = max(step, end)
    return steps

  def _expected(self, step_seconds):
    """Of a checkpoint, before there was one."""
    return self._checkpoints.heldout * step_seconds / self._checkpoints.batch_size / _STEP_IN_FORWARD_PASSES

  def estimate(self, step, step_seconds):
    """A line about the rest of the run, and what else there is where it is long. Arguments as for seconds()."""
    seconds = self.seconds(step, step_seconds)
    others = any(end > step and work != 1.0 for end, work in self._parts)
    line = 'at this speed: {} for the {} to go{}, evaluation and saving included'.format(
        in_words.duration(seconds), in_words.counted(self._num_train_steps - step, 'step'),
        ' (of other phases by their tokens and layers)' if others else '')
    return line + _shorter(seconds, self._checkpoints.recipes)


def _shorter(seconds, recipes):
  """The recipes that take less time than a run of `seconds`: the end of a line, empty where that is not long."""
  there = ['GIN={} takes {}'.format(path, time) for path, time in recipes
           if os.path.exists(os.path.join(files.ROOT, path))]
  if seconds <= _LONG_SECONDS or not there:
    return ''
  return '; on a CPU, {} with the data that its first lines name'.format(', '.join(there))


def guess(phases, start, cores, recipes):
  """A line about a long run on a CPU before its first step, which may take minutes; None of a run of hours.

  Args:
    phases: phases.Phase of each part of the run.
    start: int, the step that it goes on from.
    cores: int.
    recipes: Task.recipes.
  """
  flop = sum(max(0, phase.end - max(start, phase.first)) * _flop(phase.plan) for phase in phases)
  seconds = flop / (cores * _FLOP_PER_SECOND)
  if seconds <= _LONG_SECONDS:
    return None
  return 'by the size of the model: about {} on {} cores, and the first steps will tell{}'.format(
      in_words.duration(seconds), cores, _shorter(seconds, recipes))


def _flop(plan):
  """Floating-point operations of a step of a planning.Plan, forward and backward, without masked-word prediction."""
  config, seq_length = plan.config, plan.info.max_seq_length
  width = config.hidden_size
  layer = 4 * width ** 2 + 2 * width * config.intermediate_size + 2 * seq_length * width
  return 6 * config.num_hidden_layers * config.inner_group_num * layer * plan.rows_per_step * seq_length
