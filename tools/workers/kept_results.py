"""Results of tasks, kept on the disk: a killed run continues with the tasks that it has not finished.

A task has a name and writes files whose names begin with it. When it is finished, `<name>.result` holds its result and
checksums of its files. All results belong to one fingerprint, a hash of everything that determines them; a run with
another fingerprint clears the folder. Paths in a result are kept relative to the folder, which may be moved between two
runs. What is damaged is made again, and what is not of these tasks is removed: the folder is nobody else's.
"""

import base64
import collections
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import sys

import numpy as np

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
    discarded: number of results of another fingerprint that were removed.

  Raises:
    UserError: another process works in the folder, or it is none.
  """

  def __init__(self, folder, fingerprint):
    self.folder = os.path.abspath(folder)
    self.reused = self.discarded = 0
    self._fingerprint = fingerprint
    if os.path.lexists(folder) and (os.path.islink(folder) or not os.path.isdir(folder)):
      raise UserError('{}: expected the folder of unfinished work, found a file or a link; remove it'.format(
          files.shown(folder)))
    os.makedirs(folder, exist_ok=True)
    self._lock = self._hold()
    self._claim()

  def _hold(self):
    """Opens and locks the lock file."""
    path = os.path.join(self.folder, _LOCK_FILE)
    _remove_unless_regular(path)
    lock = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), 'r+')
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      lock.close()
      if error.errno not in (errno.EAGAIN, errno.EACCES):
        raise
      raise UserError('{}: expected to be the only one that makes this data set, found another process at work; wait '
                      'for it or name another folder'.format(files.shown(self.folder)))
    return lock

  def _claim(self):
    """Removes the results of another fingerprint, unfinished files, and what cannot be a file of a task."""
    path = os.path.join(self.folder, _FINGERPRINT_FILE)
    try:
      is_same = files.read_small(path, len(self._fingerprint)) == self._fingerprint.encode('utf-8')
    except OSError:
      is_same = False
    for name in os.listdir(self.folder):
      entry = os.path.join(self.folder, name)
      _remove_unless_regular(entry)
      if name != _LOCK_FILE and (not is_same or name.endswith(files.TEMPORARY)):
        self.discarded += name.endswith(_RESULT)
        files.remove(entry)
    if not is_same:
      with files.atomic(path, durable=False) as target:
        target.write(self._fingerprint)

  def path(self, name):
    """The prefix of the files of a task of this name."""
    return os.path.join(self.folder, name)

  def run(self, engine, function, named_tasks):
    """Yields (number, result) of tasks as they finish; those that an earlier run has finished come first.

    Args:
      engine: see tools/workers/local.py.
      function: called with a task's arguments. Results are what `encode` takes.
      named_tasks: list of (name, arguments).
    """
    missing = []
    for number, (name, arguments) in enumerate(named_tasks):
      try:
        result = _load(self.path(name), self._fingerprint)
      except (OSError, ValueError, RecursionError):
        missing.append((number, (function, self.path(name), self._fingerprint, arguments)))
      else:
        self.reused += 1
        yield number, result
    for place, result in engine.run(_run_and_keep, [task for _, task in missing]):
      yield missing[place][0], result

  def close(self, remove):
    """Releases the folder. remove: whether to delete it."""
    if remove:
      shutil.rmtree(self.folder, ignore_errors=True)
    self._lock.close()


def _remove_unless_regular(path):
  """Removes a link, a pipe or a folder: tasks make files only, and what they write would go elsewhere."""
  try:
    mode = os.lstat(path).st_mode
  except FileNotFoundError:
    return
  if stat.S_ISDIR(mode):
    shutil.rmtree(path)
  elif not stat.S_ISREG(mode):
    os.remove(path)


def _load(path, fingerprint):
  """The result of a finished task; raises OSError or ValueError if it or one of its files is not what it was."""
  head, _, body = files.read_small(path + _RESULT, 1 << 30).partition(b'\n')
  if head.decode('ascii') != _checksum(path, fingerprint, body):
    raise ValueError('the result of {} is damaged'.format(path))
  folder = os.path.dirname(path)
  written, result = decode(json.loads(body.decode('utf-8')), folder)
  for name, size, sha256 in written:
    file = files.inside(folder, name)
    if os.path.getsize(file) != size or files.file_sha256(file) != sha256:
      raise ValueError('{} is damaged'.format(file))
  return result


def _checksum(path, fingerprint, body):
  """Of a result: of this task, of this run. Without either, the result of another one would be taken for it."""
  return hashlib.sha256(b'\n'.join([
      fingerprint.encode('utf-8'), os.path.basename(path).encode('utf-8'), body])).hexdigest()


def _run_and_keep(function, path, fingerprint, arguments):
  result = function(*arguments)
  folder, prefix = os.path.split(path)
  names = sorted(name for name in os.listdir(folder)
                 if name.startswith(prefix) and not name.endswith((_RESULT, files.TEMPORARY)))
  written = [(name, os.path.getsize(os.path.join(folder, name)), files.file_sha256(os.path.join(folder, name)))
             for name in names]
  body = json.dumps(encode((written, result), folder)).encode('utf-8')
  # Not durable: there are many, and a lost one costs its task only.
  with files.atomic(path + _RESULT, 'wb', durable=False) as target:
    target.write(_checksum(path, fingerprint, body).encode('ascii') + b'\n' + body)
  return result


# Values as JSON. Unlike pickle's, reading them makes nothing but values. Lists, dicts, tuples and the like become
# [kind, ...]; None, bool, int, float and str stay as they are.

def encode(value, folder):
  """A value of Python and numpy as what json can write. Paths in `folder` become relative to it.

  Raises:
    TypeError: a value of another type.
  """
  if isinstance(value, str) and value.startswith(folder + os.sep):
    return ['path', value[len(folder) + 1:]]
  if value is None or isinstance(value, (bool, int, float, str)):
    return value
  if isinstance(value, np.generic):
    return encode(value.item(), folder)
  if isinstance(value, np.ndarray) and value.dtype.kind in 'biuf':
    return ['array', value.dtype.str, list(value.shape), base64.b64encode(value.tobytes()).decode('ascii')]
  if isinstance(value, tuple) and hasattr(value, '_fields'):
    return ['named', type(value).__module__, type(value).__name__] + [encode(part, folder) for part in value]
  for kind in (tuple, list):
    if type(value) is kind:
      return [kind.__name__] + [encode(part, folder) for part in value]
  for kind in (collections.Counter, collections.OrderedDict, dict):
    if type(value) is kind:
      return [kind.__name__] + [[encode(part, folder) for part in item] for item in value.items()]
  raise TypeError('{!r:.80} is no value that a result may hold'.format(value))


def decode(said, folder):
  """The value that encode() took, with paths in `folder`; raises ValueError for anything else."""
  if not isinstance(said, list):
    return said
  try:
    kind, parts = said[0], said[1:]
    if kind == 'path':
      return files.inside(folder, *parts)
    if kind == 'array':
      return np.frombuffer(base64.b64decode(parts[2]), np.dtype(parts[0])).reshape(parts[1]).copy()
    if kind == 'named':
      return _named_tuple(*parts[:2])(*(decode(part, folder) for part in parts[2:]))
    if kind in ('tuple', 'list'):
      return {'tuple': tuple, 'list': list}[kind](decode(part, folder) for part in parts)
    make = {'Counter': collections.Counter, 'OrderedDict': collections.OrderedDict, 'dict': dict}[kind]
    return make(collections.OrderedDict((decode(key, folder), decode(value, folder)) for key, value in parts))
  except (LookupError, TypeError, AttributeError) as error:
    raise ValueError('no result of a task ({!r})'.format(error))


def _named_tuple(module, name):
  """The collections.namedtuple of this name in a module that is loaded."""
  kind = getattr(sys.modules[module], name)
  if not (isinstance(kind, type) and issubclass(kind, tuple) and hasattr(kind, '_fields')):
    raise ValueError('{}.{} is no named tuple'.format(module, name))
  return kind
