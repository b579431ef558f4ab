"""Puts a stand-in for npu_bridge on the path, for one test only.

    with installed.npu_bridge('r1.15.0'): ...

A release of the TF adapter is a form of its Python modules and a row of RELEASES. cann_20_2 is the old form: npu_init
has only classes, allreduce wants the variable. cann_5_0 is the form from CANN 5.0.1 on. In another process:
PYTHONPATH=S:S/npu_stub/cann_5_0:S/npu_stub/all_versions with S=test/support, and NPU_STUB_RELEASE=r1.15.0; several
processes meet in the folder NPU_STUB_WORLD.
"""

import collections
import contextlib
import importlib
import os
import re
import sys
from unittest import mock

import tensorflow as tf

from npu_stub import emulator

_HERE = os.path.dirname(os.path.abspath(__file__))

# form: folder of the Python modules. cann: what it ships with. newer: parameters that not all releases know, of those
# that this one does. status_in_compute: whether compute_gradients, and not apply_gradients, allocates the status
# tensor. data_pre_proc, hcom_parallel: defaults of the parameters enable_data_pre_proc and hcom_parallel.
# broadcast_fusion: default of hccl_ops.broadcast, None where it has no such argument. json_profiling: whether
# profiling_options are JSON. checks_precision: whether a precision mode that it does not know fails the session.
# takes_sessions: whether npu_init makes every session of the process one of the NPU.
Release = collections.namedtuple('Release', [
    'form', 'cann', 'newer', 'status_in_compute', 'data_pre_proc', 'hcom_parallel', 'broadcast_fusion',
    'json_profiling', 'checks_precision', 'takes_sessions'])

_CACHE = ('op_compiler_cache_mode', 'op_compiler_cache_dir')
_NEWER_1_5 = _CACHE + ('session_device_id', 'modify_mixlist')
_NEWER_1_10 = _NEWER_1_5 + ('hccl_timeout',)
_NEWER_1_15 = _NEWER_1_10 + ('deterministic', 'precision_mode_v2')
RELEASES = collections.OrderedDict([
    ('r1.1.1', Release('cann_20_2', '20.2', (), True, True, False, None, False, False, False)),
    ('r1.5.0', Release('cann_5_0', '5.0.2', _NEWER_1_5, True, False, False, 2, True, False, False)),
    ('r1.10.0', Release('cann_5_0', '6.0.RC1', _NEWER_1_10, False, False, True, 2, True, False, True)),
    ('r1.15.0', Release('cann_5_0', '7.0', _NEWER_1_15, False, False, True, 2, True, True, True))])
OLDEST, NEWEST = 'r1.1.1', 'r1.15.0'

# What the adapter's C++ reads of each parameter: field of its AttrValue. It ignores everything else silently.
_ALWAYS_KNOWN = {
    'use_off_line': 'b', 'precision_mode': 's', 'iterations_per_loop': 'i', 'enable_data_pre_proc': 'b',
    'mix_compile_mode': 'b', 'hcom_parallel': 'b', 'graph_memory_max_size': 's', 'variable_memory_max_size': 's',
    'enable_dump': 'b', 'dump_path': 's', 'dump_step': 's', 'dump_mode': 's', 'enable_dump_debug': 'b',
    'dump_debug_mode': 's', 'profiling_mode': 'b', 'profiling_options': 's', 'op_select_implmode': 's',
    'graph_run_mode': 'i'}
_NEWER_FIELDS = {'op_compiler_cache_mode': 's', 'op_compiler_cache_dir': 's', 'session_device_id': 'i',
                 'modify_mixlist': 's', 'hccl_timeout': 'i', 'deterministic': 'i', 'precision_mode_v2': 's'}
_PRECISIONS = {
    'precision_mode': ('force_fp16', 'force_fp32', 'cube_fp16in_fp32out', 'allow_mix_precision', 'allow_fp32_to_fp16',
                       'must_keep_origin_dtype', 'allow_mix_precision_fp16', 'allow_mix_precision_bf16'),
    'precision_mode_v2': ('fp16', 'origin', 'cube_fp16in_fp32out', 'mixed_float16', 'mixed_bfloat16')}
_current = os.environ.get('NPU_STUB_RELEASE')
# The graphs of sessions that npu_init has made sessions of the NPU, with parameters of its own; a list.
taken_sessions = []
# What start_in_process() has begun; it would end with the last reference to it.
in_process = contextlib.ExitStack()


class Aborted(Exception):
  """Where the adapter ends the whole process (LOG(FATAL)), with a core and without a Python traceback."""


def fields(name):
  """{parameter: field of its AttrValue} of those that a release reads."""
  return dict(_ALWAYS_KNOWN, **{newer: _NEWER_FIELDS[newer] for newer in RELEASES[name].newer})


def release():
  """The Release that is installed."""
  return RELEASES[_current]


def paths(name):
  """The folders to put on the path for a release."""
  return [os.path.dirname(_HERE), os.path.join(_HERE, RELEASES[name].form), os.path.join(_HERE, 'all_versions')]


@contextlib.contextmanager
def npu_bridge(name):
  """Makes npu_bridge of a release importable. A session that it would not understand, or not survive, raises."""
  global _current
  forget()
  before, _current = _current, name
  del taken_sessions[:]
  try:
    with mock.patch.object(sys, 'path', paths(name) + sys.path), sessions_of_the_adapter():
      importlib.invalidate_caches()
      yield
  finally:
    _current = before
    forget()


@contextlib.contextmanager
def sessions_of_the_adapter():
  """TensorFlow's sessions do what those of the adapter do: check, take a device, repeat IterationOp, load graphs."""
  base = tf.compat.v1.Session.__mro__[1]
  start_session, run_session = base.__init__, base.run

  def strict_session(self, target='', graph=None, config=None):
    self.npu_stub_on_device = config is not None and bool(npu_optimizers(config))
    if self.npu_stub_on_device:
      check_config(config, _current)
      check_environment(os.environ)
    elif 'npu_bridge.npu_init' in sys.modules and RELEASES[_current].takes_sessions:
      taken_sessions.append(graph or tf.get_default_graph())
    if emulator.world().size > 1:
      config = own_threads(config)
    start_session(self, target, graph, config)

  def run(self, fetches, feed_dict=None, options=None, run_metadata=None):
    wanted = list(_flat(fetches))
    if self.npu_stub_on_device:
      emulator.check_runs_alone(wanted)
    emulator.load(wanted)
    repeats = 1
    if any(isinstance(fetch, tf.Operation) and fetch.name == 'IterationOp' for fetch in wanted):
      repeats += int(run_session(self, self.graph.get_collection('npu_runconfig_iterations_per_loop')[0]))
    for _ in range(repeats):
      values = run_session(self, fetches, feed_dict, options, run_metadata)
    return values

  with mock.patch.object(base, '__init__', strict_session), mock.patch.object(base, 'run', run):
    yield


def start_in_process():
  """In a process whose environment says which release it has: as npu_bridge(), until it ends."""
  if os.environ.get('NPU_STUB_RELEASE') and not getattr(tf, 'npu_stub_started', False):
    tf.npu_stub_started = True
    in_process.enter_context(sessions_of_the_adapter())


def _flat(fetches):
  """Yields the tensors and operations among fetches, which may be nested."""
  if isinstance(fetches, (tf.Tensor, tf.Operation)):
    yield fetches
  elif isinstance(fetches, tf.Variable):
    yield fetches.op.outputs[0]
  elif isinstance(fetches, dict):
    for value in fetches.values():
      yield from _flat(value)
  elif isinstance(fetches, (list, tuple)):
    for value in fetches:
      yield from _flat(value)


def forget():
  """Forgets that npu_bridge was imported."""
  for name in [name for name in sys.modules if name.split('.')[0] == 'npu_bridge']:
    del sys.modules[name]


def own_threads(config):
  """A tf.ConfigProto of a rank that is a thread of this process."""
  # As processes have: a rank that waits in a collective must not take the thread that another one needs.
  own = tf.ConfigProto()
  own.CopyFrom(config or tf.ConfigProto())
  own.use_per_session_threads = True
  own.inter_op_parallelism_threads = 8
  return own


def npu_optimizers(config):
  """The NpuOptimizer entries of a ConfigProto."""
  return [entry for entry in config.graph_options.rewrite_options.custom_optimizers if entry.name == 'NpuOptimizer']


def parameters(config):
  """{parameter: (field, value)} of the NpuOptimizer of a ConfigProto."""
  entry, = npu_optimizers(config)
  return {name: (value.WhichOneof('value'), getattr(value, value.WhichOneof('value')))
          for name, value in entry.parameter_map.items()}


def effective(config, name):
  """{parameter: value} that a release goes by: what the config says, else its defaults where they ever moved."""
  values = {'enable_data_pre_proc': RELEASES[name].data_pre_proc, 'hcom_parallel': RELEASES[name].hcom_parallel}
  values.update({key: value for key, (_, value) in parameters(config).items()})
  return {key: value.decode() if isinstance(value, bytes) else value for key, value in values.items()}


def check_config(config, name):
  """What a release does with a session's parameters.

  Raises:
    ValueError: it would drop or misread something, silently.
    Aborted: it would end the process.
    tf.errors.InvalidArgumentError: it fails the session.
  """
  entries = npu_optimizers(config)
  if len(entries) != 1:
    raise ValueError('expected one NpuOptimizer, found {}'.format(len(entries)))
  known = fields(name)
  for key, value in entries[0].parameter_map.items():
    if key not in known:
      raise ValueError('{} does not know the parameter {!r}'.format(name, key))
    if value.WhichOneof('value') != known[key]:
      raise ValueError('{} reads field {!r} of {!r}, found {!r}'.format(
          name, known[key], key, value.WhichOneof('value')))
  if config.graph_options.rewrite_options.remapping != 2:  # RewriterConfig.OFF
    raise ValueError('remapping must be off')
  _check_values(effective(config, name), RELEASES[name])


def _check_values(found, its):
  wrong = []
  if found.get('enable_dump'):
    wrong += ['dump_step'] * ('dump_step' in found and not _is_dump_step(found['dump_step']))
    wrong += ['dump_mode'] * (found.get('dump_mode', 'output') not in ('input', 'output', 'all'))
  if found.get('profiling_mode') and not its.json_profiling:
    parts = found['profiling_options'].split(':')
    wrong += ['profiling_options'] * (not set(parts) <= {'training_trace', 'task_trace', 'op_trace'})
  if found.get('op_select_implmode', 'high_precision') not in ('high_precision', 'high_performance'):
    wrong.append('op_select_implmode')
  if found.get('graph_run_mode', 1) not in (0, 1):
    wrong.append('graph_run_mode')
  if wrong:
    raise Aborted(', '.join(wrong))
  for key, values in _PRECISIONS.items():
    if its.checks_precision and key in found and found[key] not in values:
      raise tf.errors.InvalidArgumentError(None, None, '{} {} is not supported'.format(key, found[key]))


def _is_dump_step(text):
  parts = text.split('|')
  if len(parts) > 100 or not all(re.fullmatch('[0-9]+(-[0-9]+)?', part) for part in parts):
    return False
  bounds = [list(map(int, part.split('-'))) for part in parts]
  return all(len(bound) == 1 or bound[0] < bound[1] for bound in bounds)


def check_environment(environ):
  """What the adapter makes of the environment when it starts: it refuses two ways of naming ranks at once."""
  if environ.get('CM_CHIEF_IP') and environ.get('RANK_SIZE'):
    raise RuntimeError('CM_CHIEF_IP and RANK_SIZE cannot be configured at the same time')
  device = environ.get('ASCEND_DEVICE_ID') or environ.get('DEVICE_ID')
  if device is not None and not device.isdigit():
    raise tf.errors.InvalidArgumentError(None, None, 'DEVICE_ID is invalid, should be int, such as 0, 1, 2.')
  if device is None:
    tf.compat.v1.logging.warning('DEVICE_ID and ASCEND_DEVICE_ID is none, use default device id : 0')
  emulator.take_device(int(device or 0))
