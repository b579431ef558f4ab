"""Results of tasks, kept on the disk: a run that was killed continues where it was.

A task has a name and writes files whose names begin with it. When it is finished, `<name>.result` says so, with the
sizes of its files. All belong to one fingerprint, a hash of everything that determines them; another one clears them.
"""

import fcntl
import glob
import os
import pickle
import shutil

from albert.common.errors import UserError

_FINGERPRINT_FILE = 'fingerprint'
_LOCK_FILE = 'lock'
_RESULT = '.result'
_TEMPORARY = '.tmp'


class KeptResults:
  """A folder of results; `close` it.

  Args:
    folder: is made if need be.
    fingerprint: str.

  Attributes:
    folder: str.
    reused: how many results were there already.

  Raises:
    UserError: another process works in the folder.
  """

  def __init__(self, folder, fingerprint):
    self.folder = os.path.abspath(folder)
    self.reused = 0
    os.makedirs(folder, exist_ok=True)
    self._lock = open(os.path.join(folder, _LOCK_FILE), 'w')
    try:
      fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      self._lock.close()
      raise UserError('{}: expected to be the only one that makes this data set, found another process at work; wait '
                      'for it or name another folder'.format(folder))
    self._claim(fingerprint)

  def _claim(self, fingerprint):
    """Clears the folder of what has another fingerprint and of files that were being written."""
    path = os.path.join(self.folder, _FINGERPRINT_FILE)
    try:
      with open(path) as source:
        is_same = source.read() == fingerprint
    except OSError:
      is_same = False
    for name in os.listdir(self.folder):
      if name != _LOCK_FILE and (not is_same or name.endswith(_TEMPORARY)):
        os.remove(os.path.join(self.folder, name))
    with open(path, 'w') as target:
      target.write(fingerprint)

  def path(self, name):
    """Where a task of this name writes."""
    return os.path.join(self.folder, name)

  def run(self, engine, function, named_tasks):
    """Yields (number, result) of tasks as they finish, first those that were finished before.

    Args:
      engine: see tools/workers/local.py.
      function: called with a task's arguments.
      named_tasks: list of (name, arguments).
    """
    missing = []
    for number, (name, arguments) in enumerate(named_tasks):
      try:
        yield number, _load(self.path(name))
        self.reused += 1
      except (OSError, EOFError, ValueError, ImportError, pickle.UnpicklingError):
        missing.append((number, (function, self.path(name), arguments)))
    for place, result in engine.run(_run_and_keep, [task for _, task in missing]):
      yield missing[place][0], result

  def close(self, remove):
    """Lets go of the folder. remove: whether what is in it is not needed any more."""
    if remove:
      shutil.rmtree(self.folder, ignore_errors=True)
    self._lock.close()


def _load(path):
  with open(path + _RESULT, 'rb') as source:
    result, sizes = pickle.load(source)
  folder = os.path.dirname(path)
  if any(os.path.getsize(os.path.join(folder, name)) != size for name, size in sizes.items()):
    raise ValueError('a file of {} is incomplete'.format(path))
  return result


def _sizes(path):
  """{name: bytes} of the files that a task wrote."""
  return {os.path.basename(name): os.path.getsize(name) for name in glob.glob(glob.escape(path) + '*')
          if not name.endswith((_RESULT, _TEMPORARY))}


def _run_and_keep(function, path, arguments):
  result = function(*arguments)
  with open(path + _RESULT + _TEMPORARY, 'wb') as target:
    pickle.dump((result, _sizes(path)), target)
  os.replace(path + _RESULT + _TEMPORARY, path + _RESULT)
  return result
