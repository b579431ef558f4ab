"""tools.workers.kept_results: what is finished is not done again, what is not is not taken for it."""

import collections
import json
import os
import random
import shutil

import numpy as np
import pytest

from albert.common.errors import UserError
from tools.workers import kept_results
from tools.workers import local

CALLS = []


def work(path, number):
  CALLS.append(number)
  if number == 99:
    raise OSError(28, 'No space left on device')
  with open(path + '.data', 'w') as target:
    target.write(str(number))
  return number * 10


def work_and_name(path, number):
  """Returns the path of its file, as the stages of data creation do."""
  work(path, number)
  return path + '.data'


def run(folder, numbers, fingerprint='a', close=False, make=work):
  kept = kept_results.KeptResults(str(folder), fingerprint)
  del CALLS[:]
  try:
    tasks = [('t-{}'.format(number), (kept.path('t-{}'.format(number)), number)) for number in numbers]
    return dict(kept.run(local.Local(), make, tasks)), kept.reused
  finally:
    kept.close(close)


def test_finished_tasks_are_not_done_again(tmp_path):
  assert run(tmp_path, [1, 2]) == ({0: 10, 1: 20}, 0) and CALLS == [1, 2]
  assert run(tmp_path, [1, 2, 3]) == ({0: 10, 1: 20, 2: 30}, 2) and CALLS == [3]


def test_a_failure_keeps_what_was_finished(tmp_path):
  with pytest.raises(OSError):
    run(tmp_path, [1, 99])
  assert run(tmp_path, [1, 2])[1] == 1


def test_another_fingerprint_clears_all(tmp_path):
  run(tmp_path, [1])
  assert run(tmp_path, [1], 'b')[1] == 0
  assert run(tmp_path, [1], 'a')[1] == 0


@pytest.mark.parametrize('damage', [
    lambda folder: (folder / 't-1.data').write_text(''), lambda folder: os.remove(str(folder / 't-1.data')),
    lambda folder: (folder / 't-1.result').write_bytes(b'\x80'), lambda folder: os.remove(str(folder / 't-1.result'))])
def test_damaged_results_are_done_again(tmp_path, damage):
  run(tmp_path, [1, 2])
  damage(tmp_path)
  assert run(tmp_path, [1, 2]) == ({0: 10, 1: 20}, 1) and CALLS == [1]


def test_half_written_files_are_removed(tmp_path):
  run(tmp_path, [1])
  (tmp_path / 'x.tmp').write_text('half')
  run(tmp_path, [1])
  assert not (tmp_path / 'x.tmp').exists()


def test_two_at_a_time_are_refused(tmp_path):
  kept = kept_results.KeptResults(str(tmp_path), 'a')
  with pytest.raises(UserError, match='another process'):
    kept_results.KeptResults(str(tmp_path), 'a')
  kept.close(remove=True)
  assert not tmp_path.exists()


Pair = collections.namedtuple('Pair', ['left', 'right'])


@pytest.mark.parametrize('value', [
    None, True, 3, -1.5, '词', 'a\udcce', [], [1, [2]], (1, (2, 'x')), {}, {1: 2}, {(1, 'a'): [None]},
    collections.Counter({'的': 3, 'a': 1}), collections.OrderedDict([('b', 1), ('a', 2)]), Pair(1, Pair((), '')),
    np.int64(5), np.float32(0.5), '/w', ['path', 'x']])
def test_values_come_back_as_they_were(value):
  again = kept_results.decode(json.loads(json.dumps(kept_results.encode(value, '/w'))), '/w')
  assert again == value and (type(again) is type(value) or isinstance(value, np.generic))
  assert list(again) == list(value) if isinstance(value, dict) else True


@pytest.mark.parametrize('dtype', [np.int64, np.uint8, np.uint64, np.float32, bool])
def test_arrays_come_back_as_they_were(dtype):
  value = np.arange(6).astype(dtype).reshape(2, 3)
  again = kept_results.decode(json.loads(json.dumps(kept_results.encode(value, '/w'))), '/w')
  assert again.dtype == value.dtype and again.tolist() == value.tolist() and again.flags.writeable


def test_what_is_no_value_is_not_kept():
  for value in (object(), {1, 2}, b'x', np.array([None])):
    with pytest.raises(TypeError):
      kept_results.encode(value, '/w')


@pytest.mark.parametrize('said', [
    [], ['other'], ['path', '../x'], ['path', '/etc/passwd'], ['path'], ['array', '|O', [1], ''],
    ['array', 'x', [1], ''], ['array', '<i8', [2], 'AAAA'], ['named', 'os', 'system', 'true'],
    ['named', 'builtins', 'tuple'], ['named', 'x', 'y'], ['named', 'subprocess', 'Popen', 'true'],
    ['named', __name__, 'Pair', 1], ['dict', 1], [1, 2], [['tuple']]])
def test_nothing_but_values_is_made(said):
  with pytest.raises(ValueError):
    kept_results.decode(said, '/w')


def test_a_moved_folder_is_continued(tmp_path):
  assert run(tmp_path / 'w', [1, 2], make=work_and_name)[0] == {
      0: str(tmp_path / 'w' / 't-1.data'), 1: str(tmp_path / 'w' / 't-2.data')}
  os.rename(str(tmp_path / 'w'), str(tmp_path / 'moved'))
  assert run(tmp_path / 'moved', [1, 2], make=work_and_name) == (
      {0: str(tmp_path / 'moved' / 't-1.data'), 1: str(tmp_path / 'moved' / 't-2.data')}, 2)


def test_a_pickle_is_not_read(tmp_path):
  run(tmp_path, [1])
  made = tmp_path / 'made'
  (tmp_path / 't-1.result').write_bytes(b'cos\nmkdir\n(S"' + str(made).encode() + b'"\ntR.')
  assert run(tmp_path, [1]) == ({0: 10}, 0) and not made.exists()


@pytest.mark.parametrize('name', ['t-2.result', 't-1.data'])
def test_the_result_of_another_task_or_run_is_not_taken(tmp_path, name):
  run(tmp_path / 'w', [1, 2])
  other = tmp_path / 'other'
  run(other, [1, 5], 'b')
  shutil.copy(str(other / ('t-1.result' if 'result' in name else 't-5.data')), str(tmp_path / 'w' / name))
  assert run(tmp_path / 'w', [1, 2]) == ({0: 10, 1: 20}, 1)


@pytest.mark.parametrize('name', ['t-1.data', 't-1.result', 'lock', 'fingerprint', 'fingerprint.tmp', 't-1.data.tmp'])
@pytest.mark.parametrize('plant', ['link', 'pipe', 'folder'])
def test_what_is_planted_is_removed_and_nothing_outside_touched(tmp_path, name, plant):
  run(tmp_path / 'w', [1])
  victim, planted = tmp_path / 'victim', str(tmp_path / 'w' / name)
  victim.write_text('mine')
  if os.path.exists(planted):
    os.remove(planted)
  {'link': lambda: os.symlink(str(victim), planted), 'pipe': lambda: os.mkfifo(planted),
   'folder': lambda: os.mkdir(planted)}[plant]()
  assert run(tmp_path / 'w', [1])[0] == {0: 10}
  assert victim.read_text() == 'mine'


@pytest.mark.parametrize('make', [lambda path: os.symlink(os.path.dirname(path), path), lambda path: open(path, 'w')])
def test_a_folder_that_is_none_is_refused(tmp_path, make):
  make(str(tmp_path / 'w'))
  with pytest.raises(UserError, match='expected the folder of unfinished work'):
    run(tmp_path / 'w', [1])


@pytest.mark.fault('forged: .unfinished')
def test_no_changed_byte_is_taken_for_a_result(tmp_path):
  run(tmp_path / 'w', [1, 2], make=work_and_name)
  generator = random.Random(1)
  for _ in range(200):
    folder = tmp_path / 'w'
    path = str(folder / generator.choice(['t-1.result', 't-1.data', 't-2.result', 'fingerprint']))
    content = bytearray(open(path, 'rb').read())
    place = generator.randrange(len(content))
    content[place] = (content[place] + generator.randrange(1, 256)) % 256
    with open(path, 'wb') as target:
      target.write(content)
    results, reused = run(folder, [1, 2], make=work_and_name)
    assert results == {0: str(folder / 't-1.data'), 1: str(folder / 't-2.data')}
    assert reused == (0 if path.endswith('fingerprint') else 1), (path, place)
