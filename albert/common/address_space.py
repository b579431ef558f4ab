"""Reports a limit of address space (ulimit -v) in one line, before a library dies of it with many lines or none.

Libraries reserve for each core far more than they use: OpenBLAS, which numpy brings along, and TensorFlow end the
process where they get less. How much they need depends on the machine, so another process tries. Without a limit,
which is the rule, nothing happens. Needs neither library.
"""

import os
import resource
import subprocess
import sys

# In the environment of the process that tries.
_MARK = 'ALBERT_ADDRESS_SPACE'
_PROGRAMS = {
    'numpy': 'import numpy; numpy.ones([64, 64]).dot(numpy.ones([64, 64]))',
    'tensorflow': 'import tensorflow as tf; tf.compat.v1.Session().run(tf.zeros([]))',
}
# What libraries raise that get no memory, some of them while they are imported.
_RAISED = (MemoryError, ImportError, OSError, RuntimeError)


def limit():
  """The limit in bytes, or None."""
  most = resource.getrlimit(resource.RLIMIT_AS)[0]
  return None if most == resource.RLIM_INFINITY else most


def room():
  """Bytes that this process may still reserve under its limit, or None without one."""
  most = limit()
  if most is None:
    return None
  with open('/proc/self/statm', encoding='ascii') as source:
    return max(0, most - int(source.read().split()[0]) * resource.getpagesize())


def note():
  """One line for the log of a program that has to live with a limit, or None without one."""
  most = limit()
  return None if most is None else (
      'address space is limited to {:,.0f} MB (ulimit -v): where TensorFlow gets none it ends this process at '
      'once, with its own words; the same command goes on from the newest checkpoint'.format(most / 1e6))


def remedy():
  """The advice where memory ran out: a clause for the end of a message."""
  most = limit()
  if most is None:
    return 'use a machine with more, or smaller settings'
  return 'this process may have {:,.0f} MB of address space: raise or remove the limit (ulimit -v unlimited)'.format(
      most / 1e6)


def check(library):
  """Ends the process with one line if a library cannot be used under a limit of address space.

  Args:
    library: 'numpy' or 'tensorflow'.
  """
  if limit() is None or _MARK in os.environ:
    return
  sys.excepthook = _one_line
  try:
    code = subprocess.call([sys.executable, '-W', 'ignore', '-c', _PROGRAMS[library]], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, env=dict(os.environ, **{_MARK: 'tried'}))
  except (OSError, MemoryError):
    code = 1
  if code:
    print('error: expected room for {}, found that it cannot start; {}'.format(library, remedy()), file=sys.stderr)
    sys.exit(1)


def _one_line(kind, error, trace):
  """As sys.excepthook, where a library may have failed for want of memory."""
  if not issubclass(kind, _RAISED):
    sys.__excepthook__(kind, error, trace)
    return
  first = (str(error).strip() or kind.__name__).split('\n')[0]
  print('error: expected enough memory, found {}; {}'.format(first, remedy()), file=sys.stderr)
