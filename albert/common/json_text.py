"""JSON as RFC 8259 has it, which strict readers take: a number that is not finite is null, a text can be UTF-8.

Python's json writes NaN and Infinity, words that no other language's reader knows, and half of a surrogate pair, which
JSON can escape and no file in UTF-8 can hold.
"""

import json
import math


def dumps(value):
  """Text of a value, with sorted keys and a newline at its end. Numbers that are not finite become null."""
  return json.dumps(finite(value), indent=1, sort_keys=True, allow_nan=False) + '\n'


def line(value, encoding=None, indent=None):
  """Text of a value as a line, or with indentation.

  Args:
    value: of JSON.
    encoding: of where it is written, UTF-8 if None. Chinese stands there as it is, but all of it is escaped where the
      encoding lacks a character, as UTF-8 lacks half of a surrogate pair: nothing of it is lost.
    indent: as for json.dumps.
  """
  text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False, indent=indent)
  try:
    text.encode(encoding or 'utf-8')
    return text
  except UnicodeEncodeError:
    return json.dumps(finite(value), allow_nan=False, indent=indent)


def finite(value):
  """A copy of a JSON value in which every number that is not finite is None."""
  if isinstance(value, float):
    return value if math.isfinite(value) else None
  if isinstance(value, dict):
    return {key: finite(entry) for key, entry in value.items()}
  if isinstance(value, (list, tuple)):
    return [finite(entry) for entry in value]
  return value


def all_finite(values):
  """Whether every number of an iterable is finite; None, which a file has for one that is not, is not."""
  return all(value is not None and math.isfinite(value) for value in values)
