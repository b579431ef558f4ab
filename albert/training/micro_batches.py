"""One optimizer step over the parts of a batch: the same mathematics in less memory, and side by side on several cores.

A micro-batch is what is in memory at a time. On a CPU it is computed in towers, a core each: else TensorFlow divides
every single operation among the cores, and each time waits for the slowest of them. A tower that has several parts of
the batch has a loop over them; gradients and figures are summed. What a part's loss divides by is that of the whole
batch, so the sums are those of the unsplit step.
"""

import collections
import functools

import tensorflow as tf

from albert.common.errors import UserError
from albert.model import layers


def accumulate(batch, micro_batch_size, build, compute_gradients, towers=1):
  """Sums gradients and figures over the parts of a batch.

  Args:
    batch: namedtuple of tensors [B, ...] with static shapes; micro_batch_size divides B.
    micro_batch_size: Python int.
    build: function of (batch of micro_batch_size / towers, number of this part of the batch: int32 scalar) that makes
      or reads the model's variables with tf.get_variable and returns (loss, OrderedDict of float32 scalars).
    compute_gradients: function of (loss, list of variables or of tensors that stand for them) that returns the list
      of gradients, dense float32.
    towers: Python int that divides micro_batch_size.

  Raises:
    UserError: more parts than dropout can number.

  Returns:
    ([(gradient, variable)] of the trainable variables, OrderedDict), both sums over the parts.
  """
  size = micro_batch_size // towers
  count = batch[0].shape[0].value // size
  if count > layers.MOST_PARTS:
    raise UserError('micro_batch_size: expected at most {} parts of a batch, which dropout numbers, found {}; '
                    'make it larger'.format(layers.MOST_PARTS, count))
  if count == towers:
    parts = [_sums_of_part(batch, size, tower, build, compute_gradients) for tower in range(towers)]
  else:
    # Makes the variables and is never run: a loop has to know beforehand what it sums.
    _, figures = build(_part(batch, size, 0), tf.constant(0))
    parts = [(_loop(batch, size, range(tower, count, towers), build, compute_gradients, len(figures)), figures)
             for tower in range(towers)]
  # Two at a time: the last bits of a sum of more depend on which of them is ready first.
  sums = [functools.reduce(tf.add, values) for values in zip(*[sums for sums, _ in parts])]
  variables = tf.trainable_variables()
  return (list(zip(sums[:len(variables)], variables)),
          collections.OrderedDict(zip(parts[0][1], sums[len(variables):])))


def _sums_of_part(batch, size, number, build, compute_gradients):
  """(gradients and figures of a part, names of the figures)."""
  with _variables_of_first(number):
    loss, figures = build(_part(batch, size, number), tf.constant(number))
  return compute_gradients(loss, tf.trainable_variables()) + list(figures.values()), figures


def _loop(batch, size, numbers, build, compute_gradients, figures):
  """Sums of gradients and figures over the parts `numbers`, a range. figures: int, how many there are."""
  variables = tf.trainable_variables()

  def body(number, *sums):
    # Copies inside the loop: gradients cannot be taken there with respect to what lies outside.
    copies = collections.OrderedDict((variable.op.name, tf.identity(variable)) for variable in variables)

    def read_copy(getter, name, *args, **kwargs):
      getter(name, *args, **kwargs)
      return copies[name]

    with tf.variable_scope(tf.get_variable_scope(), reuse=True, custom_getter=read_copy):
      loss, of_part = build(_part(batch, size, number), number)
    values = compute_gradients(loss, list(copies.values())) + list(of_part.values())
    return [number + numbers.step] + [total + value for total, value in zip(sums, values)]

  zeros = [tf.zeros(variable.shape) for variable in variables] + [tf.zeros([])] * figures
  # One after the other, or their activations would lie in memory together.
  return tf.while_loop(lambda number, *_: number < numbers.stop, body, [numbers.start] + zeros, parallel_iterations=1,
                       back_prop=False)[1:]


def side_by_side(batch, towers, build):
  """Computes a batch in towers, as even as can be.

  Args:
    batch: namedtuple of tensors [B, ...] with static shapes.
    towers: Python int.
    build: function of a part of the batch that makes or reads the variables, as for accumulate, and returns a
      namedtuple of tensors [rows, ...], some of which may be None.

  Returns:
    The namedtuple, of tensors for the whole batch.
  """
  size = batch[0].shape[0].value
  bounds = [size * tower // min(towers, size) for tower in range(min(towers, size) + 1)]
  outputs = []
  for tower, (start, end) in enumerate(zip(bounds, bounds[1:])):
    with _variables_of_first(tower):
      outputs.append(build(_rows(batch, start, end - start)))
  return outputs[0]._make([None if values[0] is None else tf.concat(values, axis=0) for values in zip(*outputs)])


def _variables_of_first(tower):
  """The scope in which the first tower makes the variables, and the others read them."""
  return tf.variable_scope(tf.get_variable_scope(), reuse=True if tower else None)


def _part(batch, size, number):
  """Rows number * size to (number + 1) * size of every tensor of the batch."""
  return _rows(batch, number * size, size)


def _rows(batch, start, size):
  """`size` rows from `start` on of every tensor of the batch."""
  def rows(value):
    shape = value.shape.as_list()[1:]
    part = tf.slice(value, [start] + [0] * len(shape), [size] + shape)
    part.set_shape([size] + shape)
    return part
  return batch._make([None if value is None else rows(value) for value in batch])  # None: a field that is not given
