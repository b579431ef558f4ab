"""The operations for a CPU equal the plain ones, gradients included, and are those that training uses there."""

import numpy as np
import pytest
import tensorflow as tf

from albert.device import session_options
from albert.model import cpu_ops
from albert.model import layers
from albert import modeling
from albert import npu_session
from albert.training import training_step

B, N, D = 4, 3, 5
H = N * D


def run(*fetches):
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    return session.run(fetches)


def random_tensor(*shape, seed=0):
  return tf.constant(np.random.RandomState(seed + sum(shape)).randn(*shape), tf.float32)


def results_and_gradients(function, inputs):
  """[result, gradient for each input] of a function, with a random gradient of its result."""
  result = function(*inputs)
  return [result] + tf.gradients(result, inputs, random_tensor(*result.shape.as_list(), seed=9))


def assert_same(function, other, inputs, tolerance=1e-5):
  actual, expected = run(results_and_gradients(function, inputs), results_and_gradients(other, inputs))
  assert len(actual) == 1 + len(inputs)
  for a, b in zip(actual, expected):
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * np.abs(b).max())


def test_gelu():
  x = tf.concat([random_tensor(7, 11) * 3.0, tf.constant([[-40.0, -9.0, 0.0, 9.0, 40.0] + [1e-4] * 6])], axis=0)
  assert_same(cpu_ops.gelu, lambda x: 0.5 * x * (1.0 + tf.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x * x * x))), [x])


def test_add_and_norm():
  def plain(x, y, gamma, beta):
    mean, variance = tf.nn.moments(x + y, axes=[-1], keep_dims=True)
    return tf.nn.batch_normalization(x + y, mean, variance, beta, gamma, 1e-12)
  inputs = [random_tensor(6, H), random_tensor(6, H, seed=1), random_tensor(H), random_tensor(H, seed=1)]
  assert_same(lambda x, y, gamma, beta: cpu_ops.add_and_norm(x, y, layers.Norm(gamma=gamma, beta=beta)), plain, inputs)


def test_cross_entropy():
  labels = tf.constant([3, 0, 10, 3, 7])
  logits = random_tensor(5, 11) * 4.0 + tf.constant([[0.0], [100.0], [-100.0], [0.0], [1000.0]])
  assert_same(lambda x: cpu_ops.cross_entropy(x, labels),
              lambda x: -tf.reduce_sum(tf.nn.log_softmax(x) * tf.one_hot(labels, 11), axis=-1), [logits], 1e-4)


# One product for each head, one for each example, one for several; also with other padding for each row, as packed
# rows have it.
BLOCKS = pytest.mark.parametrize('smallest, block_bytes', [(0, 0), (1 << 60, 0), (1 << 60, 1200)])


@BLOCKS
@pytest.mark.parametrize('rows, seq_length, padding_rows', [(7, 7, 1), (3, 7, 1), (7, 7, 7)])
def test_attention(monkeypatch, smallest, block_bytes, rows, seq_length, padding_rows):
  monkeypatch.setattr(cpu_ops, '_SMALLEST_PRODUCT', smallest)
  monkeypatch.setattr(cpu_ops, '_BLOCK_BYTES', block_bytes)
  padding = np.where(np.random.RandomState(2).rand(B, 1, padding_rows, seq_length) < 0.3, -10000.0, 0.0)
  padding[..., 0] = 0.0
  padding = tf.constant(padding, tf.float32)
  inputs = [random_tensor(B * rows, H), random_tensor(B * seq_length, 2 * H)]
  assert_same(lambda q, kv: cpu_ops.attention(q, kv, padding, N), lambda q, kv: layers.attention(q, kv, padding, N),
              inputs)


@BLOCKS
def test_attention_with_dropout(monkeypatch, smallest, block_bytes):
  monkeypatch.setattr(cpu_ops, '_SMALLEST_PRODUCT', smallest)
  monkeypatch.setattr(cpu_ops, '_BLOCK_BYTES', block_bytes)

  def dropout(p):  # a mask that is a function of the values, so that it does not depend on how heads are cut
    return p * tf.cast(p * 97.0 - tf.floor(p * 97.0) > 0.2, tf.float32) * 1.25

  padding = tf.zeros([B, 1, 1, 7])
  inputs = [random_tensor(B * 7, H), random_tensor(B * 7, 2 * H)]
  assert_same(lambda q, kv: cpu_ops.attention(q, kv, padding, N, dropout),
              lambda q, kv: layers.attention(q, kv, padding, N, dropout), inputs)


def test_a_block_has_as_many_examples_as_fit():
  assert [cpu_ops._examples_in_block(12, size) for size in (1, (4 << 20) // 5, 1 << 20, (4 << 20) + 1)] == [12, 4, 4, 1]


def test_a_nan_stays_a_nan():
  x = np.zeros([4, H], np.float32)
  x[1, 2], x[2, 3] = np.nan, np.inf
  x = tf.constant(x)
  norm = layers.Norm(tf.ones([H]), tf.zeros([H]))
  results = run(cpu_ops.gelu(x), tf.gradients(cpu_ops.gelu(x), x)[0], cpu_ops.add_and_norm(x, x, norm))
  for array in results[:2]:
    assert np.isnan(array[1, 2]) and not np.isfinite(array[2, 3]) or array[2, 3] == 1.0
    assert np.isfinite(array[0]).all() and np.isfinite(array[3]).all()
  assert np.isnan(results[2][1]).all() and np.isnan(results[2][2]).any() and np.isfinite(results[2][0]).all()


@pytest.mark.parametrize('fused', [True, False])
def test_training_on_a_cpu_uses_them_unless_told_otherwise(fused):
  session = npu_session.start(session_options.SessionOptions(device='cpu', fused_ops=fused), environ={})
  ops = training_step.model_ops(session)
  names = ['gelu', 'add_and_norm', 'attention', 'cross_entropy', 'for_three_readers']
  plain = modeling.default_ops()
  assert [getattr(ops, name) for name in names] == [getattr(cpu_ops if fused else plain, name) for name in names]
