"""Figures of a model: of a training batch, and of held-out records pooled over all tokens or examples."""

import collections

import numpy as np
import tensorflow as tf

from albert.common.errors import UserError
from albert.tasks import heads

# TensorBoard shows what has one prefix in one pane, training and held-out curves in the same charts.
GROUP = 'pretraining/'

_SMOOTHING = (1.0, 0.3, 0.1, 0.03)  # of the unigram model; the best one counts


def training_figures(batch, model, divide_by):
  """Figures of a batch, or of a part of it: then the sum over the parts is that of the batch.

  Args:
    batch: as for heads.pretraining_model.
    model: heads.PretrainingModel of it.
    divide_by: heads.Denominators of the whole batch.

  Returns:
    OrderedDict of name to float32 scalar.
  """
  return collections.OrderedDict([
      ('total_loss', model.total_loss),
      ('masked_lm_loss', model.masked_lm.loss),
      ('sentence_order_loss', model.sentence_order.loss),
      ('masked_lm_accuracy', heads.accuracy(
          model.masked_lm.logits, batch.masked_lm_ids, batch.masked_lm_weights, divide_by.masked_lm)),
      ('sentence_order_accuracy', heads.accuracy(
          model.sentence_order.logits, batch.next_sentence_labels, heads.example_weights(batch),
          divide_by.sentence_order))])


# What held-out figures are the means of, float32: masked_lm_loss and masked_lm_hits [B*P], sentence_order_loss and
# sentence_order_hits [B]; losses are cross entropy in nats, hits 1 where the largest logit is the label's.
HeldoutColumns = collections.namedtuple('HeldoutColumns', [
    'masked_lm_loss', 'masked_lm_hits', 'sentence_order_loss', 'sentence_order_hits'])


def heldout_columns(batch, model):
  """HeldoutColumns of an input_pipeline.Batch and its heads.PretrainingModel."""
  def hits(logits, truth):
    return tf.cast(tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), tf.reshape(truth, [-1])), tf.float32)

  return HeldoutColumns(
      model.masked_lm.example_loss, hits(model.masked_lm.logits, batch.masked_lm_ids),
      model.sentence_order.example_loss, hits(model.sentence_order.logits, batch.next_sentence_labels))


def heldout_loss(batch, columns):
  """The loss of one batch, filling rows included. Arguments as for heldout_metrics. Returns a float32 scalar."""
  divide_by = heads.denominators(batch)
  return (tf.reduce_sum(tf.reshape(batch.masked_lm_weights, [-1]) * columns.masked_lm_loss) / divide_by.masked_lm
          + tf.reduce_sum(columns.sentence_order_loss) / divide_by.sentence_order)


def heldout_metrics(batch, columns, unigram=None):
  """Metrics pooled over all tokens or examples, so that the batch size does not matter.

  Args:
    batch: input_pipeline.Batch; rows whose first input_mask is 0 are filling and count nowhere.
    columns: HeldoutColumns of it.
    unigram: float32 [V, K] nats of each token under K unigram models, or None.

  Returns:
    dict of name to (value, update op) for tf.estimator.
  """
  label_weights = tf.reshape(batch.masked_lm_weights, [-1])
  example_weights = tf.cast(batch.input_mask[:, 0], tf.float32)
  metrics = {
      'masked_lm_loss': tf.metrics.mean(columns.masked_lm_loss, label_weights),
      'masked_lm_accuracy': tf.metrics.mean(columns.masked_lm_hits, label_weights),
      'sentence_order_loss': tf.metrics.mean(columns.sentence_order_loss, example_weights),
      'sentence_order_accuracy': tf.metrics.mean(columns.sentence_order_hits, example_weights)}
  metrics['total_loss'] = tuple(
      masked + order for masked, order in zip(metrics['masked_lm_loss'], metrics['sentence_order_loss']))
  if unigram is not None:
    nats = tf.gather(tf.constant(unigram, tf.float32), tf.reshape(batch.masked_lm_ids, [-1]))
    means = [tf.metrics.mean(column, label_weights) for column in tf.unstack(nats, axis=1)]
    metrics['unigram_cross_entropy'] = (tf.reduce_min([value for value, _ in means]),
                                        tf.reduce_min([update for _, update in means]))
  return metrics


def unigram_nats(token_counts_file, vocab_size):
  """-log p(token) with additive smoothing.

  Args:
    token_counts_file: a count per line, V lines.
    vocab_size: V.

  Returns:
    float32 array [V, 4], for add-1, 0.3, 0.1 and 0.03.

  Raises:
    UserError: another number of lines.
  """
  counts = np.loadtxt(token_counts_file, dtype=np.float64, ndmin=1)
  if counts.shape != (vocab_size,):
    raise UserError('{}: expected {} counts, found {}; make the data set again'.format(
        token_counts_file, vocab_size, counts.size))
  columns = [np.log(counts.sum() + vocab_size * add) - np.log(counts + add) for add in _SMOOTHING]
  return np.stack(columns, axis=1).astype(np.float32)
