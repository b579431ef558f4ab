"""The few layers that ALBERT is made of. Variables first, then pure functions of tensors and variables."""

import collections
import math
import zlib

import tensorflow as tf

LAYER_NORM_EPSILON = 1e-12

Dense = collections.namedtuple('Dense', ['kernel', 'bias'])
Norm = collections.namedtuple('Norm', ['gamma', 'beta'])


def size(tensor, axis):
  """The length of one axis: a Python int where the graph knows it, else an int32 scalar tensor."""
  known = tensor.shape[axis].value
  return tf.shape(tensor)[axis] if known is None else known


def shape_of(tensor):
  """The lengths of all axes, as `size` gives them: a list for a tensor of known rank."""
  return [size(tensor, axis) for axis in range(tensor.shape.ndims)]


def weight_variable(name, shape, stddev):
  """A variable [shape] that begins as a truncated normal of this standard deviation, as in BERT and ALBERT.

  The numbers are a function of the graph's seed and the variable's name, whatever else is in the graph.
  """
  full_name = '{}/{}'.format(tf.get_variable_scope().name, name)
  return tf.get_variable(name, shape, initializer=tf.truncated_normal_initializer(
      stddev=stddev, seed=zlib.crc32(full_name.encode('utf-8')) >> 1))


def dense_variables(name, rows, columns, stddev):
  """kernel [rows, columns] and bias [columns] under the scope `name`."""
  with tf.variable_scope(name):
    return Dense(kernel=weight_variable('kernel', [rows, columns], stddev),
                 bias=tf.get_variable('bias', [columns], initializer=tf.zeros_initializer()))


def norm_variables(name, width):
  """gamma [width] and beta [width] under the scope `name`."""
  with tf.variable_scope(name):
    return Norm(beta=tf.get_variable('beta', [width], initializer=tf.zeros_initializer()),
                gamma=tf.get_variable('gamma', [width], initializer=tf.ones_initializer()))


def dense(x, variables):
  """x W + b. x: float32 [rows, in]. Returns float32 [rows, out]."""
  return tf.nn.bias_add(tf.matmul(x, variables.kernel), variables.bias)


def layer_norm(x, norm):
  """Layer normalisation over the last axis (Ba et al. 2016), epsilon 1e-12. Any rank, float32."""
  return _layer_norm(x, norm.gamma, norm.beta)


def add_and_norm(x, y, norm):
  """Layer normalisation of x + y, float32 of one shape."""
  return layer_norm(x + y, norm)


# A gradient that keeps only x: with nn.moments and batch_normalization automatic differentiation keeps more.
@tf.custom_gradient
def _layer_norm(x, gamma, beta):
  return layer_norm_value(x, gamma, beta), lambda dy: layer_norm_gradient(x, gamma, dy)


def layer_norm_value(x, gamma, beta):
  """(x - mean) / sqrt(variance + epsilon) gamma + beta, over the last axis."""
  mean, scale = _moments(x)
  return (x - mean) * (scale * gamma) + beta


def layer_norm_gradient(x, gamma, dy):
  """The gradients of layer_norm_value for x, gamma and beta, given that of its result."""
  mean, scale = _moments(x)
  normed = (x - mean) * scale
  rows = list(range(x.shape.ndims - 1))
  dnormed = dy * gamma
  dx = scale * (dnormed - tf.reduce_mean(dnormed, axis=-1, keepdims=True)
                - normed * tf.reduce_mean(dnormed * normed, axis=-1, keepdims=True))
  return dx, tf.reduce_sum(dy * normed, axis=rows), tf.reduce_sum(dy, axis=rows)


def _moments(x):
  """Mean and 1 / sqrt(variance + epsilon) of the last axis, which stays with size 1."""
  mean = tf.reduce_mean(x, axis=-1, keepdims=True)
  variance = tf.reduce_mean(tf.math.squared_difference(x, mean), axis=-1, keepdims=True)
  return mean, tf.math.rsqrt(variance + LAYER_NORM_EPSILON)


GELU_SCALE = math.sqrt(2.0 / math.pi)
GELU_CUBIC = 0.044715


# The gradient is written down because automatic differentiation keeps every intermediate tensor.
@tf.custom_gradient
def gelu(x):
  """0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) (Hendrycks and Gimpel 2016, the tanh form)."""
  return _gelu_value(x), lambda dy: _gelu_gradient(x, dy)


def _gelu_value(x):
  """gelu without a gradient of its own."""
  return 0.5 * x * (1.0 + _gelu_tanh(x))


def _gelu_gradient(x, dy):
  """The gradient of gelu for x, given that of its result."""
  t = _gelu_tanh(x)
  slope = 0.5 * GELU_SCALE * x * (1.0 - t * t) * (1.0 + 3.0 * GELU_CUBIC * x * x)
  return dy * (0.5 * (1.0 + t) + slope)


def _gelu_tanh(x):
  return tf.tanh(GELU_SCALE * x * (1.0 + GELU_CUBIC * x * x))


def cross_entropy(logits, labels):
  """Cross entropy in nats. logits: float32 [rows, V]; labels: int32 [rows]. Returns float32 [rows]."""
  # Sparse: one_hot x log_softmax keeps several tensors of [rows, V] alive.
  return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)


def attention(query, key_value, padding_scores, num_heads, dropout=None):
  """softmax(Q K^T + padding) V for each head, all heads of a batch in one product.

  Args:
    query: float32 [B*R, H], scaled by 1 / sqrt(D). key_value: float32 [B*S, 2H], the keys, then the values.
    padding_scores: float32 [B, 1, 1 or R, S].
    num_heads: N.
    dropout: function of the probabilities [B, N, R, S], or None.

  Returns:
    float32 [B*R, H].
  """
  batch_size, width = size(padding_scores, 0), query.shape[1].value

  def split_heads(x):  # [B*R, H] -> [B, N, R, D]
    return tf.transpose(tf.reshape(x, [batch_size, -1, num_heads, width // num_heads]), [0, 2, 1, 3])

  key, value = tf.split(key_value, 2, axis=1)
  scores = tf.matmul(split_heads(query), split_heads(key), transpose_b=True) + padding_scores  # [B, N, R, S]
  probabilities = tf.nn.softmax(scores)
  context = tf.matmul(dropout(probabilities) if dropout else probabilities, split_heads(value))
  return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [-1, width])  # [B, N, R, D] -> [B*R, H]


def for_three_readers(x):
  """(x, x, x). cpu_ops has another, whose gradients are added in a fixed order."""
  return x, x, x


MOST_PARTS = 4096  # of a step, so that no two steps share a number


class StatelessDropout:
  """Dropout whose mask is a function of (seed, step, part of the step, number of the call).

  So a resumed run draws the masks of one that was not interrupted.
  """

  def __init__(self, seed, step, micro_batch=0):
    """seed: Python int; step: int64 scalar tensor; micro_batch: integer scalar tensor or int, number of the part."""
    self._seed = seed
    self._step = tf.cast(step, tf.int64) * MOST_PARTS + tf.cast(micro_batch, tf.int64)
    self._calls = 0

  def __call__(self, x, rate):
    """Zeroes elements of x with probability `rate` (Python float) and scales the others by 1 / (1 - rate)."""
    if not rate:
      return x
    self._calls += 1
    seed = tf.stack([tf.constant(self._seed * 65537 + self._calls, tf.int64), self._step])
    # After x: otherwise all masks are drawn when a step begins, and those of a recomputation are kept until it runs.
    with tf.control_dependencies([x]):
      keep = tf.random.stateless_uniform(shape_of(x), seed) >= rate
    return x * tf.cast(keep, x.dtype) * (1.0 / (1.0 - rate))
