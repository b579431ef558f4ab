"""A packed batch is the same examples: equal loss, equal gradients, nothing seen across examples."""

import numpy as np
import pytest
import tensorflow as tf

import small_steps
import synthetic_data
from albert.dataset import packing
from albert.input.formats import packed_batches
from albert import input_pipeline
from albert.model import cpu_ops
from albert import modeling
from albert.modeling import AlbertConfig
from albert.tasks import pretraining

S, P = 24, 5
CONFIG = AlbertConfig(vocab_size=len(synthetic_data.VOCAB), embedding_size=6, hidden_size=8, num_hidden_layers=2,
                      num_attention_heads=2, intermediate_size=12)
# Three in a row, one of full length, two.
LENGTHS = [[7, 9, 8], [24], [13, 10]]


def _example(number, length):
  """A record cut to `length` tokens."""
  random = np.random.RandomState(number)
  values = {name: np.zeros(S, np.int32) for name in ('input_ids', 'input_mask', 'segment_ids')}
  values['input_ids'][:length] = random.randint(5, CONFIG.vocab_size, length)
  values['input_mask'][:length] = 1
  values['segment_ids'][length // 2:length] = 1
  labels = 1 + number % 3
  for name, entries in (('masked_lm_positions', random.choice(np.arange(1, length), labels, replace=False)),
                      ('masked_lm_ids', random.randint(5, CONFIG.vocab_size, labels)),
                      ('masked_lm_weights', np.ones(labels))):
    values[name] = np.zeros(P, np.float32 if name == 'masked_lm_weights' else np.int32)
    values[name][:labels] = entries
  values['next_sentence_labels'] = np.array([number % 2], np.int32)
  return values


def _examples():
  numbered = [(row, length) for row, lengths in enumerate(LENGTHS) for length in lengths]
  separate = [_example(number, length) for number, (_, length) in enumerate(numbered)]
  examples = {name: tf.constant(np.stack([example[name] for example in separate])) for name in separate[0]}
  return examples, tf.constant([row for row, _ in numbered], tf.int32)


def _packed():
  examples, rows = _examples()
  return packed_batches.PackedBatch(**packed_batches.pack(examples, rows, len(LENGTHS)))


def _run(fetches):
  with small_steps.unrewritten() as session:
    session.run(tf.global_variables_initializer())
    return session.run(fetches)


def test_rows_hold_the_examples_one_behind_the_other():
  packed, examples = _run([_packed(), _examples()[0]])
  row = packed.input_ids[0]
  assert row.tolist() == np.concatenate([examples['input_ids'][n][:length] for n, length in enumerate(LENGTHS[0])]
                                        ).tolist()
  assert packed.position_ids[0].tolist() == list(range(7)) + list(range(9)) + list(range(8))
  assert packed.example_ids[2].tolist() == [0] * 13 + [1] * 10 + [-1]
  assert packed.input_mask.sum(1).tolist() == [24, 24, 23]
  assert packed.cls_positions[0].tolist() == [0, 7, 16] + [0] * (packing.MAX_EXAMPLES - 3)
  assert packed.example_weights.sum(1).tolist() == [3, 1, 2]
  assert packed.next_sentence_labels[0, :3].tolist() == [0, 1, 0]
  for number, start in ((1, 7), (2, 16)):
    weights = examples['masked_lm_weights'][number] > 0
    for position, label in zip(examples['masked_lm_positions'][number][weights], examples['masked_lm_ids'][number]):
      slot = packed.masked_lm_positions[0].tolist().index(position + start)
      assert packed.masked_lm_ids[0][slot] == label and packed.masked_lm_weights[0][slot] == 1
  assert packed.masked_lm_weights.shape == (3, packing.max_predictions(P))


@pytest.mark.parametrize('own_ops', ['default', 'cpu'])
@pytest.mark.parametrize('whole', [False, True])
def test_loss_and_every_gradient_are_those_of_the_unpacked_examples(own_ops, whole):
  ops = modeling.default_ops()
  if own_ops == 'cpu':
    ops = ops._replace(gelu=cpu_ops.gelu, add_and_norm=cpu_ops.add_and_norm, attention=cpu_ops.attention)
  models = []
  for reuse, batch in ((False, _packed()), (True, input_pipeline.Batch(**_examples()[0]))):
    with tf.variable_scope(tf.get_variable_scope(), reuse=reuse):
      models.append(pretraining.model(batch, CONFIG, True, ops, whole_last_layer=whole))
  variables = tf.trainable_variables()
  packed, plain = _run([[model.total_loss, model.masked_lm.loss, model.sentence_order.loss]
                        + [tf.convert_to_tensor(g) for g in tf.gradients(model.total_loss, variables)]
                        for model in models])
  for name, a, b in zip(['total', 'masked', 'order'] + [v.op.name for v in variables], packed, plain):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-6, err_msg=name)


def test_an_example_sees_nothing_of_its_neighbours():
  batch = _packed()
  model = pretraining.model(batch, CONFIG, False, whole_last_layer=True)
  first = tf.gradients(model.encoder.sequence_output[0, :7], model.encoder.embedding_output)[0]
  pooled = tf.gradients(model.encoder.pooled_output[1], model.encoder.embedding_output)[0]
  first, pooled = [np.abs(g).sum(-1) > 0 for g in _run([first, pooled])]
  assert first[0].tolist() == [True] * 7 + [False] * 17 and not first[1:].any()
  assert pooled[0].tolist() == [False] * 7 + [True] * 9 + [False] * 8 and not pooled[1:].any()
