"""A function whose intermediate results are not kept for the backward pass, but computed again there.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost". TensorFlow 1.15's own recompute_grad gives wrong
gradients where several calls share variables; here the weights are arguments like any other.
"""

import tensorflow as tf


def recomputed(function, again, x, weights):
  """function(x, weights), of which only x and the weights are kept.

  Calls that share weights pass them on, each to the next one. So their gradients come back from call to call and are
  added one by one; a sum at the end would keep those of all calls until then.

  Args:
    function: of (x, weights); depends on no other variable.
    again: the same function for the backward pass; it has to draw the same random numbers as the first time.
    x: float32 tensor.
    weights: nested tuples of tensors or variables.

  Returns:
    (float32 tensor, with gradients for x and each of the weights; the weights, for the next call).
  """
  def packed(tensors):
    return tf.nest.pack_sequence_as(weights, tensors)

  @tf.custom_gradient
  def call(x, *tensors):
    def gradient(dy, *later):
      # Waits for dy: otherwise grappler takes both computations for one, or the executor runs the second at once.
      with tf.control_dependencies([dy]):
        same = tf.identity(x)
      # Own names for all inputs: tf.gradients stops there.
      copies = [tf.identity(tensor) for tensor in tensors]
      # TREE adds two at a time: the order in which AddN takes three depends on which of them is still in use.
      gradients = tf.gradients(again(same, packed(copies)), [same] + copies, dy,
                               aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE)
      sums = [there + here for there, here in zip(later, gradients[1:])]
      # The layer before begins when this one is done: the results of one lie in memory at a time.
      with tf.control_dependencies(gradients[:1] + sums):
        return [tf.identity(gradients[0])] + sums
    return (function(x, packed(tensors)),) + tuple(tf.identity(tensor) for tensor in tensors), gradient

  y, *tensors = call(x, *tf.nest.flatten(weights))
  return y, packed(tensors)
