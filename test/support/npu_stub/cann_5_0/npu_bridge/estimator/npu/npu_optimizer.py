"""Stand-in for npu_bridge.estimator.npu.npu_optimizer from CANN 5.0.1 on."""

import tensorflow as tf

from npu_bridge.hccl import hccl_ops
from npu_stub import emulator


def allreduce(tensor, average=True):
  if isinstance(tensor, tf.IndexedSlices):
    raise ValueError('sparse gradients would be gathered, not reduced')
  total = hccl_ops.allreduce(tensor, 'sum')
  return total / emulator.world().size if average else total


def npu_distributed_optimizer_wrapper(optimizer):
  """Patches compute_gradients only: a model that calls tf.gradients is not averaged."""
  compute_gradients = optimizer.compute_gradients

  def averaged(*args, **kwargs):
    return [(None if gradient is None else allreduce(tf.convert_to_tensor(gradient)), variable)
            for gradient, variable in compute_gradients(*args, **kwargs)]

  optimizer.compute_gradients = averaged
  return optimizer
