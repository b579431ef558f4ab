"""Signals of a run; what a training loop does with them is in stop_hooks. No TensorFlow.

    SIGTERM, SIGINT, SIGHUP, SIGQUIT   finish the step, save and end; a second one ends at once
    SIGUSR1                            save when the step is done and go on

On several ranks the first one often comes twice: what ends a whole group (systemd, Slurm) reaches a rank and its
launcher, which passes it on. And another rank may have reported it before it comes.

A closed terminal or a dropped connection sends SIGHUP, often twice (the shell and the kernel), so a SIGHUP never counts
as the second one; where it is ignored (nohup), it stays ignored.
"""

import logging
import os
import signal
import sys
import threading
import time

from albert.common.errors import STOPPED_EXIT_CODE
from albert.training.telling.activity import Activity

EXIT_CODE = STOPPED_EXIT_CODE
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
SAVE_SIGNAL = signal.SIGUSR1
# What comes to a rank within that time is the same signal.
_SAME_SECONDS = 2.0

_LOG = logging.getLogger('albert')


class Stopped(Exception):
  """Raised where work is left unfinished because of a signal."""


class Stopper:
  """A context in which the signals are caught. In a thread that is not the main one it catches nothing.

  Attributes:
    requested: whether a signal has come that ends the run.
    save_requested: whether one has come that asks for a checkpoint; who saves sets it back.
    activity: activity.Activity, what is going on.
  """

  def __init__(self, activity=None, may_leave_a_step=False, comes_twice=False):
    """Makes one that catches nothing yet.

    Args:
      activity: activity.Activity.
      may_leave_a_step: whether the process may end in the middle of a step before which everything is saved, or of
        what is made ready for it: nobody else takes part in it.
      comes_twice: whether one signal may come twice, as to one of several ranks.
    """
    self.requested = False
    self.save_requested = False
    self.activity = activity or Activity()
    self._may_leave_a_step = may_leave_a_step
    self._comes_twice = comes_twice
    self._came = None  # time.monotonic() of the first signal to this process
    self._pipe = None
    self._former = {}

  def __enter__(self):
    if threading.current_thread() is threading.main_thread():
      self._pipe = os.pipe()
      os.set_blocking(self._pipe[1], False)
      # Python runs handlers between bytecodes, so not while TensorFlow computes; it writes to this pipe at once.
      self._former_descriptor = signal.set_wakeup_fd(self._pipe[1])
      self._former = {number: signal.signal(number, lambda *_: None) for number in SIGNALS + (SAVE_SIGNAL,)
                      if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN}
      threading.Thread(target=self._watch, args=(self._pipe[0],), daemon=True).start()
    return self

  def __exit__(self, *unused):
    if self._pipe:
      for number, handler in self._former.items():
        signal.signal(number, handler)
      signal.set_wakeup_fd(self._former_descriptor)
      os.close(self._pipe[1])  # ends the thread, which closes the other end

  def _watch(self, descriptor):
    while True:
      came = os.read(descriptor, 1)
      if not came:
        os.close(descriptor)
        return
      if came[0] == SAVE_SIGNAL:
        self.receive_save()
      elif came[0] in SIGNALS:
        self.receive(came[0])

  def check(self):
    """Raises Stopped if a signal has come: half an evaluation is no figure."""
    if self.requested:
      raise Stopped()

  def join(self):
    """Stops because another rank has received a signal."""
    if not self.requested:
      self.requested = True
      _LOG.warning('another rank has received a signal: stopping with it')

  def receive(self, number):
    """Handles a signal that ends the run."""
    name, now = signal.Signals(number).name, time.monotonic()
    if self._came is not None:
      if number != signal.SIGHUP and not (self._comes_twice and now - self._came < _SAME_SECONDS):
        os._exit(128 + number)
      return
    self._came = now
    if self.requested:  # another rank has reported it
      return
    self.requested = True
    if self._may_leave_a_step and self.activity.may_be_left():
      _LOG.warning('%s: ending at once, everything before this is saved (%s); the same command goes on from there',
                   name, self.activity.describe())
      sys.stdout.flush()
      os._exit(EXIT_CODE)
    _LOG.warning('%s: finishing this step, then saving (%s); the same signal again ends at once',
                 name, self.activity.describe())

  def receive_save(self):
    """Handles SAVE_SIGNAL."""
    self.save_requested = True
    _LOG.info('%s: saving when this step is done, then going on (%s)', SAVE_SIGNAL.name, self.activity.describe())
