"""One optimizer step over several micro-batches: the same mathematics in less memory.

A loop in the graph runs the model on one part of the batch after the other; gradients and figures are summed. What a
part's loss divides by is that of the whole batch, so the sums are those of the unsplit step.
"""

import collections

import tensorflow as tf


def accumulate(batch, micro_batch_size, build):
  """Sums gradients and figures over the micro-batches of a batch.

  Args:
    batch: namedtuple of tensors [B, ...]; micro_batch_size divides B.
    micro_batch_size: Python int.
    build: function of (batch of micro_batch_size, int32 scalar: its number) that makes the model's variables with
      tf.get_variable and returns (compute_gradients, figures). compute_gradients takes a list of tensors that stand for
      the variables and returns the list of their gradients; figures is an OrderedDict of float32 scalars.

  Returns:
    ([(gradient, variable)], figures), both summed.
  """
  variables = _make_variables(batch, micro_batch_size, build)
  names = []

  def body(index, sums):
    copies = collections.OrderedDict((variable, tf.identity(variable)) for variable in variables)
    with _reading(copies):
      compute_gradients, figures = build(_part(batch, micro_batch_size, index), index)
      gradients = compute_gradients(list(copies.values()))
    names[:] = list(figures)
    return index + 1, [total + value for total, value in zip(sums, gradients + list(figures.values()))]

  count = batch[0].shape[0].value // micro_batch_size
  zeros = [tf.zeros(variable.shape) for variable in variables] + [tf.zeros([])] * len(_figure_names(variables))
  _, sums = tf.while_loop(lambda index, _: index < count, body, [0, zeros], parallel_iterations=1, back_prop=False)
  gradients = sums[:len(variables)]
  return list(zip(gradients, variables)), collections.OrderedDict(zip(names, sums[len(variables):]))
