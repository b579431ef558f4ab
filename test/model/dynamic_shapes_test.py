"""Batch size and length that only a session knows: the numbers of the static graph, on all operations."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.device import session_options
from albert import input_pipeline
from albert.model import layers
from albert import modeling
from albert.modeling import AlbertConfig
from albert import npu_session
from albert.tasks import pretraining
from albert.training import training_step

V, P, LONGEST = 29, 3, 11
CONFIG = AlbertConfig(vocab_size=V, embedding_size=6, hidden_size=12, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=17, max_position_embeddings=LONGEST, initializer_range=0.3)
SHAPES = [(2, 7), (3, LONGEST), (1, 4)]
ENCODER_INPUTS = ('input_ids', 'input_mask', 'segment_ids')
FUSED = pytest.mark.parametrize('fused', [False, True])


def _arrays(batch_size, length):
  """An input_pipeline.Batch of arrays; the rows hold different numbers of tokens."""
  random = np.random.RandomState(length)
  tokens = length - np.arange(batch_size) % 2
  columns = np.arange(length)
  return input_pipeline.Batch(
      input_ids=random.randint(0, V, [batch_size, length]),
      input_mask=(columns < tokens[:, np.newaxis]).astype(np.int32),
      segment_ids=np.tile(columns > 2, [batch_size, 1]).astype(np.int32),
      masked_lm_positions=random.randint(1, length - 1, [batch_size, P]),
      masked_lm_ids=random.randint(0, V, [batch_size, P]),
      masked_lm_weights=np.ones([batch_size, P], np.float32),
      next_sentence_labels=random.randint(0, 2, [batch_size, 1]))


def _placeholders(arrays, shape_of):
  return type(arrays)(*[tf.placeholder(tf.float32 if name == 'masked_lm_weights' else tf.int32, shape_of(array))
                        for name, array in arrays._asdict().items()])


def _static(arrays):
  return _placeholders(arrays, np.shape)


def _dynamic(arrays):
  return _placeholders(arrays, lambda array: [None] * array.ndim)


def _ops(fused):
  device = npu_session.start(session_options.SessionOptions(device='cpu', fused_ops=fused), environ={})
  return training_step.model_ops(device)


def _encoder(fused, reads, is_training=False, rate=0.0):
  """A function of a batch that gives the encoder's outputs; reads: whether the last layer computes masked rows only."""
  def build(batch):
    config = AlbertConfig(**dict(CONFIG.to_dict(), hidden_dropout_prob=rate, attention_probs_dropout_prob=rate))
    outputs = modeling.albert(*[getattr(batch, name) for name in ENCODER_INPUTS], config=config,
                              is_training=is_training, ops=_ops(fused),
                              read_positions=batch.masked_lm_positions if reads else None)
    return outputs.sequence_output, outputs.pooled_output
  return build


def _pretraining(fused, whole_last_layer):
  """A function of a batch that gives what the encoder, both heads and the losses compute."""
  def build(batch):
    model = pretraining.model(batch, CONFIG, False, _ops(fused), whole_last_layer=whole_last_layer)
    return (model.encoder.sequence_output, model.encoder.pooled_output, model.total_loss, model.masked_lm.logits,
            model.masked_lm.example_loss, model.sentence_order.logits)
  return build


def _run(build, placeholders, batches):
  """The values of build(a batch of placeholders) for each batch of arrays, from one graph."""
  with tf.Graph().as_default(), tf.Session() as session:
    tf.set_random_seed(3)  # with the names of variables it decides the weights
    batch = placeholders(batches[0])
    results = build(batch)
    session.run(tf.global_variables_initializer())
    return [session.run(results, dict(zip(batch, arrays))) for arrays in batches]


def _assert_same(build):
  batches = [_arrays(*shape) for shape in SHAPES]
  for arrays, results in zip(batches, _run(build, _dynamic, batches)):
    for value, expected in zip(results, _run(build, _static, [arrays])[0]):
      assert value.shape == expected.shape
      np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


@FUSED
@pytest.mark.parametrize('whole_last_layer', [False, True])
def test_encoder_heads_and_losses(fused, whole_last_layer):
  _assert_same(_pretraining(fused, whole_last_layer))


def test_dropout_draws_the_masks_of_the_static_graph():
  _assert_same(_encoder(False, reads=True, is_training=True, rate=0.3))


@pytest.fixture(scope='module', params=[False, True])
def of_known_shapes(request):
  """(fused, the encoder's outputs where both sizes are known)."""
  return request.param, _run(_encoder(request.param, reads=False), _static, [_arrays(2, 7)])[0]


@pytest.mark.parametrize('batch_size, length', [(None, 7), (2, None)])
def test_what_is_known_stays_known(of_known_shapes, batch_size, length):
  fused, expected_values = of_known_shapes

  def placeholders(arrays):
    return _placeholders(arrays, lambda array: [batch_size, length if array.shape[1] == 7 else array.shape[1]])

  plain = _encoder(fused, reads=False)

  def build(batch):
    results = plain(batch)
    assert results[0].shape.as_list() == [batch_size, length, 12]
    assert results[1].shape.as_list() == [batch_size, 12]
    return results

  for value, expected in zip(_run(build, placeholders, [_arrays(2, 7)])[0], expected_values):
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


@FUSED
def test_a_static_graph_asks_for_no_shape(fused):
  for build in (_encoder(fused, False, True, 0.1), _encoder(fused, True, True, 0.1), _pretraining(fused, False)):
    with tf.Graph().as_default() as graph:
      build(_static(_arrays(2, 7)))
      kinds = collections.Counter(op.type for op in graph.get_operations())
    assert not kinds['Shape'] and not kinds['Assert']
    assert kinds['MatMul'] > 10


def test_a_known_length_above_the_position_embeddings():
  with pytest.raises(UserError, match=r'at most 11 tokens .*max_position_embeddings.*found 12'):
    _encoder(False, False)(_static(_arrays(2, LONGEST + 1)))


@FUSED
def test_an_unknown_length_above_the_position_embeddings(fused):
  with pytest.raises(tf.errors.InvalidArgumentError, match=r'at most 11 tokens .*max_position_embeddings'):
    _run(_encoder(fused, False), _dynamic, [_arrays(2, LONGEST + 1)])


def test_size():
  known, unknown = tf.zeros([2, 3]), tf.placeholder(tf.float32, [None, 3])
  assert layers.shape_of(known) == [2, 3] and layers.size(known, -1) == 3
  rows, columns = layers.shape_of(unknown)
  assert columns == 3
  with tf.Session() as session:
    assert session.run(rows, {unknown: np.zeros([5, 3])}) == 5


@pytest.mark.parametrize('placeholders, compiles', [(_static, True), (_dynamic, False)])
def test_only_known_shapes_are_compiled(placeholders, compiles):
  outputs = _encoder(True, False)(placeholders(_arrays(2, 7)))
  tf.gradients(outputs, tf.trainable_variables())
  operations = tf.get_default_graph().get_operations()
  assert any('_xla_compile_id' in op.node_def.attr for op in operations) == compiles
