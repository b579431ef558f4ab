"""tools.workers.kept_results: what is finished is not done again, what is not is not taken for it."""

import os

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


def run(folder, numbers, fingerprint='a', close=False):
  kept = kept_results.KeptResults(str(folder), fingerprint)
  del CALLS[:]
  try:
    tasks = [('t-{}'.format(number), (kept.path('t-{}'.format(number)), number)) for number in numbers]
    return dict(kept.run(local.Local(), work, tasks)), kept.reused
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
