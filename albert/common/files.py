"""Files that are all there or not at all, whatever happens while they are written."""

import hashlib
import os
import shutil

# The folder that holds albert/, tools/, gin/ and the Makefile.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


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
    target.flush()
    os.fsync(target.fileno())


def write_atomically(path, text):
  """Writes a file under a temporary name, then renames it: whoever sees it sees all of it."""
  temporary = path + '.tmp'
  try:
    write_synced(temporary, text)
    os.replace(temporary, path)
  except OSError:
    remove(temporary)
    raise
  sync(os.path.dirname(path) or '.')


def copy_atomically(source, target):
  """Copies a file under a temporary name, then renames it."""
  try:
    shutil.copyfile(source, target + '.tmp')
    sync(target + '.tmp')
    os.replace(target + '.tmp', target)
  except OSError:
    remove(target + '.tmp')
    raise


def remove(path):
  """Removes a file if it is there and can be removed."""
  try:
    os.remove(path)
  except OSError:
    pass
