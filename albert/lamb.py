"""LAMB and AdamW as in google-research/albert, and the learning-rate schedule.

    m = beta_1 m + (1 - beta_1) g;   v = beta_2 v + (1 - beta_2) g^2
    u = m / (sqrt(v) + epsilon) + decay w
    w = w - rate r u;   AdamW: r = 1;   LAMB: r = |w| / |u|, or 1 if either norm is 0

You et al. 2019, "Large Batch Optimization for Deep Learning", algorithm 2. Variables whose name matches
LayerNorm, layer_norm or bias get neither decay nor trust ratio. With bias correction, as fine-tuning has it, m and v
in u are divided by 1 - beta_1^t and 1 - beta_2^t at update t = 1, 2, ... (Kingma and Ba 2014): without it the first
updates are several times as long, and small data sets fail at random (Zhang et al. 2020, arXiv:2006.05987).
"""

import dataclasses
import re
import typing

import gin
import tensorflow as tf

from albert.common import checks
from albert.common.errors import UserError

_EXCLUDED = re.compile('LayerNorm|layer_norm|bias')
OPTIMIZERS = ('lamb', 'adamw')
# The parts of a model that may have a rate of their own.
PARTS = ('embeddings', 'encoder', 'pooler', 'head')


@gin.configurable
@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
  """The optimizer and its schedule. Immutable.

  Attributes:
    optimizer: 'lamb' or 'adamw'.
    learning_rate: the rate that the polynomial decays from.
    num_warmup_steps: W, steps of linear warm-up from 0.
    poly_power: power of the polynomial decay, which runs from step 0 to num_train_steps.
    weight_decay_rate: decoupled weight decay.
    beta_1, beta_2: decay of the first and second moment.
    epsilon: added to the root of the second moment.
    clip_norm: gradients are clipped to this global norm first.
    bias_correction: whether the moments are corrected for their start at zero; published pre-training does without.
    rate_multipliers: dict of one of PARTS to what the rate is multiplied by there; 0 freezes the part. None: 1 for all.

  Raises:
    UserError: a value of another type or range.
  """

  optimizer: str = 'lamb'
  learning_rate: float = 1.375e-5
  num_warmup_steps: int = 3125
  poly_power: float = 1.0
  weight_decay_rate: float = 0.01
  beta_1: float = 0.9
  beta_2: float = 0.999
  epsilon: float = 1e-6
  clip_norm: float = 1.0
  bias_correction: bool = False
  rate_multipliers: typing.Optional[typing.Mapping[str, float]] = None

  def __post_init__(self):
    checks.one_of('OptimizerOptions.optimizer', self.optimizer, OPTIMIZERS)
    checks.whole_number('OptimizerOptions.num_warmup_steps', self.num_warmup_steps, least=0)
    for name in ('learning_rate', 'poly_power', 'weight_decay_rate'):
      checks.number('OptimizerOptions.' + name, getattr(self, name))
    for name in ('beta_1', 'beta_2'):
      checks.number('OptimizerOptions.' + name, getattr(self, name), below=1)
    for name in ('epsilon', 'clip_norm'):
      checks.positive_number('OptimizerOptions.' + name, getattr(self, name))
    checks.flag('OptimizerOptions.bias_correction', self.bias_correction)
    if self.rate_multipliers is not None:
      self._check_multipliers()

  def _check_multipliers(self):
    given = self.rate_multipliers
    checks.fits('OptimizerOptions.rate_multipliers', given, isinstance(given, dict) and set(given) <= set(PARTS),
                "numbers for some of {}, such as {{'head': 10}}".format(', '.join(PARTS)))
    for part, value in given.items():
      checks.number('OptimizerOptions.rate_multipliers: ' + part, value)
    if set(PARTS) <= {part for part, value in given.items() if not value}:
      raise UserError('OptimizerOptions.rate_multipliers: expected a part that learns, found 0 for all of them; leave '
                      'one out')

  def multiplier_of(self, part):
    """The factor of the learning rate of one of PARTS: float."""
    return float((self.rate_multipliers or {}).get(part, 1.0))


def learning_rate_at(global_step, options, num_train_steps):
  """The rate at a step: learning_rate * t / W while t < W, then learning_rate * (1 - t / T) ^ power.

  Args:
    global_step: integer scalar tensor t, the number of updates already made.
    options: OptimizerOptions.
    num_train_steps: T.

  Returns:
    float32 scalar. The update from global step t to t + 1 uses the rate at t, so the first has rate 0 if W > 0.
  """
  step = tf.cast(global_step, tf.float32)
  remaining = 1.0 - tf.minimum(step / float(num_train_steps), 1.0)
  decayed = options.learning_rate * tf.pow(remaining, options.poly_power)
  if not options.num_warmup_steps:
    return decayed
  warm = options.learning_rate * step / float(options.num_warmup_steps)
  return tf.where(step < float(options.num_warmup_steps), warm, decayed)


def create_optimizer(learning_rate, options, global_step=None, multiplier_of=None):
  """The tf.train.Optimizer that options.optimizer names.

  Args:
    learning_rate: float32 scalar tensor or float.
    options: OptimizerOptions.
    global_step: integer scalar tensor, the number of updates already made; wanted with options.bias_correction.
    multiplier_of: function of a variable's name that gives what its rate is multiplied by, a float; None: 1.
  """
  make = Lamb if options.optimizer == 'lamb' else AdamW
  optimizer = make(learning_rate, options.weight_decay_rate, options.beta_1, options.beta_2, options.epsilon)
  optimizer.multiplier_of = multiplier_of
  if options.bias_correction:
    optimizer.updates_before = global_step
  return optimizer


def clip_by_global_norm(gradients, clip_norm):
  """Scales gradients so that their global norm is at most clip_norm.

  Args:
    gradients: list of float32 tensors.
    clip_norm: Python float.

  Returns:
    (list of float32 tensors, float32 scalar: the norm before clipping).
  """
  # fp32: a sum of squares overflows in fp16.
  norm = tf.sqrt(2.0 * tf.add_n([tf.nn.l2_loss(tf.cast(g, tf.float32)) for g in gradients]))
  scale = clip_norm / tf.maximum(norm, clip_norm)
  return [gradient * scale for gradient in gradients], norm


def _norm(tensor):
  # l2_loss sums the squares in one pass; tf.norm writes them to memory first.
  return tf.sqrt(2.0 * tf.nn.l2_loss(tensor))


class AdamW(tf.train.Optimizer):
  """Adam with decoupled weight decay (Loshchilov and Hutter 2017), as in BERT.

  Slots are named <variable>/adam_m and <variable>/adam_v, as in the published checkpoints.

  Attributes:
    updates_before: integer scalar tensor, the number of updates already made, for bias correction; None: without it.
    multiplier_of: function of a variable's name that gives what its rate is multiplied by, a float; None: 1.
  """

  updates_before = None
  multiplier_of = None

  def __init__(self, learning_rate, weight_decay_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-6, name='AdamW'):
    """learning_rate: float32 scalar tensor or float; the others: floats, see the module's equations."""
    super().__init__(use_locking=False, name=name)
    self._learning_rate = learning_rate
    self._weight_decay_rate = weight_decay_rate
    self._beta_1 = beta_1
    self._beta_2 = beta_2
    self._epsilon = epsilon

  def _create_slots(self, var_list):
    # Here and nowhere else: wrappers call apply_gradients inside tf.cond, where no variable can be made.
    for variable in var_list:
      self._zeros_slot(variable, 'm', 'adam_m')
      self._zeros_slot(variable, 'v', 'adam_v')

  def _prepare(self):
    self._rate = tf.convert_to_tensor(self._learning_rate, tf.float32)
    if self.updates_before is not None:
      # Of the update to come, so never 0: 1 - beta^0 would divide by zero.
      update = tf.cast(self.updates_before, tf.float32) + 1.0
      self._correction_1, self._correction_2 = [1.0 / (1.0 - tf.pow(beta, update)) for beta in (
          self._beta_1, self._beta_2)]

  def _apply_dense(self, grad, var):
    m, v = self.get_slot(var, 'm'), self.get_slot(var, 'v')
    next_m = self._beta_1 * m + (1.0 - self._beta_1) * grad
    next_v = self._beta_2 * v + (1.0 - self._beta_2) * tf.square(grad)
    if self.updates_before is None:
      update = next_m / (tf.sqrt(next_v) + self._epsilon)
    else:
      update = next_m * self._correction_1 / (tf.sqrt(next_v * self._correction_2) + self._epsilon)
    if not _EXCLUDED.search(var.op.name):
      update = self._trust_ratio_update(update + self._weight_decay_rate * var, var)
    return tf.group(var.assign_sub(self._rate_of(var) * update), m.assign(next_m), v.assign(next_v))

  def _rate_of(self, var):
    multiplier = 1.0 if self.multiplier_of is None else self.multiplier_of(var.op.name)
    return self._rate if multiplier == 1.0 else self._rate * multiplier

  def _trust_ratio_update(self, update, var):
    del var
    return update

  def _resource_apply_dense(self, grad, handle):
    return self._apply_dense(grad, handle)

  def _apply_sparse_duplicate_indices(self, grad, var):
    return self._apply_dense(tf.convert_to_tensor(grad), var)

  def _resource_apply_sparse_duplicate_indices(self, grad, handle, indices):
    return self._apply_dense(tf.math.unsorted_segment_sum(grad, indices, handle.shape[0]), handle)


class Lamb(AdamW):
  """LAMB: AdamW whose update is scaled by the trust ratio |w| / |u| of each variable."""

  def __init__(self, learning_rate, weight_decay_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-6, name='Lamb'):
    """Arguments as for AdamW."""
    super().__init__(learning_rate, weight_decay_rate, beta_1, beta_2, epsilon, name)

  def _trust_ratio_update(self, update, var):
    # fp32: the norms overflow in fp16.
    weight_norm = _norm(tf.cast(var, tf.float32))
    update_norm = _norm(tf.cast(update, tf.float32))
    ratio = tf.where(tf.logical_and(weight_norm > 0.0, update_norm > 0.0),
                     tf.math.divide_no_nan(weight_norm, update_norm), 1.0)
    return ratio * update
