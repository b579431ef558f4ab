"""Pre-training, the first task: masked words and the order of two segments.

Shapes: B batch, S sequence, P masked predictions, K examples in a row (1 without packing), E embedding size, H hidden
size, V vocabulary.
"""

import collections
import dataclasses
import logging
import os

import tensorflow as tf

from albert.common import checks
from albert.common.errors import UserError
from albert.common import in_words
from albert.dataset.batch import Batch
from albert.dataset.batch import PackedBatch
from albert.dataset import contract
from albert.model import layers
from albert import modeling
from albert.tasks import heads
from albert.tasks.task import Criterion
from albert.tasks.task import HeadSize
from albert.tasks.task import Task
from albert.tasks import unigram

_LOG = logging.getLogger('albert')

# Keeps the mean of no label at all from being 0 / 0, as in the reference.
_WEIGHT_EPSILON = 1e-5

# modeling.AlbertOutputs, heads.MaskedLm, heads.SentenceOrder; total_loss float32 scalar, their unweighted sum, None
# without labels.
PretrainingModel = collections.namedtuple('PretrainingModel', ['encoder', 'masked_lm', 'sentence_order', 'total_loss'])

# What the losses of a batch are divided by: float32 scalars.
Denominators = collections.namedtuple('Denominators', ['masked_lm', 'sentence_order'])

# What inference gives. Logits float32 [B*P, V] and [B*K, 2]; losses float32 [B*P] and [B*K], cross entropy in nats;
# hits of the same shapes, 1 where the largest logit is the label's. Without masked positions the encoder's float32
# [B, S, H] and [B, H] instead of what is masked.
Outputs = collections.namedtuple('Outputs', [
    'masked_lm_logits', 'masked_lm_loss', 'masked_lm_hits',
    'sentence_order_logits', 'sentence_order_loss', 'sentence_order_hits',
    'sequence_output', 'pooled_output'], defaults=[None, None])
_ENCODER_INPUTS = ('input_ids', 'input_mask', 'segment_ids')


@dataclasses.dataclass(frozen=True)
class Objective:
  """Options of pre-training itself.

  Attributes:
    sentence_order_weight: of the sentence order loss in training, beside 1 for masked words. The paper's is 1; short
      runs learn the order only with more, see docs/results.md. Held-out losses are not weighted.
  """

  sentence_order_weight: float = 1.0

  def check(self, named):
    """Raises UserError for a value of another type. named: function from an attribute to what the user calls it."""
    checks.number(named('sentence_order_weight'), self.sentence_order_weight)

  def task(self):
    """The Task with these weights."""
    return Pretraining if self.sentence_order_weight == 1.0 else Pretraining.weighted(float(self.sentence_order_weight))


class Pretraining(Task):
  """The task of albert.pretraining. Its held-out total_loss is the unweighted sum of both losses."""

  name = 'pretraining'
  criterion = Criterion('masked_lm_loss', lowest=True)
  recipes = (('gin/tiny_hour.gin', 'one hour'), ('gin/small_night.gin', 'a night'))
  heldout_columns = ('masked_lm_loss', 'masked_lm_accuracy', 'sentence_order_loss', 'sentence_order_accuracy')
  signatures = collections.OrderedDict([
      ('features', _ENCODER_INPUTS), ('masked_lm', _ENCODER_INPUTS + ('masked_lm_positions',)),
      ('sentence_order', _ENCODER_INPUTS)])
  settings = {'sentence_order_weight': 1.0}

  def __init__(self, config, info=None):
    """config: AlbertConfig with vocab_size. info: contract.DatasetInfo of the training data, if its tokens count."""
    self._config, self._info = config, info

  @classmethod
  def weighted(cls, sentence_order_weight):
    """This task with a weight of the sentence order loss in training, a float; the paper's is 1."""
    return type(cls.__name__, (cls,), {'settings': {'sentence_order_weight': sentence_order_weight}})

  def head_size(self, max_predictions_per_seq):
    return head_size(self._config, max_predictions_per_seq)

  def batch(self, features):
    """input_pipeline.Batch, or packed_batches.PackedBatch where there are its fields."""
    kind = PackedBatch if 'example_ids' in features else Batch
    return kind(**features)

  def sizes(self, batch):
    return tf.cast(tf.reduce_sum(example_weights(batch)), tf.int32), tf.reduce_sum(batch.input_mask)

  def denominators(self, batch, collectives=None):
    return denominators(batch, collectives)

  def loss(self, part, ops, divide_by, recompute=False):
    made, weight = (model(part, self._config, True, ops, divide_by, recompute=recompute),
                    self.settings['sentence_order_weight'])
    total = made.total_loss if weight == 1.0 else made.masked_lm.loss + weight * made.sentence_order.loss
    return total, collections.OrderedDict([
        ('total_loss', total),
        ('masked_lm_loss', made.masked_lm.loss),
        ('sentence_order_loss', made.sentence_order.loss),
        ('masked_lm_accuracy', heads.accuracy(
            made.masked_lm.logits, part.masked_lm_ids, part.masked_lm_weights, divide_by.masked_lm)),
        ('sentence_order_accuracy', heads.accuracy(
            made.sentence_order.logits, part.next_sentence_labels, example_weights(part),
            divide_by.sentence_order))])

  def outputs(self, part, ops):
    """Outputs."""
    made = model(part, self._config, False, ops)
    def hits(logits, labels):
      return None if labels is None else heads.hits(logits, labels)
    order = (made.sentence_order.logits, made.sentence_order.example_loss,
             hits(made.sentence_order.logits, part.next_sentence_labels))
    if made.masked_lm is None:
      return Outputs(None, None, None, *order, made.encoder.sequence_output, made.encoder.pooled_output)
    return Outputs(
        made.masked_lm.logits, made.masked_lm.example_loss, hits(made.masked_lm.logits, part.masked_lm_ids), *order)

  def serve(self, signature, part, ops):
    """features: what the encoder gives. masked_lm: logits [B, P, V]. sentence_order: probabilities [B, 2]."""
    if signature == 'features':
      outputs = self.outputs(part, ops)
      return collections.OrderedDict([
          ('sequence_output', outputs.sequence_output), ('pooled_output', outputs.pooled_output)])
    if signature == 'masked_lm':
      logits = self.outputs(part, ops).masked_lm_logits
      shape = layers.shape_of(part.masked_lm_positions) + [self._config.vocab_size]
      return collections.OrderedDict([('logits', tf.reshape(logits, shape))])
    # A position to read, so that the last layer computes no others.
    part = part._replace(masked_lm_positions=tf.zeros_like(part.input_ids[:, :1]))
    return collections.OrderedDict([('probabilities', tf.nn.softmax(self.outputs(part, ops).sentence_order_logits))])

  def metrics(self, batch, outputs):
    """Losses and accuracies over all tokens or examples, and the cross entropy of a unigram model beside them."""
    label_weights = tf.reshape(batch.masked_lm_weights, [-1])
    example_weights = tf.cast(batch.input_mask[:, 0], tf.float32)
    metrics = {
        'masked_lm_loss': tf.metrics.mean(outputs.masked_lm_loss, label_weights),
        'masked_lm_accuracy': tf.metrics.mean(outputs.masked_lm_hits, label_weights),
        'sentence_order_loss': tf.metrics.mean(outputs.sentence_order_loss, example_weights),
        'sentence_order_accuracy': tf.metrics.mean(outputs.sentence_order_hits, example_weights)}
    metrics['total_loss'] = tuple(
        masked + order for masked, order in zip(metrics['masked_lm_loss'], metrics['sentence_order_loss']))
    nats = self._unigram_nats()
    if nats is not None:
      metrics['unigram_cross_entropy'] = _unigram_cross_entropy(nats, batch, label_weights)
    return metrics

  def _unigram_nats(self):
    """unigram.nats() of the training data, or None if they do not say how often each token occurs."""
    if self._info is None or not os.path.lexists(self._info.token_counts_file):
      return None
    try:
      return unigram.nats(self._info.token_counts_file, self._config.vocab_size,
                          self._info.digests.get(contract.TOKEN_COUNTS_FILE))
    except UserError as error:
      _LOG.warning('%s; the cross entropy of a unigram model is left out', error)
      return None

  def line(self, figures):
    return 'loss {:.4f} (masked LM {:.4f}, sentence order {:.4f})'.format(
        figures['total_loss'], figures['masked_lm_loss'], figures['sentence_order_loss'])

  def summary(self, step, figures):
    loss, accuracy, order_loss, order_accuracy = [figures[name] for name in self.heldout_columns]
    lines = ['held-out at step {:,}: masked LM loss {:.4f} (perplexity {}), accuracy {:.4f}; sentence order loss '
             '{:.4f}, accuracy {:.4f}'.format(step, loss, in_words.perplexity(loss), accuracy, order_loss,
                                              order_accuracy)]
    if 'unigram_cross_entropy' in figures:
      better_by = unigram.better_by(figures)
      lines.append('{:.4f} nats {} than a unigram model, whose loss is {:.4f}'.format(
          abs(better_by), 'better' if better_by > 0 else 'worse', figures['unigram_cross_entropy']))
    return lines


def head_size(config, max_predictions_per_seq):
  """HeadSize of both heads. config: AlbertConfig with vocab_size; max_predictions_per_seq: as for Task.head_size."""
  masked_lm_parameters = (config.hidden_size + 3) * config.embedding_size + config.vocab_size
  sentence_order_parameters = 2 * (config.hidden_size + 1)
  return HeadSize(masked_lm_parameters + sentence_order_parameters, max_predictions_per_seq * config.vocab_size,
                  3 * max_predictions_per_seq)


def denominators(batch, collectives=None):
  """Denominators of a whole batch, for the parts of it that micro-batches and ranks compute.

  Args:
    batch: as for model().
    collectives: see device/collectives.py, when several ranks make one batch. The average of the ranks' gradients is
      then the gradient of the whole batch's loss.
  """
  masked, order = tf.reduce_sum(batch.masked_lm_weights), tf.reduce_sum(example_weights(batch))
  if collectives is not None and collectives.ranks > 1:
    masked, order = tf.unstack(collectives.all_reduce_sum(tf.stack([masked, order]), name='denominators'))
    return Denominators((masked + _WEIGHT_EPSILON) / float(collectives.ranks), order / float(collectives.ranks))
  return Denominators(masked + _WEIGHT_EPSILON, order)


def example_weights(batch):
  """float32 [B, K]: 0 for the slots of a packed row that hold no example."""
  return getattr(batch, 'example_weights', tf.ones_like(batch.next_sentence_labels, tf.float32))


def model(batch, config, is_training, ops=None, divide_by=None, whole_last_layer=False, recompute=False):
  """The encoder with both heads on a batch.

  Args:
    batch: input_pipeline.Batch or packed_batches.PackedBatch, or anything with their fields. Without labels
      masked_lm_ids, masked_lm_weights and next_sentence_labels are None; without masked words so are
      masked_lm_positions, and the last layer computes every position.
    config: AlbertConfig with vocab_size.
    is_training: Python bool.
    ops: modeling.Ops or None.
    divide_by: Denominators of the batch that this one is a part of; None: of this one.
    whole_last_layer: whether the last layer computes every position, though the losses read only [CLS] and the
      masked ones; for tools that look at sequence_output.
    recompute: as for modeling.albert.

  Returns:
    PretrainingModel, its masked_lm None without masked words. encoder.sequence_output is float32 [B, S, H] with
    whole_last_layer, else [B, K + P, H]: [CLS] of the K examples of a row (1 without packing), then
    masked_lm_positions.
  """
  has_masked = batch.masked_lm_positions is not None
  whole_last_layer = whole_last_layer or not has_masked
  packing, cls_positions = None, tf.zeros_like(batch.input_ids[:, :1])
  if hasattr(batch, 'example_ids'):
    packing = modeling.Packing(batch.position_ids, batch.example_ids, batch.cls_positions)
    cls_positions = batch.cls_positions
  encoder = modeling.albert(
      batch.input_ids, batch.input_mask, batch.segment_ids, config, is_training, ops, packing=packing,
      read_positions=None if whole_last_layer else tf.concat([cls_positions, batch.masked_lm_positions], axis=1),
      recompute=recompute)
  is_labelled = batch.masked_lm_ids is not None
  if is_labelled:
    divide_by = divide_by or denominators(batch)
  else:
    divide_by = Denominators(None, None)
  masked = None
  if has_masked:
    masked_output = (tf.batch_gather(encoder.sequence_output, batch.masked_lm_positions) if whole_last_layer
                     else encoder.sequence_output[:, layers.size(cls_positions, 1):])
    masked = heads.masked_lm(masked_output, encoder.embedding_table, batch.masked_lm_ids, batch.masked_lm_weights,
                             config, ops, divide_by.masked_lm)
  order = heads.sentence_order(encoder.pooled_output, batch.next_sentence_labels, config,
                               example_weights(batch) if is_labelled else None, divide_by.sentence_order)
  return PretrainingModel(encoder, masked, order, masked.loss + order.loss if is_labelled else None)


def _unigram_cross_entropy(nats, batch, label_weights):
  """The metric of the best of K unigram models. nats: float32 [V, K], of each token under each."""
  of_labels = tf.gather(tf.constant(nats, tf.float32), tf.reshape(batch.masked_lm_ids, [-1]))
  means = [tf.metrics.mean(column, label_weights) for column in tf.unstack(of_labels, axis=1)]
  return tf.reduce_min([value for value, _ in means]), tf.reduce_min([update for _, update in means])
