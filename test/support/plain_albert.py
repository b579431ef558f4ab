"""ALBERT as plainly as TensorFlow 1.15 allows: the oracle that the library is compared with, and the denominator of
its speed. Nothing here is clever, and nothing is shared with the library.

Query, key and value are three products; layer norm is nn.moments and batch_normalization; gelu uses tf.pow and is
differentiated automatically; the mask is an added -10000; the masked-LM loss is one_hot x log_softmax over all P
slots; the last layer is computed for every token. Variable names are those of the published checkpoints.
Shapes: B batch, S sequence, P masked predictions, E embedding size, H hidden size, N heads, D = H / N, V vocabulary.

As a program, `python test/support/plain_albert.py FOLDER`, it is a worker of tools.benchmark: FOLDER holds
albert_config.json and batch.npz; each line 'step' on standard input makes one training step and is answered by its
seconds.
"""

import collections
import json
import math
import os
import re
import resource
import sys
import time
import types

import numpy as np

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


def train_op(total_loss, rate):
  """Gradients clipped to norm 1, then LAMB with weight decay 0.01, written as the published optimizer is."""
  variables = tf.trainable_variables()
  gradients, _ = tf.clip_by_global_norm(tf.gradients(total_loss, variables), 1.0)
  return tf.group(*[_lamb(variable, tf.convert_to_tensor(gradient), rate)
                    for variable, gradient in zip(variables, gradients)])


def _lamb(variable, gradient, rate):
  m, v = [tf.get_variable(variable.op.name + name, variable.shape, initializer=tf.zeros_initializer(), trainable=False)
          for name in ('/adam_m', '/adam_v')]
  next_m = 0.9 * m + 0.1 * gradient
  next_v = 0.999 * v + 0.001 * tf.square(gradient)
  update = next_m / (tf.sqrt(next_v) + 1e-6)
  if not re.search('LayerNorm|bias', variable.op.name):
    update += 0.01 * variable
    weight_norm, update_norm = tf.norm(variable), tf.norm(update)
    update *= tf.where(weight_norm > 0, tf.where(update_norm > 0, weight_norm / update_norm, 1.0), 1.0)
  return tf.group(variable.assign(variable - rate * update), m.assign(next_m), v.assign(next_v))


def serve(folder):
  """Makes a step for each line 'step', and answers with JSON; any other line asks for the peak memory."""
  with open(os.path.join(folder, 'albert_config.json'), encoding='utf-8') as source:
    config = types.SimpleNamespace(**json.load(source))
  arrays = dict(np.load(os.path.join(folder, 'batch.npz')))
  batch = types.SimpleNamespace(**{name: tf.placeholder(tf.as_dtype(value.dtype), value.shape)
                                   for name, value in arrays.items()})
  loss = build(batch, config).total_loss
  fetches = [loss, train_op(loss, 1e-6)]
  feed = {getattr(batch, name): value for name, value in arrays.items()}
  session = tf.Session()
  session.run(tf.global_variables_initializer())
  for line in sys.stdin:
    if line == 'step\n':
      cpu, start = time.process_time(), time.perf_counter()
      values = session.run(fetches, feed)[0]
      answer = dict(seconds=time.perf_counter() - start, cpu_seconds=time.process_time() - cpu, loss=float(values))
    else:
      answer = dict(peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
    print(json.dumps(answer), flush=True)


if __name__ == '__main__':
  tf.logging.set_verbosity(tf.logging.ERROR)
  serve(sys.argv[1])
