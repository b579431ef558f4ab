"""Several Ascend cards, a process each: which of them this is, and what they exchange through HCCL."""

import inspect
import json

import tensorflow as tf

from albert.common.errors import UserError
from albert.device.collectives import Collectives

# Types that the broadcast of the 910 can carry.
_BROADCAST_TYPES = (tf.int8, tf.int32, tf.int64, tf.float16, tf.float32)
# How the adapter names the operation.
_BROADCAST = 'HcomBroadcast'


def read_ranks(environ):
  """(rank, ranks) from RANK_ID and RANK_SIZE; unset means one process. Raises UserError where they do not fit."""
  size, rank = environ.get('RANK_SIZE') or '1', environ.get('RANK_ID') or None
  if rank is None and size == '1':
    rank = '0'
  if not (size.isdigit() and int(size) > 0 and rank and rank.isdigit() and int(rank) < int(size)):
    raise UserError('expected RANK_SIZE of at least 1 and RANK_ID from 0 to RANK_SIZE-1 in the environment, found '
                    'RANK_SIZE={} and RANK_ID={}; unset both for one card'.format(size, rank))
  return int(rank), int(size)


def check_environment(environ, ranks):
  """Raises UserError unless the adapter can find its device and, on several ranks, the others.

  Args:
    environ: mapping. ranks: int.
  """
  for name in ('CM_CHIEF_IP', 'CM_WORKER_SIZE'):
    # With RANK_SIZE the adapter raises; without it each process here would take itself for the only one.
    if environ.get(name):
      raise UserError('{}={}: expected the ranks in RANK_TABLE_FILE, RANK_SIZE and RANK_ID, which do not go with it; '
                      'unset {}'.format(name, environ[name], name))
  device = environ.get('ASCEND_DEVICE_ID') or environ.get('DEVICE_ID')
  if device and not device.isdigit():
    raise UserError('expected the number of a device in ASCEND_DEVICE_ID or DEVICE_ID, found {!r}; correct it'.format(
        device))
  if ranks > 1:
    _check_job(environ, ranks, device)


def _check_job(environ, ranks, device):
  """Raises UserError unless the variables that several ranks need are there and the rank table fits."""
  missing = [name for name in ('JOB_ID', 'RANK_TABLE_FILE') if not environ.get(name)]
  # The adapter would only warn, and give device 0 to every rank.
  missing += [] if device else ['ASCEND_DEVICE_ID']
  if missing:
    raise UserError('RANK_SIZE={}: expected JOB_ID, RANK_TABLE_FILE and ASCEND_DEVICE_ID (or DEVICE_ID) in the '
                    'environment, found no {}; set what is missing, as test/train_full_8p.sh does'.format(
                        ranks, ' and no '.join(missing)))
  _check_rank_table(environ['RANK_TABLE_FILE'], ranks)


def _check_rank_table(path, ranks):
  try:
    with open(path, encoding='utf-8') as source:
      table = json.load(source)
    if 'group_list' in table:  # the older layout
      return
    ids = [device['rank_id'] for server in table['server_list'] for device in server['device']]
    content = 'status {!r} and {} devices with rank_id {}'.format(
        table['status'], len(ids), ' '.join(map(json.dumps, ids[:9])))
    # Strings: HCCL does not take numbers.
    fits = table['status'] == 'completed' and len(ids) == ranks and set(ids) == set(map(str, range(ranks)))
  except (OSError, ValueError, KeyError, TypeError) as error:
    content, fits = repr(error), False
  if not fits:
    raise UserError('RANK_TABLE_FILE={}: expected a rank table with status "completed" and RANK_SIZE={} devices, '
                    'rank_id "0" to "{}", found {}; correct the table or RANK_SIZE'.format(
                        path, ranks, ranks - 1, ' '.join(content.split())))


class Hccl(Collectives):
  """The collectives of several cards."""

  def __init__(self, bridge, rank, ranks):
    """bridge: the modules of npu_bridge, as npu_session.Placement has them. rank, ranks: int."""
    super().__init__(rank, ranks)
    self._bridge = bridge

  def all_reduce_sum(self, tensor, name='all_reduce_sum'):
    with tf.name_scope(name):
      # fusion=0: not gathered into the all-reduces of the gradients, which come much later.
      return self._bridge.hccl_ops.allreduce(tensor, 'sum', fusion=0)

  def average(self, gradient, variable):
    allreduce = self._bridge.npu_optimizer.allreduce
    arguments = dict(tensor=gradient, average=True)
    # Before CANN 5.0.1 the variable is the second argument; by keyword either form gets what it means.
    if 'var' in inspect.signature(allreduce).parameters:
      arguments['var'] = variable
    return allreduce(**arguments)

  def hooks(self):
    npu_init = self._bridge.npu_init
    if hasattr(npu_init, 'npu_hooks_append'):
      # A list, and nothing else: any other sequence is replaced by a new list, without its hooks.
      own = npu_init.npu_hooks_append(hooks_list=[])
    else:
      own = [self._bridge.npu_hook.NPUBroadcastGlobalVariablesHook(0, self.rank)]
    return own + [_BroadcastState(self._bridge.hccl_ops)]


class _BroadcastState(tf.train.SessionRunHook):
  """Gives every rank what the adapter's own hook leaves out of the variables of rank 0, which alone restores them.

  By release that hook covers all variables, those of floats or the trainable ones. Without the slots, global_step and
  loss scale weights would start equal, then part. To be put behind it.
  """

  def __init__(self, hccl_ops):
    self._hccl_ops = hccl_ops
    self._broadcast = None

  def begin(self):
    given = {operation.inputs[0].op for operation in tf.get_default_graph().get_operations()
             if operation.type in ('Assign', 'AssignVariableOp')
             and _BROADCAST in operation.inputs[1].op.name.split('/')[-1]}
    with tf.name_scope('broadcast_state'):
      self._broadcast = [
          tf.assign(variable, self._hccl_ops.broadcast([variable], 0)[0]).op for variable in tf.global_variables()
          if variable.op not in given and variable.dtype.base_dtype in _BROADCAST_TYPES]

  def after_create_session(self, session, coord):
    session.run(self._broadcast)
