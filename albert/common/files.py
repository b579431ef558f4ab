"""Files that are complete or absent, whatever happens while they are written."""

import contextlib
import hashlib
import os
import shutil

# The folder that holds albert/, tools/, gin/ and the Makefile.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What the name of a file ends with while it is being written.
TEMPORARY = '.tmp'


def file_sha256(path):
  """Hex SHA-256 of a file's bytes."""
  digest = hashlib.sha256()
  with open(path, 'rb') as source:
    for block in iter(lambda: source.read(1 << 20), b''):
      digest.update(block)
  return digest.hexdigest()


def sync(path):
  """Waits until a file, or the names in a folder, are on the disk."""
  handle = os.open(path, os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)


def write_synced(path, text):
  """Writes a file and waits until its content is on the disk."""
  with open(path, 'w', encoding='utf-8') as target:
    target.write(text)
    _sync_open(target)


def _sync_open(target):
  target.flush()
  os.fsync(target.fileno())


@contextlib.contextmanager
def atomic(path, mode='w', durable=True):
  """Opens a file that appears under its name, complete, when the body of the `with` statement ends.

  Until then it is `path` + TEMPORARY, which is removed if the body raises; a kill may leave it behind. What was at
  `path` before stays until it is replaced.

  Args:
    path: str.
    mode: 'w' for text in UTF-8, 'wb' for bytes.
    durable: whether to wait until content and name are on the disk, so that a power failure spares them. False for
      many files in a row, where each wait costs milliseconds, if their reader notices what is incomplete.

  Yields:
    The open file.
  """
  with _renamed_at_end(path, durable) as temporary:
    with open(temporary, mode, encoding=None if 'b' in mode else 'utf-8') as target:
      yield target
      if durable:
        _sync_open(target)


@contextlib.contextmanager
def _renamed_at_end(path, durable):
  """Yields a temporary name for `path`; the file of that name is renamed if the body succeeds, else removed."""
  temporary = path + TEMPORARY
  try:
    yield temporary
    os.replace(temporary, path)
  except BaseException:
    remove(temporary)
    raise
  if durable:
    sync(os.path.dirname(path) or '.')


def write_atomically(path, text):
  """Writes a text file with `atomic`."""
  with atomic(path) as target:
    target.write(text)


def copy_atomically(source, target):
  """Copies a file as `atomic` writes one."""
  with _renamed_at_end(target, durable=True) as temporary:
    shutil.copyfile(source, temporary)
    sync(temporary)


def remove(path):
  """Removes a file if it is there and can be removed."""
  try:
    os.remove(path)
  except OSError:
    pass
