"""Data creation in several processes, and killed in the middle: the bytes are those of one undisturbed process."""

import os
import signal
import subprocess
import sys
import time

import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from tools.preprocessing import data_set
from tools.preprocessing import stages
from tools.workers import local

import small_corpus

# Data creation that stands still for ever in the middle of stage {stage}, once it has done it {count} times.
STALLED = """
import sys, time
sys.path[:0] = [{root!r}, {test!r}]
import small_corpus
from tools.preprocessing import data_set, stages
from tools.text import corpus
from tools.workers import local
corpus._MIN_UNIT_BYTES = 700
whole, done = stages.{stage}, []
def stall(*arguments):
  if len(done) >= {count}:
    open({sign!r}, 'w').close()
    time.sleep(600)
  done.append(whole(*arguments))
  return done[-1]
stages.{stage} = stall
data_set.create(small_corpus.settings({vocab!r}, records_per_shard=20), [{text!r}], {folder!r}, False,
                local.Local({workers}))
"""


@pytest.fixture
def small_units(monkeypatch):
  monkeypatch.setattr(data_set.corpus, '_MIN_UNIT_BYTES', 700)


@pytest.fixture
def paths(tmp_path):
  return small_corpus.write(tmp_path)


def create(folder, paths, workers=1, force=False, **changes):
  settings = small_corpus.settings(paths[1], records_per_shard=20, **changes)
  return data_set.create(settings, [paths[0]], str(folder), force, local.Local(workers))


@pytest.mark.parametrize('workers', [2, 4])
def test_any_number_of_workers_writes_the_same_bytes(tmp_path, paths, small_units, workers):
  create(tmp_path / 'd', paths)
  create(tmp_path / 'e', paths, workers)
  contents = small_corpus.contents(tmp_path / 'd')
  assert contents == small_corpus.contents(tmp_path / 'e') and len(contents) > 6


def kill_in_the_middle(tmp_path, paths, stage, count, workers):
  """Starts data creation in a process, waits until it stands still, kills it and all it started."""
  program = STALLED.format(
      root=ROOT, test=os.path.join(ROOT, 'test', 'support'), stage=stage, count=count, sign=str(tmp_path / 'sign'),
      vocab=paths[1], text=paths[0], folder=str(tmp_path / 'd'), workers=workers)
  process = subprocess.Popen([sys.executable, '-c', program])
  while not (tmp_path / 'sign').exists():
    assert process.poll() is None
    time.sleep(0.02)
  process.send_signal(signal.SIGKILL)
  process.wait()


@pytest.mark.parametrize('stage, count, workers', [('encode_unit', 3, 1), ('write_shard', 2, 1), ('write_shard', 1, 2)])
def test_killed_in_the_middle_and_continued(tmp_path, paths, small_units, stage, count, workers):
  kill_in_the_middle(tmp_path, paths, stage, count, workers)
  assert os.listdir(str(tmp_path / 'd')) == ['.unfinished'], 'nothing has a final name'
  # Workers of the killed process end with it and let go of the folder.
  for _ in range(100):
    try:
      result = create(tmp_path / 'd', paths)
      break
    except UserError:
      time.sleep(0.1)
  assert result.created and result.reused >= count
  create(tmp_path / 'e', paths)
  assert small_corpus.contents(tmp_path / 'd') == small_corpus.contents(tmp_path / 'e')
  assert not (tmp_path / 'd' / '.unfinished').exists()


def test_changed_settings_do_not_use_what_was_begun(tmp_path, paths, small_units):
  kill_in_the_middle(tmp_path, paths, 'write_shard', 2, 1)
  assert create(tmp_path / 'd', paths, random_seed=3).reused == 0
  create(tmp_path / 'e', paths, random_seed=3)
  assert small_corpus.contents(tmp_path / 'd') == small_corpus.contents(tmp_path / 'e')


def test_a_killed_worker_leaves_nothing_final(tmp_path, paths, small_units, monkeypatch):
  whole, parent = stages.write_shard, os.getpid()

  def die(settings, split, runs, buckets, place, path):
    if os.getpid() != parent and 'train-00001-of' in path:
      os.kill(os.getpid(), signal.SIGKILL)
    return whole(settings, split, runs, buckets, place, path)
  monkeypatch.setattr(stages, 'write_shard', die)
  die.__module__, die.__qualname__ = 'tools.preprocessing.stages', 'write_shard'
  with pytest.raises(UserError, match='SIGKILL.*continues'):
    create(tmp_path / 'd', paths, 2)
  assert os.listdir(str(tmp_path / 'd')) == ['.unfinished']
  monkeypatch.undo()
  monkeypatch.setattr(data_set.corpus, '_MIN_UNIT_BYTES', 700)
  assert create(tmp_path / 'd', paths).reused > 5
