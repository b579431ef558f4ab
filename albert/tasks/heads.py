"""What ALBERT is pre-trained on: masked words and the order of two segments.

Shapes: B batch, S sequence, P masked predictions, K examples in a row (1 without packing), E embedding size, H hidden
size, V vocabulary.
"""

import collections

import tensorflow as tf

from albert.model import layers
from albert import modeling

# Keeps the mean of no label at all from being 0 / 0, as in the reference.
_WEIGHT_EPSILON = 1e-5

# logits float32 [B*P, V]; example_loss float32 [B*P], cross entropy in nats; loss float32 scalar.
MaskedLm = collections.namedtuple('MaskedLm', ['logits', 'example_loss', 'loss'])
# logits float32 [B*K, 2]; example_loss float32 [B*K]; loss float32 scalar.
SentenceOrder = collections.namedtuple('SentenceOrder', ['logits', 'example_loss', 'loss'])

# modeling.AlbertOutputs, MaskedLm, SentenceOrder; total_loss float32 scalar, their unweighted sum.
PretrainingModel = collections.namedtuple('PretrainingModel', ['encoder', 'masked_lm', 'sentence_order', 'total_loss'])


# What the losses of a batch are divided by: float32 scalars.
Denominators = collections.namedtuple('Denominators', ['masked_lm', 'sentence_order'])


def denominators(batch, session=None):
  """Denominators of a whole batch, for the parts of it that micro-batches and ranks compute.

  Args:
    batch: as for pretraining_model.
    session: npu_session.Session when several ranks make one batch. The average of the ranks' gradients is then the
      gradient of the whole batch's loss.
  """
  masked, order = tf.reduce_sum(batch.masked_lm_weights), tf.reduce_sum(example_weights(batch))
  if session is not None and session.ranks > 1:
    masked, order = tf.unstack(session.all_reduce_sum(tf.stack([masked, order]), name='denominators'))
    return Denominators((masked + _WEIGHT_EPSILON) / float(session.ranks), order / float(session.ranks))
  return Denominators(masked + _WEIGHT_EPSILON, order)


def example_weights(batch):
  """float32 [B, K]: 0 for the slots of a packed row that hold no example."""
  return getattr(batch, 'example_weights', tf.ones_like(batch.next_sentence_labels, tf.float32))


def pretraining_model(batch, config, is_training, ops=None, divide_by=None, whole_last_layer=False,
                      recompute=False):
  """The encoder with both heads on a batch.

  Args:
    batch: input_pipeline.Batch or packed_batches.PackedBatch, or anything with their fields.
    config: AlbertConfig with vocab_size.
    is_training: Python bool.
    ops: modeling.Ops or None.
    divide_by: Denominators of the batch that this one is a part of; None: of this one.
    whole_last_layer: whether the last layer computes every position, though the losses read only [CLS] and the
      masked ones; for tools that look at sequence_output.
    recompute: as for modeling.albert.

  Returns:
    PretrainingModel. encoder.sequence_output is float32 [B, S, H] with whole_last_layer, else [B, K + P, H]: [CLS] of
    the K examples of a row (1 without packing), then masked_lm_positions.
  """
  packing, cls_positions = None, tf.zeros_like(batch.masked_lm_positions[:, :1])
  if hasattr(batch, 'example_ids'):
    packing = modeling.Packing(batch.position_ids, batch.example_ids, batch.cls_positions)
    cls_positions = batch.cls_positions
  encoder = modeling.albert(
      batch.input_ids, batch.input_mask, batch.segment_ids, config, is_training, ops, packing=packing,
      read_positions=None if whole_last_layer else tf.concat([cls_positions, batch.masked_lm_positions], axis=1),
      recompute=recompute)
  masked_output = (tf.batch_gather(encoder.sequence_output, batch.masked_lm_positions) if whole_last_layer
                   else encoder.sequence_output[:, cls_positions.shape[1].value:])
  divide_by = divide_by or denominators(batch)
  masked = masked_lm(masked_output, encoder.embedding_table, batch.masked_lm_ids, batch.masked_lm_weights, config, ops,
                     divide_by.masked_lm)
  order = sentence_order(encoder.pooled_output, batch.next_sentence_labels, config, example_weights(batch),
                         divide_by.sentence_order)
  return PretrainingModel(encoder, masked, order, masked.loss + order.loss)


def masked_lm(masked_output, embedding_table, ids, weights, config, ops, denominator,
              scope='cls/predictions'):
  """Predicts the masked tokens (Devlin et al. 2018) over the tied word-embedding table.

  Args:
    masked_output: float32 [B, P, H], the encoder's output at the masked positions.
    embedding_table: float32 [V, E].
    ids: int32 [B, P]; weights: float32 [B, P], 0 where a slot is not used.
    config: AlbertConfig.
    ops: modeling.Ops or None.
    denominator: float32 scalar to divide by.
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
  return MaskedLm(logits, example_loss, tf.reduce_sum(weights * example_loss) / denominator)


def sentence_order(pooled_output, labels, config, weights, denominator, scope='cls/seq_relationship'):
  """Tells whether the two segments are swapped (Lan et al. 2019, section 3.1).

  Args:
    pooled_output: float32 [B*K, H].
    labels: int32 [B, K]; 1 = swapped.
    config: AlbertConfig.
    weights: float32 [B, K], 0 where a slot holds no example.
    denominator: float32 scalar to divide by.
    scope: variable scope.

  Returns:
    SentenceOrder with loss = sum(weights * example_loss) / denominator.
  """
  with tf.variable_scope(scope):
    kernel = layers.weight_variable('output_weights', [2, config.hidden_size], config.initializer_range)
    bias = tf.get_variable('output_bias', [2], initializer=tf.zeros_initializer())
    logits = tf.nn.bias_add(tf.matmul(pooled_output, kernel, transpose_b=True), bias)
  example_loss = layers.cross_entropy(logits, tf.reshape(labels, [-1]))
  loss = tf.reduce_sum(tf.reshape(weights, [-1]) * example_loss) / denominator
  return SentenceOrder(logits, example_loss, loss)


def accuracy(logits, labels, weights, denominator):
  """Weighted number of rows whose largest logit is the label, over a denominator.

  Args:
    logits: float32 [R, C].
    labels: int32, R elements. weights: float32, R elements.
    denominator: float32 scalar.

  Returns:
    float32 scalar.
  """
  correct = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.reshape(labels, [-1]))
  return tf.reduce_sum(tf.cast(correct, tf.float32) * tf.reshape(weights, [-1])) / denominator
