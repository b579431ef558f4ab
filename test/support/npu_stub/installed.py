"""Puts a stand-in for npu_bridge on the path, for one test only.

    with installed.npu_bridge('cann_5_0'): ...

cann_20_2 is the old form: npu_init has only classes, allreduce wants the variable. cann_5_0 is the form from CANN
5.0.1 on. In another process: PYTHONPATH=S:S/npu_stub/cann_5_0:S/npu_stub/all_versions
with S=test/support.
"""

import contextlib
import importlib
import os
import sys
from unittest import mock

import tensorflow as tf

from npu_stub import emulator

FORMS = ('cann_20_2', 'cann_5_0')
_HERE = os.path.dirname(os.path.abspath(__file__))

# What the adapter's C++ reads of each parameter: field of its AttrValue. It ignores everything else silently.
_FIELDS_20_2 = {
    'use_off_line': 'b', 'precision_mode': 's', 'iterations_per_loop': 'i', 'enable_data_pre_proc': 'b',
    'mix_compile_mode': 'b', 'hcom_parallel': 'b', 'graph_memory_max_size': 's', 'variable_memory_max_size': 's',
    'enable_dump': 'b', 'dump_path': 's', 'dump_step': 's', 'dump_mode': 's', 'enable_dump_debug': 'b',
    'dump_debug_mode': 's', 'profiling_mode': 'b', 'profiling_options': 's', 'op_compiler_cache_mode': 's',
    'op_compiler_cache_dir': 's', 'op_select_implmode': 's', 'graph_run_mode': 'i'}
_FIELDS_5_0 = dict(_FIELDS_20_2, precision_mode_v2='s', modify_mixlist='s', session_device_id='i', hccl_timeout='i',
                   deterministic='i')
FIELDS = {'cann_20_2': _FIELDS_20_2, 'cann_5_0': _FIELDS_5_0}


def paths(form):
  """The folders to put on the path for a form."""
  return [os.path.dirname(_HERE), os.path.join(_HERE, form), os.path.join(_HERE, 'all_versions')]


@contextlib.contextmanager
def npu_bridge(form):
  """Makes npu_bridge of a form importable. A session whose NpuOptimizer it would not understand raises."""
  assert form in FORMS, form
  forget()
  start_session = tf.compat.v1.Session.__mro__[1].__init__

  def strict_session(self, target='', graph=None, config=None):
    if config is not None and npu_optimizers(config):
      check_config(config, form)
    if emulator.world().size > 1:
      config = _own_threads(config)
    start_session(self, target, graph, config)

  with mock.patch.object(sys, 'path', paths(form) + sys.path), \
      mock.patch.object(tf.compat.v1.Session.__mro__[1], '__init__', strict_session):
    importlib.invalidate_caches()
    try:
      yield
    finally:
      forget()


def forget():
  """Forgets that npu_bridge was imported."""
  for name in [name for name in sys.modules if name.split('.')[0] == 'npu_bridge']:
    del sys.modules[name]


def _own_threads(config):
  # As processes have: a rank that waits in a collective must not take the thread that another one needs.
  own = tf.ConfigProto()
  own.CopyFrom(config or tf.ConfigProto())
  own.use_per_session_threads = True
  own.inter_op_parallelism_threads = 4
  return own


def npu_optimizers(config):
  """The NpuOptimizer entries of a ConfigProto."""
  return [entry for entry in config.graph_options.rewrite_options.custom_optimizers if entry.name == 'NpuOptimizer']


def check_config(config, form):
  """Raises ValueError where the adapter of a form would drop or misread something."""
  entries = npu_optimizers(config)
  if len(entries) != 1:
    raise ValueError('expected one NpuOptimizer, found {}'.format(len(entries)))
  for name, value in entries[0].parameter_map.items():
    if name not in FIELDS[form]:
      raise ValueError('{} does not know the parameter {!r}'.format(form, name))
    if value.WhichOneof('value') != FIELDS[form][name]:
      raise ValueError('{} reads field {!r} of {!r}, found {!r}'.format(
          form, FIELDS[form][name], name, value.WhichOneof('value')))
  if config.graph_options.rewrite_options.remapping != 2:  # RewriterConfig.OFF
    raise ValueError('remapping must be off')
