"""Text to be answered: a file of whatever layout, or lines as somebody types them. No TensorFlow."""

import dataclasses
import re

from albert.common.errors import UserError
from albert.labelled.example import BadLine
from albert.labelled.example import Example
from albert.labelled.labels import Labels  # noqa: F401, what read_file is given
from albert.labelled.layout import columns
from albert.labelled.layout import json_values
from albert.labelled.layout import layouts
from albert.labelled.layout.lines import is_text
from albert.labelled.layout import questions
from albert.labelled import options as labelled
from albert.labelled import sources

# How a typed object begins; other texts may begin with a brace too.
_OBJECT = re.compile(r'\s*\{\s*("|\}|$)')
_NAMES = ('text_a', 'text_b', 'label', 'id')


def read_file(path, kind, data, labels, is_labelled=False):
  """(what the layout is, in words; a generator of the Examples and BadLines of a file, in order).

  Columns are those that the model was trained with, where the file has them, else they are recognised.

  Args:
    path: str. kind: one of options.KINDS. data: LabelledOptions of the model. labels: Labels of the model.
    is_labelled: whether labels are read.

  Raises:
    UserError: the file cannot be read, or has no text, or no label where it should.
  """
  tried = [data] if is_labelled else [data, dataclasses.replace(data, label=None)]
  tried.append(dataclasses.replace(data, **dict.fromkeys(_NAMES)))
  known = labels.names if kind == labelled.CLASSIFY else ()
  layout, options = _first_layout(path, kind, tried, known)
  has_label = layout.columns is None or layout.columns.label is not None
  if is_labelled and not has_label:
    found = ', '.join(name for name in layout.names if not name.isdigit())  # others are numbers of columns
    raise UserError('{}: expected a label with each text, found {}; name its column with FinetuneData.label; without '
                    'labels make predict answers, where LABELLED is left out'.format(
                        path, 'the columns ' + found if found else 'lines of text'))
  return layouts.describe(layout), sources.read_labelled(path, kind, options, labels, is_labelled)


def _first_layout(path, kind, tried, known):
  """(Layout, LabelledOptions) of the first options that the file goes with; else the first error."""
  first = None
  for options in tried:
    try:
      return layouts.recognise(path, kind, options, known), options
    except UserError as error:
      first = first or error
  raise first


def read_typed(lines, kind, data, is_pair=None):
  """Yields the Example or BadLine of each line: a text; two with a tab between them; or a JSON object.

  A line with nothing in it is an empty text, as in a file of texts.

  Args:
    lines: iterable of str. kind: one of options.KINDS. data: LabelledOptions of the model.
    is_pair: whether the model reads two texts; if not, a tab is part of the text. None: it is not known.
  """
  for number, line in enumerate(lines, 1):
    try:
      identity, text_a, text_b = (
          _from_json(line, kind, data) if _OBJECT.match(line) else _from_text(line, kind, is_pair))
      if not is_text(text_a + (text_b or '')):
        raise ValueError(layouts.NO_TEXT)
      yield Example(number - 1, identity, 'line', number, text_a, text_b, None)
    except (ValueError, UserError) as error:
      yield BadLine(number, None, str(error))


def _from_text(line, kind, is_pair):
  first, tab, second = line.partition('\t')
  if kind == labelled.READ and not tab:
    raise ValueError('expected a question, a tab and a text, found no tab')
  if kind == labelled.TAG or kind != labelled.READ and is_pair is False:
    return None, line, None
  return None, first, second if tab else None


def _from_json(line, kind, data):
  value, error = json_values.parse(line)
  if error is not None or not isinstance(value, dict):
    raise ValueError(error or 'expected a JSON object, found {:.40}'.format(line))
  if kind == labelled.READ:
    asked = [entry[:3] for entry in questions.questions(value, labelled=False)]
    if len(asked) != 1:
      raise ValueError('expected one question, found {}'.format(len(asked)))
    return (layouts.id_or_none(asked[0][0]),) + asked[0][1:]
  bare = dataclasses.replace(data, **{name: None for name in _NAMES if getattr(data, name) not in value})
  chosen = columns.find_columns('this line', kind, bare, list(value))
  texts = [name and layouts.text_of(value, name) for name in chosen[:2]]
  return (layouts.id_of(value, chosen.id),) + tuple(texts)
