"""The heads on the encoder: the heads of ALBERT's tasks.

Shapes: B batch, P masked predictions, K examples in a row (1 without packing), E embedding size, H hidden size,
V vocabulary, R rows, C classes.
"""

import collections

import tensorflow as tf

from albert.model import layers
from albert import modeling

# logits float32 [B*P, V]; example_loss float32 [B*P], cross entropy in nats; loss float32 scalar.
MaskedLm = collections.namedtuple('MaskedLm', ['logits', 'example_loss', 'loss'])
# logits float32 [B*K, 2]; example_loss float32 [B*K]; loss float32 scalar.
SentenceOrder = collections.namedtuple('SentenceOrder', ['logits', 'example_loss', 'loss'])


def masked_lm(masked_output, embedding_table, ids, weights, config, ops, denominator,
              scope='cls/predictions'):
  """Predicts the masked tokens (Devlin et al. 2018) over the tied word-embedding table.

  Args:
    masked_output: float32 [B, P, H], the encoder's output at the masked positions.
    embedding_table: float32 [V, E].
    ids: int32 [B, P], or None where they are not known; weights: float32 [B, P], 0 where a slot is not used.
    config: AlbertConfig.
    ops: modeling.Ops or None.
    denominator: float32 scalar to divide by.
    scope: variable scope.

  Returns:
    MaskedLm with loss = sum(weights * example_loss) / denominator; without ids its losses are None.
  """
  ops = ops or modeling.default_ops()
  hidden = tf.reshape(masked_output, [-1, config.hidden_size])
  with tf.variable_scope(scope):
    with tf.variable_scope('transform'):
      dense = layers.dense_variables('dense', config.hidden_size, config.embedding_size, config.initializer_range)
      norm = layers.norm_variables('LayerNorm', config.embedding_size)
    bias = tf.get_variable('output_bias', [config.vocab_size], initializer=tf.zeros_initializer())
    transformed = layers.layer_norm(modeling.activation(config, ops)(layers.dense(hidden, dense)), norm)
    logits = tf.nn.bias_add(tf.matmul(transformed, embedding_table, transpose_b=True), bias)
  if ids is None:
    return MaskedLm(logits, None, None)
  example_loss = ops.cross_entropy(logits, tf.reshape(ids, [-1]))
  return MaskedLm(logits, example_loss, _weighted(example_loss, weights, denominator))


def sentence_order(pooled_output, labels, config, weights, denominator, scope='cls/seq_relationship'):
  """Predicts whether the two segments are swapped (Lan et al. 2019, section 3.1).

  Args:
    pooled_output: float32 [B*K, H].
    labels: int32 [B, K], 1 = swapped; None where they are not known.
    config: AlbertConfig.
    weights: float32 [B, K], 0 where a slot holds no example.
    denominator: float32 scalar to divide by.
    scope: variable scope.

  Returns:
    SentenceOrder with loss = sum(weights * example_loss) / denominator; without labels its losses are None.
  """
  with tf.variable_scope(scope):
    kernel = layers.weight_variable('output_weights', [2, config.hidden_size], config.initializer_range)
    bias = tf.get_variable('output_bias', [2], initializer=tf.zeros_initializer())
    logits = tf.nn.bias_add(tf.matmul(pooled_output, kernel, transpose_b=True), bias)
  if labels is None:
    return SentenceOrder(logits, None, None)
  example_loss = layers.cross_entropy(logits, tf.reshape(labels, [-1]))
  return SentenceOrder(logits, example_loss, _weighted(example_loss, weights, denominator))


def _weighted(rows, weights, denominator):
  """sum(weights * rows) / denominator, float32 scalar. rows: float32 [R]; weights: float32, R elements."""
  return tf.reduce_sum(tf.reshape(weights, [-1]) * rows) / denominator


def hits(logits, labels):
  """float32 [R], 1 where the largest logit is the label. logits: float32 [R, C]; labels: int32, R elements."""
  return tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.reshape(labels, [-1])), tf.float32)


def accuracy(logits, labels, weights, denominator):
  """sum(weights * hits) / denominator, float32 scalar.

  Args:
    logits: float32 [R, C].
    labels: int32, R elements. weights: float32, R elements.
    denominator: float32 scalar.
  """
  return tf.reduce_sum(hits(logits, labels) * tf.reshape(weights, [-1])) / denominator
