"""Which encoding a Chinese text looks like it is in, where the one that was named does not fit."""

import codecs
import os

from albert.common.errors import UserError
from albert.common import files
from tools.text import streams

# What is found in Chinese text, in the order of preference.
_KNOWN = ('utf-8', 'gb18030', 'big5')
_BYTES = 1 << 16
# How many files are looked at, spread over the corpus.
_FILES = 20
# Characters that are in any Chinese text, in both scripts; in another encoding than its own a text hardly has them.
_FREQUENT = frozenset('的一是不了在人有我他中大上个国個國这這为為，。')
# The share of them in a text that is in the encoding.
_SHARE = 0.02


def guess(path, named):
  """The encoding that a file looks like it is in; None if that is `named`, or none of those known."""
  return _other_than(named, _start(path))


def check(paths, named):
  """Raises UserError if text can be read in an encoding that it is not in: as Latin-1 any bytes can be.

  Args:
    paths: of the files, some of which are looked at.
    named: the encoding.
  """
  if codecs.lookup(named).name == 'utf-8':  # which other text is not in
    return
  for path in paths[::-(-len(paths) // _FILES)]:
    start = _start(path)
    if start.startswith(streams.BOMS) or streams.open_text(path, 'ascii').encoding != 'ascii' and not _is_table(path):
      continue  # it says itself what it is
    other = _other_than(named, start)
    if other and _decoded(start, named) and _share(start, named) <= _SHARE:  # else the reader says where it fails
      raise UserError('{}: expected text in {}, found what is Chinese in {} and nothing that is read in {}; say '
                      '--encoding={}'.format(files.shown(path), named, other, named, other))


def _is_table(path):
  return os.path.splitext(path)[1].lower() in streams.TABLES


def _start(path):
  """The first bytes of a file, unpacked."""
  with files.open_regular(path) if _is_table(path) else streams.open_text(path, 'latin-1').file as source:
    return source.read(_BYTES)


def _other_than(named, start):
  found = next((name for name in _KNOWN if _share(start, name) > _SHARE), None)
  return None if found is None or codecs.lookup(found) == codecs.lookup(named) else found


def _share(start, encoding):
  """The share of frequent characters in the beginning of a text; 0 where it is not in the encoding."""
  text = _decoded(start, encoding)
  return sum(char in _FREQUENT for char in text) / max(1, len(text))


def _decoded(start, encoding):
  """The beginning of a text as str; empty where it is not in the encoding."""
  try:
    return codecs.getincrementaldecoder(encoding)().decode(start)
  except UnicodeDecodeError:
    return ''
