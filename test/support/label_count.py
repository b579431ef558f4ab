"""A second task, to prove that a task is one file: how many labels an example has, told from [CLS]."""

import collections

import numpy as np
import tensorflow as tf

from albert.dataset.batch import Batch
from albert.model import layers
from albert import modeling
from albert.tasks import heads
from albert.tasks.task import Criterion
from albert.tasks.task import HeadSize
from albert.tasks.task import Task

# logits float32 [B, C] of C - 1 labels at most; count int32 [B].
Outputs = collections.namedtuple('Outputs', ['logits', 'count'])


class LabelCount(Task):
  """Cross entropy over the possible numbers of labels; the best checkpoint has the highest accuracy."""

  name = 'label_count'
  criterion = Criterion('accuracy', lowest=False)
  heldout_columns = ('accuracy', 'largest_error')

  def __init__(self, config, info):
    self._config, self._classes = config, info.max_predictions_per_seq + 1

  def head_size(self, max_predictions_per_seq):
    return HeadSize((self._config.hidden_size + 1) * self._classes, self._classes, 3 * max_predictions_per_seq)

  def batch(self, features):
    return Batch(**features)

  def sizes(self, batch):
    return tf.shape(batch.input_ids)[0], tf.reduce_sum(batch.input_mask)

  def denominators(self, batch, collectives=None):
    return float(batch.input_ids.shape[0].value)

  def loss(self, part, ops, divide_by, recompute=False):
    logits, labels = self._logits(part, True, ops, recompute), _labels(part)
    loss = tf.reduce_sum(layers.cross_entropy(logits, labels)) / divide_by
    return loss, collections.OrderedDict([
        ('total_loss', loss), ('accuracy', tf.reduce_sum(heads.hits(logits, labels)) / divide_by)])

  def outputs(self, part, ops):
    logits = self._logits(part, False, ops)
    return Outputs(logits, tf.argmax(logits, axis=-1, output_type=tf.int32))

  def metrics(self, batch, outputs):
    return {'accuracy': tf.metrics.mean(heads.hits(outputs.logits, _labels(batch)), batch.input_mask[:, 0])}

  def predictions(self, batch, outputs):
    return {'error': tf.abs(outputs.count - _labels(batch)), 'is_real': batch.input_mask[:, 0]}

  def score(self, predictions):
    return {'largest_error': np.max(predictions['error'] * predictions['is_real'])}, None

  def _logits(self, part, is_training, ops, recompute=False):
    encoder = modeling.albert(part.input_ids, part.input_mask, part.segment_ids, self._config, is_training, ops,
                              recompute=recompute)
    with tf.variable_scope('label_count'):
      dense = layers.dense_variables('dense', self._config.hidden_size, self._classes, self._config.initializer_range)
    return layers.dense(encoder.pooled_output, dense)


def _labels(part):
  return tf.reduce_sum(tf.cast(part.masked_lm_weights > 0.0, tf.int32), axis=1)
