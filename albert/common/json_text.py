"""JSON as RFC 8259 has it, which strict readers take: a number that is not finite is null, a text can be UTF-8.

Python's json writes NaN and Infinity, words that no other language's reader knows, and half of a surrogate pair, which
JSON can escape and no file in UTF-8 can hold.
"""

import hashlib
import json
import math


def dumps(value):
  """Text of a value, with sorted keys and a newline at its end. Numbers that are not finite become null."""
  return json.dumps(finite(value), indent=1, sort_keys=True, allow_nan=False) + '\n'


def line(value, indent=None):
  """Text of a value as a line, or with indentation; Chinese is written as it is, halves of surrogate pairs escaped."""
  text = json.dumps(finite(value), ensure_ascii=False, allow_nan=False, indent=indent)
  return text.encode('utf-8', 'backslashreplace').decode('utf-8')


def finite(value):
  """A copy of a JSON value in which every number that is not finite is None."""
  if isinstance(value, float):
    return value if math.isfinite(value) else None
  if isinstance(value, dict):
    return {key: finite(entry) for key, entry in value.items()}
  if isinstance(value, (list, tuple)):
    return [finite(entry) for entry in value]
  return value


def sha256(value):
  """Hex SHA-256 of a JSON value, whatever the order of its keys: by it a file knows whether it is as it was written."""
  return hashlib.sha256(json.dumps(value, sort_keys=True).encode('utf-8')).hexdigest()


def all_finite(values):
  """Whether every number of an iterable is finite; None, which a file has for one that is not, is not."""
  return all(value is not None and math.isfinite(value) for value in values)
