"""albert.scoring.regression against scipy."""

import numpy as np
import pytest
from scipy import stats

from albert.scoring import regression


@pytest.mark.parametrize('seed, size', [(0, 2), (1, 3), (2, 50), (3, 1000)])
def test_correlations_are_scipys(seed, size):
  random = np.random.RandomState(seed)
  gold = np.round(random.rand(size) * 5, 1)  # with ties
  predicted = gold + random.randn(size)
  figures = regression.score(gold, predicted)
  assert list(figures) == ['pearson', 'spearman', 'mse']
  assert figures['pearson'] == pytest.approx(stats.pearsonr(gold, predicted)[0])
  assert figures['spearman'] == pytest.approx(stats.spearmanr(gold, predicted)[0])
  assert figures['mse'] == pytest.approx(np.mean((gold - predicted) ** 2))


@pytest.mark.parametrize('gold, predicted', [
    ([1., 2., 3.], [.1, .1, .1]), ([3., 3.], [1., 2.]), ([1.], [2.]), ([], []), ([1e6 + .1] * 3, [1., 2., 3.])])
def test_a_side_without_variation_has_no_correlation(gold, predicted):
  figures = regression.score(gold, predicted)
  assert figures['pearson'] is None and figures['spearman'] is None
