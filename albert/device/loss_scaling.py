"""Loss scaling, where a device computes in fp16: small gradients do not vanish, and an overflow skips an update."""

import math

import tensorflow as tf

# The 910 saturates where others give Inf, so a large first scale costs a few skipped steps and nothing else.
_NPU_DYNAMIC = dict(init_loss_scale=2.0 ** 32, incr_every_n_steps=1000, decr_every_n_nan_or_inf=1, decr_ratio=0.5)
_GPU_FIRST_SCALE = 2.0 ** 15  # TensorFlow's own


class LossScaling:
  """The factor by which the loss of a step is multiplied before its gradients are computed, and they divided after.

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

    The wrapper's compute_gradients returns unscaled gradients and may be called in loops, any number of times. Its
    apply_gradients, where skips_overflows, does nothing, global_step included, after an overflow on any rank; it runs
    in tf.cond, so the optimizer makes its variables in _create_slots. Ask the inner optimizer, not the wrapper, for
    slots.
    """
    if self.scale is None:
      return optimizer
    if not self._on_npu:
      return _GpuScaled(optimizer, self.scale)
    managers = self._bridge.npu_loss_scale_manager
    if self.scale == 'dynamic':
      manager = managers.ExponentialUpdateLossScaleManager(**_NPU_DYNAMIC)
    else:
      manager = managers.FixedLossScaleManager(loss_scale=float(self.scale))
    counting = _Counting(optimizer)
    return _NpuScaled(counting, manager, self._bridge.npu_loss_scale_optimizer.NPULossScaleOptimizer(
        counting, manager, is_distributed=self._ranks > 1))

  def current(self, optimizer):
    """float32 scalar, the scale as it stands when this is computed; None without loss scaling.

    optimizer: what wrap() returned.
    """
    return None if self.scale is None else optimizer.loss_scale()


class _NpuScaled:
  """NPULossScaleOptimizer, whose own compute_gradients can be called once and in no loop.

  Up to r1.6.0 it allocates there the status tensor that its apply_gradients reads. So the loss is scaled and the
  gradients are unscaled here, as it does, and its compute_gradients is called for the tensor alone.
  """

  def __init__(self, optimizer, manager, scaling):
    """optimizer: _Counting. manager: of the scale. scaling: the NPULossScaleOptimizer of both."""
    self._optimizer = optimizer
    self._manager = manager
    self._scaling = scaling

  def compute_gradients(self, loss, var_list=None):
    """[(dense gradient or None, variable)]; arguments as for tf.train.Optimizer.compute_gradients."""
    scale = self._manager.get_loss_scale()
    scaled = self._optimizer.compute_gradients(loss * tf.cast(scale, loss.dtype), var_list)
    return [(None if gradient is None else tf.convert_to_tensor(gradient) * tf.cast(tf.reciprocal(scale),
                                                                                    gradient.dtype), variable)
            for gradient, variable in scaled]

  def apply_gradients(self, grads_and_vars, global_step=None):
    """Arguments as for tf.train.Optimizer.apply_gradients. Returns the operation."""
    with tf.name_scope('allocate_status'):
      # Of a constant: nothing of it is ever computed, and releases that allocate elsewhere lose nothing.
      self._scaling.compute_gradients(tf.constant(0.0), [variable for _, variable in grads_and_vars])
    self._optimizer.global_step = global_step
    return self._scaling.apply_gradients(grads_and_vars, global_step)

  def loss_scale(self):
    """float32 scalar."""
    scale = self._manager.get_loss_scale()
    # A variable's own tensor may have been read before the step.
    return scale.read_value() if isinstance(scale, tf.Variable) else tf.identity(scale)


class _Counting(tf.train.Optimizer):
  """An optimizer that advances a step of its own, whichever it is given.

  Where a device computes with Inf and NaN (the 910B does, the 910 saturates), NPULossScaleOptimizer of a release passes
  its update on without the step, which would stay at 0 for ever.

  Attributes:
    global_step: variable that apply_gradients adds 1 to, or None.
  """

  def __init__(self, optimizer):
    super().__init__(use_locking=False, name=type(optimizer).__name__)
    self._optimizer = optimizer
    self.global_step = None

  def compute_gradients(self, *args, **kwargs):
    return self._optimizer.compute_gradients(*args, **kwargs)

  def apply_gradients(self, grads_and_vars, global_step=None, name=None):
    return self._optimizer.apply_gradients(grads_and_vars, self.global_step, name)


class _GpuScaled(tf.compat.v1.train.experimental.MixedPrecisionLossScaleOptimizer):
  """TensorFlow's optimizer for a GPU, with its scale to be read."""

  def __init__(self, optimizer, scale):
    """optimizer: tf.train.Optimizer. scale: 'dynamic' or a number."""
    scales = tf.compat.v1.train.experimental
    self._read_scale = (scales.DynamicLossScale(initial_loss_scale=_GPU_FIRST_SCALE) if scale == 'dynamic' else
                  scales.FixedLossScale(scale))
    super().__init__(optimizer, self._read_scale)

  def loss_scale(self):
    """float32 scalar."""
    return self._read_scale()
