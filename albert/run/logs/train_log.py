"""train.log: everything that a run says, with dates, appended at each start; details are only here."""

import contextlib
import logging
import os
import shlex
import stat
import sys
import traceback

from albert.common.errors import UserError
from albert.run import names

_LOG = logging.getLogger('albert')


class TrainLog(logging.Handler):
  """Keeps what is said until it knows the folder, then writes it there."""

  def __init__(self):
    super().__init__(logging.DEBUG)
    self.setFormatter(logging.Formatter('%(asctime)s %(message)s', '%Y-%m-%d %H:%M:%S'))
    self._early = []
    self._target = None

  def open(self, folder):
    """From now on lines go to names.LOG_FILE in `folder`.

    Raises:
      UserError: it is no plain file, or cannot be written.
    """
    path = os.path.join(folder, names.LOG_FILE)
    try:
      # A pipe would wait for its reader.
      handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o644)
    except OSError as error:
      raise UserError('{}: expected a file that can be written, found {}; remove it'.format(path, error.strerror))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
      os.close(handle)
      raise UserError('{}: expected a plain file, found something else; remove it'.format(path))
    size = os.fstat(handle).st_size
    cut = size and os.pread(handle, 1, size - 1) != b'\n'  # by a kill
    with self.lock:
      self._target = os.fdopen(handle, 'wb', buffering=0)
      early, self._early = self._early, None
      self._write('\n' if cut else '')
    self.emit(_record('started: ' + ' '.join(shlex.quote(word) for word in sys.argv)))
    for record in early:
      self.emit(record)

  def emit(self, record):
    if self._early is not None:
      self._early.append(record)
    elif self._target is not None:
      self._write(self.format(record) + '\n')

  def _write(self, text):
    try:
      self._target.write(text.encode('utf-8', 'backslashreplace'))
    except OSError as error:  # a log that cannot be written is no reason to end a run
      path, self._target = self._target.name, None
      _LOG.warning('%s cannot be written any more: %s', names.LOG_FILE, error.strerror or path)

  def close(self):
    if self._target is not None:
      self._target.close()
    self._target, self._early = None, []
    super().close()


@contextlib.contextmanager
def collected():
  """Yields a TrainLog; within, it gets what is said, and at the end the error that the body raises."""
  log = TrainLog()
  _LOG.addHandler(log)
  try:
    yield log
  except UserError as error:
    log.emit(_record('error: {}'.format(str(error).split('\n')[0])))
    raise
  except Exception:
    log.emit(_record(traceback.format_exc().rstrip('\n')))
    raise
  finally:
    _LOG.removeHandler(log)
    log.close()


def _record(text):
  return _LOG.makeRecord(_LOG.name, logging.INFO, '', 0, '%s', (text,), None)
