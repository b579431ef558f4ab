"""The plain graph agrees with the reference numbers, and the library with the plain graph where no numbers exist."""

import collections
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from albert.common.files import ROOT
from albert import input_pipeline
from albert.model.config import AlbertConfig
from tools import parity
import plain_albert

FIXTURES = os.path.join(ROOT, 'test', 'support', 'parity')


def whole_outputs(batch, config):
  return parity.library_outputs(batch, config, whole_last_layer=True)


def plain_outputs(batch, config):
  return plain_albert.build(batch, config)._asdict()


@pytest.mark.integration  # takes seconds, and is about the graph that benchmarks compare with
@pytest.mark.parametrize('name', ['shared_group', 'unfactored_relu_adamw'])
def test_plain_graph_agrees_with_the_reference(name):
  fixture = parity.load_fixture(os.path.join(FIXTURES, name))
  comparisons = parity.compare(fixture.expected, parity.compute(fixture, plain_outputs))
  assert len(comparisons) == len(fixture.expected)
  assert not [c for c in comparisons if not c.ok]


# What the fixtures do not have: two groups of two inner groups, one used twice and one once, heads of odd width.
GROUPED = dict(vocab_size=53, embedding_size=10, hidden_size=21, num_hidden_layers=3, num_hidden_groups=2,
               inner_group_num=2, num_attention_heads=3, intermediate_size=34, max_position_embeddings=17)


def grouped_batch():
  random = np.random.RandomState(5)
  batch_size, seq_length, predictions = 4, 13, 3
  lengths = np.array([13, 6, 9, 2])
  return input_pipeline.Batch(
      input_ids=random.randint(0, 53, [batch_size, seq_length]).astype(np.int32),
      input_mask=(np.arange(seq_length) < lengths[:, np.newaxis]).astype(np.int32),
      segment_ids=random.randint(0, 2, [batch_size, seq_length]).astype(np.int32),
      masked_lm_positions=random.randint(0, seq_length, [batch_size, predictions]).astype(np.int32),
      masked_lm_ids=random.randint(0, 53, [batch_size, predictions]).astype(np.int32),
      masked_lm_weights=np.float32([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 0, 0]]),
      next_sentence_labels=np.int32([[0], [1], [1], [0]]))


def random_weights(shapes):
  # Small enough that attention does not make all positions alike: gradients would be mere rounding.
  random = np.random.RandomState(11)
  return {name: (random.normal(size=shape) * 0.1 + name.endswith('gamma')).astype(np.float32)
          for name, shape in sorted(shapes.items())}


def outputs_and_gradients(build, config):
  """({name: shape} of the trainable variables, {key: array}) of a model with random_weights on grouped_batch."""
  with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as session:
    tensors = dict(build(input_pipeline.Batch(*[tf.constant(value) for value in grouped_batch()]), config))
    variables = collections.OrderedDict((v.op.name, v) for v in tf.trainable_variables())
    shapes = {name: v.shape.as_list() for name, v in variables.items()}
    gradients = tf.gradients(tensors['total_loss'], list(variables.values()))
    tensors.update(('grad/' + name, tf.convert_to_tensor(g)) for name, g in zip(variables, gradients))
    session.run([v.initializer for v in variables.values()],
                {variables[name].initializer.inputs[1]: value for name, value in random_weights(shapes).items()})
    return shapes, session.run(tensors)


def test_library_agrees_with_the_plain_graph_on_groups():
  config = AlbertConfig(**GROUPED)
  plain_shapes, plain = outputs_and_gradients(plain_outputs, config)
  library_shapes, library = outputs_and_gradients(whole_outputs, config)
  assert library_shapes == plain_shapes
  assert sum('transformer/group_1/inner_group_1' in name for name in plain_shapes) == 16
  assert not [c for c in parity.compare(plain, library) if not c.ok]
  # And with the last layer at the positions that are read.
  batch, read = grouped_batch(), outputs_and_gradients(parity.library_outputs, config)[1]
  positions = np.concatenate([np.zeros([4, 1], np.int32), batch.masked_lm_positions], axis=1)
  plain['sequence_output'] = np.stack([rows[where] for rows, where in zip(plain['sequence_output'], positions)])
  assert not [c for c in parity.compare(plain, read) if not c.ok]


def test_dropout():
  config = AlbertConfig(**dict(GROUPED, hidden_dropout_prob=0.4, num_hidden_layers=1, num_hidden_groups=1))
  dropped = plain_outputs(input_pipeline.Batch(*[tf.constant(value) for value in grouped_batch()]), config)
  with tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as session:
    session.run(tf.global_variables_initializer())
    assert np.mean(session.run(dropped['embedding_output']) == 0) == pytest.approx(0.4, abs=0.1)
