"""The launcher of local ranks: signals, exit codes, ranks that are left behind."""

import signal
import sys
import types

import pytest

from albert.common.errors import UserError
from tools import launch


def ranks_of(*programs):
  """A launch.Rank for each Python program."""
  return [launch.Rank(number, [sys.executable, '-c', program], {}) for number, program in enumerate(programs)]


END = 'import sys; sys.exit({})'
WAIT = 'import time; time.sleep(600)'


@pytest.mark.parametrize('codes, expected', [((0, 0), 0), ((75, 75), 75), ((1, 69), 1), ((69, 76), 76), ((69, 69), 69)])
def test_the_code_is_that_of_the_rank_that_failed(codes, expected):
  ranks = ranks_of(*map(END.format, codes))
  assert launch.report(ranks, launch.watch(ranks)) == expected


def test_ranks_that_stay_behind_are_ended():
  ranks = ranks_of(WAIT, END.format(3))
  assert launch.report(ranks, launch.watch(ranks, grace_seconds=0.0)) == 3
  assert ranks[0].process.returncode == -signal.SIGKILL


def test_a_rank_that_does_not_answer_is_ended_soon_and_named():
  """Another one has waited for it already, and ended with 69."""
  ranks = ranks_of(END.format(69), WAIT)
  ranks[1].send(signal.SIGSTOP)
  with pytest.raises(UserError, match='found rank 1 silent for longer than HOROVOD_GLOO_TIMEOUT_SECONDS') as error:
    launch.report(ranks, launch.watch(ranks, grace_seconds=600.0, after_silence_seconds=0.0))
  assert error.value.exit_code == 69


def test_a_rank_that_was_killed_is_one_line_and_a_code_of_its_own():
  ranks = ranks_of(END.format(69), WAIT)
  ranks[1].send(signal.SIGKILL)
  with pytest.raises(UserError, match='found rank 1 ended by SIGKILL, as the kernel does when') as error:
    launch.report(ranks, launch.watch(ranks))
  assert error.value.exit_code == 69


def test_what_other_ranks_say_has_their_number_and_their_errors_come_last(capfd):
  ranks = ranks_of(END.format(69), 'import sys; print("a warning"); print("error: bad"); sys.exit(1)')
  assert launch.report(ranks, launch.watch(ranks)) == 1
  assert capfd.readouterr().err == '[rank 1] a warning\nerror: bad\n'


def test_an_error_that_all_ranks_have_is_said_once(capfd):
  bad = 'import sys, time; time.sleep({}); print("error: bad", file=sys.stderr); sys.exit(1)'
  ranks = ranks_of(bad.format(0.5), bad.format(0.0))
  assert launch.report(ranks, launch.watch(ranks)) == 1
  assert capfd.readouterr().err == 'error: bad\n'


@pytest.mark.parametrize('words, environ, expected', [
    ([], {}, 'expected a program and its flags, found none'),
    (['x'], {'RANK_SIZE': '8'}, 'RANK_SIZE=8: expected one launcher'),
    (['x'], {'HOROVOD_SIZE': '2'}, 'HOROVOD_SIZE=2: expected one launcher'),
    (['x'], {}, 'RANKS=2: expected Horovod in .venv, found none; install it with make env-horovod')])
def test_bad_input_is_one_line(monkeypatch, words, environ, expected):
  monkeypatch.setattr(launch, 'FLAGS', types.SimpleNamespace(ranks=2))
  monkeypatch.setitem(sys.modules, 'horovod.runner', None)
  for name, value in environ.items():
    monkeypatch.setenv(name, value)
  with pytest.raises(UserError) as error:
    launch.main(['launch'] + words)
  assert str(error.value).startswith(expected) and '\n' not in str(error.value)
