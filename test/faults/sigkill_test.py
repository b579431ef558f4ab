"""SIGKILL at random points, inside saving and inside evaluating among them: each run goes on to the same bits.

FAULT_KILLS says how often: 5 in `make test`, 50 in `make test-faults`.
"""

import os
import random

import pytest

import fault_client
import fault_runs

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get('FAULT_KILLS', '5'))
SEED = int(os.environ.get('FAULT_SEED', '20261123'))
KINDS = ('at any time', 'inside saving', 'inside evaluating', 'between steps')


def _kill(number, answer):
  """Where try `number` dies, if a whole run is like `answer`."""
  chosen, kind = random.Random(SEED + number), number % len(KINDS)
  if kind == 0:
    # The first part of a process is the same for all: Python, no file written.
    return {'kind': 'time', 'seconds': chosen.uniform(0.05, 1.0) * answer.seconds}
  name = {1: 'save', 2: 'eval', 3: 'step'}[kind]
  return {'kind': name, 'number': chosen.randint(1, answer.points[name])}


@pytest.mark.parametrize('number', [
    pytest.param(number, marks=pytest.mark.fault('SIGKILL ' + KINDS[number % len(KINDS)])) for number in range(KILLS)])
def test_a_killed_run_is_finished_by_the_same_command(fault_server, fault_data, uninterrupted, tmp_path, lost, number):
  expected, answer, _ = uninterrupted
  kill, out = _kill(number, answer), tmp_path / 'out'
  killed = fault_server.run(fault_data, out, kill=kill)
  # The clock may come too late for a machine that is less busy than before.
  assert killed.code == -9 or kill['kind'] == 'time' and killed.code == 0, kill
  resumed = fault_server.run(fault_data, out)
  assert resumed.code == 0, (kill, resumed.log)
  assert not fault_runs.leftovers(out), kill
  assert fault_runs.different(expected, fault_runs.snapshot(out)) == [], (kill, resumed.log)
  start = fault_client.start_of(resumed)
  lost(steps=0 if start is None else max(0, killed.step - start))
