"""Which layout a file has, and its examples: the one place that reads labelled text."""

import collections
import itertools

from albert.common.errors import UserError
from albert.common import files
from albert.labelled.example import BadLine
from albert.labelled.example import EMPTY_LINE
from albert.labelled.example import Example
from albert.labelled.example import Reading
from albert.labelled.example import Tags
from albert.labelled.layout import columns as columns_lib
from albert.labelled.layout import forms
from albert.labelled.layout import label_values
from albert.labelled.layout import lines
from albert.labelled.layout import questions
from albert.labelled.layout import tagged
from albert.labelled.options import check_kind
from albert.labelled.options import CLASSIFY
from albert.labelled.options import READ
from albert.labelled.options import TAG

Layout = collections.namedtuple('Layout', ['path', 'kind', 'form', 'names', 'has_header', 'columns'])
Layout.__doc__ = """How a file is read.

form: one of forms.FORMS; names: list of str, the columns of a table or the fields of JSON; has_header: whether the
first row of a table has them; columns: `columns.Columns`, None if the form has none.
"""

# Records whose columns are looked at for texts that nobody reads.
_UNREAD_RECORDS = 100
# The error of a line that is not UTF-8.
NO_TEXT = 'expected UTF-8, found bytes or a \\u escape that are no character (if it is GBK: iconv -f GB18030 -t UTF-8)'


def recognise(path, kind, options, known_labels=()):
  """The `Layout` of a file.

  Args:
    path: str.
    kind: one of options.KINDS.
    options: LabelledOptions.
    known_labels: the labels of the model, if there is one: they tell the label of a table without a header.

  Raises:
    UserError: the file cannot be read, or has not the columns that are needed.
  """
  check_kind(kind)
  form = forms.form_of(path, tagged=kind == TAG)
  if kind == READ and form not in (forms.JSON, forms.JSON_LINES):
    raise UserError('{}: expected JSON as of CMRC 2018 or SQuAD, or an object with "context" and "question" in each '
                    'line, found {}; convert it'.format(files.shown(path), form))
  if kind == READ or form == forms.CONLL:
    return Layout(path, kind, form, [], False, None)
  if form in (forms.JSON, forms.JSON_LINES):
    names = _fields(path, form)
    # Nothing will be read from an empty file, whatever its columns.
    columns = columns_lib.find_columns(path, kind, options, names) if names else columns_lib.NONE
    return Layout(path, kind, form, names, False, columns)
  table = columns_lib.read_table(path, form, options)
  if table.has_header:
    columns = columns_lib.find_columns(path, kind, options, table.names)
  else:
    columns = columns_lib.guess_columns(path, kind, options, table, known_labels)
  return Layout(path, kind, form, table.names, table.has_header, columns)


def _fields(path, form):
  """The names of fields in the first records: list of str, empty of an empty file. Raises UserError if none is one."""
  names, mistake = {}, None
  for line, record, error in itertools.islice(forms.records(path, form), forms.SAMPLE):
    names.update(dict.fromkeys(record or ()))
    mistake = mistake or error and (line, error)
  if mistake and not names:
    raise UserError('{}:{}: {}; correct the file'.format(files.shown(path), *mistake))
  return list(names)


def numbers_of_labels(layout):
  """{label: its number} of a file that has both, one for one, as TNEWS and IFLYTEK; else an empty dict."""
  columns, numbers = layout.columns, {}
  if not columns or columns.label not in columns_lib.DESCRIPTIONS or columns_lib.NUMBER not in layout.names:
    return {}
  for _, record, _ in forms.records(layout.path, layout.form, layout.names, layout.has_header, columns.text_a):
    if record:
      name, number = (record.get(field) for field in (columns.label, columns_lib.NUMBER))
      if not isinstance(name, str) or not isinstance(number, (str, int)):
        return {}
      name, number = map(label_values.class_of, (name, number))
      if name and number != numbers.setdefault(name, number):
        return {}
  return numbers if None not in numbers.values() and len(set(numbers.values())) == len(numbers) else {}


def describe(layout):
  """A layout in words, such as 'JSON lines, text `sentence`, label `label_desc`'."""
  if layout.columns is None:
    return layout.form + (', questions and contexts' if layout.kind == READ else ', a character and its tag per line')
  parts = [layout.form]
  if layout.form in (forms.CSV, forms.TSV) and not layout.has_header:
    parts.append('no header')
  marks = '`{}`' if layout.has_header or layout.form not in forms.TABLES else 'column {}'
  for role, name in zip(('text', 'second text', 'label', 'id'), layout.columns):
    if name and layout.form != forms.LINES and (role, name) != ('id', 'id'):
      parts.append(role + ' ' + marks.format(name))
  return ', '.join(parts)


def unread_texts(layout):
  """Columns of a file with one text that are not read and hold texts too, perhaps the second one: list of str."""
  if not layout.columns or layout.kind == TAG or layout.columns.text_b:
    return []
  values = {name: [] for name in layout.names if name not in layout.columns + columns_lib.ASIDE}
  for _, record, _ in itertools.islice(
      forms.records(layout.path, layout.form, layout.names, layout.has_header, layout.columns.text_a), _UNREAD_RECORDS):
    for name in values:
      values[name].append((record or {}).get(name))
  return [name for name, cells in values.items() if len(cells) > 1 and len(set(map(str, cells))) > len(cells) / 2
          and all(isinstance(cell, str) and not cell.isdigit() for cell in cells)]


def read_examples(layout, options, labelled=True):
  """Yields the `Example`s and `BadLine`s of a file, in order; it is never held.

  Labels are those of the file, of `tag` `Tags` or a tuple of `Entity`, see there; if not `labelled` they are None, and
  mistakes in them are not looked for.

  Raises:
    UserError: the file as a whole cannot be read.
  """
  number = 0
  if layout.columns and not labelled:
    layout = layout._replace(columns=layout.columns._replace(label=None))
  for entry in _READERS.get(layout.kind if layout.columns is None else '', _records)(layout, options, labelled):
    if isinstance(entry, BadLine):
      yield entry
    elif not all(map(lines.is_text, [entry.text_a, entry.text_b or ''] + _names(entry.label))):
      yield BadLine(entry.line, entry.id if _is_name(entry.id) else None, NO_TEXT)
    else:
      yield entry._replace(number=number)
      number += 1


def _names(label):
  """The names of classes, tags or types in a label, or its answers: list of str."""
  if isinstance(label, str):
    return [label]
  if isinstance(label, Reading):
    return list(label.answers)
  if isinstance(label, Tags):
    return list(set(label.tags))
  return [getattr(entry, 'type', entry) for entry in label] if type(label) is tuple else []


def _is_name(value):
  return isinstance(value, int) or isinstance(value, str) and lines.is_text(value)


def _records(layout, options, labelled):
  columns, convert = layout.columns, _CONVERT.get(layout.kind, _number_label)
  only_text = columns.text_a if columns.text_b is None else None
  for line, record, error in forms.records(layout.path, layout.form, layout.names, layout.has_header, only_text):
    if record is None:
      yield BadLine(line, None, error or EMPTY_LINE)
      continue
    identity = id_of(record, columns.id)
    try:
      text_a = text_of(record, columns.text_a)
      text_b = text_of(record, columns.text_b) if columns.text_b else None
      text_a, label = convert(text_a, record.get(columns.label) if columns.label else None, line, layout, options)
      if layout.kind == CLASSIFY and text_b is not None and label == label_values.NO_LABEL:
        label = None
    except ValueError as problem:
      yield BadLine(line, identity, str(problem))
    else:
      yield Example(0, identity, layout.path, line, text_a, text_b, label)


def id_of(record, name):
  """The id in a field of a record, a str or number; None if it is none or `name` is."""
  return id_or_none(record.get(name) if name else None)


def id_or_none(value):
  """A value of a file as an id, a str or number; None if it is none."""
  return value if _is_name(value) and not isinstance(value, bool) else None


def text_of(record, name):
  """The text in a field of a record; a list is joined by blanks. Raises ValueError if it is none."""
  value = record.get(name)
  if isinstance(value, str):
    return value
  if isinstance(value, list) and all(isinstance(part, str) for part in value):
    return ' '.join(value)
  if isinstance(value, int) and not isinstance(value, bool):
    return str(value)
  raise ValueError('expected the text "{}", found {}'.format(
      name, '{!r:.40}'.format(value) if name in record else ', '.join(map(str, record)) or 'an empty object'))


def _class_label(text, value, line, layout, options):
  return text, label_values.classes_of(value, options.multi_label, options.label_separator)


def _number_label(text, value, line, layout, options):
  return text, label_values.number_of(value)


def _tags_label(text, value, line, layout, options):
  if isinstance(value, dict):
    return text, tagged.entities_of(text, value)
  if isinstance(value, (str, list)) or layout.form in (forms.CSV, forms.TSV) and layout.has_header:
    return tagged.joined_by_blanks(text, value or None, line)
  if value is not None:
    raise ValueError('expected tags, found {!r:.40}'.format(value))
  return text, None


def _sentences(layout, options, labelled):
  for line, text, tags, error in tagged.sentences(layout.path):
    if error and labelled:
      yield BadLine(line, None, error)
    else:
      yield Example(0, None, layout.path, line, text, None, tags if labelled else None)


def _questions(layout, options, labelled):
  for line, value, error in forms.records(layout.path, layout.form):
    if value is None:
      yield BadLine(line, None, error or EMPTY_LINE)
      continue
    try:
      for identity, question, context, reading in questions.questions(value, labelled):
        yield Example(0, id_or_none(identity), layout.path, line, question, context, reading)
    except ValueError as problem:
      yield BadLine(line, None, str(problem))


_CONVERT = {CLASSIFY: _class_label, TAG: _tags_label}
_READERS = {TAG: _sentences, READ: _questions}
