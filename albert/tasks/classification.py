"""Which class a text or a pair of texts belongs to, or which classes (Devlin et al. 2018, section 4.1).

    p = softmax(W dropout(pooled [CLS]) + b), or with several classes a sigmoid for each

Shapes: R rows, K examples of a row, C classes.
"""

import collections

import numpy as np
import tensorflow as tf

from albert.dataset import record_format
from albert.labelled.labels import as_classes
from albert.model import layers
from albert.scoring import classes as scoring
from albert.tasks.labelled_task import LabelledTask
from albert.tasks.labelled_task import rounded

# HeadOptions.threshold where it is tuned, and the figure that says what came of it.
OF_DEV, THRESHOLD = 'dev', 'threshold'
# Classes whose probabilities are in an answer.
_TOP = 5


class Classification(LabelledTask):
  """Cross entropy of the classes.

  Attributes:
    threshold: the probability above which one of several classes is predicted; None: the one with the best micro-F1
      on the examples that are scored, which are those of dev.
  """

  kind = record_format.CLASSIFY

  def __init__(self, config, info, options, judged=None):
    self.figures = (('micro_f1', 'macro_f1', 'subset_accuracy') if options.multi_label else ('accuracy', 'macro_f1'))
    super().__init__(config, info, options, judged)
    self.threshold = None if options.threshold == OF_DEV else options.threshold
    if options.threshold == OF_DEV:
      self.heldout_columns += (THRESHOLD,)

  def weights(self, batch):
    if self.options.multi_label or self.options.class_weights is None:
      return batch.example_weights
    # As many times as an example of this weight would be there.
    return batch.example_weights * tf.gather(tf.constant(self.options.class_weights, tf.float32), batch.label_ids)

  def losses(self, part, logits):
    if part.label_ids is None:
      return None
    smoothing, classes = self.options.label_smoothing, self.options.classes
    if self.options.multi_label:
      targets = tf.cast(part.label_ids, tf.float32) * (1.0 - smoothing) + smoothing / 2.0
      losses = tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
      if self.options.class_weights is not None:
        losses *= tf.constant(self.options.class_weights, tf.float32)
      return tf.reduce_mean(losses, axis=2)
    losses = layers.cross_entropy(tf.reshape(logits, [-1, classes]), tf.reshape(part.label_ids, [-1]))
    losses = tf.reshape(losses, tf.shape(part.label_ids))
    if smoothing:
      losses = (1.0 - smoothing) * losses - smoothing * tf.reduce_mean(tf.nn.log_softmax(logits), axis=2)
    return losses

  def hits(self, part, logits):
    if self.options.multi_label:
      agree = tf.equal(logits > 0.0, part.label_ids > 0)
      return tf.cast(tf.reduce_all(agree, axis=2), tf.float32)
    return tf.cast(tf.equal(tf.argmax(logits, axis=2, output_type=tf.int32), part.label_ids), tf.float32)

  def served(self, logits):
    """probabilities float32 [B, C], and of single classes label int32 [B], its number in labels.json."""
    if self.options.multi_label:
      return [('probabilities', tf.sigmoid(logits))]
    return [('probabilities', tf.nn.softmax(logits)), ('label', tf.argmax(logits, axis=1, output_type=tf.int32))]

  def answer(self, example, windows, logits, n_best=1):
    names, probabilities = self.judged.labels.names, probabilities_of(logits, self.options.multi_label)
    # Of equal ones the first.
    order = np.argsort(-probabilities, kind='stable')
    scores = collections.OrderedDict((names[place], rounded(probabilities[place])) for place in order[:_TOP])
    if self.options.multi_label:
      chosen = [names[place] for place in np.flatnonzero(probabilities > self.threshold)]
      return collections.OrderedDict(labels=chosen, scores=scores)
    return collections.OrderedDict(label=names[order[0]], score=rounded(probabilities[order[0]]), scores=scores)

  def gold(self, example):
    return list(example.label) if isinstance(example.label, tuple) else example.label

  def is_right(self, example, said):
    if self.options.multi_label:
      return set(said['labels']) == set(as_classes(example.label))
    return said['label'] == example.label

  def scored(self, example, windows, logits):
    """(class, predicted class), or with several classes (list of C numbers 0 or 1, float [C], probabilities)."""
    probabilities = probabilities_of(logits, self.options.multi_label)
    if self.options.multi_label:
      return windows[0].target, probabilities
    return windows[0].target, int(probabilities.argmax())

  def figures_of(self, scored):
    gold, predicted = zip(*scored) if scored else ((), ())
    if self.options.multi_label:
      probabilities = np.array(predicted)
      threshold = scoring.best_threshold(gold, probabilities) if self.threshold is None else self.threshold
      figures = scoring.multi_label(gold, probabilities > threshold, self.judged.labels.names)
      if self.options.threshold == OF_DEV:
        figures[THRESHOLD] = threshold
      return figures
    return scoring.single_label(gold, predicted, self.judged.labels.names)


def probabilities_of(logits, multi_label):
  """float [C] of an example whose windows have these logits, float [C] each, of which the mean counts."""
  mean = np.mean(np.asarray(logits, np.float64), axis=0)
  if multi_label:
    return 1.0 / (1.0 + np.exp(-mean))
  powers = np.exp(mean - mean.max())
  return powers / powers.sum()
