"""The files of the splits in a folder, by their names or as they are named."""

import collections
import hashlib
import os

from albert.common.errors import UserError
from albert.common import files

_NAMES = collections.OrderedDict([
    ('train', ('train',)), ('dev', ('dev', 'valid', 'val', 'validation')), ('test', ('test',))])
_SUFFIXES = tuple(suffix + packed for suffix in ('.json', '.jsonl', '.tsv', '.csv', '.txt') for packed in ('', '.gz'))


def find(folder, options):
  """{split: path} of the files of a folder, or of those that are named. Raises UserError."""
  if not os.path.isdir(folder):
    raise UserError('{}: expected a folder with train, dev and test, found {}; name the folder'.format(
        files.shown(folder), 'a file' if os.path.exists(folder) else 'nothing there'))
  paths = collections.OrderedDict()
  for split, names in _NAMES.items():
    named = getattr(options, split)
    path = _named_file(folder, split, named) if named else _file_in(folder, split, names)
    if path:
      paths[split] = path
  if 'train' not in paths:
    raise UserError('{}: expected train with one of {}, found {}; name the file with FinetuneData.train'.format(
        files.shown(folder), ' '.join(_SUFFIXES[::2]), ', '.join(sorted(map(files.shown, os.listdir(folder)))[:8])
        or 'an empty folder'))
  return paths


def named_like_splits(folder):
  """{split: path} of the files of a folder that are called like a split. Raises UserError where two are."""
  pairs = ((split, _file_in(folder, split, names)) for split, names in _NAMES.items())
  return collections.OrderedDict((split, path) for split, path in pairs if path)


def _named_file(folder, split, name):
  for path in (os.path.join(folder, name), name):
    if os.path.isfile(path):
      return path
  raise UserError('{}: expected the file of FinetuneData.{}, found none there nor in {}; correct the path'.format(
      files.shown(name), split, files.shown(folder)))


def _file_in(folder, split, names):
  candidates = [name + suffix for name in names for suffix in _SUFFIXES
                if os.path.isfile(os.path.join(folder, name + suffix))]
  if len(candidates) > 1:
    raise UserError('{}: expected one file for {}, found {}; name the one with FinetuneData.{}'.format(
        files.shown(folder), split, ' and '.join(candidates), split))
  return os.path.join(folder, candidates[0]) if candidates else None


def digest(paths):
  """Hex SHA-256 of the contents of {split: path} and their roles. Raises UserError."""
  whole = hashlib.sha256()
  for split, path in paths.items():
    try:
      whole.update('{} {}\n'.format(split, files.file_sha256(path)).encode('utf-8'))
    except OSError as error:
      raise UserError('{}: expected a file, found {}; check the path'.format(files.shown(path), files.found(error)))
  return whole.hexdigest()
