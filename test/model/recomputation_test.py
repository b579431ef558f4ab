"""Layers that are computed again in the backward pass: the same gradients and masks, and it is not undone."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

import plain_albert
import synthetic_data
from albert import input_pipeline
from albert.model import layers
from albert.model import recomputation
from albert import modeling
from albert.modeling import AlbertConfig
from albert.tasks import pretraining

SMALL = dict(vocab_size=len(synthetic_data.VOCAB), embedding_size=6, hidden_size=8, num_hidden_layers=3,
             num_attention_heads=2, intermediate_size=12, initializer_range=0.3)
GROUPS = dict(num_hidden_groups=2, inner_group_num=2)
DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1)


def _input(value, dtype=tf.int32):
  """A tensor that TensorFlow does not take for a constant, from which it would compute in advance."""
  return tf.identity(tf.Variable(tf.constant(value, dtype), trainable=False))


def _batch():
  records = [synthetic_data.record(number) for number in range(3)]
  return input_pipeline.Batch(**{
      name: _input([record[name] for record in records], tf.float32 if name == 'masked_lm_weights' else tf.int32)
      for name in input_pipeline.Batch._fields})


def _session():
  """Adds two tensors at a time, as tf.gradients is told to: the order of AddN's terms depends on the threads."""
  config = tf.ConfigProto()
  config.graph_options.rewrite_options.arithmetic_optimization = rewriter_config_pb2.RewriterConfig.OFF
  return tf.Session(config=config)


def _gradients(loss, variables):
  return [tf.convert_to_tensor(gradient) for gradient in tf.gradients(
      loss, variables, aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE)]


def _loss_and_gradients(model):
  """(loss, {name: gradient}) for a function of a batch that makes a model."""
  with tf.Graph().as_default(), _session() as session:
    loss = model(_batch()).total_loss
    variables = tf.trainable_variables()
    gradients = _gradients(loss, variables)
    # By name: two graphs may make their variables in another order.
    random = np.random.RandomState(2)
    values = {v.initializer.inputs[1]: random.normal(0.0, 0.2, v.shape.as_list())
              for v in sorted(variables, key=lambda v: v.op.name)}
    session.run(tf.global_variables_initializer(), values)
    return session.run([loss, {v.op.name: gradient for v, gradient in zip(variables, gradients)}])


def _model(config, recompute, **options):
  def build(batch):
    ops = modeling.default_ops()._replace(dropout=layers.StatelessDropout(4, _input(7, tf.int64), 1))
    return pretraining.model(batch, config, True, ops, recompute=recompute, **options)
  return build


@functools.lru_cache(maxsize=None)
def _of_library(changes, recompute):
  """Of the model of this library. changes: items of a dict."""
  return _loss_and_gradients(_model(AlbertConfig(**dict(SMALL, **dict(changes))), recompute))


@pytest.mark.parametrize('changes', [{}, dict(GROUPS, **DROPOUT)])
def test_loss_and_gradients_are_the_same_bit_for_bit(changes):
  loss, gradients = _of_library(tuple(changes.items()), recompute=False)
  again, others = _of_library(tuple(changes.items()), recompute=True)
  assert loss == again
  for name, gradient in gradients.items():
    np.testing.assert_array_equal(others[name], gradient, name)


@pytest.mark.parametrize('changes', [{}, GROUPS])
def test_gradients_of_shared_layers_are_those_of_the_plain_graph(changes):
  config = AlbertConfig(**dict(SMALL, **changes))
  loss, gradients = _loss_and_gradients(lambda batch: plain_albert.build(batch, config))
  again, others = _of_library(tuple(changes.items()), recompute=True)
  assert again == pytest.approx(loss, rel=1e-5)
  assert sorted(others) == sorted(gradients)
  for name, gradient in gradients.items():
    np.testing.assert_allclose(others[name], gradient, rtol=1e-3, atol=1e-5, err_msg=name)


def _products(config, recompute):
  """How many matrices a step multiplies after TensorFlow's rewriting."""
  with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto()) as session:
    loss = _model(config, recompute)(_batch()).total_loss
    fetches = _gradients(loss, tf.trainable_variables())
    session.run(tf.global_variables_initializer())
    metadata = tf.compat.v1.RunMetadata()
    session.run(fetches, options=tf.compat.v1.RunOptions(output_partition_graphs=True), run_metadata=metadata)
    nodes = [node for graph in metadata.partition_graphs for node in graph.node]
    return sum('MatMul' in node.op for node in nodes), sum(node.op.startswith('StatelessRandom') for node in nodes)


def test_the_rewriting_of_graphs_leaves_the_second_computation():
  config = AlbertConfig(**dict(SMALL, **DROPOUT))
  products, masks = _products(config, False)
  assert masks == 1 + 3 * 3
  # A layer has 7 products and 3 masks; two of three layers are computed again.
  assert _products(config, True) == (products + 2 * 7, masks + 2 * 3)


def test_only_the_input_is_kept():
  x, kernel = tf.ones([3, 4]), tf.ones([4, 4])
  inner = []

  def function(x, weights):
    inner.append(tf.matmul(x, weights[0]))
    return tf.tanh(inner[-1])

  y, _ = recomputation.recomputed(function, function, x, (kernel,))
  forward = set(tf.get_default_graph().get_operations())
  gradients = tf.gradients(y, [x, kernel])
  backward = [op for op in tf.get_default_graph().get_operations() if op not in forward]
  assert len(inner) == 2 and len(gradients) == 2
  read = {tensor for op in backward for tensor in op.inputs if tensor.op in forward}
  assert inner[0] not in read and not any(tensor.op.type == 'Tanh' for tensor in read)
