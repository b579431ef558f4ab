"""SIGTERM and SIGINT: the first asks the run to finish its step and save, the second ends it at once."""

import logging
import os
import signal
import threading

import tensorflow as tf

# sysexits.h, EX_TEMPFAIL: nothing is wrong, start the same command again to go on.
EXIT_CODE = 75
SIGNALS = (signal.SIGTERM, signal.SIGINT)

_LOG = logging.getLogger('albert')


class Stopped(Exception):
  """What is going on was left unfinished because a signal asked for it."""


class Stopper:
  """A context in which the two signals are caught. In a thread that is not the main one it catches nothing.

  Attributes:
    requested: whether a signal has come.
  """

  def __init__(self):
    self.requested = False
    self._pipe = None
    self._former = {}

  def __enter__(self):
    if threading.current_thread() is threading.main_thread():
      self._pipe = os.pipe()
      os.set_blocking(self._pipe[1], False)
      # Python runs handlers between bytecodes, so not while TensorFlow computes; it writes to this pipe at once.
      self._former_descriptor = signal.set_wakeup_fd(self._pipe[1])
      self._former = {number: signal.signal(number, lambda *_: None) for number in SIGNALS}
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
      if came[0] in SIGNALS:
        self.receive(came[0])

  def check(self):
    """Raises Stopped if a signal has come: half an evaluation is no figure."""
    if self.requested:
      raise Stopped()

  def join(self):
    """What it does that another rank has received a signal."""
    if not self.requested:
      self.requested = True
      _LOG.warning('another rank was told to stop: stopping with it')

  def receive(self, number):
    """What a signal does."""
    if self.requested:
      os._exit(128 + number)
    self.requested = True
    _LOG.warning('%s: finishing this step, then saving; the same signal again ends at once',
                 signal.Signals(number).name)


class StopHook(tf.train.SessionRunHook):
  """Ends a training loop after the step in which the signal came."""

  def __init__(self, stopper):
    self._stopper = stopper

  def after_run(self, run_context, run_values):
    if self._stopper.requested:
      run_context.request_stop()
