"""Optimizers and schedule against slow numpy."""

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert import lamb
from albert.model.config import AlbertConfig
from albert.model import names

SHAPES = {'dense/kernel': [3, 4], 'dense/bias': [4], 'LayerNorm/gamma': [4], 'zero/kernel': [2, 2]}


def _numpy_step(kind, weights, moments, gradients, rate):
  """One update, by the equations of the module, one variable at a time."""
  for name, w in weights.items():
    m, v = moments[name]
    g = gradients[name]
    m[...] = 0.9 * m + 0.1 * g
    v[...] = 0.999 * v + 0.001 * g * g
    u = m / (np.sqrt(v) + 1e-6)
    ratio = 1.0
    if 'LayerNorm' not in name and 'bias' not in name:
      u = u + 0.01 * w
      norms = np.sqrt((w ** 2).sum()), np.sqrt((u ** 2).sum())
      if kind == 'lamb' and norms[0] > 0 and norms[1] > 0:
        ratio = norms[0] / norms[1]
    w -= rate * ratio * u


@pytest.mark.parametrize('kind', ['lamb', 'adamw'])
def test_five_steps_against_numpy(kind):
  random = np.random.RandomState(0)
  weights = {name: random.randn(*shape) for name, shape in SHAPES.items()}
  weights['zero/kernel'][...] = 0.0
  moments = {name: (np.zeros(shape), np.zeros(shape)) for name, shape in SHAPES.items()}
  variables = {name: tf.get_variable(name, initializer=tf.constant(value, tf.float32))
               for name, value in weights.items()}
  feeds = {name: tf.placeholder(tf.float32, shape) for name, shape in SHAPES.items()}
  rate = tf.placeholder(tf.float32, [])
  step = tf.train.get_or_create_global_step()
  optimizer = lamb.create_optimizer(rate, lamb.OptimizerOptions(optimizer=kind))
  train = optimizer.apply_gradients([(feeds[name], variables[name]) for name in SHAPES], step)
  assert sorted(v.op.name for v in optimizer.variables()) == sorted(
      name + slot for name in SHAPES for slot in ('/adam_m', '/adam_v'))
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for number in range(5):
      gradients = {name: random.randn(*shape) for name, shape in SHAPES.items()}
      values = {feeds[name]: gradients[name] for name in SHAPES}
      values[rate] = 0.1 / (number + 1)
      session.run(train, values)
      _numpy_step(kind, weights, moments, gradients, 0.1 / (number + 1))
    for name in SHAPES:
      np.testing.assert_allclose(session.run(variables[name]), weights[name], rtol=2e-5, atol=1e-6)
      np.testing.assert_allclose(session.run(optimizer.get_slot(variables[name], 'm')), moments[name][0], rtol=1e-5,
                                 atol=1e-7)
    assert session.run(step) == 5


def test_apply_gradients_works_inside_cond_and_skips_all_or_nothing():
  """Loss-scaling wrappers do that: variables must come from _create_slots."""
  variable = tf.get_variable('w/kernel', initializer=tf.ones([2, 3]))
  step = tf.train.get_or_create_global_step()
  optimizer = lamb.Lamb(0.1)
  good = tf.placeholder(tf.bool, [])
  gradients = optimizer.compute_gradients(tf.reduce_sum(tf.square(variable)), [variable])
  train = tf.cond(good, lambda: optimizer.apply_gradients(gradients, step), tf.no_op)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    before = session.run(tf.global_variables())
    session.run(train, {good: False})
    for a, b in zip(before, session.run(tf.global_variables())):
      np.testing.assert_array_equal(a, b)
    session.run(train, {good: True})
    assert session.run(step) == 1
    assert (session.run(variable) < 1.0).all()


def test_sparse_gradients_are_applied_like_dense_ones():
  table = np.random.RandomState(0).randn(5, 3).astype(np.float32)
  results = []
  for dense in (False, True):
    with tf.Graph().as_default(), tf.Session() as session:
      variable = tf.get_variable('table', initializer=table)
      gradient = tf.gradients(tf.reduce_sum(tf.square(tf.gather(variable, [1, 3, 1]))), variable)[0]
      gradient = tf.convert_to_tensor(gradient) if dense else gradient
      train = lamb.Lamb(0.1).apply_gradients([(gradient, variable)])
      session.run(tf.global_variables_initializer())
      session.run(train)
      results.append(session.run(variable))
  np.testing.assert_allclose(results[0], results[1], rtol=1e-6)


def test_resource_variables_are_trained_alike():
  results = []
  for use_resource in (False, True):
    with tf.Graph().as_default(), tf.Session() as session:
      variable = tf.get_variable('w', initializer=tf.constant([1.0, 2.0, 3.0]), use_resource=use_resource)
      train = lamb.Lamb(0.1).minimize(tf.reduce_sum(tf.square(variable)))
      session.run(tf.global_variables_initializer())
      session.run(train)
      results.append(session.run(variable))
  np.testing.assert_allclose(results[0], results[1])


def _rates(steps, num_train_steps, **options):
  options = lamb.OptimizerOptions(**options)
  with tf.Session() as session:
    return [session.run(lamb.learning_rate_at(tf.constant(step, tf.int64), options, num_train_steps))
            for step in steps]


def test_schedule():
  rates = _rates([0, 1, 3, 4, 10, 20, 25], 20, learning_rate=0.8, num_warmup_steps=4)
  np.testing.assert_allclose(rates, [0.0, 0.2, 0.6, 0.8 * 0.8, 0.4, 0.0, 0.0], rtol=1e-6, atol=1e-9)
  np.testing.assert_allclose(_rates([0, 10], 20, learning_rate=0.8, num_warmup_steps=0, poly_power=2.0), [0.8, 0.2],
                             rtol=1e-6)


def test_a_step_uses_the_rate_before_the_increment():
  variable = tf.get_variable('bias', initializer=tf.constant([1.0]))
  step = tf.train.get_or_create_global_step()
  options = lamb.OptimizerOptions(learning_rate=0.5, num_warmup_steps=2)
  rate = lamb.learning_rate_at(step, options, 100)
  train = lamb.create_optimizer(rate, options).apply_gradients([(tf.constant([1.0]), variable)], step)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    assert session.run([rate, train])[0] == 0.0
    assert session.run(variable) == [1.0]
    assert session.run([rate, train])[0] == 0.25


def test_clipping_is_by_the_norm_of_all_gradients_together():
  gradients = [tf.constant([3.0, 0.0]), tf.constant([[4.0]])]
  clipped, norm = lamb.clip_by_global_norm(gradients, 1.0)
  small, _ = lamb.clip_by_global_norm(gradients, 10.0)
  with tf.Session() as session:
    np.testing.assert_allclose(session.run(norm), 5.0)
    np.testing.assert_allclose(session.run(clipped[0]), [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(session.run(clipped[1]), [[0.8]], rtol=1e-6)
    np.testing.assert_allclose(session.run(small[1]), [[4.0]])


@pytest.mark.parametrize('bad', [dict(optimizer='sgd'), dict(learning_rate=-1.0), dict(num_warmup_steps=-1)])
def test_options_that_cannot_be_meant(bad):
  with pytest.raises(UserError, match=list(bad)[0]):
    lamb.OptimizerOptions(**bad)


@pytest.mark.parametrize('name', ['learning_rate', 'novelty'])
def test_options_cannot_be_changed(name):
  options = lamb.OptimizerOptions(learning_rate=0.5)
  with pytest.raises(AttributeError):
    setattr(options, name, 1.0)
  assert options == lamb.OptimizerOptions(learning_rate=0.5)


@pytest.mark.parametrize('kind', ['lamb', 'adamw'])
def test_bias_correction_and_rates_by_variable_against_numpy(kind):
  """Kingma and Ba 2014, algorithm 1, with decoupled decay; the first step has the length of the rate."""
  random = np.random.RandomState(0)
  weights = {name: random.randn(*shape) for name, shape in SHAPES.items() if name != 'zero/kernel'}
  moments = {name: [np.zeros(value.shape), np.zeros(value.shape)] for name, value in weights.items()}
  variables = {name: tf.get_variable(name, initializer=tf.constant(value, tf.float32))
               for name, value in weights.items()}
  feeds = {name: tf.placeholder(tf.float32, value.shape) for name, value in weights.items()}
  step = tf.train.get_or_create_global_step()
  options = lamb.OptimizerOptions(optimizer=kind, bias_correction=True)
  optimizer = lamb.create_optimizer(0.1, options, step, lambda name: 3.0 if name == 'dense/bias' else 1.0)
  train = optimizer.apply_gradients([(feeds[name], variables[name]) for name in weights], step)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for t in range(1, 6):
      gradients = {name: random.randn(*value.shape) for name, value in weights.items()}
      session.run(train, {feeds[name]: gradients[name] for name in weights})
      for name, w in weights.items():
        m, v = moments[name]
        m[...] = 0.9 * m + 0.1 * gradients[name]
        v[...] = 0.999 * v + 0.001 * gradients[name] ** 2
        u = m / (1 - 0.9 ** t) / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-6)
        ratio = 1.0
        if name == 'dense/kernel':
          u = u + 0.01 * w
          ratio = np.linalg.norm(w) / np.linalg.norm(u) if kind == 'lamb' else 1.0
        w -= 0.1 * (3.0 if name == 'dense/bias' else 1.0) * ratio * u
      for name, w in weights.items():
        np.testing.assert_allclose(session.run(variables[name]), w, rtol=1e-4, atol=1e-5)


def test_the_parts_are_those_that_names_of_variables_say():
  shapes = names.model_shapes(AlbertConfig(vocab_size=9))
  assert {names.rate_part(name) for name in shapes} == set(lamb.PARTS)


@pytest.mark.parametrize('bad', [{'heads': 2}, {'head': -1}, 'head', {'head': '2'}, dict.fromkeys(lamb.PARTS, 0)])
def test_rates_by_part_that_cannot_be_meant(bad):
  with pytest.raises(UserError, match='rate_multipliers'):
    lamb.OptimizerOptions(rate_multipliers=bad)


def test_a_part_that_is_not_named_has_the_rate_itself():
  options = lamb.OptimizerOptions(rate_multipliers={'head': 10, 'pooler': 0})
  assert [options.multiplier_of(part) for part in lamb.PARTS] == [1.0, 1.0, 0.0, 10.0]
  assert lamb.OptimizerOptions().multiplier_of('head') == 1.0
