"""The ALBERT encoder: factorised embeddings and transformer layers that share their parameters.

Lan et al. 2019, "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations".
Shapes: B batch, S sequence, E embedding size, H hidden size, N heads, D = H / N, I intermediate size, V vocabulary.
Variable names are the format of the published checkpoints; `modeling_test` pins them.
"""

import collections
import math

import tensorflow as tf

from albert import layers
from albert.config import AlbertConfig  # noqa: F401, part of this module's interface

# What the encoder gives: embedding_output float32 [B, S, E] (after LayerNorm and dropout), sequence_output
# float32 [B, S, H], pooled_output float32 [B, H], embedding_table float32 [V, E] (tied with the MLM head).
AlbertOutputs = collections.namedtuple(
    'AlbertOutputs', ['embedding_output', 'sequence_output', 'pooled_output', 'embedding_table'])

# The operations that a backend may replace: gelu(x) and dropout(x, rate). See npu_session.
Ops = collections.namedtuple('Ops', ['gelu', 'dropout'])

# Added to the attention scores of padding: exp(-10000) is 0 in float32 and in float16.
_PADDING_SCORE = -10000.0

_Layer = collections.namedtuple('_Layer', [
    'query', 'key', 'value', 'attention_output', 'attention_norm', 'intermediate', 'output', 'output_norm'])


def albert(input_ids, input_mask, segment_ids, config, is_training, ops=None, scope='bert'):
  """Encodes a batch of token sequences.

  Args:
    input_ids: int32 [B, S].
    input_mask: int32 [B, S], 1 for tokens and 0 for padding.
    segment_ids: int32 [B, S], 0 for the first segment and 1 for the second.
    config: AlbertConfig with vocab_size set.
    is_training: Python bool; dropout is off without it.
    ops: Ops, or None for this library's own.
    scope: variable scope.

  Returns:
    AlbertOutputs.
  """
  ops = ops or Ops(layers.gelu, layers.StatelessDropout(seed=0, step=tf.constant(0, tf.int64)))
  if not is_training:
    ops = ops._replace(dropout=lambda x, rate: x)
  batch_size, seq_length = input_ids.shape.as_list()
  with tf.variable_scope(scope):
    embedding_table, embedding_output = _embeddings(input_ids, segment_ids, config, ops)
    with tf.variable_scope('encoder'):
      hidden = _encoder(embedding_output, input_mask, config, ops)
    sequence_output = tf.reshape(hidden, [batch_size, seq_length, config.hidden_size])
    with tf.variable_scope('pooler'):
      pooler = layers.dense_variables('dense', config.hidden_size, config.hidden_size, config.initializer_range)
    pooled_output = tf.tanh(layers.dense(sequence_output[:, 0], pooler))
  return AlbertOutputs(embedding_output, sequence_output, pooled_output, embedding_table)


def activation(config, ops=None):
  """The function that config.hidden_act names; `ops` may bring its own gelu."""
  if config.hidden_act == 'relu':
    return tf.nn.relu
  return ops.gelu if ops else layers.gelu


def _embeddings(input_ids, segment_ids, config, ops):
  """Sum of word, segment and position embeddings (section 3.1: at width E). Returns [V, E], [B, S, E]."""
  with tf.variable_scope('embeddings'):
    def table(name, rows):
      return tf.get_variable(name, [rows, config.embedding_size],
                             initializer=layers.initializer(config.initializer_range))
    word = table('word_embeddings', config.vocab_size)
    token_type = table('token_type_embeddings', config.type_vocab_size)
    position = table('position_embeddings', config.max_position_embeddings)
    # A product with one-hot rows: the gradient of a gather from a table of two rows is a slow scatter.
    segments = tf.tensordot(tf.one_hot(segment_ids, config.type_vocab_size), token_type, 1)
    summed = tf.gather(word, input_ids) + segments + position[:input_ids.shape[1].value]
    normed = layers.layer_norm(summed, layers.norm_variables('LayerNorm', config.embedding_size))
  return word, ops.dropout(normed, config.hidden_dropout_prob)


def _encoder(embedding_output, input_mask, config, ops):
  """Applies all layers. Returns float32 [B*S, H]."""
  hidden = tf.reshape(embedding_output, [-1, config.embedding_size])
  if config.embedding_size != config.hidden_size:
    mapping = layers.dense_variables('embedding_hidden_mapping_in', config.embedding_size, config.hidden_size,
                                     config.initializer_range)
    hidden = layers.dense(hidden, mapping)
  padding_scores = (1.0 - tf.cast(input_mask[:, tf.newaxis, tf.newaxis, :], tf.float32)) * _PADDING_SCORE
  with tf.variable_scope('transformer'):
    groups = [_group_variables(group, config) for group in range(config.num_hidden_groups)]
  for layer in range(config.num_hidden_layers):
    with tf.name_scope('layer_{}'.format(layer)):
      for block in groups[config.group_of_layer(layer)]:
        hidden = _transformer_block(hidden, padding_scores, block, config, ops)
  return hidden


def _group_variables(group, config):
  """The variables of one parameter group: a _Layer for each of its inner_group_num blocks."""
  blocks = []
  for inner in range(config.inner_group_num):
    with tf.variable_scope('group_{}/inner_group_{}'.format(group, inner)):
      blocks.append(_block_variables(config))
  return blocks


def _block_variables(config):
  width, inner = config.hidden_size, config.intermediate_size

  def variables(name, rows, columns):
    return layers.dense_variables(name, rows, columns, config.initializer_range)

  return _Layer(
      query=variables('attention_1/self/query', width, width),
      key=variables('attention_1/self/key', width, width),
      value=variables('attention_1/self/value', width, width),
      attention_output=variables('attention_1/output/dense', width, width),
      attention_norm=layers.norm_variables('LayerNorm', width),
      intermediate=variables('ffn_1/intermediate/dense', width, inner),
      output=variables('ffn_1/intermediate/output/dense', inner, width),
      output_norm=layers.norm_variables('LayerNorm_1', width))


def _transformer_block(x, padding_scores, block, config, ops):
  """Post-LN attention and feed-forward network (Vaswani et al. 2017). x: float32 [B*S, H], and so is the result."""
  attended = layers.dense(_self_attention(x, padding_scores, block, config, ops), block.attention_output)
  x = layers.layer_norm(x + ops.dropout(attended, config.hidden_dropout_prob), block.attention_norm)
  inner = activation(config, ops)(layers.dense(x, block.intermediate))
  output = ops.dropout(layers.dense(inner, block.output), config.hidden_dropout_prob)
  return layers.layer_norm(x + output, block.output_norm)


def _self_attention(x, padding_scores, block, config, ops):
  """softmax(Q K^T / sqrt(D) + padding) V for each head. x: [B*S, H]; padding_scores: [B, 1, 1, S]."""
  heads = config.num_attention_heads
  head_size = config.hidden_size // heads
  seq_length = padding_scores.shape[-1].value

  def split_heads(projection):  # [B*S, H] -> [B, N, S, D]
    return tf.transpose(tf.reshape(projection, [-1, seq_length, heads, head_size]), [0, 2, 1, 3])

  query, key, value = [split_heads(layers.dense(x, part)) for part in (block.query, block.key, block.value)]
  scores = tf.matmul(query, key, transpose_b=True) * (1.0 / math.sqrt(head_size)) + padding_scores  # [B, N, S, S]
  probabilities = ops.dropout(tf.nn.softmax(scores), config.attention_probs_dropout_prob)
  context = tf.transpose(tf.matmul(probabilities, value), [0, 2, 1, 3])  # [B, S, N, D]
  return tf.reshape(context, [-1, config.hidden_size])
