"""Takes back the files that a call has made in the folder of a run, where it is refused before a run begins there.

A run begins when its run_state.json is there. What is made ready before, because planning reads it, are the records of
fine-tuning and weights that were converted; a call that is refused leaves neither, nor a folder that was not there.
"""

import contextlib
import os
import shutil

from albert.common.errors import UserError
from albert.common import files
from albert.run import run_lock
from albert.run.names import LOCK_FILE
from albert.run.names import STATE_FILE


@contextlib.contextmanager
def unless_begun(folder, several=False):
  """A context that takes back, where the body raises UserError and no run has begun in a folder.

  Args:
    folder: path, of one run or of several, each in a folder of its own in it.
    several: whether it is of several.

  Yields:
    Set, to which the body adds the paths that it makes; what was there before is not to be added.
  """
  lock, made = os.path.join(folder, LOCK_FILE), set()
  was_there, had_lock = os.path.isdir(folder), os.path.exists(lock)
  try:
    yield made
  except UserError:
    # Another process that holds the lock has gone on with what this one made.
    with contextlib.suppress(UserError, OSError):
      if os.path.isdir(folder) and not _is_begun(folder, several):
        with run_lock.hold(folder):
          if not _is_begun(folder, several):
            _remove(made if had_lock else made | {lock})
        if not was_there and not os.listdir(folder):
          os.rmdir(folder)
    raise


def _remove(paths):
  for path in paths:
    if os.path.isdir(path):
      shutil.rmtree(path, ignore_errors=True)
    else:
      files.remove(path)


def _is_begun(folder, several):
  below = [os.path.join(folder, name) for name in os.listdir(folder)] if several else []
  return any(os.path.exists(os.path.join(path, STATE_FILE)) for path in [folder] + below)
