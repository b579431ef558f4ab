"""Stand-in for npu_bridge.estimator.npu_unary_ops: a module with an object of the same name."""

import numpy as np
import tensorflow as tf


class _UnaryOps:

  def gelu(self, x):
    with tf.name_scope('Gelu'):
      return 0.5 * x * (1.0 + tf.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * tf.pow(x, 3))))


npu_unary_ops = _UnaryOps()
