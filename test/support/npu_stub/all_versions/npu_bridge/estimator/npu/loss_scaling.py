"""What both forms of NPULossScaleOptimizer do; not a module of the real package."""

import tensorflow as tf

from npu_bridge.hccl import hccl_ops
from npu_stub import emulator
from npu_stub import installed


def begin_compute(optimizer):
  """Up to r1.6.0 compute_gradients leaves the status tensor on the object, where apply_gradients finds it."""
  if installed.release().status_in_compute:
    optimizer._float_status = emulator.allocate_float_status()


def apply_gradients(optimizer, inner, manager, is_distributed, grads_and_vars, global_step, name):
  if not installed.release().status_in_compute:
    optimizer._float_status = emulator.allocate_float_status()
  gradients = [gradient for gradient, _ in grads_and_vars if gradient is not None]
  with tf.control_dependencies(gradients):
    status = emulator.read_and_clear_overflow(optimizer._float_status, gradients)
  if is_distributed:
    status = hccl_ops.allreduce([status], 'sum', fusion=0)
  finite = tf.reduce_all(tf.equal(status, 0.0))
  update = tf.cond(finite, lambda: inner.apply_gradients(grads_and_vars, global_step, name), tf.no_op)
  return tf.group(update, manager.update_loss_scale(finite))
