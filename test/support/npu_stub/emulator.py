"""Ranks, collectives and the overflow register of an Ascend 910, emulated with threads and tf.py_func.

    results = emulator.run_ranks(2, build_and_train)      # build_and_train(rank) runs in a thread of its own

Each rank builds its own graph and session. A collective blocks until every rank has joined it, as HCCL does, or
raises after TIMEOUT_SECONDS, where HCCL would hang. Its name is its kind, its place in its graph, and how many graphs
with collectives the rank has loaded before: each set of fetches is a graph of its own. Processes meet in a folder,
which the variable NPU_STUB_WORLD names.
"""

import collections
import os
import threading
import time

import numpy as np
import tensorflow as tf

TIMEOUT_SECONDS = 60.0
_PROCESS_TIMEOUT_SECONDS = 600.0  # of ranks that have TensorFlow to load first
# Types that an all-reduce takes; a broadcast takes any.
_REDUCED = (tf.int8, tf.int16, tf.int32, tf.float16, tf.float32)
_LOCAL = threading.local()

# One collective in a graph. kind: allreduce, allgather or broadcast. op: the operation that does it. of: the variable
# that is broadcast.
Collective = collections.namedtuple('Collective', ['kind', 'op', 'shape', 'reduction', 'fusion', 'of'])


class World:
  """Processes that train together, and what their devices remember.

  Attributes:
    size: how many there are.
    overflow: list of bool, whether the device of each rank has overflown.
    loaded: for each rank the graphs with collectives that it has loaded, a list of sets of names of fetches.
    running: for each rank the number of the graph that it runs.
  """

  def __init__(self, size):
    self.size = size
    self.overflow = [False] * size
    self.loaded = [[] for _ in range(size)]
    self.running = [0] * size
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


class FolderWorld(World):
  """As World, for ranks in processes of their own that share a folder."""

  def __init__(self, folder, size):
    super().__init__(size)
    self._folder = folder

  def exchange(self, key, rank, value, wait_for):
    self._uses[key, rank] += 1
    prefix = os.path.join(self._folder, '{}-{}-'.format(key, self._uses[key, rank]))
    with open(prefix + 'of-{}'.format(rank), 'wb') as target:
      np.save(target, value)
    os.rename(prefix + 'of-{}'.format(rank), prefix + str(rank))
    end = time.time() + _PROCESS_TIMEOUT_SECONDS
    while not all(os.path.exists(prefix + str(number)) for number in wait_for):
      if time.time() > end:
        raise RuntimeError('rank {} waits in {} for ranks {}'.format(rank, key, sorted(wait_for)))
      time.sleep(0.0005)
    return {number: np.load(prefix + str(number)) for number in wait_for}

  def take_device(self, device, rank):
    """Raises RuntimeError where another rank has this device."""
    path = os.path.join(self._folder, 'device-{}'.format(device))
    try:
      with open(path, 'x', encoding='ascii') as target:
        target.write(str(rank))
    except FileExistsError:
      with open(path, encoding='ascii') as source:
        if source.read() not in ('', str(rank)):
          raise RuntimeError('device {} is used by another rank'.format(device))


_ALONE = (FolderWorld(os.environ['NPU_STUB_WORLD'], int(os.environ['RANK_SIZE'])) if os.environ.get('NPU_STUB_WORLD')
          else World(1))


def world():
  """The World of this thread."""
  return getattr(_LOCAL, 'world', _ALONE)


def rank():
  """The rank of this thread, or of this process."""
  return getattr(_LOCAL, 'rank', int(os.environ.get('RANK_ID') or 0) if _ALONE.size > 1 else 0)


def take_device(device):
  """Takes a device for this process. Ranks in threads have no environment of their own, and so no device."""
  if isinstance(world(), FolderWorld):
    world().take_device(device, rank())


def load(fetches):
  """Notes which graph this rank runs now: a set of fetches with collectives that is new is loaded.

  Args:
    fetches: list of tensors and operations.
  """
  here, number = world(), rank()
  if not fetches or not collectives(fetches[0].graph):
    return
  names = {fetch.name for fetch in fetches}
  if names not in here.loaded[number]:
    ops = {found.op for found in collectives(fetches[0].graph)}
    if not ops & set(_ancestors([getattr(fetch, 'op', fetch) for fetch in fetches])):
      return
    here.loaded[number].append(names)
  here.running[number] = here.loaded[number].index(names)


def check_runs_alone(fetches):
  """Raises ValueError where an iterator's initializer is run together with an assignment.

  The adapter leaves such a run to the host: variables of the device keep what they have.
  """
  kinds = {op.type for op in _ancestors([getattr(fetch, 'op', fetch) for fetch in fetches])}
  if 'MakeIterator' in kinds and kinds & {'Assign', 'AssignVariableOp'}:
    raise ValueError('variables that are assigned together with an iterator stay as they were on the device')


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


def _collective(kind, tensor, combine, shape, wait_for, reduction=None, fusion=None, of=None):
  here, number, graph = world(), rank(), tf.get_default_graph()
  tensor = tf.convert_to_tensor(tensor)
  earlier = collectives(graph, kind)
  chained = [found.op for found in earlier if kind == 'broadcast' or fusion and found.fusion]
  key = '{}_{}'.format(kind, len(earlier))

  def meet(value):
    values = here.exchange('{}_{}'.format(key, here.running[number]), number, value, wait_for)
    return combine([values[r] for r in sorted(values)] if wait_for != [0] else [values[0]]).astype(value.dtype)

  # Those of many variables in a fixed order on all ranks, or each rank might wait for another one in all its threads;
  # never across the border of a tf.cond. Single ones (fusion 0) stand alone: to run one is not to run all before it.
  before = [op for op in chained[-1:] if op._get_control_flow_context() is graph._get_control_flow_context()]
  with tf.control_dependencies(before):
    output = tf.py_func(meet, [tensor], tensor.dtype, name='Hcom' + kind.capitalize())
  output.set_shape(shape)
  # An attribute: a collection would be written to checkpoints.
  vars(graph).setdefault('npu_stub_collectives', []).append(
      Collective(kind, output.op, shape, reduction, fusion, of))
  return output


def all_reduce(tensor, reduction, fusion):
  """Adds (or takes the maximum, ...) over ranks. A list of one tensor is accepted, as the real operation does."""
  combine = {'sum': np.add, 'prod': np.multiply, 'max': np.maximum, 'min': np.minimum}[reduction].reduce
  tensor = tf.convert_to_tensor(tensor[0] if isinstance(tensor, list) else tensor)
  if tensor.dtype not in _REDUCED:
    raise TypeError('HcomAllReduce does not take {}'.format(tensor.dtype.name))
  return _collective('allreduce', tensor, combine, tensor.shape, list(range(world().size)), reduction, fusion)


def all_gather(tensor, rank_size):
  """Concatenates over ranks."""
  if rank_size != world().size:
    raise ValueError('rank_size is {}, there are {} ranks'.format(rank_size, world().size))
  tensor = tf.convert_to_tensor(tensor)
  shape = tf.TensorShape([None]).concatenate(tensor.shape[1:])
  return _collective('allgather', tensor, np.concatenate, shape, list(range(rank_size)))


def broadcast(tensors, root_rank, fusion):
  """Returns [tensor of root_rank] for a list of one tensor or variable."""
  if not isinstance(tensors, list) or len(tensors) != 1 or root_rank != 0:
    raise ValueError('expected a list of one tensor from rank 0, found {!r} from {}'.format(tensors, root_rank))
  tensor = tf.convert_to_tensor(tensors[0])
  return [_collective('broadcast', tensor, lambda values: values[0], tensor.shape, [root_rank],
                      fusion=fusion, of=tensors[0])]


def set_overflow():
  """The device of this thread's rank overflows: it saturates, so no Inf shows in any tensor."""
  world().overflow[rank()] = True


def allocate_float_status():
  """float32 [8], the tensor that the status is read into."""
  return tf.zeros([8], name='NpuAllocFloatStatus')


def read_and_clear_overflow(status, gradients):
  """float32 [8], not 0 after an overflow. On a CPU, which does not saturate, Inf and NaN in `gradients` count too."""
  here, number = world(), rank()

  def read(finite, allocated):
    assert allocated.shape == (8,), 'the status tensor was not allocated'
    overflow, here.overflow[number] = here.overflow[number] or not finite, False
    return np.full([8], float(overflow), np.float32)

  finite = tf.reduce_all([tf.reduce_all(tf.is_finite(gradient)) for gradient in gradients])
  found = tf.py_func(read, [finite, status], tf.float32, name='NpuGetFloatStatus')
  found.set_shape([8])
  return found


def collectives(graph, kind=None):
  """The collectives of a graph, of one kind or all, as list of Collective."""
  return [found for found in vars(graph).get('npu_stub_collectives', []) if kind in (None, found.kind)]


def gradient_all_reduces(graph):
  """Those all-reduces that average gradients: they may be fused, the others may not."""
  return [found for found in collectives(graph, 'allreduce') if found.fusion == 1]


def _ancestors(ops):
  """Yields `ops` and every operation that has to run before them."""
  seen, todo = set(), list(ops)
  while todo:
    current = todo.pop()
    if current not in seen:
      seen.add(current)
      yield current
      todo.extend([tensor.op for tensor in current.inputs] + list(current.control_inputs))


def comes_after(op, ancestor):
  """Whether op needs ancestor to have run."""
  return ancestor in _ancestors([op])


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
