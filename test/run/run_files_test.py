"""Small files of a run that were cut off, edited or forged: never an exception, never taken for what they are not."""

import copy
import json
import math
import random

import pytest

from albert.common import json_text
from albert.run import results
from albert.run import run_files

SHA = 'a' * 64
STATE = {'settings': {'train_batch_size': 4, 'packing': False}, 'schedule': {'learning_rate': 0.1},
         'origin': {'checkpoint': 'w', 'sha256': SHA},
         'skipped_windows': [{'checkpoint_step': 4, 'to_record': 24, 'loss': 9.5}],
         'changes': [{'step': 4, 'name': 'ranks', 'from': 1, 'to': 2}]}
MANIFEST = {'step': 8, 'files': {'model.ckpt-8.index': {'bytes': 3, 'sha256': SHA}}, 'config_hash': SHA,
            'guard': {'skipped': 0, 'in_a_row': 0, 'record': 32, 'loss': {'mean': 2.5, 'seen': 8}},
            'train': {'train': {'total_loss': 2.5, 'seconds': 3.5}, 'examples_per_second': 10.5},
            'data_position': {'record': 32, 'ranks': 1, 'epoch_length': 100, 'data_set': SHA}, 'run_state': STATE,
            'belongs_to': {'vocabulary': SHA, 'config': {'hidden_size': 8}}}
RESULTS = {'heldout': {'masked_lm_loss': 2.5}, 'train': {'total_loss': None}, 'trained_steps': 8, 'global_step': 8}
BEST = {'checkpoint': 'model.ckpt-8', 'global_step': 8, 'masked_lm_loss': 2.5, 'evaluated_on': 'x'}
LOCK = {'host': 'here', 'pid': 7, 'token': 'x'}
GOOD = [(run_files.is_manifest, MANIFEST), (run_files.is_run_state, STATE), (run_files.is_results, RESULTS),
        (run_files.is_best, BEST), (run_files.is_lock, LOCK)]
OTHERS = [None, True, -1, 3.5, 10**40, math.nan, '', '../x', '\0', [], [[]], {}, {'': 0}, 'x' * 1000]


@pytest.mark.parametrize('is_valid,value', GOOD)
def test_what_a_run_writes_is_valid(is_valid, value):
  assert is_valid(value)
  for name in set(value) - {'step', 'files', 'settings', 'skipped_windows', 'changes', 'checkpoint', 'global_step',
                            'host', 'pid'}:
    older = {key: entry for key, entry in value.items() if key != name}
    assert is_valid(older), name


def _places(value, path=()):
  """Paths to every entry of a JSON value."""
  entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
  for key, entry in entries:
    yield path + (key,)
    yield from _places(entry, path + (key,))


@pytest.mark.parametrize('is_valid,value', GOOD)
def test_any_entry_replaced_by_anything_is_answered(is_valid, value):
  for path in _places(value):
    for other in OTHERS:
      changed = copy.deepcopy(value)
      inner = changed
      for key in path[:-1]:
        inner = inner[key]
      inner[path[-1]] = other
      assert is_valid(changed) in (True, False), (path, other)
  for other in OTHERS + [[value]]:
    assert not is_valid(other) or isinstance(other, dict) and is_valid is run_files.is_results


@pytest.mark.parametrize('change', [
    dict(step=-1), dict(step='8'), dict(step=True), dict(files={}), dict(files=[]), dict(files={'../x': {}}),
    dict(files={'/etc/x': {'bytes': 3, 'sha256': SHA}}), dict(files={'x': {'bytes': 3.5, 'sha256': SHA}}),
    dict(files={'x': {'bytes': 3}}), dict(guard={'record': '3'}), dict(guard=[]), dict(guard={'loss': {'mean': 'x'}}),
    dict(train=[]), dict(train={'train': 3}), dict(data_position={'record': 3}), dict(run_state={}),
    dict(data_position={'ranks': 0, 'data_set': SHA}), dict(belongs_to={'config': 3})])
def test_what_no_manifest_says(change):
  assert not run_files.is_manifest(dict(MANIFEST, **change))


def test_thousands_of_damaged_files_raise_nothing(tmp_path):
  """Fixed seed: bytes flipped, cut out, doubled."""
  path, chosen = str(tmp_path / 'file'), random.Random(7)
  for is_valid, value in GOOD:
    whole = json.dumps(value).encode('utf-8')
    for _ in range(300):
      content = bytearray(whole)
      for _ in range(chosen.randint(1, 4)):
        place = chosen.randrange(len(content))
        kind = chosen.randrange(3)
        if kind == 0:
          content[place] = chosen.randrange(256)
        elif kind == 1:
          del content[place:place + chosen.randint(1, 40)]
        else:
          content[place:place] = content[place:place + chosen.randint(1, 40)]
        content = content or bytearray(b' ')
      with open(path, 'wb') as target:
        target.write(content)
      read, problem = run_files.read_json(path, is_valid)
      assert (read is None) == (problem is not None)
      assert '\n' not in (problem or '')


@pytest.mark.parametrize('content,problem', [
    (b'', 'no JSON'), (b'[' * 200000, 'no JSON'), (b'\xff\xfe', 'no JSON'), (b'[1]', 'something else')])
def test_results_that_cannot_be_read_count_as_absent(tmp_path, caplog, content, problem):
  (tmp_path / 'results.json').write_bytes(content)
  assert results.read(str(tmp_path)) == {}
  assert problem in caplog.text and str(tmp_path / 'results.json') in caplog.text
  results.update(str(tmp_path), global_step=3)
  assert results.read(str(tmp_path)) == {'global_step': 3}


@pytest.mark.parametrize('line', [
    'x\t1.0', '4', '', '-1\t1.0', '4\tx', '4\t1.0\t2.0', '4.5\t1.0', '\0', '４\t1.0', '9' * 30 + '\t1.0'])
def test_a_line_of_a_history_that_is_none_is_left_out(tmp_path, caplog, line):
  (tmp_path / 'h.tsv').write_bytes('step\tloss\n2\t1.5\n{}\n6\tnan\n8\t2'.format(line).encode('utf-8'))
  kept = results.History(str(tmp_path), 'h.tsv', ['loss'])
  assert kept.steps() == [2, 6] and not caplog.records
  kept.forget_after(6)
  assert (tmp_path / 'h.tsv').read_text() == 'step\tloss\n2\t1.5\n6\tnan\n'
  assert 'in line 3' in caplog.text


def test_a_history_that_is_no_text_is_begun_again(tmp_path, caplog):
  (tmp_path / 'h.tsv').write_bytes(b'\x80\xff\n\xfe\n')
  kept = results.History(str(tmp_path), 'h.tsv', ['loss'])
  kept.forget_after(4)
  assert (tmp_path / 'h.tsv').read_text() == 'step\tloss\n' and 'UTF-8' in caplog.text


def test_json_has_null_for_what_is_not_finite(tmp_path):
  def refuse(word):
    raise AssertionError(word)
  text = json_text.dumps({'a': [math.nan, 1.5, (math.inf,)], 'b': {'c': -math.inf}, 'd': 3})
  assert json.loads(text, parse_constant=refuse) == {'a': [None, 1.5, [None]], 'b': {'c': None}, 'd': 3}
  results.update(str(tmp_path), train={'total_loss': math.nan})
  assert json.loads((tmp_path / 'results.json').read_text(), parse_constant=refuse) == {'train': {'total_loss': None}}
  assert not json_text.all_finite([1.0, None]) and not json_text.all_finite([math.inf]) and json_text.all_finite([1])
