"""The files that a data set is made of: each once, described, and watched until all of them are read.

They are read several times: to describe them, then in parts by many workers. A file that changes in between would give
a data set that is not of the text that it names.
"""

import collections
import hashlib
import json
import logging
import os

from albert.common.errors import UserError
from albert.common import files
from tools.workers import progress

_LOG = logging.getLogger('albert')

# More inputs have one entry together.
_MOST_NAMED = 1000

# Of a file that is as it was, all three are. Another name for it changes only `changed`, writing changes all.
_Stamp = collections.namedtuple('_Stamp', ['bytes', 'modified', 'changed'])


def distinct(paths):
  """The paths without those of files that an earlier path names too, by a link: held-out text would be trained on."""
  first = collections.OrderedDict()
  for path in paths:
    status = _status(path)
    other = first.setdefault((status.st_dev, status.st_ino), path)
    if other != path:
      _LOG.warning('%s is the same file as %s: it is read once', files.shown(path), files.shown(other))
  return list(first.values())


def _status(path):
  try:
    return os.stat(path)
  except OSError as error:
    _refuse(path, error)


def _refuse(path, error):
  raise UserError('{}: expected a text file, found one that cannot be opened ({}); check the path and its '
                  'permissions'.format(files.shown(path), error.strerror))


def describe(paths):
  """Text files as dataset.json names them, [{file, bytes, sha256}], very many in one entry.

  Names that are not UTF-8 are escaped.
  """
  sizes = {path: _status(path).st_size for path in paths}
  digests = _digests(sizes)
  return _together([_entry(path, sizes[path], digests[path]) for path in paths])


def _entry(path, size, sha256):
  return collections.OrderedDict([('file', files.shown(os.path.basename(path))), ('bytes', size), ('sha256', sha256)])


def _together(entries):
  """One entry for very many: dataset.json is read whenever a training starts."""
  if len(entries) <= _MOST_NAMED:
    return entries
  digest = hashlib.sha256(json.dumps(entries).encode('utf-8')).hexdigest()
  return [_entry('{:,} files'.format(len(entries)), sum(entry['bytes'] for entry in entries), digest)]


def _digests(sizes):
  """{path: hex SHA-256} of files. sizes: {path: bytes}."""
  digests = {}
  with progress.Progress('hashing', sum(sizes.values()), 'B') as bar:
    for path, size in sizes.items():
      digests[path] = _digest(path)
      bar.add(size)
  return digests


def _digest(path):
  try:
    return files.file_sha256(path)
  except OSError as error:
    _refuse(path, error)


class Inputs:
  """Text files, and the vocabulary, as they were when this was made."""

  def __init__(self, paths, vocab_file, vocab_sha256):
    """paths: of the text, in order; vocab_sha256: of the vocabulary as it was loaded."""
    self._paths = list(paths)
    self._stamps = {path: self._stamp(path) for path in self._paths + [vocab_file]}
    self._digests = _digests({path: stamp.bytes for path, stamp in self._stamps.items()})
    if self._digests[vocab_file] != vocab_sha256:
      self._refuse_changed(vocab_file)

  def _stamp(self, path):
    status = _status(path)
    return _Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)

  def described(self):
    """What dataset.json says of the text: `describe`."""
    return _together([_entry(path, self._stamps[path].bytes, self._digests[path]) for path in self._paths])

  def stamps(self):
    """A value for JSON that is another one if a file was written in between, even if it is again what it was."""
    return [self._stamps[path][:2] for path in self._paths]

  def check_unchanged(self):
    """Raises UserError if a file may have changed since this was made."""
    for path, before in self._stamps.items():
      now = self._stamp(path)
      if now != before and (now[:2] != before[:2] or _digest(path) != self._digests[path]):
        self._refuse_changed(path)

  def _refuse_changed(self, path):
    raise UserError('{}: expected it to stay as it is while a data set is made of it, found that it changed; run the '
                    'same command again'.format(files.shown(path)))
