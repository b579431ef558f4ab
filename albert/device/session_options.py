"""SessionOptions: device, precision and every parameter of the NpuOptimizer, checked before a graph exists.

The adapter drops a parameter with a wrong name or protobuf field without a word, so the table here is the only
place that names them. Needs no TensorFlow.
"""

import collections
import difflib
import functools
import json
import os
import re
import types

import gin

from albert.common import checks
from albert.common.errors import UserError

DEVICES = ('auto', 'npu', 'gpu', 'cpu')
# Options that are no parameters of the NpuOptimizer.
_OTHERS = ('device', 'loss_scale', 'fused_ops', 'mixed_precision', 'intra_op_parallelism_threads',
           'inter_op_parallelism_threads', 'cpu_towers')

# field: of the AttrValue in parameter_map (b bool, i int, s bytes). check(name, value) raises UserError.
Parameter = collections.namedtuple('Parameter', ['field', 'check'])


def _flag():
  return Parameter('b', checks.flag)


def _number(least):
  return Parameter('i', functools.partial(checks.whole_number, least=least))


def _zero_or_one():
  return Parameter('i', _check('0 or 1', lambda value: type(value) is int and value in (0, 1)))


def _choice(*values):
  return Parameter('s', functools.partial(checks.one_of, choices=values))


def _dump_step():
  """At most 100 steps or ranges, whose first step is below their last: the adapter aborts the process at others."""
  def accepts(value):
    parts = value.split('|') if isinstance(value, str) else ['']
    bounds = [part.split('-') for part in parts if re.fullmatch(r'[0-9]+(-[0-9]+)?', part)]
    return len(bounds) == len(parts) <= 100 and all(int(bound[0]) < int(bound[-1]) for bound in bounds if bound[1:])
  return Parameter('s', _check('at most 100 steps or ascending ranges such as "0|5|10-20"', accepts))


def _text(expected='a string', pattern='.+'):
  return Parameter('s', _check(expected, lambda value: isinstance(value, str) and re.fullmatch(pattern, value)))


def _check(expected, accepts):
  """A check(name, value) that raises UserError unless accepts(value). expected: the accepted values in words."""
  return lambda name, value: checks.fits(name, value, accepts(value), expected)


NPU_PARAMETERS = collections.OrderedDict([
    ('use_off_line', Parameter('b', _check('True (another device is SessionOptions.device)',
                                           lambda value: value is True))),
    ('precision_mode', _choice('allow_mix_precision', 'allow_mix_precision_fp16', 'allow_mix_precision_bf16',
                               'allow_fp32_to_fp16', 'force_fp16', 'force_fp32', 'cube_fp16in_fp32out',
                               'must_keep_origin_dtype')),
    ('precision_mode_v2', _choice('fp16', 'origin', 'cube_fp16in_fp32out', 'mixed_float16', 'mixed_bfloat16')),
    ('modify_mixlist', _text('the path of a JSON file')),
    ('iterations_per_loop', _number(1)),
    ('enable_data_pre_proc', _flag()),
    ('mix_compile_mode', _flag()),
    ('hcom_parallel', _flag()),
    ('graph_memory_max_size', _text('a string of bytes such as "26*1024*1024*1024"', r'[0-9]+(\*[0-9]+)*')),
    ('variable_memory_max_size', _text('a string of bytes such as "5*1024*1024*1024"', r'[0-9]+(\*[0-9]+)*')),
    ('enable_dump', _flag()),
    ('dump_path', _text('the path of a folder')),
    ('dump_step', _dump_step()),
    ('dump_mode', _choice('input', 'output', 'all')),
    ('enable_dump_debug', _flag()),
    ('dump_debug_mode', _choice('aicore_overflow', 'atomic_overflow', 'all')),
    ('profiling_mode', _flag()),
    ('profiling_options', _text('JSON, or before CANN 5.0.1 traces such as "training_trace:task_trace"')),
    ('op_compiler_cache_mode', _choice('enable', 'force', 'disable')),
    ('op_compiler_cache_dir', _text('the path of a folder')),
    ('op_select_implmode', _choice('high_precision', 'high_performance')),
    ('deterministic', _zero_or_one()),
    ('graph_run_mode', _zero_or_one()),
    ('session_device_id', _number(0)),
    ('hccl_timeout', _number(1)),
])

# Releases of the adapter came to know these one by one; an older one drops them without a word. The constructor of its
# NPURunConfig has arguments of those that it knows.
NEWER_PARAMETERS = ('op_compiler_cache_mode', 'op_compiler_cache_dir', 'session_device_id', 'modify_mixlist',
                    'hccl_timeout', 'deterministic', 'precision_mode_v2')
# Of them, those without which a run computes something else.
_OF_PRECISION = ('modify_mixlist', 'precision_mode_v2')
_OLD_TRACES = {'training_trace', 'task_trace', 'op_trace'}

# Modes that decide operator by operator what runs in 16 bits: modify_mixlist edits that decision.
_MIXED = ('allow_mix_precision', 'allow_mix_precision_fp16', 'allow_mix_precision_bf16',
          'mixed_float16', 'mixed_bfloat16')
# Modes in which nothing runs in fp16, so gradients do not underflow there. bf16 has the range of fp32.
_NO_FP16 = ('force_fp32', 'must_keep_origin_dtype', 'allow_mix_precision_bf16', 'origin', 'mixed_bfloat16')


def _is_json_object(text):
  try:
    return isinstance(json.loads(text), dict)
  except ValueError:
    return False


def _is_loss_scale(value):
  number = isinstance(value, (int, float)) and not isinstance(value, bool)
  return value in (None, 'dynamic') or number and value >= 1


@gin.configurable(module='albert.npu_session')
class SessionOptions:
  """Where and how precisely to compute, a constant. Gin binds all of it; None leaves the adapter's own default.

  Attributes:
    device: 'auto' (NPU if npu_bridge is installed, else a GPU, else the CPU), 'npu', 'gpu' or 'cpu'.
    mixed_precision: whether a GPU computes in fp16 where that is safe, by TensorFlow's graph rewrite; needs Tensor
      Cores. An NPU has precision_mode, a CPU nothing of the kind: both refuse it.
    loss_scale: under fp16 on the NPU or a GPU 'dynamic', a fixed scale of at least 1, or None for no scaling.
    fused_ops: whether the NPU's own gelu and dropout, on a CPU the operations of albert.model.cpu_ops, replace those
      made of TensorFlow operations.
    intra_op_parallelism_threads, inter_op_parallelism_threads: of the host; None lets the run choose.
    cpu_towers: number of parts in which a CPU computes the sequences that are in memory at a time, a core each; None
      lets the run choose, see cores. Other devices compute one.
    npu: read-only mapping, name in NPU_PARAMETERS -> value, of those that were given; only the NPU reads them.
  """

  def __init__(self, device='auto', precision_mode=None, iterations_per_loop=1, loss_scale='dynamic', fused_ops=True,
               intra_op_parallelism_threads=None, inter_op_parallelism_threads=None, mixed_precision=False,
               cpu_towers=None, **npu_parameters):
    """All arguments as in the class's attributes; **npu_parameters: names and values of NPU_PARAMETERS.

    precision_mode None is allow_mix_precision on the NPU. Other devices compute in fp32, or see mixed_precision.

    Raises:
      UserError: an unknown name, a value of another type or outside the table, or values that exclude each other.
    """
    npu_parameters.update(precision_mode=precision_mode, iterations_per_loop=iterations_per_loop)
    self._check_names(npu_parameters)
    vars(self).update(
        device=device, loss_scale=loss_scale, fused_ops=fused_ops, mixed_precision=mixed_precision,
        intra_op_parallelism_threads=intra_op_parallelism_threads,
        inter_op_parallelism_threads=inter_op_parallelism_threads, cpu_towers=cpu_towers,
        npu=types.MappingProxyType(collections.OrderedDict(
            (name, npu_parameters[name]) for name in NPU_PARAMETERS if npu_parameters.get(name) is not None)))
    self._check_values()
    self._check_combinations()

  def __setattr__(self, name, value):
    raise AttributeError('SessionOptions.{}: the options do not change after they are made'.format(name))

  def __delattr__(self, name):
    self.__setattr__(name, None)

  @staticmethod
  def _check_names(names):
    for name in names:
      if name not in NPU_PARAMETERS:
        near = difflib.get_close_matches(name, list(NPU_PARAMETERS) + list(_OTHERS), 1)
        raise UserError('SessionOptions: expected one of its options, found {!r}; {}'.format(
            name, 'did you mean {!r}?'.format(near[0]) if near else
            'they are ' + ', '.join(list(_OTHERS) + list(NPU_PARAMETERS))))

  def _check_values(self):
    checks.one_of('SessionOptions.device', self.device, DEVICES)
    for name in ('fused_ops', 'mixed_precision'):
      checks.flag('SessionOptions.' + name, getattr(self, name))
    _check("'dynamic', None or a number of at least 1", _is_loss_scale)('SessionOptions.loss_scale', self.loss_scale)
    for name in ('intra_op_parallelism_threads', 'inter_op_parallelism_threads', 'cpu_towers'):
      if getattr(self, name) is not None:
        checks.whole_number('SessionOptions.' + name, getattr(self, name))
    for name, value in self.npu.items():
      NPU_PARAMETERS[name].check('SessionOptions.' + name, value)

  def _check_combinations(self):
    npu = self.npu
    if 'precision_mode' in npu and 'precision_mode_v2' in npu:
      raise UserError('SessionOptions: expected precision_mode or precision_mode_v2, found both; leave one out')
    if 'modify_mixlist' in npu and self.npu_precision not in _MIXED:
      raise UserError('SessionOptions.modify_mixlist: expected a mixed precision mode beside it, found {}; '
                      "use precision_mode='allow_mix_precision'".format(self.npu_precision))
    if (npu.get('enable_dump') or npu.get('enable_dump_debug')) and 'dump_path' not in npu:
      raise UserError('SessionOptions: expected dump_path with enable_dump or enable_dump_debug, found none; '
                      'name an existing folder')
    if npu.get('profiling_mode') and 'profiling_options' not in npu:
      raise UserError('SessionOptions: expected profiling_options with profiling_mode, found none; '
                      """say what to record, such as '{"output":"profiling","training_trace":"on"}'""")
    if npu['iterations_per_loop'] > 1 and (npu.get('mix_compile_mode') or npu.get('enable_data_pre_proc') is False):
      raise UserError('SessionOptions.iterations_per_loop: expected 1 with mix_compile_mode or without '
                      'enable_data_pre_proc, found {}; the loop runs only where the whole step, its data included, '
                      'is on the NPU'.format(npu['iterations_per_loop']))

  @property
  def npu_precision(self):
    """The precision mode that an NPU would use."""
    return self.npu.get('precision_mode_v2') or self.npu.get('precision_mode', 'allow_mix_precision')

  @property
  def npu_loss_scale(self):
    """loss_scale where an NPU computes in fp16, else None."""
    return None if self.npu_precision in _NO_FP16 else self.loss_scale

  def npu_parameters(self, ranks, unknown=()):
    """The parameters of the NpuOptimizer of one of `ranks` processes: OrderedDict of name to value.

    unknown: names of parameters that the release does not know.
    """
    # enable_data_pre_proc: False is the default of newer releases, and each step then waits for the host's copy.
    chosen = collections.OrderedDict([('use_off_line', True), ('enable_data_pre_proc', True)])
    if 'precision_mode_v2' not in self.npu:
      chosen['precision_mode'] = self.npu_precision
    if ranks > 1:
      chosen['hcom_parallel'] = True
    chosen.update(self.npu)
    return collections.OrderedDict((name, value) for name, value in chosen.items() if name not in unknown)

  def check_release(self, unknown, takes_json):
    """Raises UserError where the installed release would compute something else, or abort the process.

    Args:
      unknown: names of parameters that it does not know.
      takes_json: whether its profiling_options are JSON: from CANN 5.0.1 on.
    """
    for name in _OF_PRECISION:
      if name in self.npu and name in unknown:
        raise UserError('SessionOptions.{}: expected a release of npu_bridge that knows it, found one that would leave '
                        'it out without a word; use precision_mode or a newer CANN'.format(name))
    options = self.npu.get('profiling_options')
    if options and _is_json_object(options) != takes_json or (
        options and not takes_json and not set(options.split(':')) <= _OLD_TRACES):
      raise UserError('SessionOptions.profiling_options: expected {}, as the installed npu_bridge takes them, found '
                      '{!r}; correct it'.format(
                          """JSON such as '{"output":"profiling","training_trace":"on"}'""" if takes_json else
                          'traces such as "training_trace:task_trace" (JSON is of CANN 5.0.1 and later)', options))

  def check_files(self):
    """Raises UserError where an option names a file that does not exist: the adapter would abort the process."""
    def is_folder(path):
      return os.path.isdir(path) and os.access(path, os.R_OK | os.W_OK)

    for name, expected, fits in (('modify_mixlist', 'the path of a JSON file that exists', os.path.isfile),
                                 ('dump_path', 'the path of a folder that can be read and written', is_folder)):
      if name in self.npu and not fits(self.npu[name]):
        raise UserError('SessionOptions.{}: expected {}, found {!r}; create it first'.format(
            name, expected, self.npu[name]))
    if 'modify_mixlist' in self.npu:
      try:
        with open(self.npu['modify_mixlist'], encoding='utf-8') as source:
          json.load(source)
      except (OSError, ValueError) as error:
        raise UserError('SessionOptions.modify_mixlist: expected a JSON file, found {} in {!r}; correct it'.format(
            ' '.join(str(error).split()), self.npu['modify_mixlist']))
