"""The graph of the CRF has static shapes throughout: an NPU compiles it once, before it has seen a batch."""

import tensorflow as tf

from albert.tasks import crf


def test_every_shape_follows_from_the_graph():
  with tf.Graph().as_default() as graph:
    parameters = crf.variables('crf', 5)
    emissions = tf.compat.v1.placeholder(tf.float32, [3, 7, 5])
    tags, mask, owners = [tf.compat.v1.placeholder(tf.int32, [3, 7]) for _ in range(3)]
    total, _ = crf.loss(emissions, tags, mask, owners, parameters)
    tf.gradients(total, [emissions] + list(parameters))
  operations = graph.get_operations()
  assert not [op.name for op in operations if op.type == 'TensorArraySizeV3'], 'a shape that the run finds out'
  unknown = [tensor.name for op in operations for tensor in op.outputs
             if not tensor.shape.is_fully_defined() and op.type != 'BroadcastGradientArgs']  # folded before it runs
  assert not unknown, unknown
