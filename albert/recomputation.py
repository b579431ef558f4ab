"""A function whose intermediate results are not kept for the backward pass, but computed again there.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost". TensorFlow 1.15's own recompute_grad gives wrong
gradients where several calls share variables; here the weights are arguments like any other.
"""

import tensorflow as tf


def recomputed(function, again, x, weights):
  """function(x, weights), of which only x and the weights are kept.

  Args:
    function: of (x, weights); depends on no other variable.
    again: the same, for the second time: whatever is random has to be what it was.
    x: float32 tensor.
    weights: nested tuples of tensors or variables, in any number of calls the same ones.

  Returns:
    float32 tensor, with gradients for x and each of the weights.
  """
  def packed(tensors):
    return tf.nest.pack_sequence_as(weights, tensors)

  @tf.custom_gradient
  def call(x, *tensors):
    def gradient(dy):
      # Waits for dy: otherwise grappler takes both computations for one, or the executor runs the second at once.
      with tf.control_dependencies([dy]):
        same = tf.identity(x)
      # Own names for all inputs: tf.gradients stops there.
      copies = [tf.identity(tensor) for tensor in tensors]
      # TREE adds two at a time: the order in which AddN takes three depends on which of them is still in use.
      found = tf.gradients(again(same, packed(copies)), [same] + copies, dy,
                           aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE)
      # The layer before begins when this one is done: the results of one lie in memory at a time.
      with tf.control_dependencies(found):
        return [tf.identity(found[0])] + found[1:]
    return function(x, packed(tensors)), gradient
  return call(x, *tf.nest.flatten(weights))
