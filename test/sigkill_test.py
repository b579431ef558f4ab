"""SIGKILL at random points, inside saving and inside evaluating among them: each run goes on to the same bits.

FAULT_KILLS says how often: 5 in `make test`, 50 in `make test-faults`.
"""

import json
import os
import random
import subprocess
import sys

import numpy as np
import pytest

import fault_runs

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get('FAULT_KILLS', '5'))
SEED = int(os.environ.get('FAULT_SEED', '20261123'))


class Server:
  """fault_server.py in a process of its own."""

  def __init__(self):
    self._process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', os.path.join(os.path.dirname(os.path.abspath(__file__)), 'fault_server.py')],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)

  def run(self, data, out, kill=None, bindings=()):
    job = {'data': str(data), 'out': str(out), 'bindings': list(bindings), 'kill': kill}
    self._process.stdin.write(json.dumps(job) + '\n')
    self._process.stdin.flush()
    return json.loads(self._process.stdout.readline())

  def close(self):
    self._process.stdin.close()
    self._process.wait()


@pytest.fixture(scope='module')
def server():
  started = Server()
  yield started
  started.close()


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  """One record in twenty is not finite, so that some updates are skipped."""
  return fault_runs.write_data(str(tmp_path_factory.mktemp('faults') / 'data'), bad_numbers=range(0, 2000, 20)).folder


@pytest.fixture(scope='module')
def uninterrupted(server, data, tmp_path_factory):
  out = tmp_path_factory.mktemp('uninterrupted') / 'out'
  answer = server.run(data, out)
  assert answer['code'] == 0, (open(str(out) + '.log').read())
  return fault_runs.snapshot(out), answer


def _kills(answer):
  """KILLS places to die: at any time, inside saving and evaluating, at a step, in turn."""
  chosen = random.Random(SEED)
  for number in range(KILLS):
    kind = ('time', 'save', 'eval', 'step')[number % 4]
    if kind == 'time':
      # The first part of a process is the same for all: Python, no file written.
      yield {'kind': kind, 'seconds': chosen.uniform(0.05, 1.0) * answer['seconds']}
    else:
      yield {'kind': kind, 'number': chosen.randint(1, answer['points'][kind])}


def test_a_run_without_an_end_is_finished_by_the_same_command(server, data, uninterrupted, tmp_path, fault_table):
  expected, answer = uninterrupted
  assert expected['position and counters'][fault_runs.STEPS][0]['skipped'] > 0
  survived, lost, tries = {}, [], {}
  for number, kill in enumerate(_kills(answer)):
    out = tmp_path / str(number)
    killed = server.run(data, out, kill)
    tries[kill['kind']] = tries.get(kill['kind'], 0) + 1
    assert killed['code'] == -9 or kill['kind'] == 'time' and killed['code'] == 0, kill
    before = len(open(str(out) + '.log').read())
    resumed = server.run(data, out)
    log = open(str(out) + '.log').read()[before:]
    assert resumed['code'] == 0, (kill, log)
    assert not fault_runs.leftovers(out), kill
    assert fault_runs.different(expected, fault_runs.snapshot(out)) == [], (kill, log)
    survived[kill['kind']] = survived.get(kill['kind'], 0) + 1
    lost.append(_steps_made_again(log, killed['step']))
  for kind, name in (('time', 'at any time'), ('step', 'between steps'), ('save', 'inside saving'),
                     ('eval', 'inside evaluating')):
    fault_table.add('SIGKILL ' + name, tries[kind], survived[kind])
  fault_table.add('SIGKILL, all', sum(tries.values()), sum(survived.values()),
                  steps_lost='0 (made again: mean {:.1f}, most {} of {} steps between saves)'.format(
                      np.mean(lost), max(lost), 4))


def _steps_made_again(log, step):
  """How many of the steps that were made before the kill had to be made again: the log says where the run went on."""
  starts = [int(line.rsplit('from step ', 1)[1].split(' ')[0]) for line in log.split('\n') if '; from step ' in line]
  return max(0, step - starts[0]) if starts else 0
