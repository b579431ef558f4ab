"""One writer per run directory: a lock file that says who holds it and is recognised when it is stale."""

import contextlib
import fcntl
import json
import logging
import os
import socket
import threading
import time

from albert.common.errors import UserError
from albert.run.names import LOCK_FILE

# The holder touches the file so often, and on another machine it counts as dead after so long without a touch.
TOUCH_SECONDS = 15.0
STALE_SECONDS = 120.0

_LOG = logging.getLogger('albert')


@contextlib.contextmanager
def hold(folder):
  """Holds the lock of a folder, which is made if need be.

  On one machine the kernel knows whether the holder lives (flock); on another machine that shares the folder its touch
  of the file says so.

  Raises:
    UserError: another run holds it, or the folder cannot be written.
  """
  path = os.path.join(folder, LOCK_FILE)
  try:
    os.makedirs(folder, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
  except OSError as error:
    raise UserError('{}: expected an output folder that can be written, found {}; name another (OUT=...)'.format(
        folder, error.strerror))
  stopped = threading.Event()
  try:
    _take(handle, path, folder)
    threading.Thread(target=_touch, args=(path, stopped), daemon=True).start()
    try:
      yield
    finally:
      stopped.set()
      with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)  # not removed: two others might then lock an old and a new file of this name
  finally:
    os.close(handle)


def _take(handle, path, folder):
  held = _read(path)
  here = socket.gethostname()
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    alive = False
  except BlockingIOError:
    alive = True
  except OSError:  # a file system without locks: the process table says it
    alive = held.get('host') == here and _is_running(held.get('pid'))
  age = time.time() - os.path.getmtime(path)
  if alive or held and held.get('host') != here and age < STALE_SECONDS:
    raise UserError(
        '{}: expected a folder that no other run writes, found that process {} on {} does, seen {:.0f} s ago; wait for '
        'it, or use another folder (OUT=...)'.format(folder, held.get('pid'), held.get('host'), age))
  if held:
    _LOG.warning('%s was left by process %s on %s, which is gone; taking over', path, held.get('pid'),
                 held.get('host'))
  os.ftruncate(handle, 0)
  os.pwrite(handle, json.dumps({'host': here, 'pid': os.getpid()}).encode('utf-8'), 0)
  os.fsync(handle)


def _read(path):
  try:
    with open(path, encoding='utf-8') as source:
      return json.load(source)
  except (OSError, ValueError):
    return {}


def _is_running(pid):
  return isinstance(pid, int) and os.path.exists('/proc/{}'.format(pid))


def _touch(path, stopped):
  while not stopped.wait(TOUCH_SECONDS):
    try:
      os.utime(path)
    except OSError:
      pass
