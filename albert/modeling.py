"""The ALBERT encoder: factorised embeddings and transformer layers that share their parameters.

Lan et al. 2019, "ALBERT: A Lite BERT for Self-supervised Learning of Language Representations".
Shapes: B batch, S sequence, E embedding size, H hidden size, N heads, D = H / N, I intermediate size, V vocabulary.
B, S and the other counts of rows may be unknown until a session runs; sizes that the graph knows stay static.
Variable names are the format of the published checkpoints; `modeling_test` pins them.
"""

import collections
import copy
import math

import tensorflow as tf

from albert.common.errors import UserError
from albert.model.config import AlbertConfig  # noqa: F401, part of this module's interface
from albert.model import layers
from albert.model import recomputation

# Several examples in one row: int32 [B, S] position_ids, which begin at 0 in each example, and example_ids, the
# number of the example that a token belongs to, -1 for padding; int32 [B, K] cls_positions. Tokens attend within
# their example.
Packing = collections.namedtuple('Packing', ['position_ids', 'example_ids', 'cls_positions'])

# The encoder's results: embedding_output float32 [B, S, E] (after LayerNorm and dropout), sequence_output float32
# [B, S, H], or [B, R, H] at the R read_positions, pooled_output float32 [B, H] ([B*K, H] with packing),
# embedding_table float32 [V, E] (tied with the MLM head).
AlbertOutputs = collections.namedtuple(
    'AlbertOutputs', ['embedding_output', 'sequence_output', 'pooled_output', 'embedding_table'])

# The operations that a backend may replace: gelu(x), dropout(x, rate), add_and_norm(x, y, norm),
# attention(query, key_value, padding_scores, num_heads, dropout), cross_entropy(logits, labels), for_three_readers(x),
# which is (x, x, x). See training_step.model_ops.
Ops = collections.namedtuple(
    'Ops', ['gelu', 'dropout', 'add_and_norm', 'attention', 'cross_entropy', 'for_three_readers'])

# Added to the attention scores of padding: exp(-10000) is 0 in float32 and in float16.
_PADDING_SCORE = -10000.0

# The variables of a transformer block, layers.Dense and layers.Norm.
_Layer = collections.namedtuple('_Layer', [
    'query', 'key', 'value', 'attention_output', 'attention_norm', 'intermediate', 'output', 'output_norm'])

# The factors of a block's products: query is scaled, key_value is both side by side; the others are the variables.
_Weights = collections.namedtuple('_Weights', [
    'query', 'key_value', 'attention_output', 'attention_norm', 'intermediate', 'output', 'output_norm'])


def albert(input_ids, input_mask, segment_ids, config, is_training, ops=None, read_positions=None, packing=None,
           recompute=False, scope='bert', pooled=True):
  """Encodes a batch of token sequences.

  Args:
    input_ids: int32 [B, S].
    input_mask: int32 [B, S], 1 for tokens and 0 for padding.
    segment_ids: int32 [B, S], 0 for the first segment and 1 for the second.
    config: AlbertConfig with vocab_size set.
    is_training: Python bool; dropout is off without it.
    ops: Ops, or None for this library's own.
    read_positions: int32 [B, R], the positions whose output is needed, [CLS] first (with packing, that of each of the K
      examples); the last layer computes no others. None means all.
    packing: Packing where a row holds several examples, else None.
    recompute: Python bool, whether the backward pass computes each layer again from its input instead of keeping its
      intermediate results. The last layer is never recomputed: its backward pass begins at once.
    scope: variable scope.
    pooled: Python bool, whether the pooler is there; without it pooled_output is None.

  Returns:
    AlbertOutputs.

  Raises:
    UserError: S is above config.max_position_embeddings. An S that the graph does not know fails when it is run, as
      tf.errors.InvalidArgumentError.
  """
  ops = ops or default_ops()
  if not is_training:
    ops = ops._replace(dropout=lambda x, rate: x)
  with tf.variable_scope(scope):
    embedding_table, embedding_output = _embeddings(input_ids, segment_ids, packing, config, ops)
    with tf.variable_scope('encoder'):
      hidden = _encoder(embedding_output, _attention_scores(input_mask, packing), read_positions, config, ops,
                        recompute)
    sequence_output = tf.reshape(hidden, [layers.size(input_ids, 0), -1, config.hidden_size])
    # An unknown batch size would hide a known number of rows.
    sequence_output.set_shape([None, (input_ids if read_positions is None else read_positions).shape[1], None])
    if not pooled:
      return AlbertOutputs(embedding_output, sequence_output, None, embedding_table)
    with tf.variable_scope('pooler'):
      pooler = layers.dense_variables('dense', config.hidden_size, config.hidden_size, config.initializer_range)
    pooled_output = tf.tanh(layers.dense(_cls_output(sequence_output, read_positions, packing), pooler))
  return AlbertOutputs(embedding_output, sequence_output, pooled_output, embedding_table)


def _cls_output(sequence_output, read_positions, packing):
  """The output at [CLS]: float32 [B, H], or [B*K, H] with packing."""
  if packing is None:
    return sequence_output[:, 0]
  count = layers.size(packing.cls_positions, 1)
  rows = (sequence_output[:, :count] if read_positions is not None
          else tf.batch_gather(sequence_output, packing.cls_positions))
  return tf.reshape(rows, [-1, sequence_output.shape[-1].value])


def _attention_scores(input_mask, packing):
  """Added to the scores so that only tokens of one example meet: float32 [B, 1, 1, S], with packing [B, 1, S, S]."""
  if packing is None:
    visible = tf.cast(input_mask[:, tf.newaxis, tf.newaxis, :], tf.float32)
  else:
    example = packing.example_ids[:, tf.newaxis]
    visible = tf.cast(tf.equal(example[:, :, :, tf.newaxis], example[:, :, tf.newaxis, :]), tf.float32)
  return (1.0 - visible) * _PADDING_SCORE


def default_ops():
  """Ops of TensorFlow operations alone, for any device; dropout is the same at each step."""
  return Ops(layers.gelu, layers.StatelessDropout(seed=0, step=tf.constant(0, tf.int64)), layers.add_and_norm,
             layers.attention, layers.cross_entropy, layers.for_three_readers)


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
    positions = tf.gather(position, packing.position_ids) if packing else position[:_checked_length(input_ids, config)]
    summed = tf.gather(word, input_ids) + segments + positions
    normed = layers.layer_norm(summed, layers.norm_variables('LayerNorm', config.embedding_size))
  return word, ops.dropout(normed, config.hidden_dropout_prob)


def _checked_length(input_ids, config):
  """S, int or int32 scalar. Raises UserError, or fails when it is run, if there are fewer position embeddings."""
  length, most = layers.size(input_ids, 1), config.max_position_embeddings
  message = 'expected sequences of at most {} tokens (AlbertConfig.max_position_embeddings), found {}; shorten them'
  if isinstance(length, int):
    if length > most:
      raise UserError(message.format(most, length))
    return length
  check = tf.debugging.assert_less_equal(length, most, message=message.format(most, 'longer ones'))
  with tf.control_dependencies([check]):
    return tf.identity(length)


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
  """The factors of a layer's products: its variables, with 1 / sqrt(D) in the query and key and value side by side.

  Made once for all layers that share them. The layer then scales no scores and has one product for key and value.
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
    residual, query_rows, x = ops.for_three_readers(x)
  else:
    residual = query_rows = _rows_at(x, read_positions, layers.size(padding_scores, 3))
  if read_positions is not None and padding_scores.shape[2].value != 1:
    padding_scores = tf.batch_gather(padding_scores[:, 0], read_positions)[:, tf.newaxis]
  context = _self_attention(query_rows, x, padding_scores, weights, config, ops)
  attended = layers.dense(context, weights.attention_output)
  x = ops.add_and_norm(residual, ops.dropout(attended, config.hidden_dropout_prob), weights.attention_norm)
  inner = activation(config, ops)(layers.dense(x, weights.intermediate))
  output = ops.dropout(layers.dense(inner, weights.output), config.hidden_dropout_prob)
  return ops.add_and_norm(x, output, weights.output_norm)


def _recomputed_block(x, padding_scores, weights, config, ops):
  """_transformer_block that keeps only x for the backward pass. Same arguments. Returns (result, weights)."""
  # Dropout numbers its calls: a copy made before the first pass draws the same masks again.
  before = copy.copy(ops.dropout)

  def block(x, weights):
    return _transformer_block(x, padding_scores, weights, config, ops)

  def again(x, weights):
    return _transformer_block(x, padding_scores, weights, config, ops._replace(dropout=copy.copy(before)))
  return recomputation.recomputed(block, again, x, weights)


def _rows_at(x, positions, seq_length):
  """x: float32 [B*S, H]; positions: int32 [B, R]; seq_length: S, int or int32 scalar. Returns float32 [B*R, H]."""
  starts = tf.range(layers.size(positions, 0))[:, tf.newaxis] * seq_length
  return tf.gather(x, tf.reshape(starts + positions, [-1]))


def _self_attention(query_rows, x, padding_scores, weights, config, ops):
  """Attention of query_rows float32 [B*R, H] to x float32 [B*S, H]. Returns float32 [B*R, H]."""
  rate = config.attention_probs_dropout_prob
  return ops.attention(layers.dense(query_rows, weights.query), layers.dense(x, weights.key_value), padding_scores,
                       config.num_attention_heads, (lambda p: ops.dropout(p, rate)) if rate else None)
