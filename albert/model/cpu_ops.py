"""The same mathematics for a CPU: attention head by head, and element-wise work compiled into one pass each.

training_step.model_ops says where these are used; modeling.Ops passes them to the model. What each gains:
docs/performance.md. They are made for one shape: where the graph does not know it, those of albert.model.layers take
their place.
Shapes: B batch, S sequence, R query rows of an example, N heads, D head size, H hidden size.
"""

import functools

import tensorflow as tf
from tensorflow.python.compiler.xla import xla

from albert.model import layers

# Only TensorFlow 1.15's MatMul has a fast kernel on a CPU; a batch of matrices is multiplied by one that is two to six
# times slower. So each head is a MatMul of its own, if its multiplications outweigh the microseconds of a call, and if
# a layer does not become a graph of too many operations.
_SMALLEST_PRODUCT = 128 * 128 * 64
_MOST_BLOCKS = 512
# Elsewhere all heads of a few examples are a block: their scores should stay in the cache, and fewer blocks are fewer
# operations to start.
_BLOCK_BYTES = 4 << 20


def compiled(computation):
  """The function compiled by XLA: one pass over memory and AVX-512 instead of one AVX pass for each operation.

  Only for element-wise functions and sums along an axis: XLA's matrix products are slower than TensorFlow's.
  """
  def call(*tensors):
    results = xla.compile(computation, list(tensors))
    return results[0] if len(results) == 1 else tuple(results)
  return call


def _for_known_shapes(otherwise):
  """Decorator: `otherwise` replaces the function where a shape is unknown; XLA would compile anew for each shape."""
  def decorate(function):
    @functools.wraps(function)
    def call(*arguments):
      known = all(x.shape.is_fully_defined() for x in arguments if isinstance(x, tf.Tensor))
      return (function if known else otherwise)(*arguments)
    return call
  return decorate


@_for_known_shapes(otherwise=layers.gelu)
@tf.custom_gradient
def gelu(x):
  """layers.gelu in one pass forward and one backward, as x s(u) with the logistic function s. x: float32."""
  def value(x):
    return x * _logistic(x)[0]

  def gradient(x, dy):
    gate, complement, slope = _logistic(x)
    return dy * gate * (1.0 + x * complement * slope)

  return compiled(value)(x), lambda dy: compiled(gradient)(x, dy)


def _logistic(x):
  """s(u), 1 - s(u) and du/dx for u = 2 sqrt(2/pi) (x + 0.044715 x^3), so that (1 + tanh(u / 2)) / 2 = s(u)."""
  scale, cubic = 2.0 * layers.GELU_SCALE, 3.0 * layers.GELU_SCALE * 2.0 * layers.GELU_CUBIC
  square = x * x
  # From exp, because XLA's tanh does not quite reach -1, which the slope multiplies. Within 80 nothing overflows.
  opposite = tf.exp(tf.clip_by_value(-x * (scale + cubic / 3.0 * square), -80.0, 80.0))
  gate = 1.0 / (1.0 + opposite)
  return gate, opposite * gate, scale + cubic * square


@_for_known_shapes(otherwise=layers.add_and_norm)
def add_and_norm(x, y, norm):
  """Layer norm of x + y over the last axis. x, y: float32 [rows, H]; norm: layers.Norm."""
  @tf.custom_gradient
  def function(x, y, gamma, beta):
    def forward(x, y, gamma, beta):
      total = x + y
      return layers.layer_norm_value(total, gamma, beta), total

    def gradient(dy):
      dx, dgamma, dbeta = compiled(layers.layer_norm_gradient)(total, gamma, dy)
      return dx, dx, dgamma, dbeta

    normed, total = compiled(forward)(x, y, gamma, beta)
    return normed, gradient
  return function(x, y, norm.gamma, norm.beta)


@_for_known_shapes(otherwise=layers.for_three_readers)
@tf.custom_gradient
def for_three_readers(x):
  """(x, x, x), whose gradients are added in this order. x: float32.

  AddN begins with an input whose memory nobody else needs any more, so that with three of them the order, and the last
  bit of the sum, depends on which operation was faster. With two, or where nobody else reads, it does not.
  """
  return (x, x, x), lambda *gradients: compiled(lambda a, b, c: a + b + c)(*gradients)


@_for_known_shapes(otherwise=layers.cross_entropy)
@tf.custom_gradient
def cross_entropy(logits, labels):
  """tf.nn.sparse_softmax_cross_entropy_with_logits: logits float32 [rows, V], labels int32 [rows] -> float32 [rows].

  The gradient is computed from the logits when it is needed, instead of being kept from the forward pass.
  """
  rows, classes = logits.shape.as_list()

  def log_sum(logits):
    most = tf.reduce_max(logits, axis=-1)
    return most + tf.log(tf.reduce_sum(tf.exp(logits - most[:, tf.newaxis]), axis=-1))

  def gradient(dloss):
    def function(logits, log_sums, labels, dloss):
      chosen = tf.cast(tf.equal(labels[:, tf.newaxis], tf.range(classes)), tf.float32)
      return (tf.exp(logits - log_sums[:, tf.newaxis]) - chosen) * dloss[:, tf.newaxis]
    return compiled(function)(logits, log_sums, labels, dloss), None

  log_sums = compiled(log_sum)(logits)
  return log_sums - tf.gather(tf.reshape(logits, [-1]), tf.range(rows) * classes + labels), gradient


@_for_known_shapes(otherwise=layers.attention)
def attention(query, key_value, padding_scores, num_heads, dropout=None):
  """softmax(Q K^T + padding) V for each head, like layers.attention, one block of the scores at a time.

  A block is one head of an example, or all heads of a few examples where heads are small. Its scores stay in the
  cache, while those of a batch would pass through memory for each operation.

  Args:
    query: float32 [B*R, H], scaled by 1 / sqrt(D). key_value: float32 [B*S, 2H], the keys, then the values.
    padding_scores: float32 [B, 1, 1 or R, S], added to the scores.
    num_heads: N.
    dropout: function of the probabilities, or None.

  Returns:
    float32 [B*R, H].
  """
  batch_size, seq_length = padding_scores.shape[0].value, padding_scores.shape[-1].value
  rows, width = query.shape[0].value // batch_size, query.shape[1].value
  single = (rows * seq_length * (width // num_heads) >= _SMALLEST_PRODUCT
            and batch_size * num_heads <= _MOST_BLOCKS)
  group = 1 if single else _examples_in_block(batch_size, 4 * num_heads * rows * seq_length)
  parts = batch_size // group
  count = num_heads if single else 1  # blocks of a part
  scores = ([part[0] for part in tf.unstack(padding_scores) for _ in range(count)] if single
            else tf.split(padding_scores, parts))

  def cut(query, key_value):
    keys_and_values = _cut(key_value, parts, group, 2 * num_heads, single)
    keys, values = [], []
    for part in range(parts):
      if single:
        blocks = keys_and_values[2 * count * part:2 * count * (part + 1)]
      else:
        blocks = tf.split(keys_and_values[part], 2, axis=1)
      keys += blocks[:count]
      values += blocks[count:]
    return list(zip(_cut(query, parts, group, num_heads, single), keys, values))

  def function(query, key_value):
    blocks = cut(query, key_value)
    probabilities = [_probabilities(q, k, score) for (q, k, _), score in zip(blocks, scores)]
    kept = [dropout(p) for p in probabilities] if dropout else probabilities
    contexts = [tf.matmul(p, v) for p, (_, _, v) in zip(kept, blocks)]

    def gradient(dy):
      gradients = [_block_gradients(block, p, context, d) for block, p, context, d in zip(
          blocks, probabilities, contexts, _cut(dy, parts, group, num_heads, single))]
      dquery = _paste([dq for dq, _, _ in gradients], parts)
      both = []
      for start in range(0, len(gradients), count):
        part = gradients[start:start + count]
        both += [dk for _, dk, _ in part] + [dv for _, _, dv in part]
      return dquery, _paste(both, parts)

    return _paste(contexts, parts), gradient

  # Dropout has a gradient of its own: automatic differentiation goes through it.
  return function(query, key_value)[0] if dropout else tf.custom_gradient(function)(query, key_value)


def _examples_in_block(batch_size, bytes_of_example):
  """The largest divisor of the batch size whose scores fit into a block, or 1."""
  return max(size for size in range(1, batch_size + 1)
             if batch_size % size == 0 and (size == 1 or size * bytes_of_example <= _BLOCK_BYTES))


def _cut(x, parts, group, num_heads, single):
  """Cuts float32 [B*R, N*D] into one [R, D] for each example and head, or one [group, N, R, D] for each part."""
  pieces = tf.split(x, parts)  # shares the memory of x
  if single:
    return [head for piece in pieces for head in tf.split(piece, num_heads, axis=1)]
  split = [group, x.shape[0].value // (parts * group), num_heads, x.shape[1].value // num_heads]
  return [tf.transpose(tf.reshape(piece, split), [0, 2, 1, 3]) for piece in pieces]


def _paste(blocks, parts):
  """The inverse of _cut, also for the halves of a cut list. Returns [B*R, N*D]."""
  each = len(blocks) // parts
  pieces = [blocks[start:start + each] for start in range(0, len(blocks), each)]
  if blocks[0].shape.ndims == 2:
    return tf.concat([tf.concat(heads, axis=1) for heads in pieces], axis=0)
  rows = blocks[0].shape[0].value * blocks[0].shape[2].value
  joined = [tf.concat(halves, axis=1) for halves in pieces]  # [group, N or 2N, R, D]
  return tf.concat([tf.reshape(tf.transpose(piece, [0, 2, 1, 3]), [rows, -1]) for piece in joined], axis=0)


def _probabilities(query, key, padding_scores):
  return tf.nn.softmax(tf.matmul(query, key, transpose_b=True) + padding_scores)


def _block_gradients(block, probabilities, context, dcontext):
  """Gradients of softmax(q k^T) v for q, k and v. dcontext: as context, [R, D] or [group, N, R, D]."""
  query, key, value = block
  # The sum over a row of dp p, which the gradient of softmax needs, is that of dcontext context: D numbers, not S.
  row_sums = tf.reduce_sum(dcontext * context, axis=-1, keepdims=True)
  dscores = (tf.matmul(dcontext, value, transpose_b=True) - row_sums) * probabilities
  return (tf.matmul(dscores, key), _transposed_product(dscores, query),
          _transposed_product(probabilities, dcontext))


def _transposed_product(x, y):
  """x^T y. x: [R, S] or [group, N, R, S]; y: [R, D] or [group, N, R, D]."""
  if x.shape.ndims > 2:
    return tf.matmul(x, y, transpose_a=True)
  # MatMul is a third slower with a wide first matrix transposed, and transposing a narrow result costs little.
  return tf.transpose(tf.matmul(y, x, transpose_a=True))
