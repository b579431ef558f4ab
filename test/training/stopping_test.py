"""SIGTERM and SIGINT: the step is finished and saved, the exit code is distinct, the same command goes on."""

import os
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


def test_signals_are_as_before_when_the_run_is_over():
  program = ('import os, signal, sys; sys.path.insert(0, {!r}); from albert.training import stopping\n'
             'with stopping.Stopper() as stopper:\n  pass\n'
             'os.kill(os.getpid(), signal.SIGTERM)').format(ROOT)
  assert subprocess.call([sys.executable, '-W', 'ignore', '-c', program]) == -15
