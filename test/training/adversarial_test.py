"""A step with FGM is two explicit passes; a part of rate 0 stays as it is, without moments."""

import numpy as np
import pytest
import tensorflow as tf

from albert.dataset.batch_order import Layout
from albert.device import session_options
from albert.input.formats import packed_windows
from albert import lamb
from albert.model.config import AlbertConfig
from albert import modeling
from albert import npu_session
from albert.tasks.labelled_task import HeadOptions
from albert.tasks import labelled_tasks
from albert.training import training_step

S, EPSILON = 10, 0.7
CONFIG = AlbertConfig(vocab_size=20, embedding_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                      intermediate_size=12, initializer_range=0.3)
TABLE = 'bert/embeddings/word_embeddings'


def _task_and_batch():
  task = labelled_tasks.KINDS['classify'](CONFIG, None, HeadOptions(3, dropout=0.0))
  random = np.random.RandomState(0)
  examples = [{'input_ids': random.randint(5, 20, S), 'input_mask': [1] * S, 'segment_ids': [0] * S, 'window': [n],
               'label_ids': [n % 3]} for n in range(4)]
  arrays = packed_windows.pack([[example] for example in examples], task.features, Layout(4, 1), S)
  return task, task.batch({name: tf.constant(value) for name, value in arrays.items()})


def _device():
  return npu_session.start(session_options.SessionOptions(device='cpu', fused_ops=False), environ={})


def _explicit(session):
  """Gradients of both passes, added: the word embeddings moved by hand in between."""
  task, batch = _task_and_batch()
  with tf.variable_scope(tf.get_variable_scope(), reuse=True):
    loss, _ = task.loss(batch, modeling.default_ops(), task.denominators(batch))
  variables = tf.trainable_variables()
  gradients = [tf.convert_to_tensor(g) for g in tf.gradients(loss, variables)]
  table = next(v for v in variables if v.op.name == TABLE)
  first = session.run(gradients)
  before = session.run(table)
  own = first[variables.index(table)]
  table.load(before + EPSILON * own / np.linalg.norm(own), session)
  second = session.run(gradients)
  table.load(before, session)
  return {v.op.name: a + b for v, a, b in zip(variables, first, second)}


@pytest.mark.parametrize('size', [4, 1])
def test_fgm_adds_the_gradients_of_two_passes(size):
  task, batch = _task_and_batch()
  options = lamb.OptimizerOptions(optimizer='adamw', learning_rate=0.0, num_warmup_steps=0, clip_norm=1e9)
  update, _ = training_step.make(task, batch, options, 10, _device(), micro_batch_size=size, fgm_epsilon=EPSILON)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    expected = _explicit(session)
    session.run(update.train_op)
    moments = session.run({v.op.name: v for v in tf.global_variables() if v.op.name.endswith('/adam_m')})
  assert sorted(moments) == sorted(name + '/adam_m' for name in expected)
  for name, value in expected.items():
    np.testing.assert_allclose(moments[name + '/adam_m'], 0.1 * value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_a_frozen_part_stays_and_the_rest_learns():
  task, batch = _task_and_batch()
  options = lamb.OptimizerOptions(optimizer='adamw', learning_rate=0.1, num_warmup_steps=0, bias_correction=True,
                                  rate_multipliers={'embeddings': 0, 'encoder': 0})
  update, _ = training_step.make(task, batch, options, 10, _device())
  frozen = [v for v in tf.trainable_variables() if v.op.name.startswith(('bert/embeddings', 'bert/encoder'))]
  assert len(frozen) == 23 and len(update.variables) == 4
  assert not [v for v in tf.global_variables() if 'adam' in v.op.name and 'encoder' in v.op.name]
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    variables = tf.trainable_variables()
    before = session.run(variables)
    session.run(update.train_op)
    for variable, a, b in zip(variables, before, session.run(variables)):
      assert (a == b).all() == (variable in frozen), variable.op.name
