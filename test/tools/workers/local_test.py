"""tools.workers.local: tasks in several processes, and what happens when one of them ends."""

import os
import signal
import time

import pytest

from albert.common.errors import UserError
from tools.workers import local


def square(number):
  return os.getpid(), number * number


def fail(number):
  if number == 3:
    raise UserError('expected no 3, found it')
  return number


def die(number):
  if number == 1:
    os.kill(os.getpid(), signal.SIGKILL)
  time.sleep(0.2)
  return number


@pytest.mark.parametrize('workers', [1, 2, 4])
def test_every_task_is_done_once(workers):
  results = dict(local.Local(workers).run(square, [(number,) for number in range(20)]))
  assert {number: value for number, (_, value) in results.items()} == {number: number ** 2 for number in range(20)}
  processes = {process for process, _ in results.values()}
  assert processes == {os.getpid()} if workers == 1 else 1 < len(processes) <= workers
  assert os.getpid() not in processes or workers == 1


def test_no_tasks():
  assert list(local.Local(2).run(square, [])) == []


@pytest.mark.parametrize('workers', [1, 3])
def test_what_a_task_raises_is_raised(workers):
  with pytest.raises(UserError, match='expected no 3'):
    list(local.Local(workers).run(fail, [(number,) for number in range(9)]))


def test_a_killed_worker_is_one_clear_error():
  with pytest.raises(local.WorkerLost, match='SIGKILL.*--num_workers') as error:
    list(local.Local(2).run(die, [(number,) for number in range(4)]))
  assert '\n' not in str(error.value)


def test_no_process_is_left():
  run = local.Local(2).run(square, [(number,) for number in range(50)])
  processes = {next(run)[1][0] for _ in range(10)}
  run.close()
  for process in processes:
    with pytest.raises(OSError):
      os.kill(process, 0)
