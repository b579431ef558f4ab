"""Stand-in for npu_bridge.estimator.npu_ops."""

import tensorflow as tf


def dropout(x, keep_prob, noise_shape=None, seed=None):
  if not 0 < keep_prob <= 1.0:
    raise ValueError('keep_prob must be in (0, 1], got {}'.format(keep_prob))
  with tf.name_scope('DropOutDoMask'):
    return tf.nn.dropout(x, keep_prob, noise_shape=noise_shape, seed=seed)
