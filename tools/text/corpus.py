"""Reading a corpus: files, globs, folders and .gz, one sentence per line, a blank line between documents.

A corpus is cut into units: byte ranges that begin and end between two documents. A worker reads a unit without looking
at the rest, so any number of workers reads the same documents with the same keys.
"""

import codecs
import collections
import glob
import gzip
import io
import os
import re
import zlib

from albert.common.errors import UserError

# A unit, which one worker reads, is one of _UNITS parts of the corpus, within these limits. The output does not depend
# on them.
_MIN_UNIT_BYTES, _MAX_UNIT_BYTES = 1 << 18, 16 << 20
_UNITS = 64
# A longer document is divided between two lines and counted: a file without blank lines is not one document.
MAX_DOCUMENT_BYTES = 1 << 20
# A longer line is not one sentence: it is read in pieces, each divided after the marks that end sentences.
MAX_LINE_BYTES = 1 << 20

# Bytes [begin, end) of file number `file` of the corpus, `path`; end None: to the end of the file.
Unit = collections.namedtuple('Unit', ['file', 'path', 'begin', 'end'])
# offset: of the document's first byte in its (uncompressed) file. sentences: list of str, none of them blank. line: of
# the unit, from 0, in which it begins.
Document = collections.namedtuple('Document', ['file', 'offset', 'sentences', 'line'], defaults=[0])

_BOM = b'\xef\xbb\xbf'
# A sentence: up to its marks and the quotes and brackets that close with them. A full stop between latin letters or
# digits, as in 3.5, ends none.
_SENTENCES = re.compile('[^。！？!?…；\\n]*(?:[。！？!?…；\\n]+[”’」』）》"\')\\]]*|$)')


def find_files(patterns):
  """The paths that files, globs and folders name, each once, sorted by absolute path.

  Raises:
    UserError: there are no patterns, one matches nothing, or it matches a broken link or a folder without permission.
  """
  paths = set()
  for pattern in patterns:
    matches = _matches(pattern)
    if not matches:
      raise UserError('expected text files at {}, found none; name files, globs or folders of text, one sentence '
                      'per line and a blank line between documents'.format(pattern))
    paths.update(os.path.abspath(path) for path in matches)
  if not paths:
    raise UserError('expected text files, found none named; give them with --input_files')
  return sorted(paths)


def _matches(pattern):
  if os.path.isdir(pattern):
    pattern = os.path.join(glob.escape(pattern), '**', '*')
  elif os.path.exists(pattern):
    return [pattern]
  matches = glob.glob(pattern, recursive=True)
  for path in matches:
    if not os.path.exists(path) or os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK):
      raise UserError('{}: expected a text file or a folder of them, found a broken link or a folder that cannot be '
                      'opened; repair it or leave it out'.format(path))
  return [path for path in matches if os.path.isfile(path)]


def check_encoding(encoding):
  """Raises UserError unless `encoding` is known and shares ASCII's bytes, as lines are found by their newline byte."""
  try:
    if 'a\n'.encode(encoding) == b'a\n':
      return
  except LookupError:
    pass
  raise UserError('expected an encoding whose lines end with a newline byte, such as utf-8 or gb18030, found {}; '
                  'convert the text to utf-8'.format(encoding))


def units(paths, encoding='utf-8', unit_bytes=None, at_any_line=False):
  """Cuts the files into `Unit`s at blank lines, or at any line, in order. A .gz file is one unit."""
  if unit_bytes is None:
    unit_bytes = min(max(text_bytes(paths) // _UNITS, _MIN_UNIT_BYTES), _MAX_UNIT_BYTES)
  units = []
  for number, path in enumerate(paths):
    begin = 0
    if not path.endswith('.gz'):
      for end in _cuts(path, encoding, unit_bytes, at_any_line):
        units.append(Unit(number, path, begin, end))
        begin = end
    units.append(Unit(number, path, begin, None))
  return units


def text_bytes(paths):
  """The size of all files together, in bytes, as they are on the disk."""
  return sum(map(os.path.getsize, paths))


def unit_bytes(unit):
  """The number of bytes of its file that a unit covers, for progress."""
  return (os.path.getsize(unit.path) if unit.end is None else unit.end) - unit.begin


def _cuts(path, encoding, unit_bytes, at_any_line):
  """Offsets just after a blank line, or any line, at least `unit_bytes` apart."""
  with _open(path) as source:
    size = os.fstat(source.fileno()).st_size
    target = unit_bytes
    while target < size:
      source.seek(target)
      at_start = False
      for raw in _pieces(source):
        if at_any_line and raw.endswith(b'\n'):
          break
        if at_start and (not raw.strip() or not raw.decode(encoding, 'replace').strip()):
          break
        at_start = raw.endswith(b'\n')
      target = source.tell()
      if target < size:
        yield target
      target += unit_bytes


def _pieces(source):
  """The lines of a file; one that is too long comes in several pieces, of which only the last ends with a newline."""
  return iter(lambda: source.readline(MAX_LINE_BYTES), b'')


class Reader:
  """Reads the documents of units.

  Attributes:
    skipped: [(line of the unit, from 0; why)], the lines that were left out.
    divided_documents: number of places where a document longer than MAX_DOCUMENT_BYTES was divided.
    lines: number of lines of the unit that were read so far.
    divided_lines: number of lines longer than MAX_LINE_BYTES.
  """

  def __init__(self, encoding='utf-8', skip_errors=False):
    self._encoding = encoding
    self._skip_errors = skip_errors
    self.skipped = []
    self.divided_documents = 0
    self.divided_lines = 0
    self.lines = 0

  def documents(self, unit):
    """Yields the `Document`s of a unit.

    Raises:
      UserError: the file cannot be read, or a line is not in the encoding and errors are not skipped.
    """
    sentences = []
    offset, line = unit.begin, 0
    for start, text, is_piece in self._lines(unit):
      too_long = sentences and start - offset >= MAX_DOCUMENT_BYTES
      if sentences and (too_long or not text and not is_piece):
        self.divided_documents += bool(text)
        yield Document(unit.file, offset, sentences, line)
        sentences = []
      if text:
        offset, line = (offset, line) if sentences else (start, self.lines)
        sentences.extend(split_sentences(text) if is_piece else [text])
    if sentences:
      yield Document(unit.file, offset, sentences, line)

  def _lines(self, unit):
    """Yields (byte offset, text, whether it is a piece of a too long line); the text of a blank line is empty.

    Skipped lines are not yielded. `lines` counts those before the current one.
    """
    position = unit.begin
    decoder = None
    try:
      with _open(unit.path) as source:
        source.seek(unit.begin)
        for raw in _pieces(source):
          start, position = position, position + len(raw)
          ends = raw.endswith(b'\n')
          if start == 0 and raw.startswith(_BOM):
            raw = raw[len(_BOM):]
            start = len(_BOM)
          if decoder is None and not ends and len(raw) >= MAX_LINE_BYTES - len(_BOM):
            decoder = codecs.getincrementaldecoder(self._encoding)()
            self.divided_lines += 1
          try:
            text = decoder.decode(raw, ends) if decoder else raw.decode(self._encoding)
            yield start, text.strip(), decoder is not None
          except UnicodeDecodeError as error:
            self._undecodable(unit.path, start, error)
            decoder = decoder and codecs.getincrementaldecoder(self._encoding)()
          self.lines += ends
          decoder = None if ends else decoder
          if unit.end is not None and position >= unit.end:
            return
        if decoder is not None:
          self._check_end(unit.path, position, decoder)
    except (OSError, EOFError, zlib.error) as error:
      raise UserError('{}: expected a text file, found one that cannot be read ({}); repair it or leave it '
                      'out'.format(unit.path, getattr(error, 'strerror', None) or error))

  def _check_end(self, path, position, decoder):
    """A file may end within a character."""
    try:
      decoder.decode(b'', True)
    except UnicodeDecodeError as error:
      self._undecodable(path, position - len(error.object), error)

  def _undecodable(self, path, start, error):
    if self._skip_errors:
      self.skipped.append((self.lines, 'not in {}'.format(self._encoding)))
      return
    raise UserError('{}: expected text in {}, found byte 0x{:02x} in line {}, byte {} of the file; name its encoding '
                    '(--encoding=gb18030) or leave such lines out (--errors=skip)'.format(
                        path, self._encoding, error.object[error.start], line_number(path, start),
                        start + error.start))


def split_sentences(text):
  """Text divided after the marks that end sentences, without the space around: list of str, none of them blank."""
  return [part for part in (part.strip() for part in _SENTENCES.findall(text)) if part]


def line_number(path, offset):
  """The number, from 1, of the line that holds byte `offset`."""
  with _open(path) as source:
    newlines = 0
    while offset > 0:
      block = source.read(min(offset, 1 << 20))
      if not block:
        break
      newlines += block.count(b'\n')
      offset -= len(block)
    return newlines + 1


def _open(path):
  """Opens for reading bytes; .gz is decompressed."""
  try:
    return io.BufferedReader(gzip.open(path, 'rb'), 1 << 18) if path.endswith('.gz') else open(path, 'rb')
  except OSError as error:
    raise UserError('{}: expected a text file, found one that cannot be opened ({}); check the path and its '
                    'permissions'.format(path, error.strerror))
