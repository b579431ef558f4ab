"""Several processes on CPUs or GPUs, a card each: which of them this is, and what they exchange through Horovod.

    .venv/bin/horovodrun -np 4 bash tools/run.sh albert.run_pretraining ...      or      make train-full RANKS=4

The only importer of Horovod, and that only where several processes train together.
"""

import collections
import importlib
import importlib.util
import os

import tensorflow as tf

from albert.common.errors import RanksLost
from albert.common.errors import UserError
from albert.device.collectives import Collectives

# rank, ranks: int, this process among those that train together. local_rank, local_ranks: among those of its machine.
Launched = collections.namedtuple('Launched', ['rank', 'ranks', 'local_rank', 'local_ranks'])

_VARIABLES = ('HOROVOD_RANK', 'HOROVOD_SIZE', 'HOROVOD_LOCAL_RANK', 'HOROVOD_LOCAL_SIZE')
_INSTALL = 'install it with make env-horovod'
# What collectives say when another process has ended, or does not answer for 30 s (HOROVOD_GLOO_TIMEOUT_SECONDS). The
# process that notices it names the place: "[.../gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 30000ms".
_LOST = ('Horovod has been shut down', '/gloo/transport/')


def read_launched(environ):
  """Launched, from what the launcher has set; None where Horovod has launched nothing, or one process.

  Raises:
    UserError: the variables do not fit together, or another launcher has set some as well.
  """
  if environ.get('HOROVOD_RANK') is None and environ.get('HOROVOD_SIZE') is None:
    if (environ.get('OMPI_COMM_WORLD_SIZE') or '1') != '1':
      raise UserError('OMPI_COMM_WORLD_SIZE={}: expected horovodrun, found mpirun, which does not connect the ranks '
                      'here; start with horovodrun, or make train-full RANKS=...'.format(
                          environ['OMPI_COMM_WORLD_SIZE']))
    return None
  if (environ.get('RANK_SIZE') or '1') != '1':
    raise UserError('RANK_SIZE={}: expected one launcher, found the variables of Horovod (HOROVOD_RANK, HOROVOD_SIZE) '
                    'beside those of HCCL; unset one kind'.format(environ['RANK_SIZE']))
  values = [environ.get(name) or '' for name in _VARIABLES]
  launched = Launched(*map(int, values)) if all(value.isdigit() for value in values) else None
  if not launched or launched.rank >= launched.ranks or launched.local_rank >= launched.local_ranks:
    raise UserError('expected {} in the environment, as horovodrun sets them, found {}; start with horovodrun, or '
                    'unset them for one process'.format(', '.join(_VARIABLES), ', '.join(
                        '{}={}'.format(name, value or 'nothing') for name, value in zip(_VARIABLES, values))))
  return launched if launched.ranks > 1 else None


def check_device(launched, kind, cards):
  """Raises UserError unless Horovod is installed and connects devices of this kind, a card for each process.

  Args:
    launched: Launched. kind: 'npu', 'gpu' or 'cpu'. cards: int, the GPUs of this machine.
  """
  if kind == 'npu':
    raise UserError("HOROVOD_SIZE={}: expected CPUs or GPUs, found an NPU, whose ranks HCCL connects; start with "
                    "test/train_full_8p.sh, or use SessionOptions.device='cpu'".format(launched.ranks))
  if kind == 'gpu' and launched.local_ranks > cards:
    raise UserError('HOROVOD_LOCAL_SIZE={}: expected a GPU for each process of this machine, found {}; start as many '
                    'processes as there are GPUs'.format(launched.local_ranks, cards))
  if importlib.util.find_spec('horovod') is None:
    raise UserError('HOROVOD_SIZE={}: expected Horovod in .venv, found none; {}'.format(launched.ranks, _INSTALL))


class Horovod(Collectives):
  """The collectives of processes that horovodrun has started."""

  def __init__(self, launched):
    """Connects nothing yet. launched: Launched."""
    super().__init__(launched.rank, launched.ranks)
    self._library = None

  def connect(self):
    # Its pages about a rank that is gone: explain() says it in one line.
    os.environ.setdefault('HOROVOD_LOG_LEVEL', 'fatal')
    try:
      library = importlib.import_module('horovod.tensorflow')
    except Exception as error:  # of another TensorFlow: ImportError, OSError, NotFoundError, AttributeError...
      raise UserError('expected a working Horovod, found one that does not load ({}: {}); {}'.format(
          type(error).__name__, ' '.join(str(error).split())[:200], _INSTALL))
    try:
      library.init()
    except Exception as error:
      raise RanksLost('expected {} ranks that connect, found that they do not ({}); start all of them with one '
                      'horovodrun'.format(self.ranks, ' '.join(str(error).split())[:200]))
    self._library = library

  def all_reduce_sum(self, tensor, name='all_reduce_sum'):
    with tf.name_scope(name):
      return self._library.allreduce(tensor, op=self._library.Sum)

  def average(self, gradient, variable):
    return self._library.allreduce(gradient, op=self._library.Average)

  def average_gradients(self, grads_and_vars):
    # One buffer, not one all-reduce for each variable. Nothing is lost by waiting for all of them: layers share their
    # variables, whose gradients are there when the first layer's backward pass is done. And the order of summation is
    # always the same, which Horovod's own fusion leaves to what is ready when.
    with tf.name_scope('average_gradients'):
      dense = [None if gradient is None else tf.convert_to_tensor(gradient) for gradient, _ in grads_and_vars]
      given = [gradient for gradient in dense if gradient is not None]
      flat = self._library.allreduce(tf.concat([tf.reshape(gradient, [-1]) for gradient in given], axis=0),
                                     op=self._library.Average, name='gradients')
      parts = iter(tf.split(flat, [gradient.shape.num_elements() for gradient in given]))
      return [(None if gradient is None else tf.reshape(next(parts), gradient.shape), variable)
              for gradient, (_, variable) in zip(dense, grads_and_vars)]

  def hooks(self):
    return [self._library.BroadcastGlobalVariablesHook(0)]

  def explain(self, error):
    if not any(words in str(error) for words in _LOST):
      return None
    return RanksLost('expected {} ranks, found that another one has ended or does not answer; its own words say why, '
                     'and the same command goes on from the newest checkpoint'.format(self.ranks))
