"""One writer per run directory: a lock file that says who holds it and is recognised when it is stale.

On one machine the kernel knows whether the holder lives (flock). Machines that share a folder need not share its locks:
there the holder's touches of the file say that it lives, and whoever takes over writes a token of its own into the
file. A holder that was suspended meanwhile, or whose file was removed, finds another token or none, and stops before it
writes anything more. What this needs of a file system that is shared: that a file's content and time, as one machine
has written them, are seen by the others within STALE_SECONDS.
"""

import contextlib
import fcntl
import json
import logging
import os
import socket
import threading
import time
import uuid

from albert.common.errors import UserError
from albert.common import files
from albert.run.names import LOCK_FILE
from albert.run import run_files

# How often the holder touches the file, and how long without a touch until another machine may take over.
TOUCH_SECONDS = 15.0
STALE_SECONDS = 120.0

_LOG = logging.getLogger('albert')


class Lock:
  """A lock that is held."""

  def __init__(self, path, handle, token):
    self._path = path
    self._handle = handle
    self._token = token

  def check(self):
    """Raises UserError if this process is not the writer any more: before anything is written that counts."""
    problem = self._problem()
    if problem:
      raise UserError('{}: expected the lock that this run took, found {}; another run may write here: this one stops '
                      'and has written nothing since its newest checkpoint. Start it again when it is alone'.format(
                          self._path, problem))

  def _problem(self):
    try:
      status = os.stat(self._path)
    except OSError:
      return 'that it was removed'
    if (status.st_dev, status.st_ino) != _identity(self._handle):
      return 'another file of this name'
    holder = _read(self._path)
    if holder.get('token') != self._token:
      return 'that process {} on {} has taken over'.format(holder.get('pid'), holder.get('host'))
    return None

  def touch(self):
    """Says that the holder lives, unless the lock is another's."""
    if self._problem() is None:
      with contextlib.suppress(OSError):
        os.utime(self._path)

  def let_go(self):
    """Empties the file, unless it is another's. It stays: two others might lock an old and a new file of its name."""
    if self._problem() is None:
      with contextlib.suppress(OSError):
        os.ftruncate(self._handle, 0)


class NoLock:
  """Of a process that writes nothing."""

  def check(self):
    """Nobody else could write what this process writes."""


@contextlib.contextmanager
def hold(folder, way_out='use another folder (OUT=...)'):
  """Holds the lock of a folder, which is made if need be.

  Args:
    folder: path.
    way_out: what to do, besides waiting, where another run holds it.

  Yields:
    Lock.

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
    lock = Lock(path, handle, _take(handle, path, folder, way_out))
    threading.Thread(target=_touch, args=(lock, stopped), daemon=True).start()
    try:
      yield lock
    finally:
      stopped.set()
      lock.let_go()
  finally:
    os.close(handle)


def _identity(handle):
  status = os.fstat(handle)
  return status.st_dev, status.st_ino


def _take(handle, path, folder, way_out):
  """Makes the lock this process's. Returns its token, a str."""
  held, here = _read(path), socket.gethostname()
  alive = _is_alive_here(handle, held, here)
  age = _age(path, folder) if held else 0.0
  if not alive and held and held['host'] != here:
    alive = _is_touched(path, age) if age < -STALE_SECONDS else age < STALE_SECONDS
  if alive:
    raise UserError(
        '{}: expected a folder that no other run writes, found that process {} on {} does, seen {:.0f} s ago; wait for '
        'it, or {}'.format(folder, held.get('pid'), held.get('host'), max(age, 0.0), way_out))
  if held:
    _LOG.warning('%s was left by process %s on %s, which is gone; taking over', path, held['pid'], held['host'])
  token = uuid.uuid4().hex
  os.ftruncate(handle, 0)
  os.pwrite(handle, json.dumps({'host': here, 'pid': os.getpid(), 'token': token}).encode('utf-8'), 0)
  os.fsync(handle)
  return token


def _is_alive_here(handle, held, here):
  """Whether a process of this machine holds the lock; takes the kernel's lock if not."""
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return False
  except BlockingIOError:
    return True
  except OSError:  # a file system without locks: the process table says it
    return held.get('host') == here and os.path.exists('/proc/{}'.format(held['pid']))


def _age(path, folder):
  """Seconds since the last touch, by the clock that the touches have: that of the folder's file system."""
  probe = os.path.join(folder, '{}.{}{}'.format(LOCK_FILE, uuid.uuid4().hex, files.TEMPORARY))
  try:
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    now = os.path.getmtime(probe)
  except OSError:
    now = time.time()
  finally:
    files.remove(probe)
  return now - os.path.getmtime(path)


def _is_touched(path, age):
  """Whether the holder of a lock from the future lives: the clock was set back, so that its time says nothing."""
  _LOG.warning('%s is from the future by %.0f s; watching for %.0f s whether its holder lives', path, -age,
               2 * TOUCH_SECONDS)
  before = os.stat(path)
  time.sleep(2 * TOUCH_SECONDS)
  after = os.stat(path)
  return (before.st_mtime_ns, before.st_ino) != (after.st_mtime_ns, after.st_ino)


def _read(path):
  """The content of the lock, a dict with host and pid; empty if it is nobody's or cannot be used."""
  return run_files.read_json(path, run_files.is_lock)[0] or {}


def _touch(lock, stopped):
  while not stopped.wait(TOUCH_SECONDS):
    lock.touch()
