"""Programs that hurry.starts has started are those that subprocess describes."""

import os
import signal
import subprocess

import pytest

from hurry import starts


@pytest.fixture(params=['posix_spawn', 'fork'])
def way(request, monkeypatch):
  """Each test holds for both ways. Were the first one not in use, nobody would notice but the clock."""
  starter = subprocess._posixsubprocess
  if not isinstance(starter, starts._Starter):
    pytest.skip('another C library')
  way = (lambda *unused: pytest.fail('it was not used')) if request.param == 'posix_spawn' else starter._usual_way
  monkeypatch.setattr(*(starter, '_usual_way', way) if request.param == 'posix_spawn' else
                      (subprocess, '_posixsubprocess', type('', (), {'fork_exec': staticmethod(way)})))
  return request.param


def run(command, **options):
  return subprocess.run(['bash', '-c', command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_words_folder_environment_and_streams(way, tmp_path):
  environ = dict(os.environ, A='春 天')
  done = run('pwd; echo "$A"; cat; echo err >&2; exit 3', cwd=str(tmp_path), env=environ, input=b'in')
  assert done.stdout.decode() == '{}\n春 天\nin'.format(tmp_path) and done.stderr == b'err\n' and done.returncode == 3
  done = subprocess.run('echo err >&2', shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
  assert done.stdout == b'err\n'


def test_no_descriptor_stays_open_and_signals_are_those_of_a_program(way):
  with open(os.devnull) as held:
    os.set_inheritable(held.fileno(), True)
    assert run('test -e /proc/$$/fd/{}; echo $?'.format(held.fileno())).stdout == b'1\n'
  assert run('yes | head -n 1; echo ${PIPESTATUS[0]}').stdout == b'y\n141\n'  # ended by SIGPIPE, which Python ignores
  assert run('kill -9 $$').returncode == -signal.SIGKILL


def test_a_session_of_its_own(way):
  with subprocess.Popen(['sleep', '10'], start_new_session=True) as process:
    assert os.getsid(process.pid) == process.pid
    process.kill()


def test_what_cannot_be_started_is_told_as_ever(tmp_path):
  for options, error in ((dict(args=['no such program']), FileNotFoundError),
                         (dict(args=['true'], cwd=str(tmp_path / 'none')), FileNotFoundError),
                         (dict(args=[os.devnull]), PermissionError)):
    with pytest.raises(error):
      subprocess.run(**options)
  assert subprocess.run(['true'], preexec_fn=os.setsid).returncode == 0
