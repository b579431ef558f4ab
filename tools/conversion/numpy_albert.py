"""The forward pass of an ALBERT in numpy: heads, activation and place of the norms are arguments, no graph is built.

For the probe, which tries what the configuration does not say, and to compare outputs. A test holds it against the
library's graph. Shapes: B batch, S sequence, E embedding size, H hidden size, N heads, D = H / N, V vocabulary, R rows.
"""

import collections
import math

import numpy as np
from scipy import special

from albert.common.errors import first_of
from albert.common.errors import UserError
from albert.model import names

# input_ids, segment_ids: whole numbers [B, S]; input_mask: [B, S], true for tokens and false for padding.
Batch = collections.namedtuple('Batch', ['input_ids', 'segment_ids', 'input_mask'])
# What no shape shows. activation: a key of ACTIVATIONS; norm: POST or PRE.
Form = collections.namedtuple('Form', ['heads', 'activation', 'norm'])
POST, PRE = 'post-LN', 'pre-LN'

_EPSILON = 1e-12
_PADDING_SCORE = np.float32(-10000)
_SQRT_HALF = np.float32(math.sqrt(0.5))
_GELU_SCALE = np.float32(math.sqrt(2 / math.pi))


def _gelu_tanh(x):
  return x * np.float32(0.5) * (1 + np.tanh(_GELU_SCALE * x * (1 + np.float32(0.044715) * x * x)))


def _gelu_erf(x):
  return x * np.float32(0.5) * (1 + special.erf(x * _SQRT_HALF))


ACTIVATIONS = collections.OrderedDict([
    ('gelu tanh', _gelu_tanh), ('gelu erf', _gelu_erf), ('relu', lambda x: np.maximum(x, 0))])


def form_of(config):
  """The Form that an AlbertConfig stands for."""
  return Form(config.num_attention_heads, {'gelu': 'gelu tanh'}.get(config.hidden_act, config.hidden_act), POST)


class Model:
  """The weights of an ALBERT, and what can be computed with them."""

  def __init__(self, weights, config):
    """weights: {name: array}; config: AlbertConfig. Raises UserError if a variable of the encoder is missing or has
    another shape."""
    self._weights = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    self._config = config
    wrong = [name for name, shape in names.model_shapes(config).items()
             if names.part_of_model(name) == names.ENCODER and np.shape(weights.get(name)) != shape]
    if wrong:
      raise UserError('expected the encoder of the configuration beside the weights, found {} variables missing or of '
                      'another shape: {}; see tools.checkpoints verify'.format(len(wrong), first_of(wrong)))

  def encode(self, batch, form):
    """float32 [B, S, H]."""
    length = np.shape(batch.input_ids)[1]
    table = self._weights['bert/embeddings/word_embeddings']
    x = (table[batch.input_ids] + self._weights['bert/embeddings/token_type_embeddings'][batch.segment_ids]
         + self._weights['bert/embeddings/position_embeddings'][:length])
    x = self._norm(x, 'bert/embeddings/LayerNorm')
    if self._config.embedding_size != self._config.hidden_size:
      x = self._dense(x, 'bert/encoder/embedding_hidden_mapping_in')
    scores = np.where(batch.input_mask, np.float32(0), _PADDING_SCORE)[:, np.newaxis, np.newaxis, :]  # [B, 1, 1, S]
    for layer in range(self._config.num_hidden_layers):
      for inner in range(self._config.inner_group_num):
        prefix = 'bert/encoder/transformer/group_{}/inner_group_{}/'.format(self._config.group_of_layer(layer), inner)
        x = self._block(x, scores, prefix, form)
    return x

  def _block(self, x, scores, prefix, form):
    """float32 [B, S, H] -> [B, S, H]."""
    activation = ACTIVATIONS[form.activation]
    if form.norm == PRE:
      x = x + self._attention(self._norm(x, prefix + 'LayerNorm'), scores, prefix, form.heads)
      return x + self._feed_forward(self._norm(x, prefix + 'LayerNorm_1'), prefix, activation)
    x = self._norm(x + self._attention(x, scores, prefix, form.heads), prefix + 'LayerNorm')
    return self._norm(x + self._feed_forward(x, prefix, activation), prefix + 'LayerNorm_1')

  def _attention(self, x, scores, prefix, heads):
    def projected(name):  # [B, N, S, D]
      y = self._dense(x, prefix + 'attention_1/self/' + name)
      return y.reshape(y.shape[:2] + (heads, -1)).transpose(0, 2, 1, 3)
    query, key, value = projected('query'), projected('key'), projected('value')
    scale = np.float32(1 / math.sqrt(query.shape[-1]))
    probabilities = special.softmax(query @ key.transpose(0, 1, 3, 2) * scale + scores, axis=-1)  # [B, N, S, S]
    context = (probabilities @ value).transpose(0, 2, 1, 3).reshape(x.shape)
    return self._dense(context, prefix + 'attention_1/output/dense')

  def _feed_forward(self, x, prefix, activation):
    inner = activation(self._dense(x, prefix + 'ffn_1/intermediate/dense'))
    return self._dense(inner, prefix + 'ffn_1/intermediate/output/dense')

  def pooled(self, sequence):
    """float32 [B, H] of sequence [B, S, H]."""
    return np.tanh(self._dense(sequence[:, 0], 'bert/pooler/dense'))

  def masked_lm_logits(self, rows, form):
    """float32 [R, V] of rows [R, H] of the encoder's output."""
    hidden = ACTIVATIONS[form.activation](self._dense(rows, 'cls/predictions/transform/dense'))
    hidden = self._norm(hidden, 'cls/predictions/transform/LayerNorm')
    return hidden @ self._weights['bert/embeddings/word_embeddings'].T + self._weights['cls/predictions/output_bias']

  def sentence_order_logits(self, pooled):
    """float32 [B, 2] of pooled [B, H]."""
    return (pooled @ self._weights['cls/seq_relationship/output_weights'].T
            + self._weights['cls/seq_relationship/output_bias'])

  def _dense(self, x, name):
    return x @ self._weights[name + '/kernel'] + self._weights[name + '/bias']

  def _norm(self, x, name):
    mean = x.mean(axis=-1, keepdims=True)
    variance = np.square(x - mean).mean(axis=-1, keepdims=True)
    return ((x - mean) / np.sqrt(variance + np.float32(_EPSILON))
            * self._weights[name + '/gamma'] + self._weights[name + '/beta'])


def outputs(checkpoint, config, batch):
  """OrderedDict of sequence_output and what a Checkpoint has heads for: pooled_output, logits of both tasks."""
  model, form = Model(checkpoint.tensors(), config), form_of(config)
  parts = names.parts_in(checkpoint.shapes)
  sequence = model.encode(batch, form)
  arrays = collections.OrderedDict([('sequence_output', sequence)])
  if names.POOLER in parts:
    arrays['pooled_output'] = model.pooled(sequence)
    if names.SENTENCE_ORDER in parts:
      arrays['sentence_order_logits'] = model.sentence_order_logits(arrays['pooled_output'])
  if names.MASKED_LM in parts:
    arrays['masked_lm_logits'] = model.masked_lm_logits(sequence.reshape(-1, config.hidden_size), form)
  return arrays
