"""Where the computation runs. The only importer of npu_bridge, and that only inside functions.

    options -> choose() -> Placement -> start() -> Device: RunConfig, hooks, collectives, loss scaling, fused operations

Works with the TF adapter of CANN 20.2, which has only classes in npu_init, and with those from CANN 5.0.1 on, which
bring npu_config_proto, npu_run_config_init and npu_hooks_append; what exists is used. On a CPU or GPU every method
still works and does nothing, so that the training code never asks where it runs.
"""

import collections
import copy
import importlib
import importlib.util
import inspect
import logging
import os
import types
import weakref

import tensorflow as tf

from albert.common.errors import UserError
from albert.device.alone import Alone
from albert.device import hccl
from albert.device import horovod
from albert.device.loss_scaling import LossScaling
from albert.device import session_config
from albert.device.session_options import NEWER_PARAMETERS
from albert.device.session_options import SessionOptions

_BRIDGE_MODULES = ('npu_init', 'estimator.npu_ops', 'estimator.npu_unary_ops', 'estimator.npu.npu_hook',
                   'estimator.npu.npu_loss_scale_manager', 'estimator.npu.npu_loss_scale_optimizer',
                   'estimator.npu.npu_optimizer', 'hccl.hccl_ops')
_INSTALL = ('install the TF adapter (npu_bridge, for TensorFlow 1.15) that belongs to the installed CANN and source '
            'the set_env.sh of CANN')

_LOG = logging.getLogger('albert')

# kind: 'npu', 'gpu' or 'cpu'. reason: str, why this one. rank, ranks: int, this process among those that train
# together. bridge: namespace of the modules of npu_bridge, None off the NPU. launched: horovod.Launched where Horovod
# connects the ranks, else None.
Placement = collections.namedtuple('Placement', ['kind', 'reason', 'rank', 'ranks', 'bridge', 'launched'])


def choose(options, environ=None):
  """Chooses the device and checks that it can be used; logs nothing and changes nothing.

  Args:
    options: SessionOptions.
    environ: mapping with RANK_SIZE, RANK_ID, JOB_ID, RANK_TABLE_FILE and ASCEND_DEVICE_ID, or with what horovodrun
      sets; None is os.environ.

  Returns:
    Placement.

  Raises:
    UserError: the device of the options is absent or cannot do what they say, npu_bridge is broken or too old for
      them, or the environment of the ranks is incomplete.
  """
  environ = os.environ if environ is None else environ
  launched = horovod.read_launched(environ)
  rank, ranks = launched[:2] if launched else hccl.read_ranks(environ)
  kind, reason, bridge = _choose_kind(options.device)
  if launched:
    horovod.check_device(launched, kind, len(_gpus()))
  elif ranks > 1 and kind != 'npu':
    raise UserError('RANK_SIZE={}: expected an NPU, found device={} ({}); {}, or unset RANK_SIZE (horovodrun starts '
                    'ranks on CPUs and GPUs)'.format(ranks, kind, reason, _INSTALL))
  if options.mixed_precision and kind != 'gpu':
    raise UserError('SessionOptions.mixed_precision: expected a GPU, where alone TensorFlow rewrites graphs for it, '
                    'found device={} ({}); {}'.format(kind, reason, 'use SessionOptions.precision_mode' if
                                                      kind == 'npu' else 'leave it out'))
  if kind == 'npu':
    options.check_files()
    options.check_release(_unknown_parameters(bridge), takes_json=hasattr(bridge.npu_init, 'npu_config_proto'))
    hccl.check_environment(environ, ranks)
    if ranks > 1 and 'session_device_id' in options.npu:
      raise UserError('SessionOptions.session_device_id: expected none on {} ranks, found {}, which goes before '
                      'ASCEND_DEVICE_ID: all would take one card; leave it out'.format(
                          ranks, options.npu['session_device_id']))
  return Placement(kind, reason, rank, ranks, bridge, launched)


def start(options=None, placement=None, threads=None, environ=None):
  """Makes the Device, and says in one line of the log which it is.

  Args:
    options: SessionOptions; None makes one, which gin may bind.
    placement: what choose() returned for these options; None chooses here, with its errors.
    threads: cores.Cores, the thread numbers of the host; None: those of the options, or TensorFlow's own.
    environ: as for choose().

  Returns:
    Device.
  """
  options = options or SessionOptions()
  device = Device(options, placement or choose(options, environ), threads)
  device.collectives.connect()
  _LOG.info('%s', device.describe())
  if device.without_effect:
    _LOG.warning('unknown to this release of npu_bridge, without effect: %s', ', '.join(
        'SessionOptions.' + name for name in device.without_effect))
  return device


class Device:
  """A CPU, a GPU or an NPU, as the training code needs it.

  Attributes:
    kind: 'npu', 'gpu' or 'cpu'.
    precision: the NPU's precision mode; 'mixed_float16' on a GPU with SessionOptions.mixed_precision; else 'fp32'.
    collectives: collectives.Collectives, for what ranks exchange.
    loss_scaling: loss_scaling.LossScaling.
    steps_per_loop: updates per Session.run: above 1 only on the NPU. Hooks then run once per loop.
    without_effect: names of options that were given and that the installed release of npu_bridge does not know.
    gelu: callable(x) or None for the caller's own tanh form.
    dropout: callable(x, rate) or None for the caller's own.
    cpu_ops: bool, whether the operations of albert.model.cpu_ops replace those made for any device.
  """

  def __init__(self, options, placement, threads=None):
    """Arguments as for start()."""
    on_npu, bridge = placement.kind == 'npu', placement.bridge
    self.kind = placement.kind
    self.precision = (options.npu_precision if on_npu else
                      'mixed_float16' if options.mixed_precision else 'fp32')
    self.collectives = _collectives(placement)
    self.loss_scaling = LossScaling(options.npu_loss_scale if on_npu else
                                    options.loss_scale if options.mixed_precision else None, placement)
    self.steps_per_loop = options.npu['iterations_per_loop'] if on_npu else 1
    self.gelu = bridge.npu_unary_ops.gelu if on_npu and options.fused_ops else None
    self.dropout = self._npu_dropout if on_npu and options.fused_ops else None
    self.fused_ops = options.fused_ops and placement.kind != 'gpu'
    self.cpu_ops = placement.kind == 'cpu' and options.fused_ops
    self.without_effect = [name for name in _unknown_parameters(bridge) if name in options.npu] if on_npu else []
    self._options = options
    self._threads = threads or options
    self._reason = placement.reason
    self._bridge = bridge
    self._launched = placement.launched
    self._dropouts = weakref.WeakKeyDictionary()  # tf.Graph -> how many there are in it

  @property
  def rank(self):
    """int, of this process among those that train together."""
    return self.collectives.rank

  @property
  def ranks(self):
    """int, how many processes train together."""
    return self.collectives.ranks

  @property
  def is_chief(self):
    """Whether this is rank 0, the only one that saves and summarises."""
    return self.collectives.is_chief

  @property
  def measures_input_wait(self):
    """Whether a step may time its input. The NPU runs whole graphs, with loop offload whole loops, without a host."""
    return self.kind != 'npu'

  @property
  def fetches_the_same(self):
    """Whether every Session.run of the training step has to fetch the same tensors.

    On the NPU another set is a second compilation, minutes, and a second copy of the graph in memory. Ranks that fetch
    differently wait for each other's collectives.
    """
    return self.kind == 'npu' or self.ranks > 1

  def describe(self):
    """One line: device=cpu (npu_bridge not installed) precision=fp32 steps_per_loop=1."""
    words = ['device={} ({})'.format(self.kind, self._reason), 'precision=' + self.precision,
             'steps_per_loop={}'.format(self.steps_per_loop)]
    if self.kind == 'npu':
      words += ['rank={}/{}'.format(self.rank, self.ranks), 'loss_scale={}'.format(self.loss_scaling.scale),
                'fused_ops={}'.format('gelu,dropout' if self.gelu else 'none')]
    elif self.ranks > 1:
      words += ['rank={}/{} (Horovod)'.format(self.rank, self.ranks)]
    if self.kind != 'npu' and self._options.mixed_precision:
      words += ['loss_scale={}'.format(self.loss_scaling.scale)]
    for label, names in (('ignored off the NPU', self._ignored_off_the_npu()),
                         ('ignored off the CPU', self._ignored_off_the_cpu())):
      words += ['({}: {})'.format(label, ', '.join(names))] if names else []
    return ' '.join(words)

  def _ignored_off_the_npu(self):
    given = self._options.npu
    if self.kind == 'npu':
      return []
    scaled = self._options.mixed_precision or self._options.loss_scale in ('dynamic', None)  # dynamic: the default
    return [name for name in given if name != 'iterations_per_loop' or given[name] > 1] + ['loss_scale'] * (not scaled)

  def _ignored_off_the_cpu(self):
    return ['cpu_towers'] if self._options.cpu_towers and self.kind != 'cpu' else []

  def with_threads(self, threads):
    """This device with other threads of the host. threads: cores.Cores."""
    other = copy.copy(self)
    other._threads = threads
    return other

  def session_config(self):
    """A new tf.ConfigProto for this device."""
    config = session_config.of_threads(self._threads)
    if self.kind == 'npu':
      return session_config.for_npu(
          config, self._options.npu_parameters(self.ranks, self.without_effect), self._bridge.npu_init)
    card = self._launched.local_rank if self._launched and self.kind == 'gpu' else None
    return session_config.for_host(config, self.kind, self._options.mixed_precision, card)

  def run_config(self, **kwargs):
    """A tf.estimator.RunConfig for this device and rank.

    Every rank gets the same model_dir and reads its checkpoints; ranks other than 0 write nothing there. They need no
    checkpoint of their own: train_hooks() gives them the whole state of rank 0.

    Args:
      **kwargs: of tf.estimator.RunConfig, such as model_dir and save_checkpoints_steps, without session_config.
    """
    if not self.is_chief:
      kwargs.update(save_checkpoints_steps=None, save_checkpoints_secs=None, save_summary_steps=0,
                    log_step_count_steps=None)
    config = tf.estimator.RunConfig(session_config=self.session_config(), **kwargs)
    if self.kind == 'npu' and hasattr(self._bridge.npu_init, 'npu_run_config_init'):
      config = self._bridge.npu_init.npu_run_config_init(run_config=config)
      # It once added a second NpuOptimizer, without parameters.
      config = config.replace(session_config=self.session_config())
    return config

  def train_hooks(self, hooks=()):
    """A list: the hooks that this device needs, then the given ones, which may read the state of rank 0."""
    own = self.collectives.hooks()
    if self.steps_per_loop > 1:
      own.append(self._bridge.npu_hook.SetIterationsVarHook(self.steps_per_loop))
    return own + list(hooks)

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
    """x, some of whose elements are 0 and the others larger: others in each call and on each rank."""
    if not rate:
      return x
    graph = tf.get_default_graph()
    number = self._dropouts[graph] = self._dropouts.get(graph, 0) + 1
    # Without a seed it is made of the graph's and of the place in it, which are the same on all ranks.
    return self._bridge.npu_ops.dropout(x, keep_prob=1.0 - rate, seed=number * self.ranks + self.rank)


def _collectives(placement):
  """The collectives.Collectives of a Placement."""
  if placement.ranks == 1:
    return Alone()
  if placement.launched:
    return horovod.Horovod(placement.launched)
  return hccl.Hccl(placement.bridge, placement.rank, placement.ranks)


def _gpus():
  """The GPUs that TensorFlow sees, a list; only lists them, tf.test.is_gpu_available would take their memory."""
  return tf.config.experimental.list_physical_devices('GPU')


def _choose_kind(wanted):
  """Returns (kind, the reason in words, the modules of npu_bridge or None). wanted: of session_options.DEVICES."""
  why = '' if wanted == 'auto' else 'SessionOptions.device'
  if wanted in ('auto', 'npu'):
    bridge = _npu_bridge()
    if bridge:
      form = 'from CANN 5.0.1 on' if hasattr(bridge.npu_init, 'npu_config_proto') else 'of CANN before 5.0.1'
      return 'npu', 'npu_bridge ' + form, bridge
    if wanted == 'npu':
      raise UserError("SessionOptions.device='npu': expected the package npu_bridge, found none; {}, or use "
                      "device='auto'".format(_INSTALL))
    why = 'npu_bridge not installed'
  if wanted in ('auto', 'gpu'):
    if _gpus():
      return 'gpu', why, None
    if wanted == 'gpu':
      raise UserError("SessionOptions.device='gpu': expected a GPU that TensorFlow sees, found none; install "
                      "tensorflow-gpu 1.15 with CUDA 10.0 and its driver, or use device='auto'")
  return 'cpu', why, None


def _unknown_parameters(bridge):
  """Names of NEWER_PARAMETERS that a release does not know; it would drop them. bridge: as of Placement."""
  known = inspect.signature(bridge.npu_init.NPURunConfig.__init__).parameters
  return [name for name in NEWER_PARAMETERS if name not in known]


def _npu_bridge():
  """The modules used here as a namespace, or None if npu_bridge is not installed. Broken is not absent."""
  package = importlib.util.find_spec('npu_bridge')
  if package is None:
    return None
  try:
    modules = {path.split('.')[-1]: importlib.import_module('npu_bridge.' + path) for path in _BRIDGE_MODULES}
    # The module npu_unary_ops holds an object of the same name.
    modules['npu_unary_ops'] = modules['npu_unary_ops'].npu_unary_ops
    _ = modules['npu_init'].NPURunConfig  # of all releases; used below
  except Exception as error:  # Libraries that do not fit raise ImportError, OSError, NotFoundError, AttributeError...
    raise UserError("expected a working npu_bridge, found one in {} that does not load ({}: {:.200}); {}, or use "
                    "SessionOptions.device='cpu'".format(
                        list(package.submodule_search_locations or [package.origin])[0], type(error).__name__,
                        ' '.join(str(error).split()), _INSTALL))
  return types.SimpleNamespace(**modules)
