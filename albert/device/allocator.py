"""How this process gets memory from the kernel: settings that glibc and TensorFlow read once, when they start.

glibc gives every large block back to the kernel when it is freed, so each training step faults all of its pages in
again; and where it does not, the gaps between blocks of many sizes take as much again as the blocks. TensorFlow's
own best-fit allocator keeps the memory and puts blocks together again. Needs no TensorFlow.
"""

import importlib.util
import os

from albert.common import restart

# 'default' turns the settings off; 'tuned' marks a process that already has them.
CHOICE = 'ALBERT_MALLOC'
SETTINGS = {
    'TF_CPU_ALLOCATOR_USE_BFC': '1',  # tensors are allocated by best fit with coalescing
    'TF_CPU_BFC_MEM_LIMIT_IN_MB': str(1 << 24),  # no limit of its own; it would be 64 GB
    'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1',  # asks for transparent huge pages: fewer faults, fewer TLB misses
}


def start_again_with_settings():
  """Replaces this process by itself with SETTINGS in its environment, once; for programs that train.

  glibc reads them before the first line of a program, which cannot set them for itself. To be called before
  TensorFlow is imported, which takes seconds. Does nothing with ALBERT_MALLOC=default, on an NPU host, or where a
  command line cannot be read. A setting of the user is kept.
  """
  changed = environment(os.environ, importlib.util.find_spec('npu_bridge') is not None)
  if changed is not None:
    restart.start_again(changed)


def environment(environ, on_npu):
  """The environment to start again with, or None to go on with this one. environ: mapping; on_npu: bool."""
  if environ.get(CHOICE) or on_npu:
    return None
  return dict(SETTINGS, **dict(environ, **{CHOICE: 'tuned'}))


def describe(environ):
  """One line for the log: which allocator settings this process was started with."""
  settings = ['{}={}'.format(name, environ[name]) for name in SETTINGS if name in environ]
  if not settings:
    return 'allocator=default'
  return 'allocator={} ({}; {}=default turns this off)'.format(environ.get(CHOICE, 'own settings'), ' '.join(settings),
                                                               CHOICE)
