"""Reading a corpus: files, globs and folders, one sentence per line, a blank line between documents.

A corpus is cut into units, which begin and end between two documents: byte ranges of large files, small files together.
A worker reads a unit without looking at the rest, so any number of workers reads the same documents with the same keys.
"""

import codecs
import collections
import glob
import os
import re
import stat

from albert.common.errors import UserError
from albert.common import files
from albert.common import wide_marks
from tools.text import streams

# A unit, which one worker reads, is one of _UNITS parts of the corpus, within these limits. The output does not depend
# on them.
_MIN_UNIT_BYTES, _MAX_UNIT_BYTES = 1 << 18, 16 << 20
_UNITS = 64
# A longer document is divided between two lines and counted: a file without blank lines is not one document.
MAX_DOCUMENT_BYTES = 1 << 20
# A longer line is not one sentence: it is read in pieces, each divided after the marks that end sentences.
MAX_LINE_BYTES = 1 << 20

# What a document is: what stands between two blank lines, a line, or a file.
BLANK_LINE, LINE, FILE = DOCUMENTS = ('blank_line', 'line', 'file')

# Bytes [begin, end) of file number `file` of the corpus, `path`; end None: to the end of the file.
Part = collections.namedtuple('Part', ['file', 'path', 'begin', 'end'])
# parts: tuple of `Part`s, in the order of the corpus.
Unit = collections.namedtuple('Unit', ['parts'])
# offset: of the document's first byte in its (uncompressed) file. sentences: list of str, none of them blank. line: of
# the unit, from 0, in which it begins.
Document = collections.namedtuple('Document', ['file', 'offset', 'sentences', 'line'], defaults=[0])

_BOM = streams.BOM
# The byte-order mark as a character: `cat` of files leaves it within the text.
BOM = '\ufeff'
_SURROGATES = re.compile('[\ud800-\udfff]')
# A sentence: up to its marks and the quotes and brackets that close with them.
_MARKS, _CLOSING = '。！？!?…；｡\\n', '[”’」』）》"\')\\]]*'
_SENTENCES = re.compile('[^{0}]*(?:[{0}]+{1}|$)'.format(_MARKS, _CLOSING))
# Who types no 。 ends sentences with a full stop, after Han characters and before one or the end of the line. That in
# 3.5 or www.a.com ends none, nor does that of a name of two characters, as in 比尔.盖茨, or any in text that has 。
_FULL_STOPS = re.compile('(?:(?<=[{0}]{{3}})|(?<=[0-9A-Za-z][{0}])|(?<=[0-9A-Za-z][{0}]{{2}}))[.．]+{1}'
                         '(?=\\s*(?:[{0}“‘「『（《【]|$))'.format('\u3400-\u9fff', _CLOSING))


def find_files(patterns):
  """The paths that files, globs and folders name, each once, sorted by absolute path.

  Raises:
    UserError: there are no patterns, one matches nothing, or it matches a broken link or a folder without permission.
  """
  paths = set()
  for pattern in patterns:
    matches = _matches(pattern)
    if not matches:
      raise UserError('expected text files at {}, found none; {}'.format(pattern, wide_marks.advice(
          pattern, 'name files, globs or folders of text, one sentence per line and a blank line between documents',
          wide_marks.SEPARATORS)))
    paths.update(os.path.abspath(path) for path in matches)
  if not paths:
    raise UserError('expected text files, found none named; give them with --input_files')
  return sorted(paths)


def _matches(pattern):
  if os.path.isdir(pattern):
    matches = list(_within(pattern))
  elif os.path.exists(pattern):
    return [pattern]
  else:
    matches = glob.glob(pattern, recursive=True)
  return [path for path in matches if _is_file(path)]


def _is_file(path):
  """Whether a path is a file; raises UserError for a broken link, or a folder that cannot be opened."""
  try:
    mode = os.stat(path).st_mode  # once: there may be very many
  except OSError:
    mode = None
  if mode is None or stat.S_ISDIR(mode) and not os.access(path, os.R_OK | os.X_OK):
    raise UserError('{}: expected a text file or a folder of them, found a broken link or a folder that cannot be '
                    'opened; repair it or leave it out'.format(files.shown(path)))
  return stat.S_ISREG(mode)


def _within(folder):
  """Yields what is in a folder and in those below it, links followed, but none twice: a link may lead back.

  Hidden files and folders are none of the text.
  """
  seen = set()
  for parent, names, others in os.walk(folder, followlinks=True):
    status = os.stat(parent)
    names[:] = [] if (status.st_dev, status.st_ino) in seen else sorted(
        name for name in names if not name.startswith('.'))
    if (status.st_dev, status.st_ino) not in seen:
      yield from (os.path.join(parent, name) for name in names + others if not name.startswith('.'))
    seen.add((status.st_dev, status.st_ino))


def short_names(paths):
  """{path: its name}: without folders, unless two have the same, as wiki_00 of several: then below a common one."""
  distinct = set(paths)
  if len({os.path.basename(path) for path in distinct}) == len(distinct):
    return {path: os.path.basename(path) for path in distinct}
  common = os.path.commonpath(distinct)
  return {path: os.path.relpath(path, common) for path in distinct}


def units(paths, encoding='utf-8', documents=BLANK_LINE, unit_bytes=None):
  """Cuts the corpus into `Unit`s of about `unit_bytes`, in order; a packed file is never cut."""
  sizes = [os.path.getsize(path) for path in paths]
  if unit_bytes is None:
    unit_bytes = min(max(sum(sizes) // _UNITS, _MIN_UNIT_BYTES), _MAX_UNIT_BYTES)
  units, parts, filled = [], [], 0
  for number, (path, size) in enumerate(zip(paths, sizes)):
    begin = 0
    for end in list(_cuts(path, size, encoding, documents, unit_bytes)) + [None]:
      parts.append(Part(number, path, begin, end))
      filled += (size if end is None else end) - begin
      begin = end
      if filled >= unit_bytes:
        units.append(Unit(tuple(parts)))
        parts, filled = [], 0
  return units + ([Unit(tuple(parts))] if parts else [])


def text_bytes(paths):
  """The size of all files together, in bytes, as they are on the disk."""
  return sum(map(os.path.getsize, paths))


def unit_bytes(unit):
  """The number of bytes that a unit covers on the disk, for progress."""
  return sum((os.path.getsize(part.path) if part.end is None else part.end) - part.begin for part in unit.parts)


def _cuts(path, size, encoding, documents, unit_bytes):
  """Offsets just after a blank line, or any line, at least `unit_bytes` apart."""
  if size <= unit_bytes or documents == FILE or not streams.can_be_cut(path, encoding):
    return
  stream = streams.open_text(path, encoding)
  with stream.file as source:
    target = unit_bytes
    while target < size:
      source.seek(target)
      at_start = False
      for raw in _pieces(source, MAX_LINE_BYTES):
        if documents == LINE and raw.endswith(b'\n'):
          break
        if at_start and (not raw.strip() or not raw.decode(stream.encoding, 'replace').strip()):
          break
        at_start = raw.endswith(b'\n')
      target = source.tell()
      if target < size:
        yield target
      target += unit_bytes


def _pieces(source, longest):
  """The lines of a file; one that is too long comes in several pieces, of which only the last ends with a newline."""
  return iter(lambda: source.readline(longest), b'')


class Reader:
  """Reads the documents of units.

  Args:
    encoding: of the files without a byte-order mark.
    skip_errors: whether lines that are not in it are left out; otherwise they are an error.
    documents: one of DOCUMENTS.

  Attributes:
    skipped: [(line of the unit, from 0; why)], the lines that were left out.
    divided_documents: number of places where a document longer than MAX_DOCUMENT_BYTES was divided.
    lines: number of lines of the unit that were read so far.
    part_lines: list of the number of lines of each part of the unit that was read.
    divided_lines: number of lines longer than MAX_LINE_BYTES.
    replaced_surrogates: number of halves of surrogate pairs, which are no characters; U+FFFD takes their places.
  """

  def __init__(self, encoding='utf-8', skip_errors=False, documents=BLANK_LINE):
    self._encoding = encoding
    self._skip_errors = skip_errors
    self._documents = documents
    self._longest_line = MAX_LINE_BYTES
    self.skipped = []
    self.part_lines = []
    self.lines = self.divided_documents = self.divided_lines = self.replaced_surrogates = 0

  def documents(self, unit):
    """Yields the `Document`s of a unit.

    Raises:
      UserError: a file cannot be read, or a line is not in the encoding and errors are not skipped.
    """
    for part in unit.parts:
      before = self.lines
      yield from self._documents_of(part)
      self.part_lines.append(self.lines - before)

  def _documents_of(self, part):
    sentences = []
    offset, line = part.begin, self.lines
    for start, text, is_piece in self._lines(part):
      ends = {BLANK_LINE: not text and not is_piece, LINE: self.lines != line, FILE: False}[self._documents]
      if sentences and (ends or text and start - offset >= MAX_DOCUMENT_BYTES):
        self.divided_documents += not ends
        yield Document(part.file, offset, sentences, line)
        sentences = []
      if text:
        offset, line = (offset, line) if sentences else (start, self.lines)
        sentences.extend(split_sentences(text) if is_piece else [text])
    if sentences:
      yield Document(part.file, offset, sentences, line)

  def _lines(self, part):
    """Yields (byte offset, text, whether it is a piece of a too long line); the text of a blank line is empty.

    Skipped lines are not yielded. `lines` counts those before the current one.
    """
    stream = streams.open_text(part.path, self._encoding)
    position = part.begin
    decoder, ends = None, True
    try:
      with stream.file as source:
        if position:
          source.seek(position)
        for raw in _pieces(source, self._longest_line):
          start, position = position, position + len(raw)
          ends = raw.endswith(b'\n')
          if start == 0 and raw.startswith(_BOM):
            raw = raw[len(_BOM):]
            start = len(_BOM)
          if decoder is None and not ends and len(raw) >= self._longest_line - len(_BOM):
            decoder = codecs.getincrementaldecoder(stream.encoding)()
            self.divided_lines += 1
          try:
            text = decoder.decode(raw, ends) if decoder else raw.decode(stream.encoding)
            yield start, self._characters(text).strip(), decoder is not None
          except UnicodeDecodeError as error:
            self._undecodable(part.path, stream, start, error)
            decoder = decoder and codecs.getincrementaldecoder(stream.encoding)()
          self.lines += ends
          decoder = None if ends else decoder
          if part.end is not None and position >= part.end:
            return
        if decoder is not None:
          self._check_end(part.path, stream, position, decoder)
        self.lines += not ends
    except streams.READ_ERRORS as error:
      raise UserError('{}: expected a text file, found one that cannot be read ({}); get it anew, or leave it '
                      'out'.format(files.shown(part.path), getattr(error, 'strerror', None) or error))

  def _check_end(self, path, stream, position, decoder):
    """A file may end within a character."""
    try:
      decoder.decode(b'', True)
    except UnicodeDecodeError as error:
      self._undecodable(path, stream, position - len(error.object), error)

  def _characters(self, text):
    """Text without halves of surrogate pairs, which cannot be written anywhere."""
    if not _SURROGATES.search(text):
      return text
    text, replaced = _SURROGATES.subn('\ufffd', text)
    self.replaced_surrogates += replaced
    return text

  def _undecodable(self, path, stream, start, error):
    if self._skip_errors:
      self.skipped.append((self.lines, 'not in {}'.format(stream.name)))
      return
    where = 'line {}'.format(line_number(path, stream.name, start))
    if stream.name == stream.encoding:
      where = 'byte 0x{:02x} in {}, byte {} of the file'.format(
          error.object[error.start], where, start + error.start)
    other = streams.guess(path, stream.name) if stream.name == stream.encoding else None
    raise UserError('{}: expected text in {}, found {}; {}'.format(
        files.shown(path), stream.name, where,
        'it looks like {0}: say --encoding={0}, or --encoding={1} if others are not'.format(other, streams.AUTO)
        if other else
        'name its encoding (--encoding=...), repair it, or leave such lines out (--errors=skip)'))


def split_sentences(text):
  """Text divided after the marks that end sentences, without the space around: list of str, none of them blank."""
  if '。' not in text and ('.' in text or '．' in text):
    text = _FULL_STOPS.sub(lambda match: match.group() + '\n', text)
  return [part for part in (part.strip() for part in _SENTENCES.findall(text)) if part]


def line_number(path, encoding, offset):
  """The number, from 1, of the line that holds byte `offset` of what is read."""
  with streams.open_text(path, encoding).file as source:
    newlines = 0
    while offset > 0:
      block = source.read(min(offset, 1 << 20))
      if not block:
        break
      newlines += block.count(b'\n')
      offset -= len(block)
    return newlines + 1
