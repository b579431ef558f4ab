"""The forms of a file of labelled text, and its records as dicts, whatever the form.

    JSON lines, JSON      an object is a record; JSON: an array, or an object with the array "data"
    CSV                   quoted as RFC 4180 has it: a field may hold commas, tabs and newlines
    TSV                   never quoted; a tab too many belongs to the one text
    lines                 each line is a text
    CoNLL                 see tagged.py

The fields of a table without a header are called 1, 2, 3 ...
"""

import csv
import itertools
import os
import re

from albert.labelled.layout import json_values
from albert.labelled.layout import lines
from albert.labelled.layout import tagged as tagged_text

JSON_LINES, JSON, CSV, TSV, LINES, CONLL = FORMS = ('JSON lines', 'JSON', 'CSV', 'TSV', 'lines of text', 'CoNLL')
TABLES = (CSV, TSV, LINES)

SAMPLE = 1000  # records that are looked at
_SNIFFED = 200  # lines
_CONLL_SHARE = 0.9
# Lines of one character each: fewer of them may be texts.
_FEWEST_UNITS = 10
# Longer than any text; a quote that is never closed would swallow the rest of the file.
_MAX_FIELD = 1 << 20


def form_of(path, tagged):
  """The form of a file: one of FORMS. tagged: whether it may be CoNLL."""
  sample = list(itertools.islice(lines.read_lines(path), _SNIFFED))
  written = [text for _, text in sample if text.strip()]
  first = written[0].lstrip() if written else ''
  suffix = os.path.splitext(re.sub(r'\.gz$', '', path.lower()))[1]
  if suffix in ('.json', '.jsonl') or re.match(r'\{\s*("|$)|\[\s*(\{|$)', first):
    return JSON if _is_array(path) else JSON_LINES
  if tagged and written:
    tags = [bool(tagged_text.TAG_LINE.fullmatch(text)) for text in written]
    # A header is none.
    if tags[0] and sum(tags) >= _CONLL_SHARE * len(tags):
      return CONLL
    if len(written) >= _FEWEST_UNITS and sum(len(text.strip()) == 1 for text in written) >= _CONLL_SHARE * len(tags):
      return CONLL  # without tags, as a file that is to be predicted
  if suffix == '.csv':
    return TSV if '\t' in first and ',' not in first else CSV
  return TSV if suffix == '.tsv' or written and all('\t' in text for text in written) else LINES


def _is_array(path):
  with lines.open_bytes(path) as source:
    return json_values.is_array(source)


def rows(path, form):
  """Yields (line, list of str, error) of a table. Raises UserError."""
  if form == CSV:
    yield from _csv_rows(path)
    return
  for number, text in lines.read_lines(path):
    yield number, text.split('\t') if form == TSV else [text], None


def _csv_rows(path):
  csv.field_size_limit(max(csv.field_size_limit(), _MAX_FIELD))
  reader = csv.reader((text + '\n' for _, text in lines.read_lines(path)), strict=True)
  while True:
    begin = reader.line_num + 1
    try:
      yield begin, next(reader), None
    except StopIteration:
      return
    except csv.Error as error:
      yield begin, None, 'expected CSV, found a quote or field that does not end as it should ({})'.format(error)


def records(path, form, names=None, has_header=False, text=None):
  """Yields (line, {name: value}, error) of a file; the record is None where there is an error, '' for an empty line.

  Args:
    path: str.
    form: one of FORMS but CONLL.
    names: of the columns of a table: list of str.
    has_header: whether its first row has them.
    text: the name of the only text, to which a tab too many belongs, or None.

  Raises:
    UserError: the file cannot be read.
  """
  if form in (JSON, JSON_LINES):
    for number, value, error in json_values.read_values(path):
      if error is None and not isinstance(value, dict):
        value, error = None, 'expected a JSON object, found {!r:.40}'.format(value)
      yield number, value, error
    return
  for number, row, error in itertools.islice(rows(path, form), int(has_header), None):
    record = None
    if error is None and row in ([], ['']) and form != LINES:
      error = ''
    if error is None:
      record, error = _record(row, names, text)
    yield number, record, error


def _record(row, names, text):
  """({name: cell}, error) of a row."""
  extra = len(row) - len(names)
  if extra > 0 and text in names:
    place = names.index(text)
    row = row[:place] + ['\t'.join(row[place:place + extra + 1])] + row[place + extra + 1:]
  if len(row) != len(names):
    return None, 'expected {} columns ({}), found {}'.format(len(names), ', '.join(names), len(row))
  return dict(zip(names, row)), None
