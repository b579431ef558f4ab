"""albert.run.train_log: what goes to the file, and what happens where it cannot be written."""

import logging
import os
import stat

import pytest

from albert.common.errors import UserError
from albert.run.logs import train_log
from albert.run import names

LOG = logging.getLogger('albert')


@pytest.fixture(autouse=True)
def everything():
  level = LOG.level
  LOG.setLevel(logging.DEBUG)
  yield
  LOG.setLevel(level)


def lines(folder):
  text = (folder / names.LOG_FILE).read_text(encoding='utf-8')
  assert text.endswith('\n')
  return [line[20:] for line in text.splitlines()]  # without date and time


def run(folder, *said):
  with train_log.collected() as log:
    LOG.info('before the folder is known')
    log.open(str(folder))
    for text in said:
      LOG.debug(text)


def test_starts_are_appended_with_what_was_said_before_and_details(tmp_path):
  run(tmp_path, 'a detail 中文')
  run(tmp_path, 'another')
  assert [line.split(' ')[0] for line in lines(tmp_path)] == ['started:', 'before', 'a',
                                                              'started:', 'before', 'another']
  assert lines(tmp_path)[2] == 'a detail 中文'


def test_a_line_that_a_kill_has_cut_stays_alone(tmp_path):
  (tmp_path / names.LOG_FILE).write_text('2026-11-24 10:00:00 half a li')
  run(tmp_path)
  assert lines(tmp_path)[0] == 'half a li' and lines(tmp_path)[1].startswith('started:')


def test_nothing_is_written_where_nothing_is_opened(tmp_path):
  with train_log.collected():
    LOG.info('nothing to do')
  assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize('error, expected', [(UserError('expected this\nand gin'), 'error: expected this'),
                                             (ValueError('a defect'), 'ValueError: a defect')])
def test_the_end_is_in_it_too(tmp_path, error, expected):
  with pytest.raises(type(error)):
    with train_log.collected() as log:
      log.open(str(tmp_path))
      raise error
  assert (tmp_path / names.LOG_FILE).read_text(encoding='utf-8').splitlines()[-1].endswith(expected)
  assert not [handler for handler in LOG.handlers if isinstance(handler, train_log.TrainLog)]


def test_a_pipe_or_a_folder_of_its_name_is_told(tmp_path):
  os.mkfifo(str(tmp_path / names.LOG_FILE))
  with pytest.raises(UserError, match='expected a plain file'):
    run(tmp_path)
  assert stat.S_ISFIFO(os.stat(str(tmp_path / names.LOG_FILE)).st_mode)
  (tmp_path / 'other' / names.LOG_FILE).mkdir(parents=True)
  with pytest.raises(UserError, match='found Is a directory; remove it'):
    run(tmp_path / 'other')


def test_a_full_disk_costs_the_log_and_nothing_else(tmp_path, caplog):
  run(tmp_path)
  with train_log.collected() as log, open('/dev/full', 'wb', buffering=0) as full:
    log.open(str(tmp_path))
    log._target.close()
    log._target = full
    LOG.info('does not fit')
    LOG.info('nor does this')
  assert caplog.messages.count('train.log cannot be written any more: No space left on device') == 1
