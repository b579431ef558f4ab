"""One optimizer step as a graph: gradients, averaged over ranks, then clipped, then applied if they are finite."""

import tensorflow as tf

from albert import lamb
from albert.model import cpu_ops
from albert.model import layers
from albert.model import names
from albert import modeling
from albert.training import micro_batches
from albert.training.stability import finite_updates


def make(task, batch, options, num_train_steps, device, random_seed=0, micro_batch_size=None, recompute=False,
         towers=1, fgm_epsilon=0.0):
  """Builds the model and its update.

  Args:
    task: tasks.task.Task.
    batch: the namedtuple of its batch, with static shapes.
    options: lamb.OptimizerOptions.
    num_train_steps: Python int.
    device: npu_session.Device.
    random_seed: Python int, of dropout.
    micro_batch_size: Python int that divides the batch size, or None for the whole batch at once.
    recompute: as for modeling.albert; not where device.dropout drops anything, which draws other elements then.
    towers: Python int that divides the micro-batch size: parts of it that are computed side by side.
    fgm_epsilon: Python float, length of an adversarial step, see _with_adversarial; 0: none.

  Returns:
    (finite_updates.TrainStep, OrderedDict of name to float32 scalar: the figures worth logging for a step).
  """
  update = Update(options, num_train_steps, device)
  grads_and_vars, figures = gradients(task, batch, update, device, random_seed, micro_batch_size, recompute, towers,
                                      fgm_epsilon)
  figures = _of_all_ranks(figures, device.collectives)
  step = update.apply(grads_and_vars, figures['total_loss'])
  figures.update(learning_rate=step.rate, gradient_norm=step.norm)
  with tf.control_dependencies([step.train_op]):
    scale = update.loss_scale()
  if scale is not None:
    figures.update(loss_scale=scale)
  return step, figures


def gradients(task, batch, update, device, random_seed=0, micro_batch_size=None, recompute=False, towers=1,
              fgm_epsilon=0.0):
  """The gradients that make() gives to the optimizer, without the update. Arguments as for make(); update: Update.

  Returns:
    ([(gradient, variable)] of this rank's part of the batch, OrderedDict of name to float32 scalar).
  """
  divide_by = task.denominators(batch, device.collectives)

  def build(part, number):
    ops = model_ops(device, random_seed, tf.train.get_or_create_global_step(), number)
    return task.loss(part, ops, divide_by, recompute)

  size = micro_batch_size or batch.input_ids.shape[0].value
  grads_and_vars, figures = micro_batches.accumulate(batch, size, build, update.gradients, towers)
  if fgm_epsilon:
    grads_and_vars = _with_adversarial(grads_and_vars, fgm_epsilon, build, lambda part: micro_batches.accumulate(
        batch, size, part, update.gradients, towers))
  return grads_and_vars, figures


def _of_all_ranks(figures, collectives):
  """The figures of the whole batch. figures: OrderedDict of name to float32 scalar, of a rank's part of it."""
  if collectives.ranks == 1:
    return figures
  sums = collectives.all_reduce_sum(tf.stack(list(figures.values())), 'figures')
  # Each was divided by a rank's share of what the whole batch is divided by.
  return type(figures)(zip(figures, tf.unstack(sums / float(collectives.ranks))))


def _with_adversarial(grads_and_vars, epsilon, build, accumulate):
  """Adds the gradients at adversarial word embeddings (Miyato et al. 2017, the fast gradient method).

      r = epsilon g / |g|, g the gradient for the word-embedding table E;  the sum of the gradients at E and at E + r

  Args:
    grads_and_vars: the first pass.
    epsilon: Python float.
    build: function of a part of the batch, as for micro_batches.accumulate.
    accumulate: callable(build) -> ([(gradient, variable)], figures), a pass over the batch.

  Returns:
    [(gradient, variable)].
  """
  table = next(gradient for gradient, variable in grads_and_vars if variable.op.name == names.WORD_EMBEDDINGS)
  step = tf.stop_gradient(tf.math.divide_no_nan(epsilon, tf.norm(table)) * table)

  def moved(getter, name, *args, **kwargs):
    variable = getter(name, *args, **kwargs)
    return variable + step if name == names.WORD_EMBEDDINGS else variable

  def build_moved(part, number):
    with tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=moved):
      return build(part, number)

  again, _ = accumulate(build_moved)
  return [(first + second, variable) for (first, variable), (second, _) in zip(grads_and_vars, again)]


def model_ops(device, random_seed=0, step=None, micro_batch=0):
  """The operations that suit a device.

  Args:
    device: npu_session.Device.
    random_seed: Python int, of dropout.
    step: int64 scalar tensor, of which dropout is a function; None where nothing is dropped.
    micro_batch: int32 scalar tensor or int: the number of this part of the step.

  Returns:
    modeling.Ops.
  """
  ops = modeling.default_ops()
  if device.cpu_ops:
    ops = ops._replace(gelu=cpu_ops.gelu, add_and_norm=cpu_ops.add_and_norm, attention=cpu_ops.attention,
                       cross_entropy=cpu_ops.cross_entropy, for_three_readers=cpu_ops.for_three_readers)
  if device.gelu:
    ops = ops._replace(gelu=device.gelu)
  if device.dropout:
    return ops._replace(dropout=device.dropout)
  # Ranks drop different elements.
  return ops if step is None else ops._replace(
      dropout=layers.StatelessDropout(random_seed * device.ranks + device.rank, step, micro_batch))


class Update:
  """The optimizer with its learning rate."""

  def __init__(self, options, num_train_steps, device):
    """Arguments as for make."""
    self._options = options
    self._device = device
    self._global_step = tf.train.get_or_create_global_step()
    self._rate = lamb.learning_rate_at(self._global_step, options, num_train_steps)
    self._optimizer = device.loss_scaling.wrap(lamb.create_optimizer(
        self._rate, options, self._global_step, self._multiplier_of))

  def _multiplier_of(self, name):
    return self._options.multiplier_of(names.rate_part(name))

  def gradients(self, loss, variables):
    """Dense gradients of this rank's loss for a list of variables or of tensors that stand for them."""
    return [tf.convert_to_tensor(gradient) for gradient, _ in self._optimizer.compute_gradients(loss, variables)]

  def loss_scale(self):
    """float32 scalar, what the loss is multiplied by before gradients are computed; None without loss scaling."""
    return self._device.loss_scaling.current(self._optimizer)

  def apply(self, grads_and_vars, total_loss):
    """Averages, clips and applies. total_loss: float32 scalar, of all ranks. Returns finite_updates.TrainStep."""
    device, optimizer = self._device, self._optimizer
    # What is frozen has no part in the norm either, and no moments.
    grads_and_vars = [(gradient, variable) for gradient, variable in grads_and_vars
                      if self._multiplier_of(variable.op.name)]
    averaged = device.collectives.average_gradients(grads_and_vars)
    gradients, norm = lamb.clip_by_global_norm([gradient for gradient, _ in averaged], self._options.clip_norm)
    variables = [variable for _, variable in averaged]
    clipped, trained = list(zip(gradients, variables)), [variable.op.name for variable in variables]
    if device.loss_scaling.skips_overflows:
      train_op = device.wrap_train_op(optimizer.apply_gradients(clipped, self._global_step))
      return finite_updates.TrainStep(self._rate, norm, train_op, finite=None, norms=None, variables=trained)
    train_op, finite = finite_updates.apply_if_finite(
        total_loss, norm, lambda: optimizer.apply_gradients(clipped),
        self._global_step, self._rate)
    norms = finite_updates.norms_if_not_finite(finite, [gradient for gradient, _ in averaged], variables)
    return finite_updates.TrainStep(self._rate, norm, device.wrap_train_op(train_op), finite, norms, trained)
