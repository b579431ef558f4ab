"""Training steps of a small model, whole or without the optimizer, for tests that compare or inspect them."""

import types
from unittest import mock

import numpy as np
import tensorflow as tf

import synthetic_data
from albert.device import session_options
from albert.input.formats import packed_batches
from albert import input_pipeline
from albert import lamb
from albert.modeling import AlbertConfig
from albert import npu_session
from albert.tasks.pretraining import Pretraining
from albert.training import training_step

CLIP_NORM = 0.2
DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1)


def config(**changes):
  """An AlbertConfig of two layers: the last one computes what is read only, the other one everything."""
  return AlbertConfig(**dict(dict(
      vocab_size=len(synthetic_data.VOCAB), embedding_size=6, hidden_size=8, num_hidden_layers=2,
      num_attention_heads=2, intermediate_size=12), **changes))


def plain_batch(numbers=(0, 1, 2, 3, 4, 5)):
  """Records with different numbers of labels, as constants."""
  records = [synthetic_data.record(number) for number in numbers]
  return input_pipeline.Batch(**{
      name: tf.constant([record[name] for record in records], tf.float32 if name == 'masked_lm_weights' else tf.int32)
      for name in input_pipeline.Batch._fields})


def packed_batch():
  """The same records, two in a row of which each is long enough."""
  batch = plain_batch()
  size = 2 * synthetic_data.MAX_SEQ_LENGTH
  wide = {name: tf.pad(value, [[0, 0], [0, size - value.shape[1].value]])
          if name in ('input_ids', 'input_mask', 'segment_ids') else value for name, value in batch._asdict().items()}
  return packed_batches.PackedBatch(**packed_batches.pack(wide, tf.constant([0, 0, 1, 1, 2, 3]), 4))


def device():
  """A CPU without what XLA compiles, which takes longer than all the rest."""
  return npu_session.start(session_options.SessionOptions(device='cpu', fused_ops=False), environ={})


def load_weights(session, seed=0):
  """Initialises all variables; those of the model by their names, so that they are equal in every graph."""
  variables = sorted(tf.trainable_variables(), key=lambda v: v.op.name)
  random = np.random.RandomState(seed)
  session.run(tf.global_variables_initializer(), {
      variable.initializer.inputs[1]: random.normal(0.0, 0.3, variable.shape.as_list()) for variable in variables})


def make(micro_batch_size=None, packed=False, recompute=False, towers=1, **changes):
  """A step in the default graph, and its figures."""
  batch = packed_batch() if packed else plain_batch()
  return training_step.make(Pretraining(config(**changes)), batch, lamb.OptimizerOptions(
      learning_rate=0.05, num_warmup_steps=0, clip_norm=CLIP_NORM), 100, device(), random_seed=3,
      micro_batch_size=micro_batch_size, recompute=recompute, towers=towers)


class _Unapplied(training_step.Update):
  """What an update is made of. Half of a step's graph is the optimizer's, which is the same for all of them."""

  def apply(self, grads_and_vars, total_loss):
    gradients = [gradient for gradient, _ in grads_and_vars]
    return types.SimpleNamespace(rate=tf.constant(0.0), norm=lamb.clip_by_global_norm(gradients, CLIP_NORM)[1],
                                 train_op=tf.no_op(), gradients={v.op.name: g for g, v in grads_and_vars})


def sums(*way, **changes):
  """(figures, gradients by variable) of a step as make makes it, on the variables that the graph has or makes."""
  with mock.patch.object(training_step, 'Update', _Unapplied):
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
      step, figures = make(*way, **changes)
  return figures, step.gradients


def session():
  """A session that runs several steps at once as if each were alone: it looks for no operations that are the same."""
  options = device().session_config()
  options.graph_options.optimizer_options.opt_level = tf.compat.v1.OptimizerOptions.L0
  return unrewritten(options)


def unrewritten(config=None):
  """A tf.Session that runs a graph as it was built: rewriting it takes longer than running it a single time."""
  config = config or tf.ConfigProto()
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  return tf.Session(config=config)
