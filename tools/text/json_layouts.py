"""A look at lines of JSON: whether there is an object in each, and which of its fields are text."""

import ast
import json
import re

from albert.common.errors import UserError
from albert.dataset import tokenization
from tools.text import corpus
from tools.text import json_lines
from tools.text import streams

_OBJECT, _ARRAY = re.compile(r'\{\s*("|\}|$)'), re.compile(r'\[\s*(\{|$)')
# An array of texts, or of arrays of texts, as dialogues are: its beginning.
_TEXTS = re.compile(r'(\[\s*)+"(\\.|[^"\\])*"\s*[,\]]')
_MOST_NAMED = 8
_LONGEST_LABEL = 4
_PYTHON = re.compile(r"\{\s*'")


def refuse(path, written):
  """Raises UserError if a file, whose lines with anything in them `written` are, is JSON or a table and no text."""
  check_objects(path, written, 'text')
  _check_arrays(path, written)
  records = [record for record in map(_parse, written) if record]
  if not records or not _OBJECT.match(written[0]) and 2 * len(records) <= len(written):
    return
  names = list(dict.fromkeys(name for record in records for name in json_lines.names_of_text(record)))
  if len(written) == 1 and len(records[0]) > _MOST_NAMED and not any(map(json_lines.holds_text, records[0].values())):
    raise UserError("{}: expected text, found one JSON object that holds others ({}); write each on a line of its own "
                    "(jq -c '.[]') and name the field of the text with --text_field".format(
                        path, _listed(list(records[0]))))
  _check_list_within(path, written, records[0])
  what = 'a table with the columns' if streams.is_table(path) else 'JSON objects with the fields'
  if not names:
    raise UserError('{}: expected text, found JSON objects whose fields ({}) hold no text; write the text of each into '
                    'a field, and name that with --text_field'.format(path, _listed(_names(records))))
  raise UserError('{}: expected text, found {} {}; name the one that is the text, or several, such as '
                  '--text_field={}{}'.format(path, what, _listed(names), ','.join(_suggested(names, records)), (
                      ' (or the ending .txt, if it is no table)' if what[0] == 'a' else '')))


def _check_list_within(path, written, record):
  """Raises UserError if a file is one object with a list of objects in it, as SQuAD's are: one document."""
  lists = [name for name, value in record.items() if isinstance(value, list) and len(value) > 1
           and all(isinstance(item, dict) for item in value)]
  if len(written) == 1 and lists:
    raise UserError("{}: expected text, found one JSON object with a list of others in \"{}\"; write each on a line of "
                    "its own (jq -c '.[\"{}\"][]') and name the field of the text with --text_field".format(
                        path, lists[0], lists[0]))


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
  """Raises UserError if a file is JSON of texts without objects: one or several in each line, or all in one array."""
  if len(written) >= _MOST_NAMED and all(isinstance(_json(line), str) for line in written):
    raise UserError('{0}: expected text, found a JSON text in each line, whose quotes would be trained on; take them '
                    'off: jq -r . {0} > NEW'.format(path))
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


def check_objects(path, written, expected):
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
    what, program = 'JSON objects with a comma behind', "sed 's/,\\s*$//'"
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


def check_fields(samples, wanted):
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
