"""The ALBERT encoder: factorised embeddings and transformer layers that share their parameters.

Lan et al. 2019, "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations".
Shapes: B batch, S sequence, E embedding size, H hidden size, N heads, D = H / N, I intermediate size, V vocabulary.
Variable names are the format of the published checkpoints; `modeling_test` pins them.
"""

import collections
import copy
import math

import tensorflow as tf

from albert.model.config import AlbertConfig  # noqa: F401, part of this module's interface
from albert.model import layers
from albert.model import recomputation

# Several examples in one row: int32 [B, S] position_ids, which begin at 0 in each example, and example_ids, the
# number of the example that a token belongs to, -1 for padding; int32 [B, K] cls_positions. Tokens attend within
# their example.
Packing = collections.namedtuple('Packing', ['position_ids', 'example_ids', 'cls_positions'])

# What the encoder gives: embedding_output float32 [B, S, E] (after LayerNorm and dropout), sequence_output float32
# [B, S, H], or [B, R, H] of the rows that were asked for, pooled_output float32 [B, H] ([B*K, H] with packing),
# embedding_table float32 [V, E] (tied with the MLM head).
AlbertOutputs = collections.namedtuple(
    'AlbertOutputs', ['embedding_output', 'sequence_output', 'pooled_output', 'embedding_table'])

# The operations that a backend may replace: gelu(x), dropout(x, rate), add_and_norm(x, y, norm),
# attention(query, key_value, padding_scores, num_heads, dropout), cross_entropy(logits, labels), three_times(x), which
# is x for three readers. See training_step.model_ops.
Ops = collections.namedtuple('Ops', ['gelu', 'dropout', 'add_and_norm', 'attention', 'cross_entropy', 'three_times'])

# Added to the attention scores of padding: exp(-10000) is 0 in float32 and in float16.
_PADDING_SCORE = -10000.0

# The variables of a transformer block, layers.Dense and layers.Norm.
_Layer = collections.namedtuple('_Layer', [
    'query', 'key', 'value', 'attention_output', 'attention_norm', 'intermediate', 'output', 'output_norm'])

# What a block multiplies with: query is scaled, key_value is both side by side; the others are the variables.
_Weights = collections.namedtuple('_Weights', [
    'query', 'key_value', 'attention_output', 'attention_norm', 'intermediate', 'output', 'output_norm'])


def albert(input_ids, input_mask, segment_ids, config, is_training, ops=None, read_positions=None, packing=None,
           recompute=False, scope='bert'):
  """Encodes a batch of token sequences.

  Args:
    input_ids: int32 [B, S].
    input_mask: int32 [B, S], 1 for tokens and 0 for padding.
    segment_ids: int32 [B, S], 0 for the first segment and 1 for the second.
    config: AlbertConfig with vocab_size set.
    is_training: Python bool; dropout is off without it.
    ops: Ops, or None for this library's own.
    read_positions: int32 [B, R], the positions whose output is needed, the first of them that of [CLS] (with packing
      the K of all examples); the last layer computes no others. None means all.
    packing: Packing where a row holds several examples, else None.
    recompute: Python bool, whether the backward pass computes each layer again from its input instead of keeping what
      is in it. The last one is not: its backward pass begins at once.
    scope: variable scope.

  Returns:
    AlbertOutputs.
  """
  ops = ops or default_ops()
  if not is_training:
    ops = ops._replace(dropout=lambda x, rate: x)
  with tf.variable_scope(scope):
    embedding_table, embedding_output = _embeddings(input_ids, segment_ids, packing, config, ops)
    with tf.variable_scope('encoder'):
      hidden = _encoder(embedding_output, _attention_scores(input_mask, packing), read_positions, config, ops,
                        recompute)
    sequence_output = tf.reshape(hidden, [input_ids.shape[0].value, -1, config.hidden_size])
    with tf.variable_scope('pooler'):
      pooler = layers.dense_variables('dense', config.hidden_size, config.hidden_size, config.initializer_range)
    pooled_output = tf.tanh(layers.dense(_cls_output(sequence_output, read_positions, packing), pooler))
  return AlbertOutputs(embedding_output, sequence_output, pooled_output, embedding_table)


def _cls_output(sequence_output, read_positions, packing):
  """The output at [CLS]: float32 [B, H], or [B*K, H] with packing."""
  if packing is None:
    return sequence_output[:, 0]
  count = packing.cls_positions.shape[1].value
  found = (sequence_output[:, :count] if read_positions is not None
           else tf.batch_gather(sequence_output, packing.cls_positions))
  return tf.reshape(found, [-1, sequence_output.shape[-1].value])


def _attention_scores(input_mask, packing):
  """What is added to the scores so that only tokens of one example meet: float32 [B, 1, 1, S], packed [B, 1, S, S]."""
  if packing is None:
    visible = tf.cast(input_mask[:, tf.newaxis, tf.newaxis, :], tf.float32)
  else:
    example = packing.example_ids[:, tf.newaxis]
    visible = tf.cast(tf.equal(example[:, :, :, tf.newaxis], example[:, :, tf.newaxis, :]), tf.float32)
  return (1.0 - visible) * _PADDING_SCORE


def default_ops():
  """Ops of TensorFlow operations alone, for any device; dropout is the same at each step."""
  return Ops(layers.gelu, layers.StatelessDropout(seed=0, step=tf.constant(0, tf.int64)), layers.add_and_norm,
             attention, layers.cross_entropy, lambda x: (x, x, x))


def activation(config, ops=None):
  """The function that config.hidden_act names; `ops` may bring its own gelu."""
  if config.hidden_act == 'relu':
    return tf.nn.relu
  return ops.gelu if ops else layers.gelu


def _embeddings(input_ids, segment_ids, packing, config, ops):
  """Sum of word, segment and position embeddings (section 3.1: at width E). Returns [V, E], [B, S, E]."""
  with tf.variable_scope('embeddings'):
    def table(name, rows):
      return layers.weight_variable(name, [rows, config.embedding_size], config.initializer_range)
    word = table('word_embeddings', config.vocab_size)
    token_type = table('token_type_embeddings', config.type_vocab_size)
    position = table('position_embeddings', config.max_position_embeddings)
    # A product with one-hot rows: the gradient of a gather from a table of two rows is a slow scatter.
    segments = tf.tensordot(tf.one_hot(segment_ids, config.type_vocab_size), token_type, 1)
    positions = tf.gather(position, packing.position_ids) if packing else position[:input_ids.shape[1].value]
    summed = tf.gather(word, input_ids) + segments + positions
    normed = layers.layer_norm(summed, layers.norm_variables('LayerNorm', config.embedding_size))
  return word, ops.dropout(normed, config.hidden_dropout_prob)


def _encoder(embedding_output, scores, read_positions, config, ops, recompute):
  """Applies all layers. Returns float32 [B*S, H], or [B*R, H] of read_positions int32 [B, R]."""
  hidden = tf.reshape(embedding_output, [-1, config.embedding_size])
  if config.embedding_size != config.hidden_size:
    mapping = layers.dense_variables('embedding_hidden_mapping_in', config.embedding_size, config.hidden_size,
                                     config.initializer_range)
    hidden = layers.dense(hidden, mapping)
  with tf.variable_scope('transformer'):
    groups = [_group_variables(group, config) for group in range(config.num_hidden_groups)]
  weights = {(group, inner): _weights(block, config)
             for group, blocks in enumerate(groups) for inner, block in enumerate(blocks)}
  applied = [(config.group_of_layer(layer), inner)
             for layer in range(config.num_hidden_layers) for inner in range(config.inner_group_num)]
  for number, block in enumerate(applied[:-1]):
    with tf.name_scope('layer_{}'.format(number // config.inner_group_num)):
      if recompute:
        hidden, weights[block] = _recomputed_block(hidden, scores, weights[block], config, ops)
      else:
        hidden = _transformer_block(hidden, scores, weights[block], config, ops)
  with tf.name_scope('layer_{}'.format(config.num_hidden_layers - 1)):
    return _transformer_block(hidden, scores, weights[applied[-1]], config, ops, read_positions)


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


def _weights(block, config):
  """What a layer multiplies with: its variables, with 1 / sqrt(D) in the query and key and value side by side.

  Once for all layers that share them. The layer then scales no scores and has one product for key and value.
  """
  scale = 1.0 / math.sqrt(config.hidden_size // config.num_attention_heads)
  return _Weights(
      query=layers.Dense(block.query.kernel * scale, block.query.bias * scale),
      key_value=layers.Dense(tf.concat([block.key.kernel, block.value.kernel], axis=1),
                             tf.concat([block.key.bias, block.value.bias], axis=0)),
      attention_output=block.attention_output, attention_norm=block.attention_norm,
      intermediate=block.intermediate, output=block.output, output_norm=block.output_norm)


def _transformer_block(x, padding_scores, weights, config, ops, read_positions=None):
  """Post-LN attention and feed-forward network (Vaswani et al. 2017).

  Args:
    x: float32 [B*S, H].
    padding_scores: float32 [B, 1, 1 or S, S], added to the attention scores.
    weights: _Weights.
    config, ops: as for albert.
    read_positions: int32 [B, R], the positions whose result is needed, or None for all.

  Returns:
    float32 [B*S, H], or [B*R, H].
  """
  if read_positions is None:
    residual, asking, x = ops.three_times(x)
  else:
    residual = asking = _rows_at(x, read_positions)
  if read_positions is not None and padding_scores.shape[2].value > 1:
    padding_scores = tf.batch_gather(padding_scores[:, 0], read_positions)[:, tf.newaxis]
  context = _self_attention(asking, x, padding_scores, weights, config, ops)
  attended = layers.dense(context, weights.attention_output)
  x = ops.add_and_norm(residual, ops.dropout(attended, config.hidden_dropout_prob), weights.attention_norm)
  inner = activation(config, ops)(layers.dense(x, weights.intermediate))
  output = ops.dropout(layers.dense(inner, weights.output), config.hidden_dropout_prob)
  return ops.add_and_norm(x, output, weights.output_norm)


def _recomputed_block(x, padding_scores, weights, config, ops):
  """_transformer_block that keeps only x for the backward pass. Arguments as there. Returns (result, weights)."""
  # Dropout numbers its calls: copies from before the first time draw the same masks again.
  before = copy.copy(ops.dropout)

  def block(x, weights):
    return _transformer_block(x, padding_scores, weights, config, ops)

  def again(x, weights):
    return _transformer_block(x, padding_scores, weights, config, ops._replace(dropout=copy.copy(before)))
  return recomputation.recomputed(block, again, x, weights)


def _rows_at(x, positions):
  """x: float32 [B*S, H]; positions: int32 [B, R]. Returns float32 [B*R, H]."""
  batch_size = positions.shape[0].value
  starts = tf.range(batch_size)[:, tf.newaxis] * (x.shape[0].value // batch_size)
  return tf.gather(x, tf.reshape(starts + positions, [-1]))


def _self_attention(asking, x, padding_scores, weights, config, ops):
  """What rows `asking` float32 [B*R, H] find in x float32 [B*S, H]. Returns float32 [B*R, H]."""
  rate = config.attention_probs_dropout_prob
  return ops.attention(layers.dense(asking, weights.query), layers.dense(x, weights.key_value), padding_scores,
                       config.num_attention_heads, (lambda p: ops.dropout(p, rate)) if rate else None)


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
  batch_size, width = padding_scores.shape[0].value, query.shape[1].value

  def split_heads(x):  # [B*R, H] -> [B, N, R, D]
    return tf.transpose(tf.reshape(x, [batch_size, -1, num_heads, width // num_heads]), [0, 2, 1, 3])

  key, value = tf.split(key_value, 2, axis=1)
  scores = tf.matmul(split_heads(query), split_heads(key), transpose_b=True) + padding_scores  # [B, N, R, S]
  probabilities = tf.nn.softmax(scores)
  context = tf.matmul(dropout(probabilities) if dropout else probabilities, split_heads(value))
  return tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [-1, width])  # [B, N, R, D] -> [B*R, H]
