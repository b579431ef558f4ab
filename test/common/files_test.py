"""albert.common.files: a file is complete or absent."""

import os

import pytest

from albert.common.errors import UserError
from albert.common import files


def test_what_was_found_where_a_file_cannot_be_opened(tmp_path):
  (tmp_path / 'file').write_text('')
  for name, expected in (
      ('absent', 'none'), ('file/x', 'none'), ('', 'one that cannot be read (it is a folder and no file)')):
    with pytest.raises(OSError) as caught:
      files.open_regular(str(tmp_path / name))
    assert files.found(caught.value) == expected
  assert files.found(EOFError()) == 'one that cannot be read (EOFError)'


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


def test_a_link_that_was_planted_is_not_followed(tmp_path):
  for make in (lambda path: files.write_atomically(path, 'new'), lambda path: files.write_synced(path, 'new'),
               lambda path: files.copy_atomically(str(tmp_path / 'source'), path)):
    (tmp_path / 'source').write_text('new')
    (tmp_path / 'victim').write_text('mine')
    for plant in (os.symlink, os.link):
      path = str(tmp_path / 'x')
      plant(str(tmp_path / 'victim'), path + '.tmp')
      make(path)
      assert (tmp_path / 'victim').read_text() == 'mine' and (tmp_path / 'x').read_text() == 'new'
      assert not os.path.islink(path) and not os.path.lexists(path + '.tmp')


def test_permissions_are_those_of_other_files(tmp_path):
  (tmp_path / 'other').write_text('')
  files.write_atomically(str(tmp_path / 'x'), '')
  assert os.stat(str(tmp_path / 'x')).st_mode == os.stat(str(tmp_path / 'other')).st_mode


@pytest.mark.parametrize('name', ['a', 'model.ckpt-5.index', '语料.txt', '.hidden', 'a b', 'x' * 255, '\udcce.txt'])
def test_plain_names(name):
  assert files.is_plain_name(name) and files.inside('f', name) == os.path.join('f', name)


@pytest.mark.parametrize('name', ['', '.', '..', '/etc/passwd', '../x', 'a/b', 'a/', 'a\0', 'a\nb', '\ud83d', 5, None,
                                  [], b'a'])
def test_what_is_no_plain_name(name):
  assert not files.is_plain_name(name)
  with pytest.raises(ValueError, match='expected the name of a file in this folder'):
    files.inside('f', name)


def test_bytes_that_are_not_utf8_are_shown_escaped():
  assert files.shown('/a/语料.txt') == '/a/语料.txt'
  assert files.shown(os.fsdecode(b'/a/\xd3\xef.txt')) == '/a/\\xd3\\xef.txt'


@pytest.mark.parametrize('make,kind', [
    (os.mkfifo, 'a pipe'), (os.mkdir, 'a folder'), (lambda path: os.symlink('/dev/zero', path), 'a device'),
    (lambda path: os.symlink('/dev/tty', path), 'a device')])
def test_what_is_no_file_is_refused_without_waiting(tmp_path, make, kind):
  path = str(tmp_path / 'x')
  make(path)
  for read in (files.open_regular, files.file_sha256, files.read_small):
    with pytest.raises(OSError) as caught:
      read(path)
    assert kind in caught.value.strerror or 'tty' in os.readlink(path)


def test_small_files_are_small(tmp_path):
  (tmp_path / 'x').write_bytes(b'12345')
  assert files.read_small(str(tmp_path / 'x'), 5) == b'12345'
  with pytest.raises(OSError, match='more than 4 bytes'):
    files.read_small(str(tmp_path / 'x'), 4)


def test_lines_are_appended(tmp_path):
  path = tmp_path / 'x'
  files.append_lines(str(path), ['a', 'b'], 'head')
  files.append_lines(str(path), ['词'], 'head')
  assert path.read_text(encoding='utf-8') == 'head\na\nb\n词\n'
  path.write_text('head\nhal')  # a kill
  files.append_lines(str(path), ['a'], 'head')
  assert path.read_text() == 'head\nhal\na\n'
  path.unlink()
  (tmp_path / 'victim').write_text('mine')
  path.symlink_to(tmp_path / 'victim')
  files.append_lines(str(path), ['a'], 'head')
  assert path.read_text() == 'head\na\n' and (tmp_path / 'victim').read_text() == 'mine'


def test_the_folder_of_what_is_to_be_written_is_made(tmp_path):
  files.make_way(str(tmp_path / 'a' / 'b' / 'out.jsonl'), 'OUTPUT')
  assert (tmp_path / 'a' / 'b').is_dir() and not list((tmp_path / 'a' / 'b').iterdir())
  (tmp_path / 'file').write_text('')
  for path, found in ((tmp_path / 'a', 'a folder;'), (tmp_path / 'file' / 'out', 'cannot be made')):
    with pytest.raises(UserError, match=found):
      files.make_way(str(path), 'OUTPUT')
