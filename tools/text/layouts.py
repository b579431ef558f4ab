"""A look at the beginning of the files, for text that would be read in another way than it was written."""

import itertools
import re

from albert.common.errors import UserError
from tools.text import corpus
from tools.text import json_layouts
from tools.text import json_lines
from tools.text import streams

# How many files are looked at, spread over the corpus, and how much of each; of all others, the first bytes.
_FILES, _BYTES, _LINES, _FIRST_BYTES = 20, 1 << 18, 200, 128
# Lines are paragraphs or documents, not sentences, if they are as long as this on average, or hold several sentences.
_LONG_LINE, LONG_ENOUGH, SENTENCES = 100, 40, 2
# A file of this size is hardly one document.
_LARGE_FILE = 1 << 16
# Before a blank line and so many lines without one, so many are a title.
_TITLE, _BODY = 5, 20

# Characters of Chinese text with its marks, letters and digits; the share of them in a text that is one.
_OF_TEXT, _MOST = re.compile('[\\s!-~\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]'), 0.9

# Pages, and documents between tags, as WikiExtractor and Sogou's corpora have them.
_MARKUP = re.compile(r'<(\?xml|!doctype|html|mediawiki|doc)\b[^<]*>', re.IGNORECASE)
# The first bytes of a file that may be no text, and of one that may be no JSON lines, as _beginning() gives them.
_SUSPECT = re.compile(rb'\{\s*["\'}]|\{\s*$|\[\s*[{\["]|\[\s*$|<(\?xml|!doctype|html|mediawiki|doc)\b', re.IGNORECASE)
_NOT_AN_OBJECT = re.compile(rb'\[\s*[{\["]|\[\s*$|\{\s*\'|\{\s*\n')


def check(paths, encoding, options, documents_given):
  """Raises UserError if the text looks as if it were meant to be read otherwise.

  Args:
    paths: of the files.
    encoding: of the text.
    options: `cleaning.Options`.
    documents_given: whether options.documents was asked for.
  """
  samples = [(path, first_lines(path, encoding)) for path in spread(paths)]
  if options.text_field:
    others = [(path, first_lines(path, encoding)) for path in _others(paths, _is_not_an_object)]
    for path, lines in samples + others:
      json_layouts.check_objects(path, [line.strip() for line in lines if line.strip()], 'a JSON object in each line')
    json_layouts.check_fields(samples, json_lines.field_names(options.text_field))
    return
  samples += [(path, first_lines(path, encoding)) for path in _others(paths, _is_suspect)]
  faults = [_fault(path, lines) for path, lines in samples]
  if any(faults):
    are_mixed = any(fault is None and ''.join(lines).strip() for fault, (_, lines) in zip(faults, samples))
    raise UserError(next(filter(None, faults)) + '; or name only the files that are text' * are_mixed)
  for path, lines in samples:
    if not documents_given and len(lines) > 1 and is_alone_or_large(path, paths):
      _check_blank_lines(path, lines)


def _fault(path, lines):
  """What makes a file no text, in words, or None."""
  try:
    _check_text(path, lines)
  except UserError as error:
    return str(error)
  return None


def spread(paths):
  """The files that are looked at."""
  return paths[::-(-len(paths) // _FILES)]


def _others(paths, is_suspect):
  """Of the other files at most _FILES that are suspect by their name or first bytes: one of thousands may be."""
  seen = set(spread(paths))
  return list(itertools.islice((path for path in paths if path not in seen and is_suspect(path)), _FILES))


def _is_suspect(path):
  """Whether a file is a table, or begins as JSON and markup do."""
  return streams.is_table(path) or bool(_SUSPECT.match(_beginning(path)))


def _is_not_an_object(path):
  """Whether a file begins neither as JSON lines nor as text does."""
  return not streams.is_table(path) and bool(_NOT_AN_OBJECT.match(_beginning(path)))


def _beginning(path):
  """The first bytes of a file, without the byte-order mark and, of UTF-16, the zeros; empty if it cannot be read."""
  try:
    start = streams.first_bytes(path, _FIRST_BYTES)
  except UserError:
    return b''  # the reader says which and why
  return start.replace(b'\0', b'').lstrip(b'\xef\xbb\xbf\xff\xfe \t\r\n')


def first_lines(path, encoding):
  """The first lines of a file, a cut one at the end left out: list of str."""
  stream = streams.open_text(path, encoding)
  try:
    with stream.file as source:
      # Several reads: of what is unpacked a read may be a block.
      start = source.read(_BYTES)
      if len(start) == _BYTES:
        longest = json_lines.LONGEST_LINE if start.lstrip(streams.BOM).startswith(b'{') else corpus.MAX_LINE_BYTES
        start = start[:start.rfind(b'\n') + 1] or start + source.readline(longest)
  except streams.READ_ERRORS:
    return []  # the reader says which and why
  _check_wide(path, start, stream.encoding)
  text = start.decode(stream.encoding, 'replace').lstrip(corpus.BOM)
  lines = text.split('\n')[:_LINES]
  if streams.is_table(path) and '\ufffd' in lines[0]:
    other = streams.guess(path, stream.name)
    raise UserError('{}: expected a table in {}, found other bytes in its first rows; {}'.format(
        path, encoding, 'say --encoding=' + other if other else 'name its encoding (--encoding=...)'))
  return lines


def _check_wide(path, start, encoding):
  """Raises UserError if a file that is not in its encoding would be Chinese in UTF-16, without a byte-order mark."""
  if b'\0' not in start or not start.decode(encoding, 'replace').count('\ufffd'):
    return
  for name in ('utf-16-le', 'utf-16-be'):
    text = start[:len(start) // 2 * 2].decode(name, 'replace')
    if len(_OF_TEXT.findall(text)) > _MOST * len(text):
      raise UserError('{}: expected text in {}, found what looks like UTF-16 without a byte-order mark; say '
                      '--encoding={}'.format(path, encoding, name))


def _check_text(path, lines):
  """Raises UserError if a file is JSON, a table, or has lines that nothing here ends."""
  written = [line.strip() for line in lines if line.strip()]
  if len(written) == 1 and written[0].count('\r') > 1:
    raise UserError("{0}: expected lines that end with a newline, found ones that end with a carriage return, as old "
                    "Macs write them; convert it: tr '\\r' '\\n' < {0} > NEW".format(path))
  if written and _MARKUP.match(written[0]):
    raise UserError('{}: expected text, found markup ({:.20}...), whose tags would be trained on; take the text out of '
                    'it first (WikiExtractor: --json, then --text_field=text)'.format(path, written[0]))
  json_layouts.refuse(path, written)


def is_alone_or_large(path, paths):
  """Whether a file of a corpus is hardly one document."""
  # Of a packed file, what is in it: 64 KB of text may be 10 on the disk.
  return len(paths) == 1 or len(streams.first_bytes(path, _LARGE_FILE)) == _LARGE_FILE


def body(lines):
  """Lines without blank ones at the ends, and without a title: what comes before the only blank lines."""
  while lines and not lines[-1].strip():
    lines = lines[:-1]
  while lines and not lines[0].strip():
    lines = lines[1:]
  blank = [number for number, line in enumerate(lines) if not line.strip()]
  if blank and blank[-1] <= 2 * _TITLE and blank[-1] + 1 - len(blank) <= _TITLE and len(lines) - blank[-1] > _BODY:
    return lines[blank[-1] + 1:]
  return lines


def _check_blank_lines(path, lines):
  """Raises UserError if no blank line divides documents, and lines are longer than sentences."""
  text = body(lines)
  if len(text) < 2 or not all(line.strip() for line in text):
    return
  if _are_long(text):
    where = ' after a title' if any(line.strip() for line in lines[:lines.index(text[0])]) else ''
    raise UserError(
        '{}: expected a blank line between documents, found none{}, and lines of {:.0f} characters and {:.1f} '
        'sentences; say --documents=line if each is a document, --documents=file if the file is one, with '
        '--split_sentences if lines are not sentences, or --documents=blank_line'.format(path, where, *sizes(text)))


def _are_long(lines):
  """Whether lines are more than sentences."""
  mean, sentences = sizes(lines)
  return mean >= _LONG_LINE or mean >= LONG_ENOUGH and sentences >= SENTENCES


def sizes(lines):
  """Mean numbers of characters and of sentences."""
  return (sum(map(len, lines)) / len(lines),
          sum(len(corpus.split_sentences(line)) for line in lines) / len(lines))
