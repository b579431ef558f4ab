"""Figures of predicted numbers."""

import collections

import numpy as np


def score(gold, predicted):
  """Figures of float sequences of length N.

  Returns:
    OrderedDict: pearson, spearman (from -1 to 1; None where all numbers of a side are equal, so that there is no
    correlation), mse.
  """
  gold, predicted = np.asarray(gold, np.float64), np.asarray(predicted, np.float64)
  return collections.OrderedDict([
      ('pearson', _correlation(gold, predicted)),
      ('spearman', _correlation(_ranks(gold), _ranks(predicted))),
      ('mse', float(np.mean((gold - predicted) ** 2)) if len(gold) else None)])


def _correlation(first, second):
  if len(first) < 2:
    return None
  first, second = first - first.mean(), second - second.mean()
  # Of numbers that are equal rounding leaves a little.
  norms = [np.sqrt((values ** 2).sum()) for values in (first, second)]
  if any(norm <= 1e-12 * max(1., np.abs(values).max()) for norm, values in zip(norms, (first, second))):
    return None
  return float(np.clip((first * second).sum() / (norms[0] * norms[1]), -1., 1.))


def _ranks(values):
  """The rank of each number, of equal ones the mean of their ranks."""
  _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
  return (np.cumsum(counts) - (counts - 1) / 2)[inverse]
