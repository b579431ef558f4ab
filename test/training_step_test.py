"""A step in micro-batches is the unsplit step; dropout makes it the sum of its parts."""

import numpy as np
import pytest
import tensorflow as tf

import synthetic_data
from albert import input_pipeline
from albert import lamb
from albert import npu_options
from albert import npu_session
from albert import objectives
from albert import training_step
from albert.modeling import AlbertConfig


def _config(**changes):
  return AlbertConfig(**dict(dict(
      vocab_size=len(synthetic_data.VOCAB), embedding_size=6, hidden_size=8, num_hidden_layers=3,
      num_attention_heads=2, intermediate_size=12), **changes))


def _batch(numbers=(0, 1, 2, 3, 4, 5)):
  """Records with different numbers of labels, as constants."""
  records = [synthetic_data.record(number) for number in numbers]
  return input_pipeline.Batch(**{
      name: tf.constant([record[name] for record in records], tf.float32 if name == 'masked_lm_weights' else tf.int32)
      for name in input_pipeline.Batch._fields})


def _step(micro_batch_size, steps=2, **changes):
  """Figures of each step and the weights and slots after them."""
  with tf.Graph().as_default():
    device = npu_session.start(npu_options.SessionOptions(device='cpu'), environ={})
    update, figures = training_step.make(_batch(), _config(**changes), lamb.OptimizerOptions(
        learning_rate=0.05, num_warmup_steps=0), 100, device, random_seed=3, micro_batch_size=micro_batch_size)
    variables = tf.global_variables()
    with tf.Session(config=device.session_config()) as session:
      random = np.random.RandomState(0)
      session.run(tf.global_variables_initializer())
      for variable in sorted(tf.trainable_variables(), key=lambda v: v.op.name):
        variable.load(random.normal(0.0, 0.3, variable.shape.as_list()), session)
      found = [session.run([figures, update.train_op])[0] for _ in range(steps)]
      return found, dict(zip([v.op.name for v in variables], session.run(variables)))


@pytest.mark.parametrize('micro_batch_size', [1, 2, 3])
def test_micro_batches_make_the_unsplit_step(micro_batch_size):
  expected_figures, expected = _step(None)
  figures, weights = _step(micro_batch_size)
  for step, (found, wanted) in enumerate(zip(figures, expected_figures)):
    for name in wanted:
      np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4, err_msg='{} {}'.format(step, name))
  assert weights['global_step'] == 2
  for name, value in expected.items():
    if 'key/bias' not in name:  # its gradient is rounding alone
      np.testing.assert_allclose(weights[name], value, rtol=2e-3, atol=2e-5, err_msg=name)


def test_with_dropout_a_step_is_the_sum_of_its_micro_batches_run_alone():
  changes = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1)
  together = _step(2, steps=1, **changes)[0][0]
  assert _step(2, steps=1, **changes)[0][0] == together
  total, config = 0.0, _config(**changes)
  for number in range(3):
    with tf.Graph().as_default():
      device = npu_session.start(npu_options.SessionOptions(device='cpu'), environ={})
      ops = training_step.model_ops(device, 3, tf.constant(0, tf.int64), number)
      part = _batch(range(2 * number, 2 * number + 2))
      model = objectives.pretraining_model(part, config, True, ops, objectives.denominators(_batch()))
      with tf.Session() as session:
        random = np.random.RandomState(0)
        for variable in sorted(tf.trainable_variables(), key=lambda v: v.op.name):
          variable.load(random.normal(0.0, 0.3, variable.shape.as_list()), session)
        total += session.run(model.total_loss)
  np.testing.assert_allclose(total, together['total_loss'], rtol=1e-5)
  assert abs(total - _step(None, steps=1)[0][0]['total_loss']) > 1e-3
