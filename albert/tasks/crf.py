"""A linear-chain conditional random field (Lafferty et al. 2001) over the scored tokens of packed rows.

    score(y) = start[y_1] + sum_t e_t[y_t] + sum_t T[y_t-1, y_t] + end[y_n];  loss = log sum_y' exp score(y') - score(y)

The sum over all paths is a recursion whose step is one product of [R, C] and [C, C]: exp(alpha) exp(T). So 222 tags
cost little, where log-sum-exp over [R, C, C] would cost C exponentials for each tag. Its gradient is written down, as
the same recursion backwards: it runs inside the loop over micro-batches, and what it keeps is alpha alone.

Shapes: R rows, S sequence, C tags.
"""

import collections

import tensorflow as tf

# Below it, exp(alpha) exp(T) counts as this: such a path has no part in the sum, and its logarithm must be finite.
_TINY = 1e-37

# transitions: float32 [C, C], of a tag (row) before another (column). start, end: float32 [C].
Parameters = collections.namedtuple('Parameters', ['transitions', 'start', 'end'])

# The scored tokens of each row, moved to its beginning. emissions float32 [R, S, C]; tags int32 [R, S]; float32 [R, S]:
# valid, 0 behind them; first and last, 1 where a chain begins and where it ends.
_Chains = collections.namedtuple('_Chains', ['emissions', 'tags', 'valid', 'first', 'last'])


# Of the variables of a run, in the order of Parameters.
SCOPE = 'crf'
NAMES = ('transitions', 'start_transitions', 'end_transitions')


def variables(scope, count):
  """Parameters of C = count tags, all zero at first, under a variable scope."""
  def zeros(name, shape):
    return tf.get_variable(name, shape, initializer=tf.zeros_initializer())
  with tf.variable_scope(scope):
    return Parameters(*map(zeros, NAMES, ([count, count], [count], [count])))


def loss(emissions, tags, mask, example_ids, parameters):
  """The losses of the chains in each row.

  Args:
    emissions: float32 [R, S, C].
    tags: int32 [R, S].
    mask: int32 [R, S], 1 for scored tokens: those of one example are a chain.
    example_ids: int32 [R, S], the example of each token.
    parameters: Parameters.

  Returns:
    (float32 [R], the sum of their losses; float32 [R], how many there are).
  """
  chains = _compacted(emissions, tags, mask, example_ids)
  return _log_partition(chains, parameters) - _score(chains, parameters), tf.reduce_sum(chains.first, axis=1)


def _compacted(emissions, tags, mask, example_ids):
  """_Chains."""
  length = mask.shape[1].value
  positions = tf.range(length)[tf.newaxis]
  order = tf.argsort(positions + length * (1 - mask), axis=1)
  valid = tf.cast(tf.batch_gather(mask, order), tf.float32)
  owners = tf.batch_gather(example_ids, order)
  begins = tf.pad(tf.cast(tf.not_equal(owners[:, 1:], owners[:, :-1]), tf.float32), [[0, 0], [1, 0]], constant_values=1)
  first = valid * begins
  last = valid * tf.pad(tf.maximum(begins, 1.0 - valid)[:, 1:], [[0, 0], [0, 1]], constant_values=1)
  return _Chains(tf.batch_gather(emissions, order), tf.batch_gather(tags, order), valid, first, last)


def _score(chains, parameters):
  """Of the labelled paths: float32 [R]. As products with one-hot rows: the gradient of a gather is a slow scatter."""
  count = chains.emissions.shape[2].value
  chosen = tf.one_hot(chains.tags, count)  # [R, S, C]
  before = tf.pad(chosen[:, :-1], [[0, 0], [1, 0], [0, 0]])
  first = chains.first[:, :, tf.newaxis]
  arrived = first * parameters.start + (1.0 - first) * tf.tensordot(before, parameters.transitions, 1)
  scores = chains.emissions + arrived + chains.last[:, :, tf.newaxis] * parameters.end
  return tf.reduce_sum(tf.reduce_sum(chosen * scores, axis=2) * chains.valid, axis=1)


def _log_partition(chains, parameters):
  """log sum exp score over all paths of the chains of each row: float32 [R]."""
  by_time = [tf.transpose(tensor, [1, 0, 2] if tensor.shape.ndims == 3 else [1, 0])
             for tensor in (chains.emissions, chains.valid, chains.first, chains.last)]
  valid, first, last = [tensor[:, :, tf.newaxis] for tensor in by_time[1:]]  # [S, R, 1]

  @tf.custom_gradient
  def partition(emissions, transitions, start, end):
    alphas = _forward(emissions, valid, first, transitions, start)
    ends = tf.reduce_logsumexp(alphas + end, axis=2)  # [S, R]

    def gradient(dy):
      return _backward(dy, alphas, valid, first, last, transitions, end)
    return tf.reduce_sum(ends * last[:, :, 0], axis=0), gradient

  return partition(by_time[0], parameters.transitions, parameters.start, parameters.end)


def _step(alphas, transitions):
  """(exp(alpha) scaled, its product with exp(transitions) scaled, log of that unscaled), each float32 [..., C]."""
  highest = tf.reduce_max(alphas, axis=-1, keepdims=True)
  scale = tf.reduce_max(transitions)
  weights = tf.exp(alphas - highest)
  sums = tf.maximum(tf.tensordot(weights, tf.exp(transitions - scale), 1), _TINY)
  return weights, sums, tf.log(sums) + highest + scale


def _forward(emissions, valid, first, transitions, start):
  """alpha_t[c] = log sum exp score of all paths that end in tag c at t: float32 [S, R, C]."""
  length, rows, count = emissions.shape.as_list()
  source = [tf.TensorArray(tf.float32, length).unstack(tensor) for tensor in (emissions, valid, first)]

  def body(time, alpha, alphas):
    emission, is_valid, is_first = [array.read(time) for array in source]
    arrived = is_first * start + (1.0 - is_first) * _step(alpha, transitions)[2]
    alpha = is_valid * (arrived + emission) + (1.0 - is_valid) * alpha
    return time + 1, alpha, alphas.write(time, alpha)

  _, _, alphas = tf.while_loop(lambda time, *_: time < length, body, [
      tf.constant(0), tf.zeros([rows, count]), _results(length, rows, count)], back_prop=False, parallel_iterations=1)
  return alphas.gather(list(range(length)))


def _results(length, rows, count):
  """tf.TensorArray of float32 [R, C]. Gather them by number: the shape of what stack() gives is known when it ran."""
  return tf.TensorArray(tf.float32, length, element_shape=[rows, count])


def _backward(dy, alphas, valid, first, last, transitions, end):
  """Gradients of the log partition for emissions [S, R, C], transitions, start and end.

  dy: float32 [R]. The gradient for alpha_t is that for its emission: the probability of each tag at t.
  """
  length, rows, count = alphas.shape.as_list()
  before = tf.pad(alphas[:-1], [[1, 0], [0, 0], [0, 0]])
  weights, sums, _ = _step(before, transitions)
  factors = tf.exp(transitions - tf.reduce_max(transitions))
  ends = last * dy[:, tf.newaxis] * tf.nn.softmax(alphas + end)  # [S, R, C]
  passes = valid * (1.0 - first)
  source = [tf.TensorArray(tf.float32, length).unstack(tensor) for tensor in (ends, passes, weights, sums)]

  def body(time, flowing, gradients):
    ending, is_passed, weight, total = [array.read(time) for array in source]
    gradient = flowing + ending
    flowing = is_passed * weight * tf.matmul(gradient / total, factors, transpose_b=True)
    return time - 1, flowing, gradients.write(time, gradient)

  _, _, gradients = tf.while_loop(lambda time, *_: time >= 0, body, [
      tf.constant(length - 1), tf.zeros([rows, count]), _results(length, rows, count)], back_prop=False,
      parallel_iterations=1)
  gradients = gradients.gather(list(range(length))) * valid
  pairs = tf.tensordot(weights, passes * gradients / sums, [[0, 1], [0, 1]])  # [C, C]
  return (gradients, factors * pairs, tf.reduce_sum(first * gradients, axis=[0, 1]), tf.reduce_sum(ends, axis=[0, 1]))
