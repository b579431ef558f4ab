"""ALBERT as plainly as TensorFlow 1.15 allows: the oracle that the library is compared with, and the denominator of
its speed. Nothing here is clever, and nothing is shared with the library.

Query, key and value are three products; layer norm is nn.moments and batch_normalization; gelu uses tf.pow and is
differentiated automatically; the mask is an added -10000; the masked-LM loss is one_hot x log_softmax over all P
slots; the last layer is computed for every token. Variable names are those of the published checkpoints.
Shapes: B batch, S sequence, P masked predictions, E embedding size, H hidden size, N heads, D = H / N, V vocabulary.
"""

import collections
import math

import tensorflow.compat.v1 as tf

# embedding_output [B, S, E], sequence_output [B, S, H], pooled_output [B, H]; log probabilities [B*P, V] and [B, 2];
# masked_lm_example_loss [B*P]; the losses are scalars. All float32.
PlainAlbert = collections.namedtuple('PlainAlbert', [
    'embedding_output', 'sequence_output', 'pooled_output', 'masked_lm_log_probs', 'masked_lm_example_loss',
    'masked_lm_loss', 'sentence_order_log_probs', 'sentence_order_loss', 'total_loss'])


def build(batch, config):
  """The whole pre-training model.

  Args:
    batch: has input_ids, input_mask, segment_ids int32 [B, S]; masked_lm_positions, masked_lm_ids int32 [B, P];
      masked_lm_weights float32 [B, P]; next_sentence_labels int32 [B, 1]. Shapes are static.
    config: has the keys of albert_config.json as attributes. Dropout is applied if its rates are not 0.

  Returns:
    PlainAlbert.
  """
  with tf.variable_scope('bert'):
    table, embedded = _embed(batch, config)
    with tf.variable_scope('encoder'):
      sequence = _encode(embedded, batch.input_mask, config)
    with tf.variable_scope('pooler'):
      pooled = tf.tanh(_dense(sequence[:, 0, :], config.hidden_size, 'dense', config))
  with tf.variable_scope('cls'):
    masked_log_probs, masked_example_loss, masked_loss = _masked_lm(sequence, table, batch, config)
    order_log_probs, order_loss = _sentence_order(pooled, batch, config)
  return PlainAlbert(embedded, sequence, pooled, masked_log_probs, masked_example_loss, masked_loss, order_log_probs,
                     order_loss, masked_loss + order_loss)


def _variable(name, shape, config):
  return tf.get_variable(name, shape, initializer=tf.truncated_normal_initializer(stddev=config.initializer_range))


def _dense(x, units, name, config):
  """x [..., in] -> [..., units]."""
  width = x.shape[-1].value
  with tf.variable_scope(name):
    kernel = _variable('kernel', [width, units], config)
    bias = tf.get_variable('bias', [units], initializer=tf.zeros_initializer())
  product = tf.matmul(tf.reshape(x, [-1, width]), kernel) + bias
  return tf.reshape(product, x.shape.as_list()[:-1] + [units])


def _layer_norm(x, name='LayerNorm'):
  with tf.variable_scope(name):
    beta = tf.get_variable('beta', [x.shape[-1].value], initializer=tf.zeros_initializer())
    gamma = tf.get_variable('gamma', [x.shape[-1].value], initializer=tf.ones_initializer())
  mean, variance = tf.nn.moments(x, axes=[-1], keep_dims=True)
  return tf.nn.batch_normalization(x, mean, variance, offset=beta, scale=gamma, variance_epsilon=1e-12)


def _gelu(x):
  return x * 0.5 * (1.0 + tf.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * tf.pow(x, 3))))


def _activation(x, config):
  return {'gelu': _gelu, 'relu': tf.nn.relu}[config.hidden_act](x)


def _dropout(x, rate):
  return tf.nn.dropout(x, rate=rate) if rate else x


def _embed(batch, config):
  """Returns the word table [V, E] and the normed sum of the three embeddings [B, S, E]."""
  width = config.embedding_size
  with tf.variable_scope('embeddings'):
    word = _variable('word_embeddings', [config.vocab_size, width], config)
    token_type = _variable('token_type_embeddings', [config.type_vocab_size, width], config)
    position = _variable('position_embeddings', [config.max_position_embeddings, width], config)
    seq_length = batch.input_ids.shape[1].value
    summed = (tf.nn.embedding_lookup(word, batch.input_ids) + tf.nn.embedding_lookup(token_type, batch.segment_ids)
              + position[tf.newaxis, :seq_length, :])
    return word, _dropout(_layer_norm(summed), config.hidden_dropout_prob)


def _encode(x, input_mask, config):
  """x [B, S, E] -> [B, S, H]. Layer l has the variables of group int(l / L * G)."""
  if config.embedding_size != config.hidden_size:
    x = _dense(x, config.hidden_size, 'embedding_hidden_mapping_in', config)
  added_mask = (1.0 - tf.cast(input_mask, tf.float32))[:, tf.newaxis, tf.newaxis, :] * -10000.0  # [B, 1, 1, S]
  for layer in range(config.num_hidden_layers):
    group = int(layer / config.num_hidden_layers * config.num_hidden_groups)
    for inner in range(config.inner_group_num):
      scope = 'transformer/group_{}/inner_group_{}'.format(group, inner)
      with tf.variable_scope(scope, reuse=tf.AUTO_REUSE):
        x = _block(x, added_mask, config)
  return x


def _block(x, added_mask, config):
  """Attention, then the feed-forward network, each followed by a residual sum and its norm. [B, S, H] -> [B, S, H]."""
  with tf.variable_scope('attention_1'):
    with tf.variable_scope('self'):
      context = _attention(x, added_mask, config)
    with tf.variable_scope('output'):
      attended = _dense(context, config.hidden_size, 'dense', config)
  x = _layer_norm(x + _dropout(attended, config.hidden_dropout_prob), 'LayerNorm')
  with tf.variable_scope('ffn_1/intermediate'):
    inner = _activation(_dense(x, config.intermediate_size, 'dense', config), config)
    with tf.variable_scope('output'):
      output = _dense(inner, config.hidden_size, 'dense', config)
  return _layer_norm(x + _dropout(output, config.hidden_dropout_prob), 'LayerNorm_1')


def _attention(x, added_mask, config):
  """softmax(Q K^T / sqrt(D) + mask) V for each head. [B, S, H] -> [B, S, H]."""
  batch_size, seq_length, width = x.shape.as_list()
  heads = config.num_attention_heads

  def project(name):
    split = tf.reshape(_dense(x, width, name, config), [batch_size, seq_length, heads, width // heads])
    return tf.transpose(split, [0, 2, 1, 3])  # [B, N, S, D]

  query, key, value = project('query'), project('key'), project('value')
  scores = tf.matmul(query, key, transpose_b=True) / math.sqrt(width // heads) + added_mask  # [B, N, S, S]
  probabilities = _dropout(tf.nn.softmax(scores), config.attention_probs_dropout_prob)
  context = tf.transpose(tf.matmul(probabilities, value), [0, 2, 1, 3])  # [B, S, N, D]
  return tf.reshape(context, [batch_size, seq_length, width])


def _masked_lm(sequence, table, batch, config):
  """Returns log probabilities [B*P, V], cross entropy of each slot [B*P], and sum(w * ce) / (sum(w) + 1e-5)."""
  batch_size, seq_length, width = sequence.shape.as_list()
  rows = batch.masked_lm_positions + tf.range(batch_size)[:, tf.newaxis] * seq_length
  hidden = tf.gather(tf.reshape(sequence, [-1, width]), tf.reshape(rows, [-1]))
  with tf.variable_scope('predictions'):
    with tf.variable_scope('transform'):
      transformed = _layer_norm(_activation(_dense(hidden, config.embedding_size, 'dense', config), config))
    bias = tf.get_variable('output_bias', [config.vocab_size], initializer=tf.zeros_initializer())
  log_probs = tf.nn.log_softmax(tf.matmul(transformed, table, transpose_b=True) + bias)
  labels = tf.one_hot(tf.reshape(batch.masked_lm_ids, [-1]), config.vocab_size)
  example_loss = -tf.reduce_sum(log_probs * labels, axis=-1)
  weights = tf.reshape(batch.masked_lm_weights, [-1])
  return log_probs, example_loss, tf.reduce_sum(weights * example_loss) / (tf.reduce_sum(weights) + 1e-5)


def _sentence_order(pooled, batch, config):
  """Returns log probabilities [B, 2] and their mean cross entropy."""
  with tf.variable_scope('seq_relationship'):
    kernel = _variable('output_weights', [2, config.hidden_size], config)
    bias = tf.get_variable('output_bias', [2], initializer=tf.zeros_initializer())
  log_probs = tf.nn.log_softmax(tf.matmul(pooled, kernel, transpose_b=True) + bias)
  labels = tf.one_hot(tf.reshape(batch.next_sentence_labels, [-1]), 2)
  return log_probs, tf.reduce_mean(-tf.reduce_sum(log_probs * labels, axis=-1))
