"""Progress of a long command and the time that is left: a bar in a terminal, now and then a line elsewhere."""

import signal
import sys
import threading
import time

import tqdm

# Time between two lines where there is no terminal. One part may take longer: a packed file is one.
_SECONDS = 15
# Before so much is done, how long the rest takes is anybody's guess.
_LITTLE = 0.01


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
    self._handler = None  # of SIGALRM, before this one

  def __enter__(self):
    # Not a thread, for the same reason; forked workers do not inherit the timer.
    if self._bar.disable and threading.current_thread() is threading.main_thread():
      self._handler = signal.signal(signal.SIGALRM, lambda *_: self._speak_if_quiet())
      signal.setitimer(signal.ITIMER_REAL, _SECONDS or 1, _SECONDS or 1)
    return self

  def __exit__(self, *_):
    if self._handler is not None:
      signal.setitimer(signal.ITIMER_REAL, 0)
      signal.signal(signal.SIGALRM, self._handler)
    self._bar.close()

  def add(self, amount):
    """Counts finished work. amount: in the unit of `total`."""
    self._done += amount
    self._bar.update(amount)
    self._speak_if_quiet()

  def _speak_if_quiet(self):
    # The timer comes a little early as often as late.
    if self._bar.disable and time.time() - self._said >= 0.9 * _SECONDS:
      self._said = time.time()
      try:
        print(self.line(self._said - self._start), file=sys.stderr, flush=True)
      except (OSError, RuntimeError):
        pass  # nobody reads it, or the timer came while something else was being printed

  def line(self, seconds):
    """The state after `seconds`: str."""
    share = self._done / max(1, self._total)
    if share < _LITTLE:
      return '{}: {:.0f} s so far'.format(self._what, seconds)
    left = seconds * (1 - share) / share
    return '{}: {:.0%} done, about {} left'.format(
        self._what, share, '{:.0f} min'.format(left / 60) if left > 90 else '{:.0f} s'.format(left))
