"""Loss scaling, where a device computes in fp16: small gradients do not vanish, and an overflow skips an update."""

import math

import tensorflow as tf

# The 910 saturates where others give Inf, so a large first scale costs a few skipped steps and nothing else.
_NPU_DYNAMIC = dict(init_loss_scale=2.0 ** 32, incr_every_n_steps=1000, decr_every_n_nan_or_inf=1, decr_ratio=0.5)
_GPU_FIRST_SCALE = 2.0 ** 15  # of TensorFlow's DynamicLossScale


class LossScaling:
  """What multiplies the loss of a step before its gradients are computed, and divides them after.

  Attributes:
    scale: 'dynamic', a fixed number of at least 1, or None for no scaling.
  """

  def __init__(self, scale, placement):
    """scale: as the attribute. placement: npu_session.Placement."""
    self.scale = scale
    self._on_npu = placement.kind == 'npu'
    self._ranks = placement.ranks
    self._bridge = placement.bridge

  @property
  def skips_overflows(self):
    """Whether loss scaling decides which updates are made: it leaves global_step where it is after an overflow."""
    # TensorFlow's fixed scale, unlike the NPU's, applies whatever comes.
    return self.scale is not None and (self._on_npu or self.scale == 'dynamic')

  @property
  def most_overflows(self):
    """How many steps in a row a dynamic scale may skip while it falls to 1; after that the scale is not the cause."""
    if self.scale != 'dynamic':
      return 0
    return int(math.log2(_NPU_DYNAMIC['init_loss_scale'] if self._on_npu else _GPU_FIRST_SCALE))

  def wrap(self, optimizer):
    """The optimizer inside the loss scaling; without any the optimizer itself.

    The wrapper's compute_gradients returns unscaled gradients. Its apply_gradients, where skips_overflows, does
    nothing, global_step included, after an overflow on any rank; it runs in tf.cond, so the optimizer makes its
    variables in _create_slots. Ask the inner optimizer, not the wrapper, for slots.
    """
    if self.scale is None:
      return optimizer
    if not self._on_npu:
      return tf.compat.v1.train.experimental.MixedPrecisionLossScaleOptimizer(optimizer, self.scale)
    managers = self._bridge.npu_loss_scale_manager
    if self.scale == 'dynamic':
      manager = managers.ExponentialUpdateLossScaleManager(**_NPU_DYNAMIC)
    else:
      manager = managers.FixedLossScaleManager(loss_scale=float(self.scale))
    return self._bridge.npu_loss_scale_optimizer.NPULossScaleOptimizer(
        optimizer, manager, is_distributed=self._ranks > 1)
