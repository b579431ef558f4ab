"""A tag for each character: entities of a text (Devlin et al. 2018, section 5.3), with or without a CRF.

    p_t = softmax(W dropout(h_t) + b), or the chain of crf.py over these scores

Shapes: R rows, S sequence, C tags.
"""

import collections

import tensorflow as tf

from albert.dataset import record_format
from albert.labelled import decoding
from albert.model import layers
from albert.scoring import entities as scoring
from albert.tasks import crf
from albert.tasks.labelled_task import LabelledTask


class Tagging(LabelledTask):
  """Cross entropy of the tags of scored tokens; with HeadOptions.crf the negative log likelihood of each text's.

  Attributes:
    transitions: what decode_with() was given.
  """

  kind = record_format.TAG
  of_tokens = True
  figures = ('f1', 'precision', 'recall', 'token_accuracy')
  transitions, _trained = None, {}

  def weights(self, batch):
    if not self.options.crf:
      return tf.cast(batch.tag_mask, tf.float32)
    # As many as there are chains, which are the examples with a scored token.
    slots = tf.range(1 if batch.cls_positions is None else layers.size(batch.cls_positions, 1))
    owns = tf.equal(_owners(batch)[:, tf.newaxis], slots[:, tf.newaxis])  # [R, K, S]
    has_any = tf.reduce_max(tf.cast(owns, tf.int32) * batch.tag_mask[:, tf.newaxis], axis=2)
    return tf.cast(tf.reduce_sum(has_any, axis=1), tf.float32)

  def losses(self, part, logits):
    parameters = self._parameters()
    if part.tag_ids is None:
      return None
    if parameters is None:
      losses = layers.cross_entropy(tf.reshape(logits, [-1, self.options.classes]), tf.reshape(part.tag_ids, [-1]))
      return tf.reshape(losses, tf.shape(part.tag_ids))
    total, count = crf.loss(logits, part.tag_ids, part.tag_mask, _owners(part), parameters)
    return tf.math.divide_no_nan(total, count)

  def _parameters(self):
    return crf.variables(crf.SCOPE, self.options.classes) if self.options.crf else None

  def hits(self, part, logits):
    if self.options.crf:
      return None
    return tf.cast(tf.equal(tf.argmax(logits, axis=2, output_type=tf.int32), part.tag_ids), tf.float32)

  def outputs(self, part, ops):
    outputs = super().outputs(part, ops)
    if not self.options.crf:
      return outputs
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
      parameters = self._parameters()
    return outputs._replace(crf=tf.concat(
        [parameters.transitions, parameters.start[tf.newaxis], parameters.end[tf.newaxis]], axis=0))

  def predictions(self, batch, outputs):
    arrays = super().predictions(batch, outputs)
    return dict(arrays, crf=outputs.crf[:self.options.classes + 2]) if self.options.crf else arrays

  def decode_with(self, transitions):
    """What entities() takes the trained transitions from: float [C + 2, C] as Outputs.crf has them; None without."""
    count, self.transitions = self.options.classes, transitions
    self._trained = {} if transitions is None else dict(
        transitions=transitions[:count], first=transitions[count], last=transitions[count + 1])

  def entities(self, example, windows, logits):
    """The list of labelled.example.Entity of an Example. windows: its Windows; logits: float [n, C] of each."""
    return decoding.entities(windows, logits, self.judged.labels, example, **self._trained)

  def answer(self, example, windows, logits, n_best=1):
    return collections.OrderedDict(entities=_as_json(self.entities(example, windows, logits)))

  def gold(self, example):
    return _as_json(example.label)

  def is_right(self, example, said):
    return said['entities'] == self.gold(example)

  def score(self, predictions):
    self.decode_with(predictions.get('crf'))
    return super().score(predictions)

  def scored(self, example, windows, logits):
    """(entities, predicted entities, characters of the text); an entity is (type, start, end)."""
    gold, predicted = ([tuple(entity[:3]) for entity in entities]
                       for entities in (example.label, self.entities(example, windows, logits)))
    return gold, predicted, len(example.text_a)

  def figures_of(self, scored):
    return scoring.score(*zip(*scored)) if scored else scoring.score((), (), ())


def _owners(part):
  """int32 [R, S], the example of each token."""
  return part.input_mask - 1 if part.example_ids is None else part.example_ids


def _as_json(entities):
  return [collections.OrderedDict([('type', entity.type), ('text', entity.text), ('start', entity.start),
                                   ('end', entity.end)]) for entity in entities]
