"""Where in a text the answer to a question is (Devlin et al. 2018, section 4.2).

    p_start = softmax over the tokens of a window of w_start h_t + b_start, p_end likewise; the loss is their mean

A window without the answer has it at [CLS]. Shapes: R rows, S sequence, K examples of a row.
"""

import collections

import tensorflow as tf

from albert.dataset import record_format
from albert.labelled import decoding
from albert.model import layers
from albert.scoring import answers as scoring
from albert.tasks.labelled_task import LabelledTask
from albert.tasks.labelled_task import rounded

# Added to the scores of other examples' tokens: exp of it is 0.
_OTHERS = -10000.0


class Reading(LabelledTask):
  """Cross entropy of the first and of the last token of the answer."""

  kind = record_format.READ
  scope = 'cls/squad'
  of_tokens = True
  figures = ('average', 'em', 'f1')

  def __init__(self, config, info, options, judged=None, max_answer_length=50, unanswerable=False):
    """max_answer_length: tokens of an answer at most. unanswerable: whether a text may have none. Rest: as others."""
    super().__init__(config, info, options, judged)
    self._max_answer_length, self._unanswerable = max_answer_length, unanswerable

  def weights(self, batch):
    return batch.example_weights

  def losses(self, part, logits):
    if part.answer_start is None:
      return None
    owners = part.input_mask - 1 if part.example_ids is None else part.example_ids
    slots = tf.range(layers.size(part.answer_start, 1))
    is_other = tf.not_equal(owners[:, tf.newaxis], slots[:, tf.newaxis])  # [R, K, S]
    others = tf.cast(is_other, tf.float32) * _OTHERS
    losses = [layers.cross_entropy(tf.reshape(logits[:, tf.newaxis, :, which] + others, [-1, layers.size(owners, 1)]),
                                   tf.reshape(positions, [-1]))
              for which, positions in enumerate((part.answer_start, part.answer_end))]
    return tf.reshape(0.5 * (losses[0] + losses[1]), tf.shape(part.answer_start))

  def answers(self, example, windows, logits, n_best=1):
    """The best labelled.decoding.Answers of an example. logits: list of float [n, 2], of its windows."""
    return decoding.best_answers(
        windows, [scores[:, 0] for scores in logits], [scores[:, 1] for scores in logits], example, n_best,
        self._max_answer_length, self._unanswerable)

  def answer(self, example, windows, logits, n_best=1):
    entries = [collections.OrderedDict([('answer', answer.text), ('start', answer.start), ('end', answer.end),
                                        ('score', rounded(answer.score))])
               for answer in self.answers(example, windows, logits, n_best)]
    return collections.OrderedDict(entries[0], n_best=entries) if n_best > 1 else entries[0]

  def gold(self, example):
    return list(example.label.answers)

  def is_right(self, example, said):
    return bool(scoring.exact_match(_right_answers(example), said['answer']))

  def served(self, logits):
    """start_logits and end_logits float32 [B, S]."""
    return [('start_logits', logits[:, :, 0]), ('end_logits', logits[:, :, 1])]

  def scored(self, example, windows, logits):
    """(answers, none if the text has none; predicted answer), str."""
    return _right_answers(example), self.answers(example, windows, logits)[0].text

  def figures_of(self, scored):
    return scoring.score([answers for answers, _ in scored], [predicted for _, predicted in scored])


def _right_answers(example):
  """Sequence of str; none where the text does not answer the question."""
  return () if example.label.impossible else example.label.answers
