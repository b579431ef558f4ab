"""Stand-in for npu_bridge.estimator.npu.npu_loss_scale_manager."""

from tensorflow.contrib.mixed_precision.python import loss_scale_manager


class FixedLossScaleManager(loss_scale_manager.FixedLossScaleManager):

  def __init__(self, loss_scale):
    super().__init__(loss_scale=loss_scale)


class ExponentialUpdateLossScaleManager(loss_scale_manager.ExponentialUpdateLossScaleManager):

  def __init__(self, init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf=2, incr_ratio=2, decr_ratio=0.8):
    super().__init__(init_loss_scale, incr_every_n_steps, decr_every_n_nan_or_inf, incr_ratio, decr_ratio)
