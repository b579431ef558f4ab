"""Losses and metrics against slow numpy."""

import math

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.dataset import contract
from albert import input_pipeline
from albert import modeling
from albert.modeling import AlbertConfig
from albert.tasks import heads
from albert.tasks import pretraining
from albert.tasks.pretraining import Objective
from albert.tasks.pretraining import Pretraining
from albert.tasks import unigram

B, S, P, V, E, H = 4, 9, 3, 31, 5, 6
CONFIG = AlbertConfig(vocab_size=V, embedding_size=E, hidden_size=H, num_hidden_layers=1, num_attention_heads=2,
                      intermediate_size=7, max_position_embeddings=S)


def _batch(random, filled=B):
  weights = (random.rand(B, P) > 0.3).astype(np.float32)
  mask = np.ones([B, S], np.int32)
  weights[filled:], mask[filled:] = 0.0, 0
  return input_pipeline.Batch(
      input_ids=random.randint(0, V, [B, S]), input_mask=mask, segment_ids=random.randint(0, 2, [B, S]),
      masked_lm_positions=random.randint(0, S, [B, P]), masked_lm_ids=random.randint(0, V, [B, P]),
      masked_lm_weights=weights, next_sentence_labels=random.randint(0, 2, [B, 1]))


def _tensors(batch):
  return input_pipeline.Batch(*[tf.constant(v, tf.float32 if v.dtype.kind == 'f' else tf.int32) for v in batch])


def _log_softmax(x):
  x = x - x.max(-1, keepdims=True)
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _run(fetches):
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    return session.run(fetches)


def test_the_weight_of_the_sentence_order_loss_counts_in_training_only():
  for weight, task in ((1.0, Pretraining), (5.0, Pretraining.weighted(5.0))):
    tf.reset_default_graph()
    batch, made = _tensors(_batch(np.random.RandomState(0))), task(CONFIG)
    total, figures = made.loss(batch, modeling.default_ops(), made.denominators(batch))
    value, figures = _run((total, figures))
    assert value == pytest.approx(figures['masked_lm_loss'] + weight * figures['sentence_order_loss'], rel=1e-6)
    assert figures['total_loss'] == value and made.settings == {'sentence_order_weight': weight}


def test_the_weight_is_checked_by_the_name_that_the_user_knows():
  assert Objective().task() is Pretraining and Objective(3).task().settings == {'sentence_order_weight': 3.0}
  with pytest.raises(UserError, match=r"^pretrain\.sentence_order_weight: expected a number .*, found 'much'"):
    Objective('much').check('pretrain.{}'.format)


def test_losses_against_numpy():
  batch = _batch(np.random.RandomState(0))
  model = pretraining.model(_tensors(batch), CONFIG, is_training=False)
  values = _run(model)
  log_probs = _log_softmax(values.masked_lm.logits)
  nats = -log_probs[np.arange(B * P), batch.masked_lm_ids.reshape(-1)]
  weights = batch.masked_lm_weights.reshape(-1)
  np.testing.assert_allclose(values.masked_lm.loss, (nats * weights).sum() / (weights.sum() + 1e-5), rtol=1e-5)
  order = -_log_softmax(values.sentence_order.logits)[np.arange(B), batch.next_sentence_labels[:, 0]]
  np.testing.assert_allclose(values.sentence_order.loss, order.mean(), rtol=1e-5)
  np.testing.assert_allclose(values.total_loss, values.masked_lm.loss + values.sentence_order.loss, rtol=1e-6)


def test_only_the_read_positions_of_the_last_layer_are_computed_and_nothing_else_changes():
  """Losses and gradients with the last layer at [CLS] and the masked positions equal those with all positions."""
  tensors = _tensors(_batch(np.random.RandomState(1)))
  models = []
  for whole in (False, True):
    with tf.variable_scope(tf.get_variable_scope(), reuse=whole):
      models.append(pretraining.model(tensors, CONFIG, False, whole_last_layer=whole))
  read, whole = models
  assert read.encoder.sequence_output.shape.as_list() == [B, 1 + P, H]
  assert whole.encoder.sequence_output.shape.as_list() == [B, S, H]
  at = tf.concat([tf.zeros([B, 1], tf.int32), tensors.masked_lm_positions], axis=1)
  variables = tf.trainable_variables()
  values = _run([[model.masked_lm, model.sentence_order, model.encoder.pooled_output,
                 [tf.convert_to_tensor(g) for g in tf.gradients(model.total_loss, variables)]]
                for model in (read, whole)]
               + [read.encoder.sequence_output, tf.batch_gather(whole.encoder.sequence_output, at)])
  np.testing.assert_allclose(values[2], values[3], rtol=1e-5, atol=1e-6)
  for a, b in zip(tf.nest.flatten(values[0]), tf.nest.flatten(values[1])):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_no_label_at_all_is_no_division_by_zero():
  batch = _batch(np.random.RandomState(4), filled=0)
  assert _run(pretraining.model(_tensors(batch), CONFIG, False).masked_lm.loss) == 0.0


def test_head_variable_names():
  pretraining.model(_tensors(_batch(np.random.RandomState(0))), CONFIG, False)
  shapes = {v.op.name: v.shape.as_list() for v in tf.global_variables() if v.op.name.startswith('cls/')}
  assert shapes == {
      'cls/predictions/transform/dense/kernel': [H, E], 'cls/predictions/transform/dense/bias': [E],
      'cls/predictions/transform/LayerNorm/beta': [E], 'cls/predictions/transform/LayerNorm/gamma': [E],
      'cls/predictions/output_bias': [V], 'cls/seq_relationship/output_weights': [2, H],
      'cls/seq_relationship/output_bias': [2]}


def test_training_accuracies_are_weighted():
  logits = tf.constant([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
  labels, weights = tf.constant([1, 1, 1, 0]), tf.constant([1.0, 1.0, 0.0, 2.0])
  assert _run(heads.accuracy(logits, labels, weights, tf.constant(4.0))) == 0.75


def test_heldout_metrics_leave_out_filling_rows_and_pool_over_tokens(tmp_path):
  random = np.random.RandomState(5)
  batch = _batch(random, filled=3)
  (tmp_path / 'token_counts.txt').write_text(''.join('{}\n'.format(count) for count in random.randint(0, 9, V)))
  nats = unigram.nats(str(tmp_path / 'token_counts.txt'), V)
  task = Pretraining(CONFIG, contract.DatasetInfo(str(tmp_path), S, P, V, None, {}))
  outputs = task.outputs(_tensors(batch), modeling.default_ops())
  metrics = task.metrics(_tensors(batch), outputs)
  with tf.variable_scope(tf.get_variable_scope(), reuse=True):
    model = pretraining.model(_tensors(batch), CONFIG, False)
  with tf.Session() as session:
    session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
    values, logits, _ = session.run([model, [outputs.masked_lm_logits, outputs.sentence_order_logits],
                                     [update for _, update in metrics.values()]])
    means = session.run({name: value for name, (value, _) in metrics.items()})
  np.testing.assert_allclose(logits[0], values.masked_lm.logits, rtol=1e-6)
  np.testing.assert_allclose(logits[1], values.sentence_order.logits, rtol=1e-6)
  weights = batch.masked_lm_weights.reshape(-1)
  labels = batch.masked_lm_ids.reshape(-1)
  order = batch.next_sentence_labels[:3, 0]
  np.testing.assert_allclose(means['masked_lm_loss'], (values.masked_lm.example_loss * weights).sum() / weights.sum(),
                             rtol=1e-5)
  hits = values.masked_lm.logits.argmax(-1) == labels
  np.testing.assert_allclose(means['masked_lm_accuracy'], (hits * weights).sum() / weights.sum(), rtol=1e-5)
  np.testing.assert_allclose(means['sentence_order_loss'], values.sentence_order.example_loss[:3].mean(), rtol=1e-5)
  np.testing.assert_allclose(means['sentence_order_accuracy'],
                             (values.sentence_order.logits[:3].argmax(-1) == order).mean(), rtol=1e-5)
  np.testing.assert_allclose(means['total_loss'], means['masked_lm_loss'] + means['sentence_order_loss'], rtol=1e-6)
  expected = (nats[labels] * weights[:, np.newaxis]).sum(0) / weights.sum()
  np.testing.assert_allclose(means['unigram_cross_entropy'], expected.min(), rtol=1e-5)


def test_outputs_need_no_labels():
  batch = _batch(np.random.RandomState(6))
  unlabelled = _tensors(batch)._replace(masked_lm_ids=None, masked_lm_weights=None, next_sentence_labels=None)
  outputs = []
  for reuse, tensors in ((False, _tensors(batch)), (True, unlabelled)):
    with tf.variable_scope(tf.get_variable_scope(), reuse=reuse):
      outputs.append(Pretraining(CONFIG).outputs(tensors, modeling.default_ops()))
  known, unknown = outputs
  assert [name for name, value in unknown._asdict().items() if value is None] == [
      'masked_lm_loss', 'masked_lm_hits', 'sentence_order_loss', 'sentence_order_hits', 'sequence_output',
      'pooled_output']
  for first, second in _run([[known.masked_lm_logits, unknown.masked_lm_logits],
                             [known.sentence_order_logits, unknown.sentence_order_logits]]):
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize('masked_lm_loss,words', [
    (6.0, '0.5000 nats better than a unigram model, whose loss is 6.5000'),
    (6.75, '0.2500 nats worse than a unigram model, whose loss is 6.5000')])
def test_the_summary_says_how_it_compares_with_a_unigram_model(masked_lm_loss, words):
  figures = dict.fromkeys(Pretraining.heldout_columns, 0.0)
  figures.update(masked_lm_loss=masked_lm_loss, unigram_cross_entropy=6.5)
  first, second = Pretraining(CONFIG).summary(1000, figures)
  assert first.startswith('held-out at step 1,000: masked LM loss 6.') and second == words
  assert '(perplexity {:,.1f}), accuracy'.format(math.exp(masked_lm_loss)) in first


def test_unigram_nats_are_additive_smoothing(tmp_path):
  path = tmp_path / 'token_counts.txt'
  path.write_text('0\n3\n7\n')
  nats = unigram.nats(str(path), 3)
  for column, add in enumerate((1.0, 0.3, 0.1, 0.03)):
    expected = [-np.log((count + add) / (10.0 + 3 * add)) for count in (0, 3, 7)]
    np.testing.assert_allclose(nats[:, column], expected, rtol=1e-6)
