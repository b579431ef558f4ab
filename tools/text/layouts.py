"""A look at the beginning of the files, for text that would be read in another way than it was written."""

import json
import re

from albert.common.errors import UserError
from tools.text import corpus
from tools.text import json_lines
from tools.text import streams

# How many files are looked at, spread over the corpus, and how much of each.
_FILES, _BYTES, _LINES = 20, 1 << 18, 200
# Lines are paragraphs or documents, not sentences, if they are as long as this on average, or hold several sentences.
_LONG_LINE, _LONG_ENOUGH, _SENTENCES = 100, 40, 2
# A file of this size is hardly one document.
_LARGE_FILE = 1 << 16

# Characters of Chinese text with its marks, letters and digits; the share of them in a text that is one.
_OF_TEXT, _MOST = re.compile('[\\s!-~\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]'), 0.9

_OBJECT, _ARRAY = re.compile(r'\{\s*("|\}|$)'), re.compile(r'\[\s*(\{|$)')


def check(paths, encoding, options, documents_given):
  """Raises UserError if the text looks as if it were meant to be read otherwise.

  Args:
    paths: of the files.
    encoding: of the text.
    options: `cleaning.Options`.
    documents_given: whether options.documents was asked for.
  """
  step = -(-len(paths) // _FILES)
  samples = [(path, _lines(path, encoding)) for path in paths[::step]]
  if options.text_field:
    for path, lines in samples:
      _check_objects(path, [line.strip() for line in lines if line.strip()], 'a JSON object in each line')
    _check_fields(samples, json_lines.field_names(options.text_field))
    return
  for path, lines in samples:
    _check_text(path, lines)
    if not documents_given and len(lines) > 1 and (len(paths) == 1 or _is_large(path)):
      _check_blank_lines(path, lines)


def _lines(path, encoding):
  """The first lines of a file, a cut one at the end left out: list of str."""
  stream = streams.open_text(path, encoding)
  try:
    with stream.file as source:
      # Several reads: of what is unpacked a read may be a block.
      start = source.read(_BYTES)
      if len(start) == _BYTES:
        start = start[:start.rfind(b'\n') + 1] or start + source.readline(corpus.MAX_LINE_BYTES)
  except streams.READ_ERRORS:
    return []  # the reader says which and why
  _check_wide(path, start, stream.encoding)
  text = start.decode(stream.encoding, 'replace').lstrip('\ufeff')
  return text.split('\n')[:_LINES]


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
  """Raises UserError if a file is JSON."""
  written = [line.strip() for line in lines if line.strip()]
  _check_objects(path, written, 'text')
  records = [record for record in map(_parse, written) if record]
  if not written or not _OBJECT.match(written[0]) or not records:
    return
  names = [name for name in _names(records) if any(json_lines.holds_text(record.get(name)) for record in records)]
  if not names:
    raise UserError('{}: expected text, found JSON objects whose fields ({}) hold no text; write the text of each into '
                    'a field, and name that with --text_field'.format(path, ', '.join(_names(records))))
  raise UserError('{}: expected text, found JSON objects with the fields {}; name the one that is the text, or '
                  'several, such as --text_field={}'.format(path, ', '.join(names), ','.join(names[-2:])))


def _check_objects(path, written, expected):
  """Raises UserError if a file, of whose lines these are `written`, is JSON without an object in each line."""
  first = written[0] if written else ''
  if any(map(_parse, written)) or not (_ARRAY.match(first) or _OBJECT.match(first)) or not re.match(
      r'[\[{]\s*(\{\s*)?"(\\.|[^"\\])*"\s*:', ' '.join(written)):
    return
  what, program = ('a JSON array', '.[]') if _ARRAY.match(first) else ('JSON that is not an object in each line', '.')
  raise UserError("{}: expected {}, found {}; write each object on a line of its own (jq -c '{}') and name the field "
                  'of the text with --text_field'.format(path, expected, what, program))


def _names(records):
  return list(dict.fromkeys(name for record in records for name in record))


def _parse(line):
  """The object of a JSON line; None if it is none."""
  try:
    record = json.loads(line)
  except (ValueError, RecursionError):
    return None
  return record if isinstance(record, dict) else None


def _check_fields(samples, wanted):
  """Raises UserError if a named field is in no object, while others are, or holds no text in any."""
  records = [record for _, lines in samples for record in map(_parse, lines) if record]
  names = _names(records)
  for name in wanted if records else []:
    if name not in names:
      raise UserError('{}: expected JSON objects with the field "{}", found none with it, but with {}; correct '
                      '--text_field'.format(samples[0][0], name, ', '.join(names)))
    if all(record.get(name) is not None and not json_lines.holds_text(record[name]) for record in records):
      raise UserError('{}: expected a text or a list of texts in the field "{}", found {:.40}; write the text into a '
                      'field of its own'.format(samples[0][0], name, json.dumps(records[0][name], ensure_ascii=False)))


def _is_large(path):
  with open(path, 'rb') as source:
    return len(source.read(_LARGE_FILE)) == _LARGE_FILE


def _check_blank_lines(path, lines):
  """Raises UserError if no blank line divides documents, and lines are longer than sentences."""
  while lines and not lines[-1].strip():
    lines = lines[:-1]
  while lines and not lines[0].strip():
    lines = lines[1:]
  if len(lines) < 2 or not all(line.strip() for line in lines):
    return
  mean = sum(map(len, lines)) / len(lines)
  sentences = sum(len(corpus.split_sentences(line)) for line in lines) / len(lines)
  if mean >= _LONG_LINE or mean >= _LONG_ENOUGH and sentences >= _SENTENCES:
    raise UserError(
        '{}: expected a blank line between documents, found none, and lines of {:.0f} characters and {:.1f} sentences; '
        'say --documents=line if each is a document, --documents=file if the file is one, with --split_sentences if '
        'lines are not sentences, or --documents=blank_line'.format(path, mean, sentences))
