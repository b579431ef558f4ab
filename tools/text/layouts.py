"""A look at the beginning of the files, for text that would be read in another way than it was written."""

import ast
import itertools
import json
import os
import re

from albert.common.errors import UserError
from albert.dataset import tokenization
from tools.text import corpus
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

_OBJECT, _ARRAY = re.compile(r'\{\s*("|\}|$)'), re.compile(r'\[\s*(\{|$)')
# An array of texts, or of arrays of texts, as dialogues are: its beginning.
_TEXTS = re.compile(r'(\[\s*)+"(\\.|[^"\\])*"\s*[,\]]')
_MOST_NAMED = 8
_LONGEST_LABEL = 4
# Pages, and documents between tags, as WikiExtractor and Sogou's corpora have them.
_MARKUP = re.compile(r'<(\?xml|!doctype|html|mediawiki|doc)\b[^<]*>', re.IGNORECASE)
_PYTHON = re.compile(r"\{\s*'")
# The first bytes of a file in which it may find something, without the byte-order mark and, of UTF-16, the zeros.
_SUSPECT = re.compile(rb'\{\s*["\'}]|\{\s*$|\[\s*[{\["]|\[\s*$|<(\?xml|!doctype|html|mediawiki|doc)\b', re.IGNORECASE)


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
    for path, lines in samples:
      _check_objects(path, [line.strip() for line in lines if line.strip()], 'a JSON object in each line')
    _check_fields(samples, json_lines.field_names(options.text_field))
    return
  samples += [(path, first_lines(path, encoding)) for path in _suspects(paths)]
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


def _suspects(paths):
  """Of the other files some that are tables, or begin as JSON and markup do: one of thousands may."""
  seen = set(spread(paths))
  others = (path for path in paths if path not in seen)
  return list(itertools.islice((path for path in others if streams.is_table(path) or _is_suspect(path)), _FILES))


def _is_suspect(path):
  try:
    start = streams.first_bytes(path, _FIRST_BYTES)
  except UserError:
    return False  # the reader says which and why
  return bool(_SUSPECT.match(start.replace(b'\0', b'').lstrip(b'\xef\xbb\xbf\xff\xfe \t\r\n')))


def first_lines(path, encoding):
  """The first lines of a file, a cut one at the end left out: list of str."""
  stream = streams.open_text(path, encoding)
  try:
    with stream.file as source:
      # Several reads: of what is unpacked a read may be a block.
      start = source.read(_BYTES)
      if len(start) == _BYTES:
        start = start[:start.rfind(b'\n') + 1] or start + source.readline(json_lines.LONGEST_LINE)
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
  _check_objects(path, written, 'text')
  _check_arrays(path, written)
  records = [record for record in map(_parse, written) if record]
  if not records or not _OBJECT.match(written[0]) and 2 * len(records) <= len(written):
    return
  names = list(dict.fromkeys(name for record in records for name in json_lines.names_of_text(record)))
  if len(written) == 1 and len(records[0]) > _MOST_NAMED and not any(map(json_lines.holds_text, records[0].values())):
    raise UserError("{}: expected text, found one JSON object that holds others ({}); write each on a line of its own "
                    "(jq -c '.[]') and name the field of the text with --text_field".format(
                        path, _listed(list(records[0]))))
  what = 'a table with the columns' if streams.is_table(path) else 'JSON objects with the fields'
  if not names:
    raise UserError('{}: expected text, found JSON objects whose fields ({}) hold no text; write the text of each into '
                    'a field, and name that with --text_field'.format(path, _listed(_names(records))))
  raise UserError('{}: expected text, found {} {}; name the one that is the text, or several, such as '
                  '--text_field={}{}'.format(path, what, _listed(names), ','.join(_suggested(names, records)), (
                      ' (or the ending .txt, if it is no table)' if what[0] == 'a' else '')))


def _suggested(names, records):
  """The fields that are most likely text, at most two: the first in Han that is no label, and the longest."""
  texts = {name: [text for record in records for value in json_lines.values(record, name)
                  if json_lines.holds_text(value) for text in json_lines.texts(value)] for name in names}
  longest = {name: max(map(len, texts[name]), default=0) for name in names}
  written = [name for name in names if longest[name] > _LONGEST_LABEL and 2 * len(set(texts[name])) > len(texts[name])]
  in_han = [name for name in written if any(map(tokenization.is_han, ''.join(texts[name])))] or written
  if not in_han:
    return names[-2:]
  return list(dict.fromkeys([in_han[0], max(in_han, key=lambda name: sum(map(len, texts[name])))]))


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
  if _PYTHON.match(first) and _is_python(first):
    raise UserError('{}: expected {}, found objects as Python prints them; write each with json.dumps(record, '
                    'ensure_ascii=False), a line each, and name the field of the text with --text_field'.format(
                        path, expected))
  if not (_ARRAY.match(first) or _OBJECT.match(first)) or _are_objects(written) or not re.match(
      r'[\[{]\s*(\{\s*)?"(\\.|[^"\\])*"\s*:', ' '.join(written)):
    return
  what, program = 'JSON that is not an object in each line', "jq -c '.'"
  if _parse(first.rstrip(',')):
    what, program = 'JSON objects with a comma behind', "sed 's/,$//'"
  elif _ARRAY.match(first):
    what, program = 'a JSON array', "jq -c '.[]'"
  if len(written) > 1 and all(isinstance(_json(line), list) for line in written[:2]):
    raise UserError("{}: expected {}, found a JSON array of objects in each line; make an object of each (jq -c "
                    "'{{items: .}}') and name the text in it, such as --text_field=items.{}".format(
                        path, expected, (json_lines.names_of_text(_json(first)[0]) or ['text'])[-1]))
  raise UserError('{}: expected {}, found {}; write each object on a line of its own ({}) and name the field of the '
                  'text with --text_field'.format(path, expected, what, program))


def _are_objects(written):
  """Whether lines are JSON objects, though some may be damaged. The last of an array's may be one, too."""
  return bool(_parse(written[0])) or 2 * sum(map(bool, map(_parse, written))) > len(written)


def _is_python(line):
  """Whether a line is a dict of Python with text in it."""
  try:
    record = ast.literal_eval(line)
  except (ValueError, SyntaxError, RecursionError, MemoryError):
    return False
  return isinstance(record, dict) and all(isinstance(name, str) for name in record)


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
    if not any(json_lines.is_null(value) or json_lines.holds_text(value) for value in found):
      raise UserError('{}: expected a text or a list of texts in the field "{}", found {:.40}; {}'.format(
          samples[0][0], name, json.dumps(found[0], ensure_ascii=False), _remedy(name, records)))


def _remedy(name, records):
  """What to do about a field that holds no text."""
  deeper = [other for record in records for other in json_lines.names_of_text(record) if other.startswith(name + '.')]
  if deeper:
    return 'name what is in it: --text_field=' + deeper[-1]
  return 'write the text into a field of its own'


def is_alone_or_large(path, paths):
  """Whether a file of a corpus is hardly one document."""
  return len(paths) == 1 or os.path.getsize(path) >= _LARGE_FILE


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
