"""Updates that are skipped, bit for bit, where the loss or a gradient is not finite."""

import collections

import tensorflow as tf

# What training_step makes. rate, norm: float32 scalars, the learning rate and the global norm of the gradients before
# clipping. train_op: the operation. finite: bool scalar, whether the update was made; None where the NPU's loss scaling
# decides. norms: float32 [2, number of trainable variables], of gradients and weights, zeros unless the update was
# skipped; None with finite. variables: names of those that are trained, in this order.
TrainStep = collections.namedtuple('TrainStep', ['rate', 'norm', 'train_op', 'finite', 'norms', 'variables'],
                                   defaults=[None])


def apply_if_finite(loss, norm, apply, global_step, rate):
  """Applies gradients where loss and norm are finite; else nothing but global_step changes, bit for bit.

  global_step counts steps, skipped ones included, so that it stays the number of batches used: what the position in
  the data, dropout and the learning rate depend on.

  Args:
    loss: float32 scalar, of all ranks together.
    norm: float32 scalar, the norm of all gradients: not finite if one of them is not.
    apply: callable() -> operation, which changes weights and slots, called inside tf.cond.
    global_step: the variable.
    rate: float32 scalar that has to be read before global_step is incremented.

  Returns:
    (train op, bool scalar: whether the update is made).
  """
  finite = tf.logical_and(tf.is_finite(loss), tf.is_finite(norm), name='update_is_finite')

  def applied():
    with tf.control_dependencies([apply()]):
      return tf.constant(True)

  done = tf.cond(finite, applied, lambda: tf.constant(False))
  with tf.control_dependencies([done, rate]):
    return tf.assign_add(global_step, 1).op, finite


def norms_if_not_finite(finite, gradients, weights):
  """float32 [2, number of variables]: norms of gradients and of weights; zeros, without computing them, if finite."""
  def norms():
    return tf.stack([tf.stack([tf.norm(tensor) for tensor in tensors]) for tensors in (gradients, weights)])
  return tf.cond(finite, lambda: tf.zeros([2, len(gradients)]), norms)


def finite_surrogate(loss):
  """The loss, or 0 where it is not finite: tf.estimator's own hook ends a run at the first NaN that it sees."""
  return tf.where(tf.is_finite(loss), loss, tf.zeros_like(loss))
