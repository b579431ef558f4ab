"""Stand-in for npu_bridge.estimator.npu.npu_loss_scale_optimizer of CANN 20.2."""

import tensorflow as tf

from npu_bridge.estimator.npu import loss_scaling


class NPULossScaleOptimizer(tf.train.Optimizer):
  """Like the real one it never calls the constructor of its base, so get_slot and variables() fail on it."""

  def __init__(self, opt, loss_scale_manager, is_distributed=False):
    self._opt = opt
    self._loss_scale_manager = loss_scale_manager
    self._is_distributed = is_distributed
    self._float_status = tf.constant([0.0], tf.float32)

  def compute_gradients(self, loss, var_list=None, gate_gradients=tf.train.Optimizer.GATE_OP,
                        aggregation_method=None, colocate_gradients_with_ops=False, grad_loss=None):
    scale = self._loss_scale_manager.get_loss_scale()
    loss_scaling.begin_compute(self)
    found = self._opt.compute_gradients(
        loss * tf.cast(scale, loss.dtype), var_list=var_list, gate_gradients=gate_gradients,
        aggregation_method=aggregation_method, colocate_gradients_with_ops=colocate_gradients_with_ops,
        grad_loss=grad_loss)
    return [(None if gradient is None else gradient * tf.cast(tf.reciprocal(scale), gradient.dtype), variable)
            for gradient, variable in found]

  def apply_gradients(self, grads_and_vars, global_step=None, name=None):
    return loss_scaling.apply_gradients(
        self, self._opt, self._loss_scale_manager, self._is_distributed, grads_and_vars, global_step, name)
