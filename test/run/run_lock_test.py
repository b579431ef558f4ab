"""One writer per folder: another run is refused, what a dead one left is recognised."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.run import names
from albert.run import run_lock

HOLDER = """
import sys, time
sys.path.insert(0, {root!r})
from albert.run import run_lock
with run_lock.hold({folder!r}):
  print('held', flush=True)
  time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
  """Another process that holds the lock."""
  process = subprocess.Popen([sys.executable, '-c', HOLDER.format(root=ROOT, folder=str(tmp_path))],
                             stdout=subprocess.PIPE)
  assert process.stdout.readline() == b'held\n'
  yield process
  process.kill()
  process.wait()
  process.stdout.close()


def _leave(folder, host, pid, age):
  path = folder / names.LOCK_FILE
  path.write_text(json.dumps({'host': host, 'pid': pid}))
  os.utime(str(path), (time.time() - age,) * 2)


@pytest.mark.fault('two runs on one folder')
def test_a_second_run_is_refused_and_the_first_not_disturbed(tmp_path, holder):
  for _ in range(2):
    with pytest.raises(UserError, match='process {} on {} does'.format(holder.pid, socket.gethostname())):
      with run_lock.hold(str(tmp_path)):
        pass
  assert json.loads((tmp_path / names.LOCK_FILE).read_text())['pid'] == holder.pid


@pytest.mark.fault('lock of a dead run')
def test_the_lock_of_a_killed_run_is_taken_over_at_once(tmp_path, holder, caplog):
  holder.send_signal(signal.SIGKILL)
  holder.wait()
  with run_lock.hold(str(tmp_path)):
    assert json.loads((tmp_path / names.LOCK_FILE).read_text())['pid'] == os.getpid()
  assert 'left by process {}'.format(holder.pid) in caplog.text


def test_a_lock_that_was_let_go_is_nobodys(tmp_path, caplog):
  for _ in range(2):
    with run_lock.hold(str(tmp_path / 'new' / 'folder')):
      pass
  assert not caplog.text


@pytest.mark.fault('two runs on one folder')
def test_a_run_on_another_host_that_lately_touched_its_lock_is_alive(tmp_path):
  _leave(tmp_path, 'another', 7, run_lock.STALE_SECONDS - 60)
  with pytest.raises(UserError, match='process 7 on another does, seen 60 s ago'):
    with run_lock.hold(str(tmp_path)):
      pass


@pytest.mark.fault('lock of a dead run')
def test_a_run_on_another_host_that_has_not_touched_its_lock_is_dead(tmp_path, caplog):
  _leave(tmp_path, 'another', 7, run_lock.STALE_SECONDS + 60)
  with run_lock.hold(str(tmp_path)):
    assert json.loads((tmp_path / names.LOCK_FILE).read_text())['host'] == socket.gethostname()
  assert 'process 7 on another' in caplog.text


def test_the_holder_touches_its_lock(tmp_path, monkeypatch):
  monkeypatch.setattr(run_lock, 'TOUCH_SECONDS', 0.01)
  with run_lock.hold(str(tmp_path)):
    os.utime(str(tmp_path / names.LOCK_FILE), (0, 0))
    deadline = time.time() + 60
    while os.path.getmtime(str(tmp_path / names.LOCK_FILE)) == 0 and time.time() < deadline:
      time.sleep(0.01)
    assert os.path.getmtime(str(tmp_path / names.LOCK_FILE)) > 0


@pytest.mark.parametrize('pid,alive', [('own', True), (2**22 + 1, False), ('x', False)])
def test_where_the_file_system_has_no_locks_the_process_table_says_it(tmp_path, monkeypatch, pid, alive):
  def no_locks(*unused):
    raise OSError(37, 'No locks available')
  monkeypatch.setattr(run_lock.fcntl, 'flock', no_locks)
  _leave(tmp_path, socket.gethostname(), os.getpid() if pid == 'own' else pid, 10)
  if alive:
    with pytest.raises(UserError, match='no other run'):
      with run_lock.hold(str(tmp_path)):
        pass
  else:
    with run_lock.hold(str(tmp_path)):
      pass


@pytest.mark.fault('folder that cannot be written')
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='expected an output folder that can be written'):
    with run_lock.hold(str(tmp_path / 'file' / 'out')):
      pass
