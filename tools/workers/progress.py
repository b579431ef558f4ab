"""Progress of a long command and the time that is left: a bar in a terminal, now and then a line elsewhere."""

import sys
import time

import tqdm

# Time between two lines where there is no terminal.
_SECONDS = 30


class Progress:
  """Progress of one stage; use it in a `with` statement.

  Args:
    what: the stage in a word.
    total: the whole work, in any unit.
    unit: its name, or 'B' for bytes.
  """

  def __init__(self, what, total, unit=' parts'):
    self._what = what
    self._total = total
    self._done = 0
    self._start = self._said = time.time()
    # Its monitor is a thread, which would disturb the forking of workers.
    tqdm.tqdm.monitor_interval = 0
    self._bar = tqdm.tqdm(desc=what, total=total, unit=unit, unit_scale=unit == 'B', disable=None, leave=False)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._bar.close()

  def add(self, amount):
    """Counts finished work. amount: in the unit of `total`."""
    self._done += amount
    self._bar.update(amount)
    if self._bar.disable and time.time() - self._said >= _SECONDS:
      self._said = time.time()
      print(self.line(self._said - self._start), file=sys.stderr, flush=True)

  def line(self, seconds):
    """The state after `seconds`: str."""
    share = self._done / max(1, self._total)
    left = seconds * (1 - share) / max(share, 1e-9)
    return '{}: {:.0%} done, about {} left'.format(
        self._what, share, '{:.0f} min'.format(left / 60) if left > 90 else '{:.0f} s'.format(left))
