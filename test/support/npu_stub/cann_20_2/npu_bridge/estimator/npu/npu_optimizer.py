"""Stand-in for npu_bridge.estimator.npu.npu_optimizer of CANN 20.2: allreduce wants the variable."""

import tensorflow as tf

from npu_bridge.hccl import hccl_ops
from npu_stub import emulator


def allreduce(tensor, var, average=True):
  if not isinstance(var, tf.Variable):
    raise TypeError('var must be the variable, got {!r}'.format(var))
  if isinstance(tensor, tf.IndexedSlices):
    raise ValueError('sparse gradients would be gathered, not reduced')
  total = hccl_ops.allreduce(tensor, 'sum')
  return total / emulator.world().size if average else total
