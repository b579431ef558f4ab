"""A number for a text or a pair of texts: the mean squared error of one output on the pooled [CLS].

Shapes: R rows, K examples of a row.
"""

import collections

import numpy as np
import tensorflow as tf

from albert.dataset import record_format
from albert.scoring import regression as scoring
from albert.tasks.labelled_task import LabelledTask
from albert.tasks.labelled_task import rounded


class Regression(LabelledTask):
  """Mean squared error."""

  kind = record_format.REGRESS
  figures = ('pearson', 'spearman', 'mse')

  def weights(self, batch):
    return batch.example_weights

  def losses(self, part, logits):
    return None if part.label_values is None else tf.math.squared_difference(logits[:, :, 0], part.label_values)

  def answer(self, example, windows, logits, n_best=1):
    return collections.OrderedDict(value=rounded(value_of(logits)))

  def is_right(self, example, said):
    """No number is: how far off it is counts."""
    return False

  def scored(self, example, windows, logits):
    """(number, predicted number)."""
    return windows[0].target, value_of(logits)

  def figures_of(self, scored):
    return scoring.score([gold for gold, _ in scored], [predicted for _, predicted in scored])


def value_of(logits):
  """float, of an example whose windows have these logits, float [1] each."""
  return float(np.mean(np.asarray(logits, np.float64)))
