"""How this process gets memory from the kernel: settings that glibc reads once, when a program starts.

glibc gives every large block back to the kernel when it is freed, so each training step faults all of its pages in
again. With the settings below freed memory stays with the process, in huge pages. Needs no TensorFlow.
"""

import importlib.util
import os
import sys

# Whether to use the settings: 'tuned' (what this module leaves behind, so that it acts once) or 'default'.
CHOICE = 'ALBERT_MALLOC'
SETTINGS = {
    'MALLOC_MMAP_MAX_': '0',  # no block of its own from the kernel, which would go back when it is freed
    'MALLOC_TRIM_THRESHOLD_': str(1 << 40),  # the end of the heap is never given back
    'MALLOC_TOP_PAD_': str(64 << 20),  # the heap grows by 64 MB at a time
    'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1',  # asks for transparent huge pages: fewer faults, fewer TLB misses
}


def start_again_with_settings():
  """Replaces this process by itself with SETTINGS in its environment, once; for programs that train.

  To be called before TensorFlow is imported, which takes seconds. Does nothing with ALBERT_MALLOC=default, on an NPU
  host, or where a command line cannot be read. A setting that the user made is kept.
  """
  changed = environment(os.environ, importlib.util.find_spec('npu_bridge') is not None)
  command = _command_line()
  if changed is not None and command:
    os.execve(sys.executable, command, changed)


def environment(environ, on_npu):
  """The environment to start again with, or None to go on with this one. environ: mapping; on_npu: bool."""
  if environ.get(CHOICE) or on_npu:
    return None
  return dict(SETTINGS, **dict(environ, **{CHOICE: 'tuned'}))


def describe(environ):
  """One line for the log: which allocator settings this process was started with."""
  found = ['{}={}'.format(name, environ[name]) for name in SETTINGS if name in environ]
  if not found:
    return 'allocator=default'
  return 'allocator={} ({}; {}=default turns this off)'.format(environ.get(CHOICE, 'own settings'), ' '.join(found),
                                                               CHOICE)


def _command_line():
  """The words that started this process, interpreter options included; empty if they are not to be had."""
  try:
    with open('/proc/self/cmdline', 'rb') as source:
      return [os.fsdecode(word) for word in source.read().split(b'\0')[:-1]]
  except OSError:
    return []
