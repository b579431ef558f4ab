"""A step repeats itself: dropout is a function of seed, step and part, and no sum depends on the threads."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

import small_steps
from albert.device import session_options
from albert import lamb
from albert import npu_session
from albert.tasks import pretraining
from albert.tasks.pretraining import Pretraining
from albert.training import training_step

NO_MEMORY_OPTIMIZER = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT


def test_packing_with_dropout_repeats_itself_for_a_seed_and_step():
  """In a run that goes on, and in another one."""
  losses = []
  for steps in ([5], [5, 6]):
    with tf.Graph().as_default():
      figures, _ = small_steps.sums(2, True, True, 1, **small_steps.DROPOUT)
      with small_steps.session() as session:
        small_steps.load_weights(session)
        for step in steps:
          tf.train.get_global_step().load(step, session)
          losses.append(session.run(figures['total_loss']))
  first, again, later = losses
  assert first == again != later


def _losses_of_parts(rows, **changes):
  """The losses of the parts of the batch, of `rows` records each, computed without what divides a step."""
  losses, divide_by = [], pretraining.denominators(small_steps.plain_batch())
  for number in range(6 // rows):
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
      ops = training_step.model_ops(small_steps.device(), 3, tf.constant(0, tf.int64), number)
      part = small_steps.plain_batch(range(rows * number, rows * number + rows))
      losses.append(pretraining.model(part, small_steps.config(**changes), True, ops, divide_by).total_loss)
  return losses


@pytest.mark.integration
def test_with_dropout_a_step_is_the_sum_of_its_parts_run_alone():
  def case(micro_batch_size, towers):
    step, again = [small_steps.sums(micro_batch_size, False, recompute, towers, **small_steps.DROPOUT)
                   for recompute in (False, True)]
    return step, again, _losses_of_parts(micro_batch_size // towers, **small_steps.DROPOUT)

  with tf.Graph().as_default():
    fetches = case(2, 1), case(6, 2), _losses_of_parts(6)
    with small_steps.session() as session:
      small_steps.load_weights(session)
      *cases, (without,) = session.run(fetches)
  for (figures, gradients), (again, recomputed), parts in cases:
    assert again['total_loss'] == figures['total_loss']
    for name, value in gradients.items():
      np.testing.assert_array_equal(recomputed[name], value, err_msg=name)
    np.testing.assert_allclose(sum(parts), figures['total_loss'], rtol=1e-5)
    assert abs(sum(parts) - without) > 1e-3


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


@pytest.mark.integration
@pytest.mark.parametrize('micro_batch_size,recompute', [(2, False), (None, True)])
def test_no_sum_depends_on_which_operation_was_faster(micro_batch_size, recompute):
  device = npu_session.start(session_options.SessionOptions(device='cpu'), environ={})
  config = small_steps.config(num_hidden_layers=3, **small_steps.DROPOUT)  # gradients of three and more are added
  update, _ = training_step.make(
      Pretraining(config), small_steps.packed_batch(), lamb.OptimizerOptions(), 100, device,
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
