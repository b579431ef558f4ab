"""A step in micro-batches, towers, with recomputation or packed is the plain step."""

import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf

import small_steps

# micro_batch_size, packed, recompute, towers
PLAIN = (None, False, False, 1)
WAYS = [(micro_batch_size, packed, recompute, 1) for packed, micro_batch_size, recompute in itertools.product(
    [False, True], [None, 2], [False, True])][1:] + [
        (1, False, False, 1), (None, False, False, 3), (2, False, False, 2), (2, True, True, 2)]


@pytest.fixture(scope='module')
def sums():
  """{way: [what small_steps.sums gives, at each of two sets of weights]}."""
  with tf.Graph().as_default():
    made = {way: small_steps.sums(*way) for way in [PLAIN] + WAYS}
    values_of = collections.defaultdict(list)
    with small_steps.session() as session:
      for seed in range(2):
        small_steps.load_weights(session, seed)
        for way, values in session.run(made).items():
          values_of[way].append(values)
  return values_of


@pytest.mark.integration
@pytest.mark.parametrize('way', WAYS)
def test_every_way_of_computing_a_step_makes_the_plain_step(sums, way):
  for (figures, gradients), (expected_figures, expected) in zip(sums[way], sums[PLAIN]):
    assert sorted(figures) == sorted(expected_figures) and len(figures) > 4
    for name, value in expected_figures.items():
      np.testing.assert_allclose(figures[name], value, rtol=1e-4, err_msg=name)
    assert sorted(gradients) == sorted(expected)
    for name, value in expected.items():
      if 'key/bias' not in name:  # its gradient is rounding alone
        np.testing.assert_allclose(gradients[name], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=name)


def _steps(*way):
  """Figures, weights and slots after each of two steps: adam_m of the first is a tenth of the clipped gradients."""
  with tf.Graph().as_default():
    update, figures = small_steps.make(*way)
    variables = {variable.op.name: variable for variable in tf.global_variables()}
    with tf.Session(config=small_steps.device().session_config()) as session:
      small_steps.load_weights(session)
      return [(session.run([figures, update.train_op])[0], session.run(variables)) for _ in range(2)]


@pytest.mark.integration
def test_what_is_applied_is_that_of_the_plain_step():
  """Losses, the clipped gradients of the first step as its moments hold them, weights and moments after two steps."""
  plain, other = _steps(*PLAIN), _steps(*WAYS[-1])
  assert plain[0][0]['gradient_norm'] > 2 * small_steps.CLIP_NORM
  for (figures, state), (expected_figures, _) in zip(other, plain):
    for name, value in expected_figures.items():
      np.testing.assert_allclose(figures[name], value, rtol=1e-4, err_msg='{} {}'.format(state['global_step'], name))
  for name, value in plain[0][1].items():
    if name.endswith('adam_m') and 'key/bias' not in name:
      np.testing.assert_allclose(other[0][1][name], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=name)
  assert other[1][1]['global_step'] == 2
  for name, value in plain[1][1].items():
    if 'key/bias' not in name:
      np.testing.assert_allclose(other[1][1][name], value, rtol=2e-3, atol=2e-5, err_msg=name)
