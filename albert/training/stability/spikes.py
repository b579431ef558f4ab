"""Finding a loss that has jumped."""

import math


class SpikeFound(Exception):
  """The loss has jumped. step: int; loss, mean: float."""

  def __init__(self, step, loss, mean):
    super().__init__(step, loss, mean)
    self.step, self.loss, self.mean = step, loss, mean


class SpikeDetector:
  """Compares each loss with the exponential mean of those before."""

  DECAY = 0.99
  LEAST_SEEN = 100

  def __init__(self, factor):
    """factor: a loss above this multiple of the mean is a spike; None: nothing is."""
    self._factor = factor
    self._mean, self._seen = 0.0, 0

  @property
  def mean(self):
    return self._mean

  def state(self):
    """The entry of a checkpoint's manifest, a dict."""
    return {'mean': self._mean, 'seen': self._seen}

  def restore(self, state):
    """state: what state() gave, or an empty dict for the beginning."""
    self._mean, self._seen = state.get('mean', 0.0), state.get('seen', 0)

  def is_spike(self, loss):
    """Whether `loss` (float) is one; if not, it goes into the mean. What is not finite is skipped, not a spike."""
    if self._factor is None or not math.isfinite(loss):
      return False
    if self._seen >= self.LEAST_SEEN and loss > self._factor * self._mean:
      return True
    self._seen += 1
    weight = max(1.0 - self.DECAY, 1.0 / self._seen)
    self._mean += weight * (loss - self._mean)
    return False
