"""albert.common.files: a file is complete or absent."""

import os

import pytest

from albert.common import files


@pytest.mark.parametrize('durable', [True, False])
@pytest.mark.parametrize('mode, content, written', [
    ('w', '词\n', '词\n'.encode('utf-8')), ('wb', b'\xff\n', b'\xff\n')])
def test_a_file_has_its_name_when_it_is_complete(tmp_path, mode, content, written, durable):
  path = tmp_path / 'x'
  path.write_text('old')
  with files.atomic(str(path), mode, durable) as target:
    target.write(content)
    assert path.read_text() == 'old' and (tmp_path / 'x.tmp').exists()
  assert path.read_bytes() == written and os.listdir(str(tmp_path)) == ['x']


@pytest.mark.parametrize('failure', [OSError(28, 'No space left on device'), ValueError(), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path, failure):
  path = tmp_path / 'x'
  path.write_text('old')
  with pytest.raises(type(failure)):
    with files.atomic(str(path)) as target:
      target.write('half')
      raise failure
  assert path.read_text() == 'old' and os.listdir(str(tmp_path)) == ['x']


def test_the_content_is_on_the_disk_before_the_name_and_the_name_before_it_ends(tmp_path, monkeypatch):
  calls = []
  fsync, replace = os.fsync, os.replace
  monkeypatch.setattr(os, 'fsync', lambda handle: (calls.append(os.readlink('/proc/self/fd/{}'.format(handle))),
                                                   fsync(handle)))
  monkeypatch.setattr(os, 'replace', lambda old, new: (calls.append('replace'), replace(old, new)))
  path = str(tmp_path / 'x')
  with files.atomic(path) as target:
    target.write('new')
  assert calls == [path + '.tmp', 'replace', str(tmp_path)]
  del calls[:]
  files.copy_atomically(path, path + 2 * 'y')
  assert calls == [path + 'yy.tmp', 'replace', str(tmp_path)]
  del calls[:]
  with files.atomic(path, durable=False) as target:
    target.write('newer')
  assert calls == ['replace']


def test_a_file_in_the_current_folder(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  files.write_atomically('x', 'new')
  assert (tmp_path / 'x').read_text() == 'new'
