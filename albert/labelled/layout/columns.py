"""Which column or JSON field is which: as the user says, by its name, or in a table without a header by its content."""

import collections

from albert.common.errors import UserError
from albert.common import files
from albert.labelled.layout import forms
from albert.labelled.options import READ
from albert.labelled.options import REGRESS
from albert.labelled.options import TAG

Columns = collections.namedtuple('Columns', ['text_a', 'text_b', 'label', 'id'])
Columns.__doc__ = """Names of columns; None for those that the file does not have, except text_a."""

# Of an empty file.
NONE = Columns('text', None, None, None)

Table = collections.namedtuple('Table', ['names', 'has_header', 'rows'])
Table.__doc__ = """The begin of a table: names of its columns, whether its first row has them, the other rows."""

_PAIRS = (('text_a', 'text_b'), ('sentence1', 'sentence2'), ('abst', 'keyword'), ('premise', 'hypothesis'),
          ('premise', 'hypo'), ('question1', 'question2'), ('query1', 'query2'), ('query', 'title'), ('q1', 'q2'),
          ('s1', 's2'), ('text1', 'text2'), ('sentence_a', 'sentence_b'))
_TEXTS = tuple(pair[0] for pair in _PAIRS) + (
    'text', 'sentence', 'review', 'content', 'title', 'question', 'query', '文本', '内容', '句子')
# A label in words before its number, which TNEWS and IFLYTEK have besides.
DESCRIPTIONS, NUMBER = ('label_desc', 'label_des'), 'label'
_LABELS = DESCRIPTIONS + (NUMBER, 'labels', 'category', 'class', '标签', '类别')
_NUMBERS = ('label', 'score')
_IDS = ('id', 'idx', 'guid')
# What TNEWS has beside its text.
ASIDE = ('keywords',)
_KNOWN = frozenset(_TEXTS + tuple(pair[1] for pair in _PAIRS) + _LABELS + _NUMBERS + _IDS)
# The values of a label column recur: there are at most this share of the rows of them, if there are enough rows.
_FEW, _ENOUGH_ROWS = 0.5, 20


def read_table(path, form, options):
  """The begin of a table as `Table`. Raises UserError if its rows have no common number of columns."""
  sample = [row for _, row, error in _sample(path, form) if error is None and row not in ([], [''])]
  first = sample[0] if sample else ['']
  named = {name for name in (options.text_a, options.text_b, options.label, options.id) if name}
  cells = [cell.strip() for cell in first]
  if named & set(cells) - {str(number) for number in range(1, len(cells) + 1)} or _known(cells):
    return Table(_distinct(path, cells), True, sample[1:])
  widths = collections.Counter(map(len, sample) if sample else [1])
  return Table([str(number) for number in range(1, widths.most_common(1)[0][0] + 1)], False, sample)


def _sample(path, form):
  for number, row in enumerate(forms.rows(path, form)):
    if number == forms.SAMPLE:
      return
    yield row


def _known(cells):
  """Whether cells are a header. One name may well be a text; what stands there twice is one name."""
  known = {cell.lower() for cell in cells} & _KNOWN
  return len(known) > 1 or bool(known) and len(set(cells)) == len(cells)


def _distinct(path, cells):
  twice = [name for name, count in collections.Counter(cells).items() if name and count > 1]
  if twice:
    raise UserError('{}: expected each column once, found {} twice; rename one'.format(
        files.shown(path), _listed(twice)))
  return cells


def find_columns(path, kind, options, names):
  """The `Columns` of a file with named columns or fields.

  Raises:
    UserError: it has none that is the text, or not one that the user names.
  """
  # A file to predict has no label; where one is needed its absence is noticed later.
  for role in ('text_a', 'text_b', 'id'):
    if getattr(options, role) and getattr(options, role) not in names:
      raise UserError('{}: expected the column "{}" (FinetuneData.{}), found {}; name one of these'.format(
          files.shown(path), getattr(options, role), role, _listed(names)))
  text_a, text_b = _texts(options, names)
  if text_a is None:
    raise UserError('{}: expected a text such as "text_a" or "sentence", found {}; name the column with '
                    'FinetuneData.text_a'.format(files.shown(path), _listed(names)))
  if kind == TAG:
    text_b = None
  label = _first(_NUMBERS if kind == REGRESS else _LABELS if kind != TAG else ('label',), names)
  if options.label:
    label = options.label if options.label in names else None
  return Columns(text_a, text_b, label, options.id or _first(_IDS, names))


def _texts(options, names):
  if options.text_a:
    return options.text_a, options.text_b
  for pair in _PAIRS:
    named = [_first([name], names) for name in pair]
    if None not in named:
      return named[0], options.text_b or named[1]
  return _first([name for name in _TEXTS if name not in (options.text_b, options.label)], names), options.text_b


def _first(wanted, names):
  """The first of the wanted names that is there, in any case, as it is written there."""
  there = {name.lower(): name for name in reversed(names)}
  return next((there[name] for name in wanted if name in there), None)


def _listed(names):
  return ', '.join(map(str, names)) or 'none'


def guess_columns(path, kind, options, table, known_labels=()):
  """The `Columns` of a table without a header.

  Args:
    path: str.
    kind, options: see sources.read_labelled.
    table: Table.
    known_labels: labels of the model, if there is one.

  Raises:
    UserError: it has a header with other names, or more texts than two.
  """
  numbers = list(table.names)
  rows = [row for row in table.rows if len(row) == len(numbers)]
  for role in ('text_a', 'text_b', 'label', 'id'):
    if getattr(options, role) and getattr(options, role) not in numbers:
      raise UserError('{}: expected the column "{}" (FinetuneData.{}), found no header with it but: {}; correct the '
                      'name, or give the number of the column, from 1 to {}'.format(
                          files.shown(path), getattr(options, role), role, ' | '.join(table.rows[0])[:80]
                          if table.rows else 'nothing', len(numbers)))
  label = options.label or _label_column(kind, numbers, rows, known_labels, (options.text_a, options.text_b))
  if label and label in numbers and not options.label and not known_labels:
    _check_no_header(path, [row[int(label) - 1] for row in rows])
  texts = [name for name in numbers if name not in (label, options.id)]
  identity = options.id
  if len(texts) > 2 and not options.text_a and not identity:
    identity = next((name for name in texts if _are_ids([row[int(name) - 1] for row in rows])), None)
    texts = [name for name in texts if name != identity]
  if options.text_a:
    return Columns(options.text_a, options.text_b, label, identity)
  if not texts or len(texts) > 2:
    raise UserError('{}: expected a label and one or two texts, found {} columns without a header; name them by '
                    "number, such as FinetuneData.text_a='2'".format(files.shown(path), len(numbers)))
  return Columns(texts[0], texts[1] if texts[1:] and kind != TAG else options.text_b, label, identity)


def _label_column(kind, numbers, rows, known_labels, texts):
  """The column that is the label: one whose values are few; None if none is."""
  candidates = []
  for name in numbers:
    values = [row[int(name) - 1].strip() for row in rows]
    if name in texts or len(numbers) == 1 or kind in (TAG, READ):
      continue
    distinct = set(values)
    if known_labels:
      is_label = distinct <= set(known_labels) | {'', '-'}
    elif kind == REGRESS:
      is_label = all(map(_is_number, distinct))
    else:
      is_label = len(rows) < _ENOUGH_ROWS or len(distinct) <= _FEW * len(rows)
    if is_label:
      candidates.append((len(distinct) if kind != REGRESS else -len(distinct), sum(map(len, values)), name))
  return min(candidates)[-1] if candidates else None


def _is_number(text):
  try:
    float(text)
    return True
  except ValueError:
    return False


def _are_ids(values):
  return len(set(values)) == len(values) and all(value.isdigit() for value in values)


def _check_no_header(path, values):
  counts = collections.Counter(values)
  if len(values) >= _ENOUGH_ROWS and counts[values[0]] == 1 and min(
      [count for value, count in counts.items() if value != values[0]], default=1) > 1:
    raise UserError('{}: expected a header with names such as text_a and label, or none, found a first row whose label '
                    '"{}" no other row has; if it is a header, name the columns (FinetuneData.text_a, .label)'.format(
                        files.shown(path), values[0]))
