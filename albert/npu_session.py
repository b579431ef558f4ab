"""Where the computation runs. The only importer of npu_bridge, and that only inside functions.

    options -> start() -> Session: RunConfig, hooks, loss scaling, averaging over ranks, fused operations

Works with the TF adapter of CANN 20.2, which has only classes in npu_init, and with those from CANN 5.0.1 on, which
bring npu_config_proto, npu_run_config_init and npu_hooks_append; what exists is used. On a CPU or GPU every method
still works and does nothing, so that the training code never asks where it runs.
"""

import importlib
import importlib.util
import inspect
import json
import logging
import math
import os
import types

import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from albert.common.errors import UserError
from albert.device.session_options import AFTER_CANN_20_2
from albert.device.session_options import NPU_PARAMETERS
from albert.device.session_options import SessionOptions

# The 910 saturates where others give Inf, so a large first scale costs a few skipped steps and nothing else.
_DYNAMIC_LOSS_SCALE = dict(init_loss_scale=2.0 ** 32, incr_every_n_steps=1000, decr_every_n_nan_or_inf=1,
                           decr_ratio=0.5)
_GPU_FIRST_SCALE = 2.0 ** 15  # of TensorFlow's DynamicLossScale
# What the collectives of the 910 can carry.
_BROADCAST_TYPES = (tf.int8, tf.int32, tf.int64, tf.float16, tf.float32)
_BRIDGE_MODULES = ('npu_init', 'estimator.npu_ops', 'estimator.npu_unary_ops', 'estimator.npu.npu_hook',
                   'estimator.npu.npu_loss_scale_manager', 'estimator.npu.npu_loss_scale_optimizer',
                   'estimator.npu.npu_optimizer', 'hccl.hccl_ops')
_INSTALL = ('install the TF adapter (npu_bridge, for TensorFlow 1.15) that belongs to the installed CANN and source '
            'the set_env.sh of CANN')

_LOG = logging.getLogger('albert')
_OFF = rewriter_config_pb2.RewriterConfig.OFF
_ON = rewriter_config_pb2.RewriterConfig.ON


def start(options=None, environ=None):
  """Chooses the device, checks that it can be used, and says so in one line of the log.

  Args:
    options: SessionOptions; None makes one, which gin may bind.
    environ: mapping with RANK_SIZE, RANK_ID, JOB_ID and RANK_TABLE_FILE; None is os.environ.

  Returns:
    A Session.

  Raises:
    UserError: the device asked for is absent, npu_bridge is broken, or the environment of the ranks is incomplete.
  """
  options = options or SessionOptions()
  environ = os.environ if environ is None else environ
  rank, ranks = _ranks(environ)
  device, reason, bridge = _choose_device(options.device)
  if ranks > 1 and device != 'npu':
    raise UserError('RANK_SIZE={}: expected an NPU, found device={} ({}); {}, or unset RANK_SIZE'.format(
        ranks, device, reason, _INSTALL))
  if options.mixed_precision and device != 'gpu':
    raise UserError('SessionOptions.mixed_precision: expected a GPU, where alone TensorFlow rewrites graphs for it, '
                    'found device={} ({}); {}'.format(device, reason, 'use SessionOptions.precision_mode' if
                                                      device == 'npu' else 'leave it out'))
  if device == 'npu':
    options.check_files()
    if ranks > 1:
      _check_job(environ, ranks)
  session = Session(options, device, reason, rank, ranks, bridge)
  _LOG.info('%s', session.describe())
  return session


class Session:
  """What start() found, and what the training code needs of it.

  Attributes:
    device: 'npu', 'gpu' or 'cpu'.
    precision: the NPU's precision mode; 'mixed_float16' on a GPU that was asked for it; 'fp32' elsewhere.
    rank, ranks: int; this process among those that train together.
    steps_per_loop: updates per Session.run: above 1 only on the NPU. Hooks then run once per loop.
    gelu: callable(x) or None for the caller's own tanh form.
    dropout: callable(x, rate) or None for the caller's own.
    cpu_ops: bool, whether the operations of albert.model.cpu_ops replace those made for any device.
  """

  def __init__(self, options, device, reason, rank, ranks, bridge):
    on_npu = device == 'npu'
    self.device = device
    self.precision = (options.npu_precision if on_npu else
                      'mixed_float16' if options.mixed_precision else 'fp32')
    self.rank = rank
    self.ranks = ranks
    self.steps_per_loop = options.npu['iterations_per_loop'] if on_npu else 1
    self.gelu = bridge.npu_unary_ops.gelu if on_npu and options.fused_ops else None
    self.dropout = self._npu_dropout if on_npu and options.fused_ops else None
    self.cpu_ops = device == 'cpu' and options.fused_ops
    self._options = options
    self._reason = reason
    self._bridge = bridge
    self._loss_scale = (options.npu_loss_scale if on_npu else
                        options.loss_scale if options.mixed_precision else None)

  @property
  def is_chief(self):
    """Whether this is rank 0, the only one that saves, evaluates and summarises."""
    return self.rank == 0

  @property
  def skips_overflows(self):
    """Whether loss scaling decides which updates are made: it leaves global_step where it is after an overflow."""
    # TensorFlow's fixed scale, unlike the NPU's, applies whatever comes.
    return self._loss_scale is not None and (self.device == 'npu' or self._loss_scale == 'dynamic')

  @property
  def most_overflows(self):
    """How many steps in a row a dynamic scale may skip while it falls to 1; then it is no longer what is wrong."""
    if not self.skips_overflows or self._loss_scale != 'dynamic':
      return 0
    return int(math.log2(_DYNAMIC_LOSS_SCALE['init_loss_scale'] if self.device == 'npu' else _GPU_FIRST_SCALE))

  @property
  def measures_input_wait(self):
    """Whether a step may time its input. The NPU runs whole graphs, with loop offload whole loops, without a host."""
    return self.device != 'npu'

  def describe(self):
    """One line: device=cpu (npu_bridge not installed) precision=fp32 steps_per_loop=1."""
    words = ['device={} ({})'.format(self.device, self._reason), 'precision=' + self.precision,
             'steps_per_loop={}'.format(self.steps_per_loop)]
    if self.device == 'npu':
      words += ['rank={}/{}'.format(self.rank, self.ranks), 'loss_scale={}'.format(self._loss_scale),
                'fused_ops={}'.format('gelu,dropout' if self.gelu else 'none')]
    elif self._options.mixed_precision:
      words += ['loss_scale={}'.format(self._loss_scale)]
    for label, names in (('ignored off the NPU', self._ignored_here()),
                         ('unknown to CANN before 5.0.1', self._unknown_to_bridge())):
      words += ['({}: {})'.format(label, ', '.join(names))] if names else []
    return ' '.join(words)

  def _ignored_here(self):
    given = self._options.npu
    return [] if self.device == 'npu' else [name for name in given if name != 'iterations_per_loop' or given[name] > 1]

  def _unknown_to_bridge(self):
    if self.device != 'npu' or hasattr(self._bridge.npu_init, 'npu_config_proto'):
      return []
    return [name for name in AFTER_CANN_20_2 if name in self._options.npu]

  def session_config(self):
    """A new tf.ConfigProto for this device."""
    config = tf.ConfigProto(allow_soft_placement=True)
    config.intra_op_parallelism_threads = self._options.intra_op_parallelism_threads or 0
    config.inter_op_parallelism_threads = self._options.inter_op_parallelism_threads or 0
    if self.device == 'npu':
      return self._npu_config(config)
    # What tf.estimator sets itself when it is given no configuration.
    config.graph_options.rewrite_options.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
    config.gpu_options.allow_growth = True
    if self.device == 'cpu':
      # Both make sums of three and more, which are added in the order in which they are ready: a run would not repeat
      # its last bits. A step takes as long without them.
      config.graph_options.rewrite_options.arithmetic_optimization = _OFF
      config.graph_options.rewrite_options.memory_optimization = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
    if self._options.mixed_precision:
      # Here and not by enable_mixed_precision_graph_rewrite, which switches it on for every session of the process.
      config.graph_options.rewrite_options.auto_mixed_precision = _ON
    return config

  def _npu_config(self, config):
    rewrites = config.graph_options.rewrite_options
    # On the NPU only: elsewhere remapping fuses matmul and bias.
    rewrites.remapping = _OFF
    rewrites.memory_optimization = _OFF
    optimizer = rewrites.custom_optimizers.add(name='NpuOptimizer')
    for name, value in self._options.npu_parameters(self.ranks).items():
      field = NPU_PARAMETERS[name].field
      setattr(optimizer.parameter_map[name], field, value.encode('utf-8') if field == 's' else value)
    if hasattr(self._bridge.npu_init, 'npu_config_proto'):
      config = self._bridge.npu_init.npu_config_proto(config_proto=config)
    return config

  def run_config(self, **kwargs):
    """A tf.estimator.RunConfig for this device and rank.

    Every rank gets the same model_dir and reads its checkpoints; ranks other than 0 write nothing there. They need no
    checkpoint of their own: train_hooks() hands them the whole state of rank 0.

    Args:
      **kwargs: of tf.estimator.RunConfig, such as model_dir and save_checkpoints_steps, without session_config.
    """
    if not self.is_chief:
      kwargs.update(save_checkpoints_steps=None, save_checkpoints_secs=None, save_summary_steps=0,
                    log_step_count_steps=None)
    config = tf.estimator.RunConfig(session_config=self.session_config(), **kwargs)
    if self.device == 'npu' and hasattr(self._bridge.npu_init, 'npu_run_config_init'):
      config = self._bridge.npu_init.npu_run_config_init(run_config=config)
    return config

  def train_hooks(self, hooks=()):
    """A list: the hooks that this device needs, then the given ones, which may read the state of rank 0."""
    own = []
    if self.ranks > 1:
      npu_init = self._bridge.npu_init
      if hasattr(npu_init, 'npu_hooks_append'):
        # A list, and nothing else: any other sequence is replaced by a new list, without its hooks.
        own = npu_init.npu_hooks_append(hooks_list=own)
      else:
        own.append(self._bridge.npu_hook.NPUBroadcastGlobalVariablesHook(0, self.rank))
      own.append(_BroadcastState(self._bridge.hccl_ops))
    if self.steps_per_loop > 1:
      own.append(self._bridge.npu_hook.SetIterationsVarHook(self.steps_per_loop))
    return own + list(hooks)

  def wrap_optimizer(self, optimizer):
    """The optimizer, inside the loss scaling of a device that computes in fp16.

    The wrapper's compute_gradients returns unscaled gradients. Its apply_gradients, where skips_overflows, does
    nothing, global_step included, after an overflow on any rank; it runs in tf.cond, so the optimizer makes its
    variables in _create_slots. Ask the inner optimizer, not the wrapper, for slots.
    """
    if self._loss_scale is None:
      return optimizer
    if self.device == 'gpu':
      return tf.compat.v1.train.experimental.MixedPrecisionLossScaleOptimizer(optimizer, self._loss_scale)
    managers = self._bridge.npu_loss_scale_manager
    if self._loss_scale == 'dynamic':
      manager = managers.ExponentialUpdateLossScaleManager(**_DYNAMIC_LOSS_SCALE)
    else:
      manager = managers.FixedLossScaleManager(loss_scale=float(self._loss_scale))
    return self._bridge.npu_loss_scale_optimizer.NPULossScaleOptimizer(
        optimizer, manager, is_distributed=self.ranks > 1)

  def average_gradients(self, grads_and_vars):
    """Makes gradients dense and averages them over ranks, one all-reduce each. Call it before they are clipped.

    Args:
      grads_and_vars: list of (gradient, variable) as compute_gradients returns it: a tensor, IndexedSlices or None.
        IndexedSlices would be gathered instead of added, and their norm counts a row that occurs twice wrongly, so
        one rank would clip otherwise than several.

    Returns:
      A list of (tensor or None, variable).
    """
    with tf.name_scope('average_gradients'):
      return [(None if gradient is None else self._average(tf.convert_to_tensor(gradient), variable), variable)
              for gradient, variable in grads_and_vars]

  def _average(self, gradient, variable):
    if self.ranks == 1:
      return gradient
    allreduce = self._bridge.npu_optimizer.allreduce
    arguments = dict(tensor=gradient, average=True)
    # Before CANN 5.0.1 the variable is the second argument; by keyword either form gets what it means.
    if 'var' in inspect.signature(allreduce).parameters:
      arguments['var'] = variable
    return allreduce(**arguments)

  def all_reduce_sum(self, tensor, name='all_reduce_sum'):
    """The sum of a tensor over ranks. tensor: int32, int64, float16 or float32, of the same shape on all of them."""
    if self.ranks == 1:
      return tensor
    with tf.name_scope(name):
      # fusion=0: not gathered into the all-reduces of the gradients, which come much later.
      return self._bridge.hccl_ops.allreduce(tensor, 'sum', fusion=0)

  def wrap_train_op(self, train_op):
    """The operation that the NPU repeats steps_per_loop times: it is found by the root name IterationOp."""
    if self.steps_per_loop == 1:
      return train_op
    with tf.name_scope(None):
      return tf.group(train_op, name='IterationOp')

  def check_steps(self, num_train_steps, save_checkpoints_steps=None):
    """Raises UserError unless both numbers are multiples of steps_per_loop: a loop cannot stop in its middle."""
    for name, steps in (('num_train_steps', num_train_steps), ('save_checkpoints_steps', save_checkpoints_steps)):
      if steps is not None and steps % self.steps_per_loop:
        raise UserError('{}: expected a multiple of SessionOptions.iterations_per_loop={}, found {}; '
                        'change one of them'.format(name, self.steps_per_loop, steps))

  def _npu_dropout(self, x, rate):
    return self._bridge.npu_ops.dropout(x, keep_prob=1.0 - rate) if rate else x


class _BroadcastState(tf.train.SessionRunHook):
  """Gives every rank the optimizer slots, global_step and loss scale of rank 0, which alone restores a checkpoint.

  The adapter's own hook covers only trainable variables from CANN 5.0.1 on: weights would start equal and part.
  """

  def __init__(self, hccl_ops):
    self._hccl_ops = hccl_ops
    self._broadcast = None

  def begin(self):
    trainable = set(tf.trainable_variables())
    with tf.name_scope('broadcast_state'):
      self._broadcast = tf.group(*[
          tf.assign(variable, self._hccl_ops.broadcast([variable], 0)[0]) for variable in tf.global_variables()
          if variable not in trainable and variable.dtype.base_dtype in _BROADCAST_TYPES])

  def after_create_session(self, session, coord):
    session.run(self._broadcast)


def _choose_device(asked):
  """Returns (device, the reason in words, the modules of npu_bridge or None)."""
  why = '' if asked == 'auto' else 'as asked'
  if asked in ('auto', 'npu'):
    bridge = _npu_bridge()
    if bridge:
      form = 'from CANN 5.0.1 on' if hasattr(bridge.npu_init, 'npu_config_proto') else 'of CANN before 5.0.1'
      return 'npu', 'npu_bridge ' + form, bridge
    if asked == 'npu':
      raise UserError("SessionOptions.device='npu': expected the package npu_bridge, found none; {}, or use "
                      "device='auto'".format(_INSTALL))
    why = 'npu_bridge not installed'
  if asked in ('auto', 'gpu'):
    # Lists them without initialising them; tf.test.is_gpu_available would take their memory.
    if tf.config.experimental.list_physical_devices('GPU'):
      return 'gpu', why, None
    if asked == 'gpu':
      raise UserError("SessionOptions.device='gpu': expected a GPU that TensorFlow sees, found none; install "
                      "tensorflow-gpu 1.15 with CUDA 10.0 and its driver, or use device='auto'")
  return 'cpu', why, None


def _npu_bridge():
  """The modules used here as a namespace, or None if npu_bridge is not installed. Broken is not absent."""
  found = importlib.util.find_spec('npu_bridge')
  if found is None:
    return None
  try:
    modules = {path.split('.')[-1]: importlib.import_module('npu_bridge.' + path) for path in _BRIDGE_MODULES}
    # The module npu_unary_ops holds an object of the same name.
    modules['npu_unary_ops'] = modules['npu_unary_ops'].npu_unary_ops
  except Exception as error:  # Libraries that do not fit raise ImportError, OSError, NotFoundError, AttributeError...
    raise UserError("expected a working npu_bridge, found one in {} that does not load ({}: {:.200}); {}, or use "
                    "SessionOptions.device='cpu'".format(
                        list(found.submodule_search_locations or [found.origin])[0], type(error).__name__,
                        ' '.join(str(error).split()), _INSTALL))
  return types.SimpleNamespace(**modules)


def _ranks(environ):
  """(rank, ranks) from RANK_ID and RANK_SIZE. Unset means one process."""
  size, rank = environ.get('RANK_SIZE') or '1', environ.get('RANK_ID') or None
  if rank is None and size == '1':
    rank = '0'
  if not (size.isdigit() and int(size) > 0 and rank and rank.isdigit() and int(rank) < int(size)):
    raise UserError('expected RANK_SIZE of at least 1 and RANK_ID from 0 to RANK_SIZE-1 in the environment, found '
                    'RANK_SIZE={} and RANK_ID={}; unset both for one card'.format(size, rank))
  return int(rank), int(size)


def _check_job(environ, ranks):
  """Raises UserError unless the variables that several ranks need are there and the rank table fits."""
  # Later releases can do without a table: CM_CHIEF_IP names the process that gathers the others.
  needed = ['JOB_ID'] + ([] if environ.get('CM_CHIEF_IP') else ['RANK_TABLE_FILE'])
  missing = [name for name in needed if not environ.get(name)]
  if missing:
    raise UserError('RANK_SIZE={}: expected {} in the environment, found no {}; set what is missing'.format(
        ranks, ' and '.join(needed), ' and no '.join(missing)))
  if 'RANK_TABLE_FILE' not in needed:
    return
  path = environ['RANK_TABLE_FILE']
  try:
    with open(path, encoding='utf-8') as source:
      table = json.load(source)
    if 'group_list' in table:  # the older layout
      return
    devices = [device for server in table['server_list'] for device in server['device']]
    found = 'status {!r} and {} devices'.format(table['status'], len(devices))
    good = table['status'] == 'completed' and len(devices) == ranks
  except (OSError, ValueError, KeyError, TypeError) as error:
    found, good = repr(error), False
  if not good:
    raise UserError('RANK_TABLE_FILE={}: expected a rank table with status "completed" and RANK_SIZE={} devices, '
                    'found {}; correct the table or RANK_SIZE'.format(path, ranks, ' '.join(found.split())))
