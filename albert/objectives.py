"""What ALBERT is pre-trained on: masked words and the order of two segments.

Shapes: B batch, S sequence, P masked predictions, E embedding size, H hidden size, V vocabulary.
"""

import collections

import tensorflow as tf

from albert import layers
from albert import modeling

# Keeps the mean of no label at all from being 0 / 0, as in the reference.
_WEIGHT_EPSILON = 1e-5

# logits float32 [B*P, V]; example_loss float32 [B*P], cross entropy in nats; loss float32 scalar.
MaskedLm = collections.namedtuple('MaskedLm', ['logits', 'example_loss', 'loss'])
# logits float32 [B, 2]; example_loss float32 [B]; loss float32 scalar.
SentenceOrder = collections.namedtuple('SentenceOrder', ['logits', 'example_loss', 'loss'])

# modeling.AlbertOutputs, MaskedLm, SentenceOrder; total_loss float32 scalar, their unweighted sum.
PretrainingModel = collections.namedtuple('PretrainingModel', ['encoder', 'masked_lm', 'sentence_order', 'total_loss'])


def pretraining_model(batch, config, is_training, ops=None, session=None, whole_last_layer=False):
  """The encoder with both heads on a batch.

  Args:
    batch: input_pipeline.Batch, or anything with its fields.
    config: AlbertConfig with vocab_size.
    is_training: Python bool.
    ops: modeling.Ops or None.
    session: npu_session.Session when several ranks make one batch. They share the MLM denominator: the average of
      the ranks' gradients is then the gradient of the whole batch's loss.
    whole_last_layer: whether the last layer computes every position, though the losses read only [CLS] and the
      masked ones; for tools that look at sequence_output.

  Returns:
    PretrainingModel. encoder.sequence_output is float32 [B, S, H] with whole_last_layer, else [B, 1 + P, H]: [CLS],
    then masked_lm_positions.
  """
  first = tf.zeros_like(batch.masked_lm_positions[:, :1])
  encoder = modeling.albert(batch.input_ids, batch.input_mask, batch.segment_ids, config, is_training, ops,
                            None if whole_last_layer else tf.concat([first, batch.masked_lm_positions], axis=1))
  masked_output = (tf.batch_gather(encoder.sequence_output, batch.masked_lm_positions) if whole_last_layer
                   else encoder.sequence_output[:, 1:])
  denominator = None
  if session is not None and session.ranks > 1:
    total_weight = session.all_reduce_sum(tf.reduce_sum(batch.masked_lm_weights), name='masked_lm_weight')
    denominator = (total_weight + _WEIGHT_EPSILON) / float(session.ranks)
  masked = masked_lm(masked_output, encoder.embedding_table, batch.masked_lm_ids, batch.masked_lm_weights, config, ops,
                     denominator)
  order = sentence_order(encoder.pooled_output, batch.next_sentence_labels, config)
  return PretrainingModel(encoder, masked, order, masked.loss + order.loss)


def masked_lm(masked_output, embedding_table, ids, weights, config, ops=None, denominator=None,
              scope='cls/predictions'):
  """Predicts the masked tokens (Devlin et al. 2018) over the tied word-embedding table.

  Args:
    masked_output: float32 [B, P, H], the encoder's output at the masked positions.
    embedding_table: float32 [V, E].
    ids: int32 [B, P]; weights: float32 [B, P], 0 where a slot is not used.
    config: AlbertConfig.
    ops: modeling.Ops or None.
    denominator: float32 scalar to divide by; None means sum(weights) + 1e-5.
    scope: variable scope.

  Returns:
    MaskedLm with loss = sum(weights * example_loss) / denominator.
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
  example_loss = ops.cross_entropy(logits, tf.reshape(ids, [-1]))
  weights = tf.reshape(weights, [-1])
  denominator = tf.reduce_sum(weights) + _WEIGHT_EPSILON if denominator is None else denominator
  return MaskedLm(logits, example_loss, tf.reduce_sum(weights * example_loss) / denominator)


def sentence_order(pooled_output, labels, config, scope='cls/seq_relationship'):
  """Tells whether the two segments are swapped (Lan et al. 2019, section 3.1).

  Args:
    pooled_output: float32 [B, H].
    labels: int32 [B, 1] or [B]; 1 = swapped.
    config: AlbertConfig.
    scope: variable scope.

  Returns:
    SentenceOrder, loss being the mean over examples.
  """
  with tf.variable_scope(scope):
    kernel = tf.get_variable('output_weights', [2, config.hidden_size],
                             initializer=layers.initializer(config.initializer_range))
    bias = tf.get_variable('output_bias', [2], initializer=tf.zeros_initializer())
    logits = tf.nn.bias_add(tf.matmul(pooled_output, kernel, transpose_b=True), bias)
  example_loss = layers.cross_entropy(logits, tf.reshape(labels, [-1]))
  return SentenceOrder(logits, example_loss, tf.reduce_mean(example_loss))


def accuracy(logits, labels, weights):
  """Weighted share of rows whose largest logit is the label.

  Args:
    logits: float32 [R, C].
    labels: int32, R elements.
    weights: float32, R elements.

  Returns:
    float32 scalar; 0 if all weights are 0.
  """
  correct = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.reshape(labels, [-1]))
  weights = tf.reshape(weights, [-1])
  return tf.math.divide_no_nan(tf.reduce_sum(tf.cast(correct, tf.float32) * weights), tf.reduce_sum(weights))
