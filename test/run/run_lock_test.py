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


def test_the_way_out_of_an_evaluation_is_its_own(tmp_path, holder):
  with pytest.raises(UserError, match='wait for it, or evaluate into another folder'):
    with run_lock.hold(str(tmp_path), 'evaluate into another folder'):
      pass


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


@pytest.fixture
def quick(monkeypatch):
  """Watching a lock from the future takes no time; what happens meanwhile is what `acts` holds."""
  acts = []
  monkeypatch.setattr(run_lock.time, 'sleep', lambda seconds: [act() for act in acts])
  return acts


@pytest.mark.fault('lock of a dead run')
def test_a_lock_from_the_future_that_nobody_touches_is_taken_over(tmp_path, caplog, quick):
  _leave(tmp_path, 'another', 7, -86400)
  with run_lock.hold(str(tmp_path)) as lock:
    lock.check()
  assert 'from the future by 86' in caplog.text and 'process 7 on another, which is gone' in caplog.text


@pytest.mark.fault('two runs on one folder')
def test_a_lock_from_the_future_whose_holder_lives_is_refused(tmp_path, quick):
  """The clock was set back between its touches: the next one says so."""
  _leave(tmp_path, 'another', 7, -86400)
  quick.append(lambda: os.utime(str(tmp_path / names.LOCK_FILE)))
  with pytest.raises(UserError, match='process 7 on another does, seen 0 s ago'):
    with run_lock.hold(str(tmp_path)):
      pass


def _replace(path):
  text = path.read_text()
  path.unlink()
  path.write_text(text)


LOST = {'removed': (lambda path: path.unlink(), 'found that it was removed'),
        'replaced': (_replace, 'found another file of this name'),
        'taken over': (lambda path: path.write_text(json.dumps({'host': 'another', 'pid': 7, 'token': 'x'})),
                       'found that process 7 on another has taken over'),
        'emptied': (lambda path: path.write_text(''), 'has taken over'),
        'garbage': (lambda path: path.write_text('[]'), 'has taken over')}


@pytest.mark.parametrize('how', sorted(LOST))
@pytest.mark.fault('two runs on one folder')
def test_a_holder_that_has_lost_its_lock_stops_and_leaves_that_of_the_other_alone(tmp_path, how):
  act, said = LOST[how]
  path = tmp_path / names.LOCK_FILE
  with run_lock.hold(str(tmp_path)) as lock:
    lock.check()
    act(path)
    if path.exists():
      os.utime(str(path), (0, 0))
    before = path.exists() and path.read_text()
    with pytest.raises(UserError, match=said):
      lock.check()
    lock.touch()
    assert not path.exists() or path.stat().st_mtime == 0
  assert (path.exists() and path.read_text()) == before


@pytest.mark.parametrize('content', ['', '[]', '{"host": 3}', '{"host": "another", "pid": "x"}', '\udcff', '[' * 10**5])
@pytest.mark.fault('damaged small file')
def test_a_lock_file_that_says_nothing_is_nobodys(tmp_path, content):
  (tmp_path / names.LOCK_FILE).write_bytes(content.encode('utf-8', errors='surrogateescape'))
  with run_lock.hold(str(tmp_path)) as lock:
    lock.check()
    assert json.loads((tmp_path / names.LOCK_FILE).read_text())['pid'] == os.getpid()


def test_looking_at_the_clock_of_the_folder_leaves_nothing(tmp_path):
  _leave(tmp_path, 'another', 7, run_lock.STALE_SECONDS + 60)
  with run_lock.hold(str(tmp_path)):
    assert os.listdir(str(tmp_path)) == [names.LOCK_FILE]
