"""The small files of a run: how each is read, written, and what it must hold. No TensorFlow.

A file may be cut off, edited, of another program or forged. What is not as described here counts as absent, with one
line for the log that names file and remedy: a run whose checkpoints are good goes on without it.
"""

import json
import math
import re

from albert.common import files
from albert.common import json_text

# Far above any of them; a file that is larger is none of them, and reading it could take all memory.
_MOST_BYTES = 64 << 20
_MOST_NUMBER = 2 ** 63


def read_json(path, is_valid):
  """Reads a JSON file.

  Args:
    path: str.
    is_valid: callable(value) -> bool, of the functions below.

  Returns:
    (value, None); (None, None) where there is no such file; (None, problem in words) for one that cannot be used.
  """
  content, problem = _read(path)
  if content is None:
    return None, problem
  try:
    value = json.loads(content.decode('utf-8'))
  except (ValueError, RecursionError) as error:
    return None, 'it is no JSON ({})'.format(str(error).split('\n')[0])
  return (value, None) if is_valid(value) else (None, 'it holds something else than such a file')


def read_text(path):
  """Reads a text file in UTF-8: (text, None), (None, None) or (None, problem), as read_json does."""
  content, problem = _read(path)
  if content is None:
    return None, problem
  try:
    return content.decode('utf-8'), None
  except UnicodeDecodeError:
    return content.decode('utf-8', errors='replace'), 'not all of it is UTF-8'


def _read(path):
  """(bytes, None), or (None, problem); (None, None) if there is nothing."""
  try:
    return files.read_small(path, _MOST_BYTES), None
  except FileNotFoundError:
    return None, None
  except OSError as error:
    return None, 'it cannot be read ({})'.format(error.strerror)


def write_json(path, value):
  """Writes a JSON file that appears complete under its name; numbers that are not finite are null."""
  files.write_atomically(path, json_text.dumps(value))


# What each file must hold. Keys that are not named here are free: files of later versions have more.

def is_manifest(value):
  """model.ckpt-<step>.manifest.json, without its own checksum."""
  return (_has(value, step=is_count, files=_is_files)
          and _may_have(value, config_hash=is_text, guard=_or_none(_is_guard), train=_or_none(is_results),
                        data_position=_or_none(_is_position), run_state=is_run_state, belongs_to=is_belonging))


def _is_files(value):
  return bool(value) and _is_dict_of(
      value, lambda entry: _has(entry, bytes=is_count, sha256=_is_sha256), files.is_plain_name)


def _is_guard(value):
  return isinstance(value, dict) and _may_have(
      value, skipped=is_count, in_a_row=is_count, record=is_count,
      loss=_or_none(lambda loss: isinstance(loss, dict) and _may_have(loss, mean=is_number, seen=is_count)))


def _is_position(value):
  return value == {} or _has(value, ranks=_is_positive, data_set=is_text) and _may_have(value, epoch_length=is_count)


def is_belonging(value):
  """The entries of a manifest that say what weights belong to, see belonging.py."""
  return isinstance(value, dict) and _may_have(value, vocabulary=_or_none(is_text), config=_is_settings)


def is_run_state(value):
  """run_state.json."""
  return (_has(value, settings=_is_settings, skipped_windows=_is_list_of(_is_window), changes=_is_list_of(_is_change))
          and _may_have(value, schedule=_is_settings, origin=_or_none(_is_origin)))


def _is_window(value):
  return _has(value, checkpoint_step=is_count, to_record=is_count)


def _is_change(value):
  return _has(value, step=is_count, name=is_text)


def _is_origin(value):
  return _has(value, checkpoint=is_text, sha256=is_text)


def _is_settings(value):
  return _is_dict_of(value, lambda entry: entry is None or isinstance(entry, (str, int, float)), is_text)


def is_results(value):
  """results.json."""
  return isinstance(value, dict) and _may_have(
      value, heldout=_are_figures, train=_are_figures, trained_steps=is_count, global_step=is_count, checkpoint=is_text)


def _are_figures(value):
  return _is_dict_of(value, _or_none(_is_any_number), is_text)


def is_best(value):
  """best/best.json. Which figure it needs is said by the task's criterion."""
  return _has(value, checkpoint=files.is_plain_name, global_step=is_count) and _may_have(value, evaluated_on=is_text)


def is_lock(value):
  """run.lock."""
  return _has(value, host=is_text, pid=is_count) and _may_have(value, token=is_text)


def history_step(line, columns):
  """The step of a line of a history, or None for one that is none. columns: int, how many values follow the step."""
  parts = line.split('\t')
  if len(parts) != 1 + columns or not re.fullmatch('[0-9]{1,18}', parts[0]):
    return None
  try:
    [float(part) for part in parts[1:]]
  except ValueError:
    return None
  return int(parts[0])


def is_count(value):
  return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_NUMBER


def is_number(value):
  return _is_any_number(value) and math.isfinite(value)


def is_text(value):
  return isinstance(value, str)


def _is_any_number(value):
  """Also NaN, as files of earlier versions have it."""
  return isinstance(value, float) or isinstance(value, int) and not isinstance(value, bool) and (
      abs(value) < _MOST_NUMBER)


def _is_positive(value):
  return is_count(value) and value > 0


def _is_sha256(value):
  return isinstance(value, str) and bool(re.fullmatch('[0-9a-f]{64}', value))


def _has(value, **checks):
  """Whether a JSON value is an object with all these keys, and their values pass."""
  return isinstance(value, dict) and all(key in value and check(value[key]) for key, check in checks.items())


def _may_have(value, **checks):
  return all(check(value[key]) for key, check in checks.items() if key in value)


def _or_none(check):
  return lambda value: value is None or check(value)


def _is_list_of(check):
  return lambda value: isinstance(value, list) and all(check(entry) for entry in value)


def _is_dict_of(value, check, check_key):
  return isinstance(value, dict) and all(check_key(key) and check(entry) for key, entry in value.items())
