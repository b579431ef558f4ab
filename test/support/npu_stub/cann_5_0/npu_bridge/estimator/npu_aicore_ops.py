"""Stand-in for npu_bridge.estimator.npu_aicore_ops, from CANN 5.0.2 (dropout_v3) and 5.0.4 (layer_norm) on."""

import tensorflow as tf


def layer_norm(x, gamma, beta, begin_norm_axis=0, begin_params_axis=0, epsilon=0.0000001):
  """Returns [y, mean, variance]."""
  axes = list(range(begin_norm_axis, x.shape.ndims))
  mean, variance = tf.nn.moments(x, axes, keep_dims=True)
  return [tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon), mean, variance]


def dropout_v3(x, keep_prob, noise_shape=None, seed=None, name=None):
  return tf.nn.dropout(x, keep_prob, noise_shape=noise_shape, seed=seed, name=name)


class _AicoreOps:

  def fast_gelu(self, x):
    return x * tf.sigmoid(1.702 * x)


npu_aicore_ops = _AicoreOps()
