"""Results of tasks, kept on the disk: a killed run continues with the tasks that it has not finished.

A task has a name and writes files whose names begin with it. When it is finished, `<name>.result` holds its result and
the sizes of its files. All results belong to one fingerprint, a hash of everything that determines them; a run with
another fingerprint clears the folder.
"""

import fcntl
import glob
import os
import pickle
import shutil

from albert.common.errors import UserError
from albert.common import files

_FINGERPRINT_FILE = 'fingerprint'
_LOCK_FILE = 'lock'
_RESULT = '.result'


class KeptResults:
  """A folder of results; `close` it.

  Args:
    folder: path; is made if it does not exist.
    fingerprint: str.

  Attributes:
    folder: str.
    reused: number of results that were there already.

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
    """Removes the results of another fingerprint and unfinished files."""
    path = os.path.join(self.folder, _FINGERPRINT_FILE)
    try:
      with open(path) as source:
        is_same = source.read() == fingerprint
    except OSError:
      is_same = False
    for name in os.listdir(self.folder):
      if name != _LOCK_FILE and (not is_same or name.endswith(files.TEMPORARY)):
        os.remove(os.path.join(self.folder, name))
    with open(path, 'w') as target:
      target.write(fingerprint)

  def path(self, name):
    """The prefix of the files of a task of this name."""
    return os.path.join(self.folder, name)

  def run(self, engine, function, named_tasks):
    """Yields (number, result) of tasks as they finish; those that an earlier run has finished come first.

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
    """Releases the folder. remove: whether to delete it."""
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
          if not name.endswith((_RESULT, files.TEMPORARY))}


def _run_and_keep(function, path, arguments):
  result = function(*arguments)
  # Not durable: there are many, and a lost one costs its task only.
  with files.atomic(path + _RESULT, 'wb', durable=False) as target:
    pickle.dump((result, _sizes(path)), target)
  return result
