"""The values of a JSON file one by one: of JSON lines, of an array, or of the array "data" of an object.

Numbers with a point or an exponent stay text: "5.0" is a label, not the number 5. The file is never held.
"""

import codecs
import json
import re

from albert.common.errors import UserError
from albert.common import files
from albert.labelled.layout import lines

_BLOCK = 1 << 16
_SPACE = ' \t\r\n'
_ARRAY = re.compile(r'\s*\[')
_ARRAY_OF_OBJECTS = re.compile(r'\[\s*(\{|$)')
_DATA = '"data"'
# An error this near to the end of what has been read may be one only because more is to come.
_NEAR_END = 64


def _refuse(word):
  raise ValueError('{} is no number'.format(word))


DECODER = json.JSONDecoder(parse_float=str, parse_constant=_refuse)


def read_values(path):
  """Yields (line from 1, value, error): the value is None where there is an error, a str. Raises UserError."""
  with lines.open_bytes(path) as source:
    offset = _array_offset(lines.decoded(source.peek(_BLOCK)))
    if offset is not None:
      yield from _Elements(path, source, offset)
      return
  for number, line in lines.read_lines(path):
    yield (number,) + parse(line)


def is_array(source):
  """Whether an open file holds an array, or an object with an array "data"."""
  return _array_offset(lines.decoded(source.peek(_BLOCK))) is not None


def parse(line):
  """(value, error) of a JSON line."""
  try:
    return DECODER.decode(line), None
  except (ValueError, RecursionError) as error:
    if not line.strip():
      return None, ''
    return None, 'expected JSON, found {!r:.40} ({})'.format(line, getattr(error, 'msg', str(error)))


def _array_offset(start):
  """Where the values of an array begin in a file, which begins with `start`; None if it is JSON lines."""
  match = _ARRAY.match(start)
  if match:
    return match.end()
  position = _skip(start, 0)
  if start[position:position + 1] != '{':
    return None
  while True:
    position = _skip(start, position + 1)
    is_data = start.startswith(_DATA, position)
    try:
      key, position = DECODER.raw_decode(start, position)
      position = _skip(start, _skip(start, position) + 1)
      if is_data and _ARRAY_OF_OBJECTS.match(start, position):
        return position + 1
      _, position = DECODER.raw_decode(start, position)
    except (ValueError, RecursionError):
      return None
    position = _skip(start, position)
    if start[position:position + 1] != ',':
      return None


def _skip(text, position):
  while position < len(text) and text[position] in _SPACE:
    position += 1
  return position


class _Elements:
  """The values of an array in an open file; offset: the character where they begin."""

  def __init__(self, path, source, offset):
    self._path, self._source = path, source
    self._decoder = codecs.getincrementaldecoder('utf-8')('surrogateescape')
    self._text, self._position, self._line, self._ended = '', 0, 1, False
    while len(self._text) < offset:
      self._more()
    self._advance(offset)

  def __iter__(self):
    while True:
      if not self._next_value():
        return
      value, end = self._decode()
      yield self._line, value, None
      self._advance(end)

  def _next_value(self):
    """Goes to the next value; False at the end of the array."""
    while True:
      position = self._position
      while position < len(self._text) and self._text[position] in _SPACE + ',':
        position += 1
      self._advance(position)
      if position < len(self._text):
        return self._text[position] != ']'
      if self._ended:
        raise self._error('the end of the file')
      self._more()

  def _decode(self):
    while True:
      try:
        return DECODER.raw_decode(self._text, self._position)
      except RecursionError:
        raise self._error('values nested too deep')
      except ValueError as error:
        place = getattr(error, 'pos', 0)
        cut = place >= len(self._text) - _NEAR_END or str(error).startswith('Unterminated string')
        if self._ended or not cut:
          line = self._line + self._text.count('\n', self._position, place)
          raise self._error(getattr(error, 'msg', str(error)), line)
        # As much again as there is: a long value is not read anew for each block.
        self._more(max(_BLOCK, len(self._text) - self._position))

  def _advance(self, position):
    self._line += self._text.count('\n', self._position, position)
    self._position = position

  def _more(self, size=_BLOCK):
    try:
      block = self._source.read(size)
    except lines.READ_ERRORS as error:
      raise lines.unreadable(self._path, error)
    self._ended = not block
    self._text = self._text[self._position:] + self._decoder.decode(block, not block)
    self._position = 0

  def _error(self, fault, line=None):
    return UserError('{}:{}: expected JSON, found an error in it ({}); correct the file or make it again'.format(
        files.shown(self._path), line or self._line, fault))
