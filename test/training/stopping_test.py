"""SIGTERM and SIGINT: the step is finished and saved, the exit code is distinct, the same command goes on."""

import os
import signal
import subprocess
import sys

import pytest

import fault_client
import fault_runs
from albert.common.files import ROOT
from albert.run import checkpoints
from albert.run import results
from albert.training import stopping



@pytest.mark.integration
@pytest.mark.fault('second signal while saving')
@pytest.mark.fault('SIGTERM between steps')
@pytest.mark.fault('SIGINT inside evaluating')
def test_a_run_that_is_stopped_thrice_ends_as_one_that_is_not(fault_server, fault_data, uninterrupted, tmp_path, lost):
  out = tmp_path / 'out'
  # The second signal does not wait for the checkpoint.
  answer = fault_server.run(fault_data, out, faults=[('signal_after_step', 1, 'SIGTERM'),
                                                     ('signal_while_saving', 'SIGTERM')])
  assert answer.code == 128 + 15 and checkpoints.steps_in(str(out)) == [0]
  lost(steps=answer.step)

  # At most one more step, then a checkpoint and the results so far.
  answer = fault_server.run(fault_data, out, faults=[('signal_after_step', 5, 'SIGTERM')])
  assert answer.code == stopping.EXIT_CODE and fault_client.start_of(answer) == 0
  stopped = answer.step
  assert stopped in (5, 6) and checkpoints.newest_good(str(out)) == str(out / 'model.ckpt-{}'.format(stopped))
  written = results.read(str(out))
  assert (written['trained_steps'], written['heldout']['masked_lm_loss'] > 0) == (stopped, True)
  assert 'SIGTERM: finishing this step' in answer.log
  assert 'stopped at step {} of 12; the same command goes on'.format(stopped) in answer.log

  # An evaluation that was left is no figure.
  answer = fault_server.run(fault_data, out, faults=[('signal_in_evaluation', 'SIGINT')])
  assert answer.code == stopping.EXIT_CODE and fault_client.start_of(answer) == stopped
  assert 'the evaluation at step 8 was left' in answer.log
  assert [line.split('\t')[0] for line in fault_runs.read(out, 'heldout_history.tsv').splitlines()] == ['step', '4']

  assert fault_server.run(fault_data, out).code == 0
  assert not fault_runs.leftovers(out)
  assert fault_runs.different(uninterrupted[0], fault_runs.snapshot(out)) == []


@pytest.mark.integration
def test_the_exit_code_comes_through(tmp_path):
  """tools/run.sh hands it on; make says it, but has only 2 of its own."""
  program = 'from albert.common import cli\ncli.run(lambda argv: {})\n'.format(stopping.EXIT_CODE)
  (tmp_path / 'stopped.py').write_text(program)
  environ = dict(os.environ, PYTHONPATH=str(tmp_path))
  run = 'bash {}/tools/run.sh stopped'.format(ROOT)
  assert subprocess.call(run, shell=True, env=environ) == stopping.EXIT_CODE
  (tmp_path / 'Makefile').write_text('train:\n\t@{}\n'.format(run))
  made = subprocess.run(['make', '-C', str(tmp_path)], env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  assert made.returncode == 2 and 'Error {}'.format(stopping.EXIT_CODE) in made.stderr.decode()


# Catches signals, then waits until it is ended by them; the second word of its command line is what it is doing.
WAITS = """
import logging, os, signal, sys, threading
sys.path.insert(0, {root!r})
from albert.training import stopping
said = threading.Event()
class Handler(logging.StreamHandler):
  def emit(self, record):
    super().emit(record)
    said.set()
logging.getLogger('albert').addHandler(Handler())
logging.getLogger('albert').setLevel(logging.INFO)
with stopping.Stopper(may_leave_a_step={leave}) as stopper:
  {doing}
  for name in {names!r}:
    os.kill(os.getpid(), getattr(signal, name))
    while not (stopper.requested and said.is_set()) and {caught}:
      threading.Event().wait(0.01)
  {then}
"""


def ended(names, then, leave=True, doing='pass', caught=True):
  """Starts a process that gets the signals `names` one after the other. Returns (exit code, what it said)."""
  program = WAITS.format(root=ROOT, leave=leave, doing=doing, names=names, then=then, caught=caught)
  done = subprocess.run([sys.executable, '-W', 'ignore', '-c', program], stderr=subprocess.PIPE, timeout=100)
  return done.returncode, done.stderr.decode()


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'])
def test_a_signal_asks_to_stop_and_a_second_one_ends(name):
  code, said = ended([name], 'sys.exit(stopping.EXIT_CODE if stopper.requested else 1)')
  assert code == stopping.EXIT_CODE and '{}: finishing this step, then saving (starting, for '.format(name) in said
  code, said = ended([name, 'SIGTERM'], 'threading.Event().wait()')
  assert code == 128 + 15


def test_the_signal_that_reaches_a_rank_twice_or_after_another_rank_has_told_of_it_is_one(monkeypatch):
  ended, now = [], [10.0]
  monkeypatch.setattr(stopping.os, '_exit', ended.append)
  monkeypatch.setattr(stopping.time, 'monotonic', lambda: now[0])
  stopper = stopping.Stopper(comes_twice=True)
  stopper.join()
  stopper.receive(signal.SIGTERM)
  stopper.receive(signal.SIGTERM)
  assert stopper.requested and ended == []
  now[0] += stopping._SAME_SECONDS
  stopper.receive(signal.SIGTERM)
  assert ended == [128 + 15]


@pytest.mark.parametrize('names', [['SIGHUP', 'SIGHUP', 'SIGHUP'], ['SIGTERM', 'SIGHUP']])
def test_a_closed_terminal_that_says_so_twice_does_not_end_what_is_being_saved(names):
  code, said = ended(names, 'threading.Event().wait(0.5); sys.exit(stopping.EXIT_CODE)')
  assert code == stopping.EXIT_CODE and said.count('finishing') == 1


def test_under_nohup_a_closed_terminal_changes_nothing():
  then = 'sys.exit(3 if not stopper.requested else 1)'
  program = WAITS.format(root=ROOT, leave=True, doing='pass', names=['SIGHUP'], then=then, caught=False)
  ignoring = 'import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n' + program
  assert subprocess.call([sys.executable, '-W', 'ignore', '-c', ignoring], timeout=100) == 3


@pytest.mark.parametrize('leave', [True, False])
@pytest.mark.parametrize('saved', [True, False])
def test_a_step_is_left_at_once_where_everything_before_it_is_saved_and_nobody_else_takes_part(leave, saved):
  doing = 'stopper.activity.begin_step(7)' if saved else (
      'stopper.activity.begin_step(6); stopper.activity.end_step(); stopper.activity.begin_step(7)')
  code, said = ended(['SIGTERM'], 'threading.Event().wait(0.5); sys.exit(3)', leave, doing)
  if leave and saved:
    assert code == stopping.EXIT_CODE
    assert 'SIGTERM: ending at once, everything before this is saved (step 7, begun 0 s ago; the first' in said
  else:
    assert code == 3 and 'SIGTERM: finishing this step, then saving (step 7, begun 0 s ago; the ' in said


@pytest.mark.integration
@pytest.mark.fault('SIGTERM within a step')
@pytest.mark.fault('SIGHUP between steps')
@pytest.mark.fault('SIGUSR1 between steps')
def test_a_run_that_is_left_hung_up_and_told_to_save_ends_as_one_that_is_not(
    fault_server, fault_data, uninterrupted, tmp_path, lost):
  out = tmp_path / 'out'
  # Of the first step nothing is lost, so nobody has to wait for it.
  answer = fault_server.run(fault_data, out, faults=[('signal_within_step', 1, 'SIGTERM')])
  assert answer.code == stopping.EXIT_CODE and checkpoints.steps_in(str(out)) == [0]
  assert 'SIGTERM: ending at once, everything before this is saved (step 1, begun' in answer.log

  answer = fault_server.run(fault_data, out, faults=[('signal_after_step', 2, 'SIGHUP')])
  assert answer.code == stopping.EXIT_CODE and fault_client.start_of(answer) == 0
  stopped = answer.step
  assert checkpoints.newest_good(str(out)) == str(out / 'model.ckpt-{}'.format(stopped))

  # A checkpoint without an end, then death: what was saved is not made again, and is no checkpoint of the run's own.
  answer = fault_server.run(fault_data, out, faults=[('signal_after_step', 6, 'SIGUSR1'), ('kill_after_step', 7)])
  assert answer.code == -9 and fault_client.start_of(answer) == stopped
  assert 'SIGUSR1: saving when this step is done, then going on' in answer.log
  assert checkpoints.steps_in(str(out))[-1] == 6
  lost(steps=1)

  answer = fault_server.run(fault_data, out)
  assert answer.code == 0 and fault_client.start_of(answer) == 6
  assert not fault_runs.leftovers(out)
  assert fault_runs.different(uninterrupted[0], fault_runs.snapshot(out)) == []


def test_signals_are_as_before_when_the_run_is_over():
  program = ('import os, signal, sys; sys.path.insert(0, {!r}); from albert.training import stopping\n'
             'with stopping.Stopper() as stopper:\n  pass\n'
             'os.kill(os.getpid(), signal.SIGTERM)').format(ROOT)
  assert subprocess.call([sys.executable, '-W', 'ignore', '-c', program]) == -15
