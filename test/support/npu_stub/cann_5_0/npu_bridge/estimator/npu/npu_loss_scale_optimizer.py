"""Stand-in for npu_bridge.estimator.npu.npu_loss_scale_optimizer from CANN 5.0.1 on."""

import tensorflow as tf
from tensorflow.contrib.mixed_precision.python import loss_scale_optimizer

from npu_bridge.estimator.npu import loss_scaling


class NPULossScaleOptimizer(loss_scale_optimizer.LossScaleOptimizer):

  def __init__(self, opt, loss_scale_manager, is_distributed=False):
    super().__init__(opt, loss_scale_manager)
    self._is_distributed = is_distributed
    self._float_status = tf.constant([0.0], tf.float32)

  def __getattr__(self, attr):
    return getattr(self._opt, attr)

  def compute_gradients(self, *args, **kwargs):
    loss_scaling.begin_compute(self)
    return super().compute_gradients(*args, **kwargs)

  def apply_gradients(self, grads_and_vars, global_step=None, name=None):
    return loss_scaling.apply_gradients(
        self, self._opt, self._loss_scale_manager, self._is_distributed, grads_and_vars, global_step, name)
