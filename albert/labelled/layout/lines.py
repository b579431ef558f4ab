"""The lines of a text file: UTF-8 with or without a byte-order mark, LF or CRLF, packed with gzip or not."""

import codecs
import gzip
import io
import re
import zlib

from albert.common.errors import UserError
from albert.common import files

READ_ERRORS = (OSError, EOFError, zlib.error)
_GZIP = b'\x1f\x8b'
_WIDE = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# What is not UTF-8 becomes such a character, as does half of a pair in JSON: no text has it.
_HALF = re.compile('[\ud800-\udfff]')


def read_lines(path):
  """Yields (line from 1, text without its end) of a file. Bytes that are not UTF-8 become lone surrogates.

  Raises:
    UserError: it cannot be opened or unpacked, or is UTF-16.
  """
  with open_bytes(path) as source:
    try:
      for number, line in enumerate(source, 1):
        yield number, decoded(line).rstrip('\n').rstrip('\r')
    except READ_ERRORS as error:
      raise unreadable(path, error)


def open_bytes(path):
  """A file, unpacked, after its byte-order mark: a buffered binary file object. Raises UserError."""
  try:
    source = files.open_regular(path)
    if source.peek(2)[:2] == _GZIP:
      source = io.BufferedReader(gzip.GzipFile(fileobj=source))
    start = source.peek(4)[:3]
  except READ_ERRORS as error:
    raise unreadable(path, error)
  if start.startswith(_WIDE):
    raise UserError('{}: expected UTF-8, found UTF-16; convert it: iconv -f UTF-16 -t UTF-8'.format(files.shown(path)))
  if start == codecs.BOM_UTF8:
    source.read(3)
  return source


def decoded(content):
  """Bytes as text; those that are not UTF-8 become lone surrogates."""
  return content.decode('utf-8', 'surrogateescape')


def is_text(text):
  """Whether a str holds no lone surrogate, which is no character."""
  return not _HALF.search(text)


def unreadable(path, error):
  """The UserError for a file that cannot be opened or unpacked."""
  return UserError('{}: expected a text file, found {}; check the path, or copy it again'.format(
      files.shown(path), files.found(error)))
