"""Which encoding a Chinese text looks like it is in, by its beginning."""

import codecs

# What is found in Chinese text, in the order of preference.
_KNOWN = ('utf-8', 'gb18030', 'big5')
# Characters that are in any Chinese text, in both scripts; in another encoding than its own a text hardly has them.
_FREQUENT = frozenset('的一是不了在人有我他中大上个国個國这這为為，。')
# The share of them in a text that is in the encoding.
_SHARE = 0.02


def guess(start):
  """The encoding that a text which begins with these bytes looks like it is in; None if it is none of those known."""
  return next((name for name in _KNOWN if _share(start, name) > _SHARE), None)


def choose(start):
  """The encoding to read a text in which begins with these bytes, whatever it is: one of those known."""
  return guess(start) or next((name for name in _KNOWN if _text(start, name) is not None), _KNOWN[0])


def misread(start, named):
  """The encoding in which a text that begins with these bytes is Chinese, where it can be read as `named` and is none.

  As latin-1 any bytes can be read. None for all other text.
  """
  found = guess(start)
  is_read = found and codecs.lookup(found) != codecs.lookup(named) and _text(start, named) is not None
  return found if is_read and _share(start, named) <= _SHARE else None


def _text(start, encoding):
  """The beginning of a text, which may be cut within a character; None where it is not in the encoding."""
  try:
    return codecs.getincrementaldecoder(encoding)().decode(start)
  except UnicodeDecodeError:
    return None


def _share(start, encoding):
  """The share of frequent characters in the beginning of a text; 0 where it is not in the encoding."""
  text = _text(start, encoding) or ''
  return sum(char in _FREQUENT for char in text) / max(1, len(text))
