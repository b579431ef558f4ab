"""Small ALBERTs with random weights, all dimensions unequal, as folders of runs; and what the library's graph gives."""

import collections
import os

import numpy as np
import tensorflow.compat.v1 as tf

from albert import input_pipeline
from albert.model.config import AlbertConfig
from albert.model import names
from albert.tasks import pretraining
from tools.conversion import numpy_albert
from tools.conversion import writing

SPECIAL = ['[PAD]', '[unused1]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']


def config(**changes):
  """AlbertConfig, three layers of one group, heads of odd width."""
  values = dict(vocab_size=53, embedding_size=10, hidden_size=21, num_hidden_layers=3, num_attention_heads=3,
                intermediate_size=34, max_position_embeddings=17)
  values.update(changes)
  return AlbertConfig(**values)


def weights(model_config, parts=(names.ENCODER, names.POOLER, names.MASKED_LM, names.SENTENCE_ORDER), seed=11):
  """{name: float32 array} of the parts of a model."""
  random = np.random.RandomState(seed)
  return {name: (random.normal(size=shape) * 0.2 + name.endswith('gamma')).astype(np.float32)
          for name, shape in sorted(names.model_shapes(model_config).items()) if names.part_of_model(name) in parts}


def tokens(count):
  """A vocabulary of `count` tokens, Han characters behind the special ones."""
  return SPECIAL + [chr(0x4E00 + index) for index in range(count - len(SPECIAL))]


def save(folder, model_config, tensors, step=7, slots=False):
  """Writes a run's folder, with an optimizer's slots if asked. Returns the checkpoint's prefix."""
  prefix = os.path.join(str(folder), 'model.ckpt-{}'.format(step))
  saved = collections.OrderedDict(sorted(tensors.items()), global_step=np.int64(step))
  if slots:
    saved.update({name + '/adam_' + kind: np.full_like(value, 9) for name, value in tensors.items() for kind in 'mv'})
  writing.write_checkpoint(prefix, saved)
  with open(os.path.join(str(folder), 'albert_config.json'), 'w') as target:
    target.write(model_config.to_json_string())
  with open(os.path.join(str(folder), 'vocab.txt'), 'w', encoding='utf-8') as target:
    target.write(''.join(token + '\n' for token in tokens(model_config.vocab_size)))
  return prefix


def batch(model_config, length=13, seed=5):
  """numpy_albert.Batch of four sequences, three of them padded."""
  random = np.random.RandomState(seed)
  shape = [4, length]
  lengths = np.array([length, 6, 9, 2])
  return numpy_albert.Batch(
      random.randint(0, model_config.vocab_size, shape), random.randint(0, model_config.type_vocab_size, shape),
      np.arange(length) < lengths[:, np.newaxis])


def graph_outputs(prefix, model_config, given):
  """{name: array} of this library's graph for a numpy_albert.Batch: outputs and logits at every position."""
  ids = np.asarray(given.input_ids, np.int32)
  positions = np.tile(np.arange(ids.shape[1], dtype=np.int32), (len(ids), 1))
  arrays = [ids, np.asarray(given.input_mask, np.int32), np.asarray(given.segment_ids, np.int32), positions]
  with tf.Graph().as_default(), tf.Session() as session:
    tensors = input_pipeline.Batch(*([tf.constant(array) for array in arrays] + [None] * 3))
    model = pretraining.model(tensors, model_config, False, whole_last_layer=True)
    tf.train.Saver().restore(session, prefix)
    return session.run({
        'sequence_output': model.encoder.sequence_output, 'pooled_output': model.encoder.pooled_output,
        'masked_lm_logits': model.masked_lm.logits, 'sentence_order_logits': model.sentence_order.logits})


def assert_close(values, expected, tolerance=1e-5):
  """Asserts that arrays agree relative to the largest magnitude."""
  values, expected = np.asarray(values, np.float64), np.asarray(expected, np.float64)
  assert values.shape == expected.shape
  assert np.max(np.abs(values - expected)) <= tolerance * np.max(np.abs(expected))
