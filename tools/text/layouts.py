"""A look at the beginning of the files, for text that would be read in another way than it was written."""

import json
import os
import re

from albert.common.errors import UserError
from tools.text import corpus
from tools.text import encodings
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
# An array of texts, or of arrays of texts, as dialogues are: its beginning.
_TEXTS = re.compile(r'(\[\s*)+"(\\.|[^"\\])*"\s*[,\]]')
_MOST_NAMED = 8
_LONGEST_LABEL = 4
# Pages, and documents between tags, as WikiExtractor and Sogou's corpora have them.
_MARKUP = re.compile(r'<(\?xml|!doctype|html|mediawiki|doc)\b[^<]*>', re.IGNORECASE)


def check(paths, encoding, options, documents_given):
  """Raises UserError if the text looks as if it were meant to be read otherwise.

  Args:
    paths: of the files.
    encoding: of the text.
    options: `cleaning.Options`.
    documents_given: whether options.documents was asked for.
  """
  samples = [(path, _lines(path, encoding)) for path in _spread(paths)]
  if options.text_field:
    for path, lines in samples:
      _check_objects(path, [line.strip() for line in lines if line.strip()], 'a JSON object in each line')
    _check_fields(samples, json_lines.field_names(options.text_field))
    return
  for path, lines in samples:
    _check_text(path, lines)
    if not documents_given and len(lines) > 1 and (len(paths) == 1 or _is_large(path)):
      _check_blank_lines(path, lines)


def hint(paths, encoding, options):
  """What may be meant otherwise, though it can be read as it is: a line, or None. Arguments: as of `check`."""
  if options.split_sentences:
    return None
  lines = [line for path in _spread(paths) for line in _lines(path, encoding) if line.strip()]
  if options.text_field:
    reader = json_lines.Reader(options.text_field, skip_errors=True)
    lines = [sentence for line in lines for sentence in reader.sentences(line) or []]
  if not lines or _sizes(lines)[0] < _LONG_ENOUGH or _sizes(lines)[1] < _SENTENCES:
    return None
  return ('lines have {:.0f} characters and {:.1f} sentences; a line is taken for one sentence: --split_sentences '
          'divides them'.format(*_sizes(lines)))


def _spread(paths):
  """The files that are looked at: some from everywhere, and one of each ending, as JSON may lie among many texts."""
  of_ending = {}
  for path in paths:
    of_ending.setdefault(os.path.splitext(path)[1].lower(), path)
  return sorted(set(paths[::-(-len(paths) // _FILES)] + list(of_ending.values())[:_FILES]))


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
  text = start.decode(stream.encoding, 'replace').lstrip(corpus.BOM)
  lines = text.split('\n')[:_LINES]
  if _is_table(path) and '\ufffd' in lines[0]:
    other = encodings.guess(path, encoding)
    raise UserError('{}: expected a table in {}, found other bytes in its first rows; {}'.format(
        path, encoding, 'say --encoding=' + other if other else 'name its encoding (--encoding=...)'))
  return lines


def _is_table(path):
  return path.lower().endswith(tuple(streams.TABLES) + ('.parquet',))


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
  _check_objects(path, written, 'text')
  _check_arrays(path, written)
  records = [record for record in map(_parse, written) if record]
  if not written or not _OBJECT.match(written[0]) or not records:
    return
  names = list(dict.fromkeys(name for record in records for name in json_lines.names_of_text(record)))
  if len(written) == 1 and len(records[0]) > _MOST_NAMED and not any(map(json_lines.holds_text, records[0].values())):
    raise UserError("{}: expected text, found one JSON object that holds others ({}); write each on a line of its own "
                    "(jq -c '.[]') and name the field of the text with --text_field".format(
                        path, _listed(list(records[0]))))
  what = 'a table with the columns' if _is_table(path) else 'JSON objects with the fields'
  if not names:
    raise UserError('{}: expected text, found JSON objects whose fields ({}) hold no text; write the text of each into '
                    'a field, and name that with --text_field'.format(path, _listed(_names(records))))
  raise UserError('{}: expected text, found {} {}; name the one that is the text, or several, such as '
                  '--text_field={}{}'.format(path, what, _listed(names), ','.join(_suggested(names, records)), (
                      ' (or the ending .txt, if it is no table)' if what[0] == 'a' else '')))


def _suggested(names, records):
  """The fields that are most likely text: the last two in which something is longer than a label."""
  def length(name):
    return max((len(value) for record in records for value in json_lines.values(record, name)
                if isinstance(value, (str, list))), default=0)
  return [name for name in names if length(name) > _LONGEST_LABEL][-2:] or names[-2:]


def _listed(names):
  return ', '.join(names[:_MOST_NAMED] + ['...'] * (len(names) > _MOST_NAMED))


def _check_arrays(path, written):
  """Raises UserError if a file is JSON of texts without objects: a dialogue in each line, or all in one array."""
  if not written or not _TEXTS.match(' '.join(written[:_MOST_NAMED])):
    return
  parsed = [_json(line) for line in written]
  in_each = all(isinstance(line, list) and line for line in parsed[:-1] or parsed)
  of_texts = in_each and all(isinstance(item, str) for line in parsed if line for item in line)
  if in_each and (len(written) > 1 or of_texts):
    what, program = 'a JSON array in each line', '{text: .}'
  else:
    what, program = 'a JSON array', '.[] | {text: .}'
  raise UserError("{}: expected text, found {}; make an object of each (jq -c '{}') and say --text_field=text".format(
      path, what, program))


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
  record = _json(line)
  return record if isinstance(record, dict) else None


def _json(line):
  """The value of a JSON line; None if it is none."""
  try:
    return json.loads(line.lstrip(corpus.BOM))
  except (ValueError, RecursionError):
    return None


def _check_fields(samples, wanted):
  """Raises UserError if a named field is in no object, while others are, or holds no text in any."""
  records = [record for _, lines in samples for record in map(_parse, lines) if record]
  for name in wanted if records else []:
    found = [value for record in records for value in json_lines.values(record, name)]
    names = _names(records) + [name for record in records[:1] for name in json_lines.names_of_text(record)
                               if '.' in name]
    if not found:
      raise UserError('{}: expected JSON objects with the field "{}", found none with it, but with {}; correct '
                      '--text_field'.format(samples[0][0], name, _listed(names)))
    if not any(value is None or json_lines.holds_text(value) for value in found):
      raise UserError('{}: expected a text or a list of texts in the field "{}", found {:.40}; {}'.format(
          samples[0][0], name, json.dumps(found[0], ensure_ascii=False), _remedy(name, records)))


def _remedy(name, records):
  """What to do about a field that holds no text."""
  deeper = [other for record in records for other in json_lines.names_of_text(record) if other.startswith(name + '.')]
  if deeper:
    return 'name what is in it: --text_field=' + deeper[-1]
  return 'write the text into a field of its own'


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
  if _are_long(lines):
    raise UserError(
        '{}: expected a blank line between documents, found none, and lines of {:.0f} characters and {:.1f} sentences; '
        'say --documents=line if each is a document, --documents=file if the file is one, with --split_sentences if '
        'lines are not sentences, or --documents=blank_line'.format(path, *_sizes(lines)))


def _are_long(lines):
  """Whether lines are more than sentences."""
  mean, sentences = _sizes(lines)
  return mean >= _LONG_LINE or mean >= _LONG_ENOUGH and sentences >= _SENTENCES


def _sizes(lines):
  """Mean numbers of characters and of sentences."""
  return (sum(map(len, lines)) / len(lines),
          sum(len(corpus.split_sentences(line)) for line in lines) / len(lines))
