"""What both forms of NPULossScaleOptimizer do in apply_gradients; not a module of the real package."""

import tensorflow as tf

from npu_bridge.hccl import hccl_ops
from npu_stub import emulator


def apply_gradients(optimizer, manager, is_distributed, grads_and_vars, global_step, name):
  gradients = [gradient for gradient, _ in grads_and_vars if gradient is not None]
  with tf.control_dependencies(gradients):
    status = emulator.read_and_clear_overflow(gradients)
  if is_distributed:
    status = hccl_ops.allreduce([status], 'sum', fusion=0)
  finite = tf.reduce_all(tf.equal(status, 0.0))
  update = tf.cond(finite, lambda: optimizer.apply_gradients(grads_and_vars, global_step, name), tf.no_op)
  return tf.group(update, manager.update_loss_scale(finite))
