"""Ranks, collectives and the overflow register of an Ascend 910, emulated with threads and tf.py_func.

    results = emulator.run_ranks(2, build_and_train)      # build_and_train(rank) runs in a thread of its own

Each rank builds its own graph and session. A collective blocks until every rank has joined it, as HCCL does, or
raises after TIMEOUT_SECONDS, where HCCL would hang.
"""

import collections
import threading

import numpy as np
import tensorflow as tf

TIMEOUT_SECONDS = 60.0
_LOCAL = threading.local()

# One collective in a graph. kind: allreduce, allgather or broadcast. op: the operation that does it.
Collective = collections.namedtuple('Collective', ['kind', 'op', 'shape', 'reduction', 'fusion'])


class World:
  """Processes that train together, and what their devices remember."""

  def __init__(self, size):
    self.size = size
    self.overflow = [False] * size
    self._stopped = False
    self._condition = threading.Condition()
    self._uses = collections.Counter()
    self._meetings = collections.defaultdict(dict)

  def exchange(self, key, rank, value, wait_for):
    """Leaves `value` under `key`, waits for the ranks `wait_for`, returns {rank: value} of those that came."""
    with self._condition:
      self._uses[key, rank] += 1
      meeting = self._meetings[key, self._uses[key, rank]]
      meeting[rank] = value
      self._condition.notify_all()
      self._condition.wait_for(lambda: self._stopped or set(wait_for) <= set(meeting), TIMEOUT_SECONDS)
      if not set(wait_for) <= set(meeting):
        raise RuntimeError('rank {} waits in {} for ranks {}, only {} came'.format(
            rank, key, sorted(wait_for), sorted(meeting)))
      return dict(meeting)

  def stop(self):
    """Makes those that wait raise: a rank has failed and will not come."""
    with self._condition:
      self._stopped = True
      self._condition.notify_all()


_ALONE = World(1)


def world():
  """The World of this thread."""
  return getattr(_LOCAL, 'world', _ALONE)


def rank():
  """The rank of this thread."""
  return getattr(_LOCAL, 'rank', 0)


def run_ranks(size, function):
  """Calls function(rank) for each rank in its own thread and default graph; returns the results in order."""
  shared, results, errors = World(size), [None] * size, []

  def run(number):
    _LOCAL.world, _LOCAL.rank = shared, number
    try:
      with tf.Graph().as_default():
        results[number] = function(number)
    except BaseException as error:  # Raised again in the calling thread.
      errors.append(error)
      shared.stop()

  threads = [threading.Thread(target=run, args=(number,)) for number in range(size)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  if errors:
    raise errors[0]
  return results


def _collective(kind, tensor, combine, shape, wait_for, reduction=None, fusion=None):
  here, number, graph = world(), rank(), tf.get_default_graph()
  tensor = tf.convert_to_tensor(tensor)
  earlier = [found.op for found in collectives(graph, kind)]
  key = '{}_{}'.format(kind, len(earlier))

  def meet(value):
    values = here.exchange(key, number, value, wait_for)
    return combine([values[r] for r in sorted(values)] if wait_for != [0] else [values[0]]).astype(value.dtype)

  # In a fixed order on all ranks, as HCCL wants it; never across the border of a tf.cond.
  before = [op for op in earlier[-1:] if op._get_control_flow_context() is graph._get_control_flow_context()]
  with tf.control_dependencies(before):
    output = tf.py_func(meet, [tensor], tensor.dtype, name='Hcom' + kind.capitalize())
  output.set_shape(shape)
  # An attribute: a collection would be written to checkpoints.
  vars(graph).setdefault('npu_stub_collectives', []).append(Collective(kind, output.op, shape, reduction, fusion))
  return output


def all_reduce(tensor, reduction, fusion):
  """Adds (or takes the maximum, ...) over ranks. A list of one tensor is accepted, as the real operation does."""
  combine = {'sum': np.add, 'prod': np.multiply, 'max': np.maximum, 'min': np.minimum}[reduction].reduce
  tensor = tf.convert_to_tensor(tensor[0] if isinstance(tensor, list) else tensor)
  return _collective('allreduce', tensor, combine, tensor.shape, list(range(world().size)), reduction, fusion)


def all_gather(tensor, rank_size):
  """Concatenates over ranks."""
  if rank_size != world().size:
    raise ValueError('rank_size is {}, there are {} ranks'.format(rank_size, world().size))
  tensor = tf.convert_to_tensor(tensor)
  shape = tf.TensorShape([None]).concatenate(tensor.shape[1:])
  return _collective('allgather', tensor, np.concatenate, shape, list(range(rank_size)))


def broadcast(tensors, root_rank):
  """Returns [tensor of root_rank] for a list of one tensor or variable."""
  if not isinstance(tensors, list) or len(tensors) != 1 or root_rank != 0:
    raise ValueError('expected a list of one tensor from rank 0, found {!r} from {}'.format(tensors, root_rank))
  tensor = tf.convert_to_tensor(tensors[0])
  return [_collective('broadcast', tensor, lambda values: values[0], tensor.shape, [root_rank])]


def set_overflow():
  """The device of this thread's rank overflows: it saturates, so no Inf shows in any tensor."""
  world().overflow[rank()] = True


def read_and_clear_overflow(gradients):
  """float32 [8], not 0 after an overflow. On a CPU, which does not saturate, Inf and NaN in `gradients` count too."""
  here, number = world(), rank()

  def read(finite):
    overflow, here.overflow[number] = here.overflow[number] or not finite, False
    return np.full([8], float(overflow), np.float32)

  finite = tf.reduce_all([tf.reduce_all(tf.is_finite(gradient)) for gradient in gradients])
  status = tf.py_func(read, [finite], tf.float32, name='NpuGetFloatStatus')
  status.set_shape([8])
  return status


def collectives(graph, kind):
  """The collectives of a graph, as list of Collective."""
  return [found for found in vars(graph).get('npu_stub_collectives', []) if found.kind == kind]


def gradient_all_reduces(graph):
  """Those all-reduces that average gradients: they may be fused, the others may not."""
  return [found for found in collectives(graph, 'allreduce') if found.fusion == 1]


def comes_after(op, ancestor):
  """Whether op needs ancestor to have run."""
  seen, todo = set(), [op]
  while todo:
    current = todo.pop()
    if current is ancestor:
      return True
    if current not in seen:
      seen.add(current)
      todo.extend([tensor.op for tensor in current.inputs] + list(current.control_inputs))
  return False


def check_averaged_before_clip(graph, variables, norm):
  """Raises AssertionError unless each variable has one all-reduce and all of them come before the norm.

  Args:
    graph: the training graph of one rank.
    variables: the trainable variables.
    norm: the global norm that gradients are clipped by, a tensor.
  """
  found = gradient_all_reduces(graph)
  shapes = sorted(str(collective.shape.as_list()) for collective in found)
  expected = sorted(str(variable.shape.as_list()) for variable in variables)
  assert shapes == expected, 'expected one all-reduce for each of {}, found {}'.format(expected, shapes)
  for collective in found:
    assert comes_after(norm.op, collective.op), '{} is not clipped'.format(collective.op.name)
    assert not comes_after(collective.op, norm.op), '{} is clipped before'.format(collective.op.name)
