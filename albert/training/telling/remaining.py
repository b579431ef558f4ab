"""How long a run still takes: its steps, and its checkpoints with their evaluations."""

import collections
import os

import numpy as np

from albert.common import durations
from albert.common import files

# Recipes for a CPU: file, and how long a run takes.
_RECIPES = (('gin/tiny_hour.gin', 'one hour'), ('gin/small_night.gin', 'a night'))
_LONG_SECONDS = 24 * 3600
# A step has a forward pass and a backward one of about twice its work; an evaluation has the first.
_STEP_IN_FORWARD_PASSES = 3.0

# What happens to checkpoints of a run. every: steps. heldout: records that each is evaluated on, 0 for no evaluation.
# batch_size: examples of a step; ranks divide both. on_cpu: bool.
Checkpoints = collections.namedtuple('Checkpoints', ['every', 'heldout', 'batch_size', 'on_cpu'])


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
    """What happened between two Session.runs of training: a checkpoint, if the first one came to one.

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
    line = 'at this speed: {} for the {:,} steps to go{}, evaluation and saving included'.format(
        durations.in_words(seconds), self._num_train_steps - step,
        ' (of other phases by their tokens and layers)' if others else '')
    recipes = ['GIN={} takes {}'.format(path, time) for path, time in _RECIPES
               if os.path.exists(os.path.join(files.ROOT, path))]
    if self._checkpoints.on_cpu and seconds > _LONG_SECONDS and recipes:
      line += '; on a CPU, {} with the data that its first lines name'.format(', '.join(recipes))
    return line
