"""Reading a corpus: files, globs, folders and .gz, one sentence per line, a blank line between documents.

A corpus is cut into units: byte ranges that begin and end between two documents. A unit can be read by anyone
without looking at the rest, so any number of workers reads the same documents with the same keys.
"""

import collections
import glob
import gzip
import os
import zlib

from albert.errors import UserError

# Nominal bytes of a unit: what one worker reads at a stretch.
UNIT_BYTES = 16 << 20
# A longer document is divided between two lines and counted: a file without blank lines is no single document.
MAX_DOCUMENT_BYTES = 1 << 20

# Bytes [begin, end) of file number `file` of the corpus, `path`; end None: to the end of the file.
Unit = collections.namedtuple('Unit', ['file', 'path', 'begin', 'end'])
# offset: of the document's first byte in its (uncompressed) file. sentences: list of str, none of them blank.
Document = collections.namedtuple('Document', ['file', 'offset', 'sentences'])

_BOM = b'\xef\xbb\xbf'


def find_files(patterns):
  """The paths that files, globs and folders name, each once, sorted by absolute path.

  Raises:
    UserError: nothing was named, or a pattern names nothing.
  """
  paths = set()
  for pattern in patterns:
    found = _matches(pattern)
    if not found:
      raise UserError('expected text files at {}, found none; name files, globs or folders of text, one sentence '
                      'per line and a blank line between documents'.format(pattern))
    paths.update(os.path.abspath(path) for path in found)
  if not paths:
    raise UserError('expected text files, found none named; give them with --input_files')
  return sorted(paths)


def _matches(pattern):
  if os.path.isdir(pattern):
    pattern = os.path.join(glob.escape(pattern), '**', '*')
  elif os.path.exists(pattern):
    return [pattern]
  return [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]


def check_encoding(encoding):
  """Raises UserError unless `encoding` is known and shares ASCII's bytes, as lines are found by their newline byte."""
  try:
    if 'a\n'.encode(encoding) == b'a\n':
      return
  except LookupError:
    pass
  raise UserError('expected an encoding whose lines end with a newline byte, such as utf-8 or gb18030, found {}; '
                  'convert the text to utf-8'.format(encoding))


def plan_units(paths, encoding='utf-8', unit_bytes=UNIT_BYTES):
  """Cuts the files into `Unit`s at blank lines, in order. A .gz file is one unit."""
  units = []
  for number, path in enumerate(paths):
    begin = 0
    if not path.endswith('.gz'):
      for end in _cuts(path, encoding, unit_bytes):
        units.append(Unit(number, path, begin, end))
        begin = end
    units.append(Unit(number, path, begin, None))
  return units


def _cuts(path, encoding, unit_bytes):
  """Offsets just after a blank line, at least `unit_bytes` apart."""
  with _open(path) as source:
    size = os.fstat(source.fileno()).st_size
    target = unit_bytes
    while target < size:
      source.seek(target)
      source.readline()
      for raw in source:
        if not raw.strip() or not raw.decode(encoding, 'replace').strip():
          break
      target = source.tell()
      if target < size:
        yield target
      target += unit_bytes


class Reader:
  """Reads the documents of units.

  Attributes:
    skipped_lines: [(path, byte offset)] of lines that were left out because they are not in the encoding.
    divided_documents: at how many places a document longer than MAX_DOCUMENT_BYTES was divided.
    bytes_read: how much was read so far, unpacked.
  """

  def __init__(self, encoding='utf-8', skip_errors=False):
    self._encoding = encoding
    self._skip_errors = skip_errors
    self.skipped_lines = []
    self.divided_documents = 0
    self.bytes_read = 0

  def documents(self, unit):
    """Yields the `Document`s of a unit.

    Raises:
      UserError: the file cannot be read, or a line is not in the encoding and errors are not skipped.
    """
    sentences = []
    offset = unit.begin
    for start, text in self._lines(unit):
      too_long = sentences and start - offset >= MAX_DOCUMENT_BYTES
      if sentences and (not text or too_long):
        self.divided_documents += bool(text)
        yield Document(unit.file, offset, sentences)
        sentences = []
      if text:
        offset = offset if sentences else start
        sentences.append(text)
    if sentences:
      yield Document(unit.file, offset, sentences)

  def _lines(self, unit):
    """Yields (byte offset, text) of each line; the text of a blank line is empty. Skipped lines do not come."""
    try:
      with _open(unit.path) as source:
        source.seek(unit.begin)
        position = unit.begin
        for raw in source:
          start, position = position, position + len(raw)
          self.bytes_read += len(raw)
          if start == 0 and raw.startswith(_BOM):
            raw = raw[len(_BOM):]
            start = len(_BOM)
          try:
            yield start, raw.decode(self._encoding).strip()
          except UnicodeDecodeError as error:
            self._undecodable(unit.path, start, error)
          if unit.end is not None and position >= unit.end:
            return
    except (OSError, EOFError, zlib.error) as error:
      raise UserError('{}: expected a text file, found one that cannot be read ({}); repair it or leave it '
                      'out'.format(unit.path, getattr(error, 'strerror', None) or error))

  def _undecodable(self, path, start, error):
    if self._skip_errors:
      self.skipped_lines.append((path, start))
      return
    raise UserError('{}: expected text in {}, found byte 0x{:02x} in line {}, byte {} of the file; name its encoding '
                    '(--encoding=gb18030) or leave such lines out (--errors=skip)'.format(
                        path, self._encoding, error.object[error.start], line_number(path, start),
                        start + error.start))


def line_number(path, offset):
  """The number, from 1, of the line that holds byte `offset`."""
  with _open(path) as source:
    return source.read(offset).count(b'\n') + 1


def _open(path):
  """Opens for reading bytes; .gz is decompressed."""
  try:
    return gzip.open(path, 'rb') if path.endswith('.gz') else open(path, 'rb')
  except OSError as error:
    raise UserError('{}: expected a text file, found one that cannot be opened ({}); check the path and its '
                    'permissions'.format(path, error.strerror))
