"""The present activity of this process, for whoever waits for it: said when nothing else was said for a while."""

import contextlib
import logging
import threading
import time

# The longest silence of the log.
QUIET_SECONDS = 15.0

_LOG = logging.getLogger('albert')


class Activity(logging.Handler):
  """Knows what is going on and since when, and when something was said last: it is one of the log's handlers.

  Attributes:
    unsaved_runs: int, how many Session.run of training were made since the last checkpoint.
  """

  def __init__(self, clock=time.monotonic):
    """clock: callable() -> seconds."""
    super().__init__(logging.INFO)
    self._clock = clock
    self._said_at = self._since = clock()
    self._what, self._step, self._step_seconds = 'starting', None, None
    self._writes_nothing = False
    self.unsaved_runs = 0

  def emit(self, record):
    """Part of the interface of handlers: something was said."""
    self._said_at = self._clock()

  def begin(self, what, writes_nothing=False):
    """From now on it is `what`: str, such as 'building the graph'. writes_nothing: that a kill would spoil."""
    self._what, self._step, self._since = what, None, self._clock()
    self._writes_nothing = writes_nothing

  def begin_step(self, step):
    """From now on it is a training step. step: int."""
    self.begin('step {:,}'.format(step), writes_nothing=True)
    self._step = step

  def end_step(self):
    """The step was made; what follows is logging it, and perhaps saving."""
    self._step_seconds = self._clock() - self._since
    self.unsaved_runs += 1
    self.begin('after {}: logging or saving'.format(self._what))

  def saved(self):
    """Notes that everything computed so far is in a checkpoint."""
    self.unsaved_runs = 0

  def may_be_left(self):
    """Whether nothing would be lost now: a graph is built, or a step made before which everything is saved."""
    return self._writes_nothing and self.unsaved_runs == 0

  def describe(self):
    """In words, such as 'step 7, begun 3 s ago; the one before took 48.3 s'."""
    seconds = '{:.0f} s'.format(self._clock() - self._since)
    if self._step is None:
      return '{}, for {} so far'.format(self._what, seconds)
    before = ('the first one takes longest' if self._step_seconds is None else
              'the one before took {:.1f} s'.format(self._step_seconds))
    return '{}, begun {} ago; {}'.format(self._what, seconds, before)

  def speak_if_quiet(self):
    """Says what is being done if nothing was said for QUIET_SECONDS."""
    if self._clock() - self._said_at >= QUIET_SECONDS:
      _LOG.info('... %s', self.describe())


@contextlib.contextmanager
def spoken():
  """Yields an Activity; within, a thread sees to it that there is no long silence."""
  activity, over = Activity(), threading.Event()

  def watch():
    while not over.wait(1.0):
      activity.speak_if_quiet()

  _LOG.addHandler(activity)
  threading.Thread(target=watch, daemon=True).start()
  try:
    yield activity
  finally:
    over.set()
    _LOG.removeHandler(activity)
