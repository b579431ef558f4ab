"""One optimizer step over several micro-batches: the same mathematics in less memory.

The model is built for the first part of the batch, and once more in a loop that runs over the others; gradients and
figures are summed. What a part's loss divides by is that of the whole batch, so the sums are those of the unsplit step.
"""

import collections

import tensorflow as tf


def accumulate(batch, micro_batch_size, build, compute_gradients):
  """Sums gradients and figures over the micro-batches of a batch.

  Args:
    batch: namedtuple of tensors [B, ...] with static shapes; micro_batch_size divides B.
    micro_batch_size: Python int.
    build: function of (batch of micro_batch_size, number of the micro-batch: int32 scalar) that makes or reads the
      model's variables with tf.get_variable and returns (loss, OrderedDict of float32 scalars).
    compute_gradients: function of (loss, list of variables or of tensors that stand for them) that returns the list
      of gradients, dense float32.

  Returns:
    ([(gradient, variable)] of the trainable variables, OrderedDict), both sums over the micro-batches.
  """
  loss, figures = build(_part(batch, micro_batch_size, 0), tf.constant(0))
  variables = tf.trainable_variables()
  sums = compute_gradients(loss, variables) + list(figures.values())

  def body(number, *sums):
    # Copies inside the loop: gradients cannot be taken there with respect to what lies outside.
    copies = collections.OrderedDict((variable.op.name, tf.identity(variable)) for variable in variables)

    def read_copy(getter, name, *args, **kwargs):
      getter(name, *args, **kwargs)
      return copies[name]

    with tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=read_copy):
      loss, figures = build(_part(batch, micro_batch_size, number), number)
    values = compute_gradients(loss, list(copies.values())) + list(figures.values())
    return [number + 1] + [total + value for total, value in zip(sums, values)]

  count = batch[0].shape[0].value // micro_batch_size
  if count > 1:
    # One after the other, or their activations would lie in memory together.
    sums = tf.while_loop(lambda number, *_: number < count, body, [1] + sums, parallel_iterations=1,
                         back_prop=False)[1:]
  return (list(zip(sums[:len(variables)], variables)),
          collections.OrderedDict(zip(figures, sums[len(variables):])))


def _part(batch, size, number):
  """Rows number * size to (number + 1) * size of every tensor of the batch."""
  def rows(value):
    shape = value.shape.as_list()[1:]
    part = tf.slice(value, [number * size] + [0] * len(shape), [size] + shape)
    part.set_shape([size] + shape)
    return part
  return batch._make([rows(value) for value in batch])
