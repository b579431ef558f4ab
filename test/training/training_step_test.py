"""A step in micro-batches, with recomputation or packed is the plain step; dropout makes it the sum of its parts."""

import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

import synthetic_data
from albert.device import session_options
from albert.input import packed_batches
from albert import input_pipeline
from albert import lamb
from albert.modeling import AlbertConfig
from albert import npu_session
from albert.tasks import pretraining
from albert.tasks.pretraining import Pretraining
from albert.training import training_step


CLIP_NORM = 0.2
NO_MEMORY_OPTIMIZER = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT


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


def _packed_batch():
  """The same records, two in a row of which each is long enough."""
  batch = _batch()
  size = 2 * synthetic_data.MAX_SEQ_LENGTH
  wide = {name: tf.pad(value, [[0, 0], [0, size - value.shape[1].value]])
          if name in ('input_ids', 'input_mask', 'segment_ids') else value for name, value in batch._asdict().items()}
  return packed_batches.PackedBatch(**packed_batches.pack(wide, tf.constant([0, 0, 1, 1, 2, 3]), 4))


def _device():
  # Without what XLA compiles, which takes longer than all the rest.
  return npu_session.start(session_options.SessionOptions(device='cpu', fused_ops=False), environ={})


def _load_weights(session):
  variables = sorted(tf.trainable_variables(), key=lambda v: v.op.name)
  random = np.random.RandomState(0)
  session.run(tf.global_variables_initializer(), {
      variable.initializer.inputs[1]: random.normal(0.0, 0.3, variable.shape.as_list()) for variable in variables})


def _step(micro_batch_size=None, steps=2, packed=False, recompute=False, step=0, towers=1, **changes):
  """Figures, and weights and slots, after each step: adam_m of the first one is a tenth of the clipped gradients."""
  with tf.Graph().as_default():
    batch, device = _packed_batch() if packed else _batch(), _device()
    update, figures = training_step.make(Pretraining(_config(**changes)), batch, lamb.OptimizerOptions(
        learning_rate=0.05, num_warmup_steps=0, clip_norm=CLIP_NORM), 100, device, random_seed=3,
        micro_batch_size=micro_batch_size, recompute=recompute, towers=towers)
    variables = tf.global_variables()
    with tf.Session(config=device.session_config()) as session:
      _load_weights(session)
      tf.train.get_global_step().load(step, session)
      found, states = [], []
      for _ in range(steps):
        found.append(session.run([figures, update.train_op])[0])
        states.append(dict(zip([v.op.name for v in variables], session.run(variables))))
      return found, states


@pytest.fixture(scope='module')
def plain():
  return _step()


@pytest.mark.parametrize('packed,micro_batch_size,recompute,towers', [
    way + (1,) for way in itertools.product([False, True], [None, 2], [False, True]) if any(way)] + [
        (False, 1, False, 1), (False, None, False, 3), (False, 2, False, 2), (True, 2, True, 2)])
def test_every_way_of_computing_a_step_makes_the_plain_step(plain, packed, micro_batch_size, recompute, towers):
  """Losses, the clipped gradients of the first step as its moments hold them, weights and moments after two steps."""
  expected_figures, expected = plain
  figures, states = _step(micro_batch_size, packed=packed, recompute=recompute, towers=towers)
  assert expected_figures[0]['gradient_norm'] > 2 * CLIP_NORM
  for step, (found, wanted) in enumerate(zip(figures, expected_figures)):
    for name in wanted:
      np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4, err_msg='{} {}'.format(step, name))
  for name, value in expected[0].items():
    if name.endswith('adam_m') and 'key/bias' not in name:  # its gradient is rounding alone
      np.testing.assert_allclose(states[0][name], value, rtol=0, atol=1e-5 * np.abs(value).max(), err_msg=name)
  assert states[1]['global_step'] == 2
  for name, value in expected[1].items():
    if 'key/bias' not in name:
      np.testing.assert_allclose(states[1][name], value, rtol=2e-3, atol=2e-5, err_msg=name)


DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1)


@pytest.mark.integration
def test_packing_with_dropout_repeats_itself_for_a_seed_and_step():
  first, again, later = [_step(2, 1, packed=True, recompute=True, step=step, **DROPOUT)[0][0]['total_loss']
                         for step in (5, 5, 6)]
  assert first == again != later


@pytest.mark.parametrize('micro_batch_size,towers', [(2, 1), (6, 2)])
def test_with_dropout_a_step_is_the_sum_of_its_parts_run_alone(plain, micro_batch_size, towers):
  together = _step(micro_batch_size, steps=1, towers=towers, **DROPOUT)[0][0]
  again = _step(micro_batch_size, steps=1, towers=towers, recompute=True, **DROPOUT)[0][0]
  assert again['total_loss'] == together['total_loss']
  config = _config(**DROPOUT)
  with tf.Graph().as_default(), tf.Session() as session:
    losses, divide_by = [], pretraining.denominators(_batch())
    rows = micro_batch_size // towers
    for number in range(6 // rows):
      with tf.variable_scope(tf.get_variable_scope(), reuse=number > 0):
        ops = training_step.model_ops(_device(), 3, tf.constant(0, tf.int64), number)
        part = _batch(range(rows * number, rows * number + rows))
        losses.append(pretraining.model(part, config, True, ops, divide_by).total_loss)
    _load_weights(session)
    total = sum(session.run(losses))
  np.testing.assert_allclose(total, together['total_loss'], rtol=1e-5)
  assert abs(total - plain[0][0]['total_loss']) > 1e-3


def _racing_sums(nodes):
  """Names of the sums of three and more in an executed graph whose order depends on which operation was faster.

  AddN begins with an input that nobody else has still to read. Grappler's arithmetic optimizer (AddOpsRewrite) makes
  more of them, its memory optimizer turns those of large tensors into additions to a temporary variable (tmp_var).
  """
  readers = collections.Counter(name for node in nodes for name in set(node.input))

  def is_racing(node):
    if any(part in node.name for part in ('tmp_var', 'AddOpsRewrite')):
      return True
    return node.op == 'AddN' and node.attr['N'].i > 2 and any(
        readers[name] > 1 for name in node.input if name[0] != '^')
  return [node.name for node in nodes if is_racing(node)]


@pytest.mark.parametrize('micro_batch_size,recompute', [(2, False), (None, True)])
def test_no_sum_depends_on_which_operation_was_faster(micro_batch_size, recompute):
  device = npu_session.start(session_options.SessionOptions(device='cpu'), environ={})
  update, _ = training_step.make(Pretraining(_config(**DROPOUT)), _packed_batch(), lamb.OptimizerOptions(), 100, device,
                                 micro_batch_size=micro_batch_size, towers=2, recompute=recompute)
  metadata = tf.compat.v1.RunMetadata()
  with tf.Session(config=device.session_config()) as session:
    session.run(tf.global_variables_initializer())
    session.run(update.train_op, options=tf.compat.v1.RunOptions(output_partition_graphs=True), run_metadata=metadata)
  nodes = [node for graph in metadata.partition_graphs for node in graph.node]
  # What it does to large graphs only.
  assert device.session_config().graph_options.rewrite_options.memory_optimization == NO_MEMORY_OPTIMIZER
  assert any(node.op == 'AddN' and node.attr['N'].i > 2 for node in nodes)  # there is something to look at
  assert _racing_sums(nodes) == []
