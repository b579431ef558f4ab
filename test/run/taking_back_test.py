"""albert.run.taking_back: a refused call leaves nothing of what it has made, and everything that was there."""

import os

import pytest

from albert.common.errors import UserError
from albert.run import run_lock
from albert.run import taking_back


def _make(path):
  os.makedirs(os.path.join(path, 'records'))
  with open(os.path.join(path, 'records', 'dataset.json'), 'w') as target:
    target.write('{}')
  return os.path.join(path, 'records')


def _refused(folder, make, several=False):
  with pytest.raises(UserError, match='no room'):
    with taking_back.unless_begun(folder, several) as made:
      make(made)
      raise UserError('no room')


def test_a_folder_that_was_not_there_is_gone_again(tmp_path):
  out = str(tmp_path / 'out')
  _refused(out, lambda made: made.add(_make(out)))
  _refused(out, lambda made: None)
  assert os.listdir(str(tmp_path)) == []


def test_what_was_there_stays(tmp_path):
  out = tmp_path / 'out'
  out.mkdir()
  (out / 'notes.txt').write_text('mine')
  (out / 'another').mkdir()
  (out / 'another' / 'run_state.json').write_text('{}')
  _refused(str(out), lambda made: made.add(_make(str(out))))
  assert sorted(os.listdir(str(out))) == ['another', 'notes.txt']


@pytest.mark.parametrize('begun', ['', 'seed-1'])
def test_a_run_that_has_begun_keeps_everything(tmp_path, begun):
  out = str(tmp_path / 'out')

  def make(made):
    made.add(_make(out))
    os.makedirs(os.path.join(out, begun), exist_ok=True)
    with open(os.path.join(out, begun, 'run_state.json'), 'w') as target:
      target.write('{}')
  _refused(out, make, several=bool(begun))
  assert os.path.exists(os.path.join(out, 'records', 'dataset.json'))


def test_another_process_that_goes_on_with_it_keeps_it(tmp_path):
  out = str(tmp_path / 'out')
  with run_lock.hold(out):
    _refused(out, lambda made: made.add(_make(out)))
  assert os.path.exists(os.path.join(out, 'records', 'dataset.json'))


def test_what_is_not_refused_stays(tmp_path):
  out = str(tmp_path / 'out')
  with taking_back.unless_begun(out) as made:
    made.add(_make(out))
  assert os.path.exists(os.path.join(out, 'records', 'dataset.json'))
