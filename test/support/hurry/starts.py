"""Programs are started without a copy of the page tables of a test process, which holds TensorFlow and its graphs.

Python 3.7 starts every program by fork(). In a process of 600 MB that takes 20 ms of CPU time, half of it in the child;
posix_spawn() of the C library, which waits for the program instead of copying anything, takes less than one. The tests
start a thousand. What it cannot do, or fails at, goes the usual way.
"""

import ctypes
import os
import signal
import subprocess

_SETSIGDEF, _SETSID = 0x04, 0x80  # flags in glibc's spawn.h
_RESTORED = (signal.SIGPIPE, signal.SIGXFSZ)  # what Python ignores and programs do not
_NEEDED = ('posix_spawn', 'posix_spawn_file_actions_addchdir_np', 'posix_spawn_file_actions_addclosefrom_np')


def install():
  """From now on subprocess starts programs by posix_spawn(), where the C library has what that takes (glibc 2.34)."""
  library = ctypes.CDLL(None)
  if all(hasattr(library, name) for name in _NEEDED) and not isinstance(subprocess._posixsubprocess, _Starter):
    subprocess._posixsubprocess = _Starter(library, subprocess._posixsubprocess.fork_exec)


class _Starter:
  """In place of the module _posixsubprocess, whose only function subprocess calls."""

  def __init__(self, library, fork_exec):
    self._library, self._usual_way = library, fork_exec

  def fork_exec(self, *arguments):
    """As Modules/_posixsubprocess.c of Python 3.7 says. Returns the number of the process."""
    (words, paths, close_fds, kept, cwd, environment, stdin, _, _, stdout, _, stderr, _, errpipe, restore_signals,
     new_session, before) = arguments
    streams = (stdin, stdout, stderr)
    if before or not close_fds or set(kept) != {errpipe} or any(0 <= stream <= 2 for stream in streams):
      return self._usual_way(*arguments)
    actions, attributes = ctypes.create_string_buffer(1024), ctypes.create_string_buffer(1024)
    self._call('posix_spawn_file_actions_init', actions)
    self._call('posix_spawnattr_init', attributes)
    try:
      self._describe(actions, attributes, streams, cwd, restore_signals, new_session)
      if environment is None:
        environment = [name + b'=' + value for name, value in os.environb.items()]
      number, given = ctypes.c_int(), (actions, attributes, _strings(words), _strings(environment))
      for path in paths:
        if not self._library.posix_spawn(ctypes.byref(number), path, *given):
          return number.value
    finally:
      self._call('posix_spawn_file_actions_destroy', actions)
      self._call('posix_spawnattr_destroy', attributes)
    return self._usual_way(*arguments)  # which says what is wrong

  def _describe(self, actions, attributes, streams, cwd, restore_signals, new_session):
    """What the child does before it becomes the program."""
    for number, stream in enumerate(streams):
      if stream != -1:
        self._call('posix_spawn_file_actions_adddup2', actions, stream, number)
    if cwd is not None:
      self._call('posix_spawn_file_actions_addchdir_np', actions, os.fsencode(cwd))
    self._call('posix_spawn_file_actions_addclosefrom_np', actions, 3)
    signals = ctypes.create_string_buffer(128)
    self._call('sigemptyset', signals)
    for number in _RESTORED:
      self._call('sigaddset', signals, int(number))
    self._call('posix_spawnattr_setsigdefault', attributes, signals)
    flags = (_SETSIGDEF if restore_signals else 0) | (_SETSID if new_session else 0)
    self._call('posix_spawnattr_setflags', attributes, ctypes.c_short(flags))

  def _call(self, name, *arguments):
    code = getattr(self._library, name)(*arguments)
    if code:
      raise OSError(code, '{}: {}'.format(name, os.strerror(code)))


def _strings(values):
  """A null-terminated char *[]."""
  values = [os.fsencode(value) for value in values]
  return (ctypes.c_char_p * (len(values) + 1))(*values, None)
