"""Whether two texts are one to whoever holds some of them out: what a model learns from one it knows of the other.

They may differ in lines and other space, in case, in the width of characters, and in those that nobody sees: a
byte-order mark within the text, a soft hyphen, a space without width. Needs no TensorFlow.
"""

import hashlib
import unicodedata

# Lone surrogates and what has taken their places: no characters.
_NONE = '\ufffd'


def key(text):
  """64 bits that texts share which are the same: int."""
  digest = hashlib.blake2b(plain(text).encode('utf-8', 'surrogatepass'), digest_size=8)
  return int.from_bytes(digest.digest(), 'little')


def plain(text):
  """The key by which equal texts are recognised: str."""
  text = unicodedata.normalize('NFKC', ''.join(text.split())).lower()
  if text.isprintable() and _NONE not in text:  # as nearly all are
    return text
  return ''.join(char for char in text if char != _NONE and unicodedata.category(char) not in ('Cc', 'Cf'))
