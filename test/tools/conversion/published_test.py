"""Weights to start from that are not yet a checkpoint: converted or unpacked into OUT/init, once and whole."""

import glob
import io
import json
import os
import tarfile
import zipfile

import pytest

from albert.common.errors import UserError
from albert.run import loading
import random_models
from tools.conversion.hugging_face import folder
from tools.conversion import published
from tools.conversion.reading import Checkpoint

CONFIG = random_models.config()
WEIGHTS = random_models.weights(CONFIG)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """The folder of a run, as a release is."""
  path = tmp_path_factory.mktemp('run')
  random_models.save(path, CONFIG, WEIGHTS)
  return str(path)


@pytest.fixture
def theirs(run, tmp_path):
  """A folder of transformers."""
  path = str(tmp_path / 'theirs')
  folder.write(Checkpoint(run), path)
  return path


@pytest.fixture
def out(tmp_path):
  return str(tmp_path / 'out')


def assert_ready(path, out):
  """OUT/init holds the weights and what describes them, and nothing else is in OUT."""
  assert path == os.path.join(out, 'init') and os.listdir(out) == ['init']
  weights = loading.find(path)
  assert weights.config == CONFIG and os.path.dirname(weights.vocab_file) == path
  checkpoint = Checkpoint(path)
  assert all(checkpoint.tensor(name).tobytes() == value.tobytes() for name, value in WEIGHTS.items())


def test_what_training_takes_is_left_alone(run, out):
  for path in (run, os.path.join(run, 'model.ckpt-7'), 'absent', os.path.join(run, 'absent.zip')):
    assert published.ready(path, out) == path
  assert not os.path.exists(out)


def test_a_folder_of_transformers_is_converted_once_and_it_is_said(theirs, out, monkeypatch, caplog):
  caplog.set_level('INFO', logger='albert')
  assert_ready(published.ready(theirs, out), out)
  assert 'a folder of transformers (AlbertForPreTraining), converted into {}'.format(out) in caplog.text
  monkeypatch.setattr(folder, 'read', None)
  assert_ready(published.ready(theirs, out), out)
  assert 'made of {} before'.format(theirs) in caplog.text


def test_what_a_kill_has_left_is_made_again(theirs, out, monkeypatch):
  def killed(*unused):
    raise KeyboardInterrupt()
  with monkeypatch.context() as patched:
    patched.setattr(os, 'rename', killed)
    patched.setattr(published.writing.shutil, 'rmtree', lambda *unused, **also_unused: None)
    with pytest.raises(KeyboardInterrupt):
      published.ready(theirs, out)
  assert [name[:9] for name in os.listdir(out)] == ['init.tmp-']
  assert_ready(published.ready(theirs, out), out)


@pytest.mark.parametrize('damage', ['*.index', '*.data-*', '*.manifest.json', 'source.json', 'their config'])
def test_what_is_not_whole_or_of_something_else_is_made_again(theirs, out, damage, caplog):
  caplog.set_level('INFO', logger='albert')
  published.ready(theirs, out)
  if damage == 'their config':
    path = os.path.join(theirs, 'config.json')
    with open(path) as source:
      values = json.load(source)
    with open(path, 'w') as target:
      json.dump(dict(values, bos_token_id=1), target)
  else:
    path, = glob.glob(os.path.join(out, 'init', damage))
    os.truncate(path, os.path.getsize(path) // 2)
  assert_ready(published.ready(theirs, out), out)
  assert 'init: not whole, or made of something else; made again' in caplog.text


def test_something_else_of_this_name_stays(theirs, out):
  os.makedirs(os.path.join(out, 'init'))
  with open(os.path.join(out, 'init', 'notes.txt'), 'w') as target:
    target.write('mine')
  with pytest.raises(UserError, match='init: expected the name of a new folder, found something there'):
    published.ready(theirs, out)
  assert os.listdir(os.path.join(out, 'init')) == ['notes.txt']


def test_a_run_that_goes_on_needs_nothing(theirs, out):
  random_models.save(out, CONFIG, WEIGHTS)
  before = sorted(os.listdir(out))
  assert published.ready(theirs, out) == theirs
  assert sorted(os.listdir(out)) == before


def test_what_cannot_be_converted_is_one_line_that_tells_the_way(theirs, out):
  path = os.path.join(theirs, 'config.json')
  with open(path) as source:
    values = json.load(source)
  with open(path, 'w') as target:
    json.dump(dict(values, hidden_act='gelu'), target)
  with pytest.raises(UserError) as caught:
    published.ready(theirs, out)
  assert '--hidden_act=gelu' in str(caught.value) and '\n' not in str(caught.value)
  assert str(caught.value).endswith('"python -m tools.checkpoints from-hf {} RUN", after which INIT=RUN'.format(theirs))
  assert os.listdir(out) == []


def pack(source, path, inner='albert_tiny/'):
  """Packs the files of a folder, in a folder."""
  names = sorted(os.listdir(source))
  if path.endswith('.zip'):
    with zipfile.ZipFile(path, 'w') as archive:
      for name in names:
        archive.write(os.path.join(source, name), inner + name)
      archive.writestr('__MACOSX/albert_tiny/._model.ckpt-7.index', b'resource fork')
  else:
    with tarfile.open(path, 'w:gz' if path.endswith('gz') else 'w') as archive:
      for name in names:
        archive.add(os.path.join(source, name), inner + name)


@pytest.mark.parametrize('ending', ['.tar.gz', '.tgz', '.tar', '.zip'])
@pytest.mark.parametrize('kind', ['release', 'transformers'])
def test_an_archive_is_unpacked_once(run, theirs, out, tmp_path, monkeypatch, kind, ending):
  path = str(tmp_path / ('albert_tiny' + ending))
  pack({'release': run, 'transformers': theirs}[kind], path)
  assert_ready(published.ready(path, out), out)
  monkeypatch.setattr(published, '_extract', None)
  assert_ready(published.ready(path, out), out)


def test_an_archive_writes_nowhere_else(run, out, tmp_path):
  path = str(tmp_path / 'a.tar')
  pack(run, path, '../../outside/')
  with tarfile.open(path, 'a') as archive:
    link = tarfile.TarInfo('vocab_2.txt')
    link.type, link.linkname = tarfile.SYMTYPE, '/etc/passwd'
    archive.addfile(link)
    archive.addfile(tarfile.TarInfo('run.sh'), io.BytesIO())
  assert_ready(published.ready(path, out), out)
  assert sorted(os.listdir(str(tmp_path))) == ['a.tar', 'out']
  assert not {'vocab_2.txt', 'run.sh'} & set(os.listdir(os.path.join(out, 'init')))


@pytest.mark.parametrize('change, message', [
    (lambda path, run: os.truncate(path, os.path.getsize(path) // 2), 'expected an archive, found a damaged'),
    (lambda path, run: open(path, 'wb').close(), 'expected an archive, found a damaged'),
    (lambda path, run: tarfile.open(path, 'w').close(), 'expected one checkpoint .* found neither'),
    (lambda path, run: _pack_twice(path, run), 'expected one model in it, found two files')])
def test_an_archive_that_is_no_model_is_one_line_and_leaves_nothing(run, out, tmp_path, change, message):
  path = str(tmp_path / 'a.tar.gz')
  pack(run, path)
  change(path, run)
  with pytest.raises(UserError, match=message) as caught:
    published.ready(path, out)
  assert '\n' not in str(caught.value) and os.listdir(out) == []


def _pack_twice(path, run):
  with tarfile.open(path, 'w:gz') as archive:
    archive.add(run, 'a')
    archive.add(run, 'b')


def test_a_full_disk_leaves_nothing(run, out, tmp_path, monkeypatch):
  path = str(tmp_path / 'a.zip')
  pack(run, path)

  def fail(*unused):
    raise OSError(28, 'No space left on device')
  monkeypatch.setattr(published.shutil, 'copyfileobj', fail)
  with pytest.raises(UserError, match='No space left on device; make room'):
    published.ready(path, out)
  assert os.listdir(out) == []
