"""AdamW with bias correction against torch.optim.AdamW: HF_PYTHON names a Python with torch. Without it: skipped."""

import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from albert.common.files import ROOT
from albert import lamb

pytestmark = pytest.mark.skipif(not os.environ.get('HF_PYTHON'), reason='HF_PYTHON does not name a Python with torch')

PROGRAM = os.path.join(ROOT, 'test', 'support', 'torch_adamw.py')
SHAPES = {'dense/kernel': [3, 4], 'dense/bias': [4], 'LayerNorm/gamma': [4], 'output_weights': [5, 3]}
STEPS = 50
DECAY = 0.01
MULTIPLIERS = {'output_weights': 10.0}


def gradients_of(random, step):
  """As those of a batch: of very different sizes, now and then of nearly nothing."""
  return {name: (random.randn(*shape) * 10.0 ** random.randint(-6, 1) * (step % 7 > 0)).astype(np.float32)
          for name, shape in SHAPES.items()}


def ours(weights, gradients, rates):
  variables = {name: tf.get_variable(name, initializer=tf.constant(value)) for name, value in weights.items()}
  feeds = {name: tf.placeholder(tf.float32, value.shape) for name, value in weights.items()}
  rate, step = tf.placeholder(tf.float32, []), tf.train.get_or_create_global_step()
  options = lamb.OptimizerOptions(optimizer='adamw', bias_correction=True, weight_decay_rate=DECAY)
  optimizer = lamb.create_optimizer(rate, options, step, lambda name: MULTIPLIERS.get(name, 1.0))
  train = optimizer.apply_gradients([(feeds[name], variables[name]) for name in weights], step)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for now, values in zip(rates, gradients):
      session.run(train, {rate: now, **{feeds[name]: value for name, value in values.items()}})
    return session.run(variables)


def test_fifty_steps_are_those_of_torch(tmp_path):
  """Rates of a warm-up and decay; no decay of biases and norms; the head ten times as fast."""
  random = np.random.RandomState(0)
  weights = {name: random.randn(*shape).astype(np.float32) for name, shape in SHAPES.items()}
  gradients = [gradients_of(random, step) for step in range(STEPS)]
  rates = [1e-3 * min((step + 1) / 5, 1 - step / STEPS) for step in range(STEPS)]
  np.savez(str(tmp_path / 'weights.npz'), **weights)
  for step, values in enumerate(gradients, 1):
    np.savez(str(tmp_path / 'gradients-{}.npz'.format(step)), **values)
  (tmp_path / 'settings.json').write_text(json.dumps({
      'rates': rates, 'weight_decay_rate': DECAY, 'without_decay': ['dense/bias', 'LayerNorm/gamma'],
      'rate_multipliers': MULTIPLIERS}))
  environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
  subprocess.check_call([os.environ['HF_PYTHON'], PROGRAM, str(tmp_path)], env=environment)
  found = ours(weights, gradients, rates)
  with np.load(str(tmp_path / 'torch.npz')) as expected:
    for name in SHAPES:
      assert np.abs(found[name] - weights[name]).max() > 1e-3  # it went somewhere
      np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6, err_msg=name)
