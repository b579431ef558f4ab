"""A stand-in for Horovod whose ranks are threads, each with a graph and a session of its own.

    with horovod_stub.installed():
      results = emulator.run_ranks(2, function)      # starts a device with environ=horovod_stub.environment(rank, 2)
"""

import contextlib
import importlib.machinery
import sys
import types
from unittest import mock

import numpy as np
import tensorflow as tf

from npu_stub import emulator
from npu_stub import installed as npu


def environment(rank, ranks):
  """What horovodrun sets."""
  return {'HOROVOD_RANK': str(rank), 'HOROVOD_SIZE': str(ranks), 'HOROVOD_LOCAL_RANK': str(rank),
          'HOROVOD_LOCAL_SIZE': str(ranks)}


@contextlib.contextmanager
def installed():
  """Puts the stand-in where Horovod is imported from; yields the module horovod.tensorflow."""
  package, library = types.ModuleType('horovod'), types.ModuleType('horovod.tensorflow')
  for module in (package, library):
    module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
  vars(library).update(init=lambda: None, allreduce=_allreduce, Sum='sum', Average='average',
                       BroadcastGlobalVariablesHook=_Broadcast)
  before = {name: module for name, module in sys.modules.items() if name.split('.')[0] == 'horovod'}
  for name in before:
    del sys.modules[name]
  sys.modules.update({'horovod': package, 'horovod.tensorflow': library})
  base = tf.compat.v1.Session.__mro__[1]
  start = base.__init__
  try:
    with mock.patch.object(base, '__init__', lambda self, target='', graph=None, config=None: start(
        self, target, graph, npu.own_threads(config) if emulator.world().size > 1 else config)):
      yield library
  finally:
    del sys.modules['horovod'], sys.modules['horovod.tensorflow']
    sys.modules.update(before)


def _exchange(tensor, key, combine):
  here, number = emulator.world(), emulator.rank()

  def meet(value):
    found = here.exchange(key, number, value, range(here.size))
    return combine([found[rank] for rank in range(here.size)]).astype(value.dtype)

  output = tf.py_func(meet, [tensor], tensor.dtype)
  output.set_shape(tensor.shape)
  return output


def _allreduce(tensor, op, name=None):
  # Horovod puts those together that have the same name on all ranks.
  return _exchange(tensor, name or tensor.name,
                   {'sum': sum, 'average': lambda values: np.sum(values, axis=0) / len(values)}[op])


class _Broadcast(tf.train.SessionRunHook):
  """As horovod.tensorflow.BroadcastGlobalVariablesHook."""

  def __init__(self, root):
    self._root = root

  def begin(self):
    names = [(variable, variable.name) for variable in tf.global_variables()]
    self._assign = []
    before = []
    for variable, name in names:
      with tf.control_dependencies(before):  # in a fixed order, so that few threads are enough
        value = _exchange(tf.convert_to_tensor(variable), 'broadcast ' + name, lambda values: values[self._root])
        before = [tf.assign(variable, value)]
      self._assign += before

  def after_create_session(self, session, coord):
    session.run(self._assign)
