"""Which encoding a Chinese text looks like it is in, where the one that was named does not fit."""

import codecs
import os

from albert.common import files
from tools.text import streams

# What is found in Chinese text, in the order of preference.
_KNOWN = ('utf-8', 'gb18030', 'big5')
_BYTES = 1 << 16
# Characters that are in any Chinese text, in both scripts; in another encoding than its own a text hardly has them.
_FREQUENT = frozenset('的一是不了在人有我他中大上个国個國这這为為，。')
# The share of them in a text that is in the encoding.
_SHARE = 0.02


def guess(path, named):
  """The encoding that a file looks like it is in; None if that is `named`, or none of those known."""
  is_table = os.path.splitext(path)[1].lower() in streams.TABLES
  with files.open_regular(path) if is_table else streams.open_text(path, 'latin-1').file as source:
    start = source.read(_BYTES)
  found = next((name for name in _KNOWN if _share(start, name) > _SHARE), None)
  return None if found is None or codecs.lookup(found) == codecs.lookup(named) else found


def _share(start, encoding):
  """The share of frequent characters in the beginning of a text; 0 where it is not in the encoding."""
  try:
    text = codecs.getincrementaldecoder(encoding)().decode(start)
  except UnicodeDecodeError:
    return 0.0
  return sum(char in _FREQUENT for char in text) / max(1, len(text))
