"""The value of a label column as a label, whatever the file writes it as."""

import math
import re

# 5, "5" and "5.0", which a table makes of integers where one is missing, are one label.
_INTEGER = re.compile(r'([+-]?[0-9]+)\.0*')
_SEPARATORS = '|,'
# OCNLI: the annotators did not agree.
NO_LABEL = '-'


def class_of(value):
  """The class of a JSON value or cell: str, or None if it says nothing. Raises ValueError if it is no single class."""
  if value is None:
    return None
  if isinstance(value, bool):
    return str(value).lower()
  if not isinstance(value, (str, int)):
    raise ValueError('expected a label, found {!r:.40}'.format(value))
  text = str(value).strip()
  match = _INTEGER.fullmatch(text)
  return (match.group(1) if match else text) or None


def classes_of(value, multi_label, separator):
  """The label of an example of `classify`: str, tuple of str if several are allowed, None if there is none.

  Args:
    value: JSON value or cell.
    multi_label: whether several are allowed; None: if it is a list.
    separator: see LabelledOptions.label_separator.

  Raises:
    ValueError: it is no label, or several where one is allowed.
  """
  if isinstance(value, list):
    if multi_label is False:
      raise ValueError('expected a label, found a list; say FinetuneData.multi_label=True')
    return _unique(class_of(entry) for entry in value)
  if not multi_label or value is None:
    return class_of(value)
  text = class_of(value) or ''
  separator = separator or next((mark for mark in _SEPARATORS if mark in text), None)
  return _unique(class_of(part) for part in (text.split(separator) if separator else [text]))


def _unique(labels):
  return tuple(dict.fromkeys(label for label in labels if label is not None))


def number_of(value):
  """The label of an example of `regress`: float, or None. Raises ValueError."""
  if value is None or value == '':
    return None
  try:
    number = float(value) if not isinstance(value, bool) else math.nan
  except (TypeError, ValueError):
    number = math.nan
  if not math.isfinite(number):
    raise ValueError('expected a number, found {!r:.40}'.format(value))
  return number


def in_order(labels):
  """Distinct labels as a sorted list: integers by their value."""
  labels = list(dict.fromkeys(labels))
  if all(re.fullmatch('[+-]?[0-9]{1,18}', label) for label in labels):
    return sorted(labels, key=lambda label: (int(label), label))
  return sorted(labels)
