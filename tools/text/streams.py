"""Files of text as streams of bytes whose lines end with a newline byte, whatever they are on the disk.

.gz, .bz2, .xz and .zst are unpacked, a block at a time. UTF-16 and UTF-32, recognised by their byte-order mark or
named, become UTF-8. The rows of a .parquet, .csv or .tsv file, packed or not, become JSON lines. With the encoding AUTO
each file is in the one that its beginning looks like.
"""

import bz2
import codecs
import collections
import csv
import functools
import gzip
import io
import json
import lzma
import os
import zlib

from albert.common.errors import UserError
from albert.common import files
from tools.text import encodings

# What reading a damaged file raises.
READ_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError)

Stream = collections.namedtuple('Stream', ['file', 'encoding', 'name'])
Stream.__doc__ = """A file that is open for reading.

file: binary, buffered; encoding: of its bytes, without the byte-order mark of `bom`; name: of the encoding of the file
on the disk, for messages.
"""

BOM = codecs.BOM_UTF8
# Stands for the encoding of each file.
AUTO = 'auto'
_WIDE_BOMS = ((codecs.BOM_UTF32_LE, 'utf-32'), (codecs.BOM_UTF32_BE, 'utf-32'), (codecs.BOM_UTF16_LE, 'utf-16'),
              (codecs.BOM_UTF16_BE, 'utf-16'))
BOMS = (BOM,) + tuple(bom for bom, _ in _WIDE_BOMS)
_WITH_BOM = ('utf-16', 'utf-32')
_BLOCK = 1 << 18
# By so many bytes the encoding of a text is guessed.
_GUESSED_BY = 1 << 16
_ROWS_AT_ONCE = 256
# Tables of text, and how csv reads them. What exports .tsv quotes nothing: there a quote is one of the text.
TABLES = {'.csv': {}, '.tsv': {'delimiter': '\t', 'quoting': csv.QUOTE_NONE}}
_LARGEST_CELL = 1 << 24
# What `zstd --long=31` makes. It takes that much memory.
_LARGEST_WINDOW = 1 << 31

# What is no text, though some encodings would take it for text: (place, its bytes, what it is, what to do).
_NO_TEXT = (
    (257, b'ustar', 'a tar archive', 'unpack it first'),
    (0, b'PK\x03\x04', 'a zip archive, or a document in one', 'unpack it first, or save it as text'),
    (0, b'7z\xbc\xaf\x27\x1c', 'a 7z archive', 'unpack it first'),
    (0, b'Rar!\x1a\x07', 'a rar archive', 'unpack it first'),
    (0, b'\x1f\x8b', 'what gzip has packed', 'give it the ending .gz'),
    (0, b'BZh91AY&SY', 'what bzip2 has packed', 'give it the ending .bz2'),
    (0, b'\xfd7zXZ\0', 'what xz has packed', 'give it the ending .xz'),
    (0, b'\x28\xb5\x2f\xfd', 'what zstd has packed', 'give it the ending .zst'),
    (0, b'PAR1', 'a parquet file', 'give it the ending .parquet'),
    (0, b'%PDF-', 'a PDF document', 'save it as text'),
    (0, b'ARROW1', 'an Arrow file', 'save it as parquet or JSON lines'),
    (0, b'SQLite format 3\0', 'a database', 'write its text into JSON lines'),
    (0, b'\x89PNG\r\n', 'a picture', 'leave it out'), (0, b'\xff\xd8\xff', 'a picture', 'leave it out'),
    (0, b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'a document of Word or Excel', 'save it as text'))
_LOOKED_AT = 1 << 10

# Stands for bytes that are not in a wide encoding: the reader of the UTF-8 then finds the line.
codecs.register_error('albert.not_in_encoding', lambda error: ('\udcff', error.end))


def check_encoding(encoding):
  """Raises UserError unless `encoding` is one of text."""
  try:
    if encoding == AUTO or 'a\n'.encode(encoding).decode(encoding) == 'a\n':
      return
  except (LookupError, UnicodeError):
    pass
  raise UserError('expected an encoding of text, such as utf-8, gb18030, utf-16 or auto, found {}; correct '
                  '--encoding'.format(encoding))


def open_text(path, encoding):
  """Opens a file: `Stream`. A byte-order mark says more than `encoding`.

  Raises:
    UserError: the file cannot be opened, or the package that unpacks it is absent.
  """
  if encoding == AUTO:
    encoding = encodings.choose(beginning(path))
  try:
    source = files.open_regular(path)
    if _suffix(path) in _PACKED and os.path.getsize(path):  # an empty file has no members, and no text
      source.close()
      source = _PACKED[_suffix(path)](path)
    if _table_suffix(path) in TABLES:
      source = _table(source, encoding, TABLES[_table_suffix(path)])
    start = source.peek(_LOOKED_AT)[:_LOOKED_AT]
  except READ_ERRORS as error:
    reason = getattr(error, 'strerror', None)
    raise UserError('{}: expected a text file, found {}; {}'.format(
        files.shown(path), files.found(error),
        'check the path and its permissions' if reason else 'it is damaged: get it anew, or leave it out'))
  for place, mark, what, remedy in _NO_TEXT:
    if start[place:].startswith(mark):
      source.close()
      raise UserError('{}: expected text, found {}; {}'.format(files.shown(path), what, remedy))
  wide = _wide_encoding(start, encoding)
  if wide and codecs.lookup(wide).name in _WITH_BOM and not start.startswith(tuple(bom for bom, _ in _WIDE_BOMS)):
    source.close()
    raise UserError('{0}: expected a byte-order mark, as --encoding={1} is with one, found none; say --encoding={1}-le '
                    'or {1}-be'.format(files.shown(path), codecs.lookup(wide).name))
  if wide:
    return Stream(io.BufferedReader(_Utf8(source, wide), _BLOCK), 'utf-8', wide)
  if start.startswith(BOM) or is_table(path):
    return Stream(source, 'utf-8', 'utf-8')
  return Stream(source, encoding, encoding)


def first_bytes(path, number):
  """At most the first `number` bytes of what is read of a file, in whatever encoding it is; empty if it is damaged."""
  try:
    if _suffix(path) in _PACKED:
      with _PACKED[_suffix(path)](path) as source:
        return source.read(number)
    # Without a file object, as it is done for each of very many files; nor does this wait for a pipe.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
      return os.read(handle, number)
    finally:
      os.close(handle)
  except READ_ERRORS:
    return b''  # whoever reads it says why


def beginning(path):
  """As many bytes of a file as its encoding is guessed by."""
  return first_bytes(path, _GUESSED_BY)


def says_its_encoding(path, start):
  """Whether a file says itself which encoding it is in, by a mark or its kind. start: of `beginning`."""
  return start.startswith(BOMS) or _suffix(path) == '.parquet'


def guess(path, named):
  """The encoding that a file looks like it is in; None if that is `named`, or none of those known."""
  found = encodings.guess(beginning(path))
  return None if found is None or codecs.lookup(found) == codecs.lookup(named) else found


def can_be_cut(path, encoding):
  """Whether the bytes of `open_text` are those on the disk, so that reading can begin anywhere."""
  if _suffix(path) in _PACKED or is_table(path):
    return False
  stream = open_text(path, encoding)
  stream.file.close()
  return not isinstance(stream.file.raw, _Utf8)


def is_table(path):
  """Whether lines of what is read of a file are its rows."""
  return _suffix(path) == '.parquet' or _table_suffix(path) in TABLES


@functools.lru_cache(maxsize=256)  # of each of very many files it is asked several times
def _suffix(path):
  return os.path.splitext(path)[1].lower()


@functools.lru_cache(maxsize=256)
def _table_suffix(path):
  """The suffix of a file once it is unpacked: of news.csv and news.csv.gz .csv."""
  return _suffix(os.path.splitext(path)[0]) if _suffix(path) in _PACKED else _suffix(path)


def _wide_encoding(start, encoding):
  """The encoding whose newline is not one byte, of a file that begins with `start`; None if it has none."""
  for bom, name in _WIDE_BOMS:
    if start.startswith(bom):
      return name
  return None if start.startswith(BOM) or 'a\n'.encode(encoding) == b'a\n' else encoding


def _buffered(raw):
  return io.BufferedReader(raw, _BLOCK)


class _Blocks(io.RawIOBase):
  """A stream of the bytes that a generator yields, block after block."""

  def __init__(self, blocks):
    super().__init__()
    self._blocks = blocks
    self._rest = b''

  def readable(self):
    """Whether it can be read."""
    return True

  def readinto(self, buffer):
    """Part of the interface of io.RawIOBase."""
    while not self._rest:
      try:
        self._rest = memoryview(next(self._blocks))
      except StopIteration:
        return 0
    size = min(len(buffer), len(self._rest))
    buffer[:size], self._rest = self._rest[:size], self._rest[size:]
    return size


class _Utf8(_Blocks):
  """A file in an encoding with wide characters as UTF-8; what is not in the encoding becomes a byte 0xff."""

  def __init__(self, source, encoding):
    super().__init__(_utf8_blocks(source, encoding))
    self._source = source

  def close(self):
    """Closes the file too."""
    self._source.close()
    super().close()


def _utf8_blocks(source, encoding):
  decoder = codecs.getincrementaldecoder(encoding)('albert.not_in_encoding')
  while True:
    block = source.read(_BLOCK)
    yield decoder.decode(block, not block).encode('utf-8', 'surrogateescape')
    if not block:
      return


def _zstd(path):
  try:
    import zstandard
  except ImportError:
    raise UserError('{}: expected the package zstandard to unpack it, found none installed; {}, or unpack it with '
                    '"zstd -d"'.format(path, _INSTALL))
  return _buffered(_Blocks(_zstd_blocks(path, zstandard)))


def _zstd_blocks(path, zstandard):
  with open(path, 'rb') as source:
    frame = None
    for block in iter(lambda: source.read(_BLOCK), b''):
      while block:
        frame = frame or zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW).decompressobj()
        try:
          yield frame.decompress(block)
        except zstandard.ZstdError as error:
          raise OSError(str(error))
        block, frame = (frame.unused_data, None) if frame.eof else (b'', frame)
    if frame:
      raise EOFError('the compressed file is cut off')


def _parquet(path):
  try:
    from pyarrow import parquet
    import pyarrow
  except ImportError:
    raise UserError('{}: expected the package pyarrow to read it, found none installed; {}, or convert it to JSON '
                    'lines'.format(path, _INSTALL))
  try:
    # Without a size it reads a column of a row group at once, which is the whole file where there is one group.
    table = parquet.ParquetFile(path, buffer_size=_BLOCK)
  except pyarrow.ArrowException as error:
    raise OSError(str(error).split('\n')[0])
  return _buffered(_Blocks(_json_lines(table, pyarrow)))


def _json_lines(table, pyarrow):
  """Blocks of lines: the columns of a parquet file that hold text at any depth, as JSON objects."""
  names = [field.name for field in table.schema_arrow if _holds_text(field.type, pyarrow.types)]
  try:
    for batch in table.iter_batches(_ROWS_AT_ONCE, columns=names):
      rows = batch.to_pydict()
      # What is beside text in an object, such as a date, and is nothing in JSON.
      lines = [json.dumps(dict(zip(names, row)), ensure_ascii=False, default=lambda value: None) + '\n'
               for row in zip(*(rows[name] for name in names))]
      yield ''.join(lines).encode('utf-8')
  except pyarrow.ArrowException as error:
    raise OSError(str(error).split('\n')[0])


def _holds_text(kind, types):
  """Whether a type of pyarrow is text, or has text within. types: pyarrow.types."""
  if types.is_dictionary(kind) or types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
    return _holds_text(kind.value_type, types)
  if types.is_struct(kind):
    return any(_holds_text(field.type, types) for field in kind)
  return types.is_string(kind) or types.is_large_string(kind)


def _table(source, encoding, form):
  """The rows of a table of text as JSON objects; the first one names the columns.

  Args:
    source: the open file. encoding: of its bytes, if no byte-order mark says otherwise. form: keyword arguments of
      csv.reader.
  """
  wide = _wide_encoding(source.peek(4)[:4], encoding)
  named = 'utf-8-sig' if source.peek(3)[:3] == BOM or codecs.lookup(encoding).name == 'utf-8' else encoding
  text = io.TextIOWrapper(source, wide or named, 'albert.not_in_encoding', newline='')
  return _buffered(_Blocks(_rows(text, form)))


def _rows(text, form):
  csv.field_size_limit(_LARGEST_CELL)
  with text:
    try:
      rows = csv.reader(text, **form)
      names = next(rows, [])
      if len(set(names)) < len(names):
        raise OSError('two columns have the name "{}"'.format(
            next(name for name in names if names.count(name) > 1)))
      for row in rows:
        yield _json_line(names, row).encode('utf-8', 'surrogateescape')
    except csv.Error as error:
      raise OSError('row {}: {}'.format(rows.line_num, error))


def _json_line(names, row):
  """A row as a JSON object; one with other cells than there are columns as what is wrong with it, which is no JSON."""
  if not row:
    return '\n'
  if len(row) != len(names):
    return '{} cell{} in a row of a table of {} columns: {!r}\n'.format(
        len(row), 's' * (len(row) != 1), len(names), row)
  return json.dumps(dict(zip(names, row)), ensure_ascii=False) + '\n'


_INSTALL = '.venv/bin/python -m pip install -r requirements-formats.txt'
_PACKED = {
    '.gz': lambda path: _buffered(gzip.open(path, 'rb')), '.bz2': lambda path: _buffered(bz2.open(path, 'rb')),
    '.xz': lambda path: _buffered(lzma.open(path, 'rb')), '.zst': _zstd, '.parquet': _parquet,
}
