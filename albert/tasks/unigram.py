"""The model that every language model has to beat: each token as often as in the training data. No TensorFlow."""

import numpy as np

from albert.dataset import data_files

# Held-out figures that are compared.
FIGURES = ('masked_lm_loss', 'unigram_cross_entropy')

_SMOOTHING = (1.0, 0.3, 0.1, 0.03)  # of the unigram model; the best one counts


def nats(token_counts_file, vocab_size, sha256=None):
  """-log p(token) with additive smoothing.

  Args:
    token_counts_file: a count per line, V lines.
    vocab_size: V.
    sha256: of the file, or None if it is not known.

  Returns:
    float32 array [V, 4], for add-1, 0.3, 0.1 and 0.03.

  Raises:
    UserError: anything else is in it.
  """
  counts = data_files.read_token_counts(token_counts_file, vocab_size, sha256).astype(np.float64)
  columns = [np.log(counts.sum() + vocab_size * add) - np.log(counts + add) for add in _SMOOTHING]
  return np.stack(columns, axis=1).astype(np.float32)


def better_by(figures):
  """How far the masked-LM loss is below the cross entropy of the unigram model, in nats; negative if it is above.

  Args:
    figures: dict of floats, held-out figures.

  Raises:
    KeyError: the figures lack one of FIGURES.
  """
  return figures[FIGURES[1]] - figures[FIGURES[0]]
