"""albert.scoring.classes against sklearn 1.0.2."""

import warnings

import numpy as np
import pytest
from sklearn import exceptions
from sklearn import metrics

from albert.scoring import classes

NAMES = ['体育', '财经', 'c', 'd', 'e']


@pytest.fixture(autouse=True)
def _quiet():
  with warnings.catch_warnings():
    warnings.simplefilter('ignore', exceptions.UndefinedMetricWarning)
    yield


# With few examples classes are absent in one side or both.
@pytest.mark.parametrize('seed, size', [(0, 1), (1, 3), (2, 7), (3, 200), (4, 1000)])
def test_single_label_is_sklearns(seed, size):
  random = np.random.RandomState(seed)
  gold, predicted = random.randint(5, size=size), random.randint(5, size=size)
  figures = classes.single_label(gold, predicted, NAMES)
  assert list(figures)[0] == 'accuracy'
  assert figures['accuracy'] == pytest.approx(metrics.accuracy_score(gold, predicted))
  assert figures['macro_f1'] == pytest.approx(metrics.f1_score(gold, predicted, average='macro'))
  assert figures['confusion'] == metrics.confusion_matrix(gold, predicted, labels=range(5)).tolist()
  rates = np.array([list(entry.values()) for entry in figures['classes'].values()])
  expected = metrics.precision_recall_fscore_support(gold, predicted, labels=range(5))
  np.testing.assert_allclose(rates, np.transpose(expected))
  assert list(figures['classes']) == NAMES


@pytest.mark.parametrize('seed, size', [(0, 1), (1, 4), (2, 300)])
def test_multi_label_is_sklearns(seed, size):
  random = np.random.RandomState(seed)
  gold, predicted = random.rand(size, 5) < 0.3, random.rand(size, 5) < 0.4
  figures = classes.multi_label(gold, predicted.astype(int), NAMES)
  assert list(figures)[0] == 'micro_f1'
  assert figures['micro_f1'] == pytest.approx(metrics.f1_score(gold, predicted, average='micro'))
  assert figures['macro_f1'] == pytest.approx(metrics.f1_score(gold, predicted, average='macro'))
  assert figures['subset_accuracy'] == pytest.approx(metrics.accuracy_score(gold, predicted))
  rates = np.array([list(entry.values()) for entry in figures['classes'].values()])
  np.testing.assert_allclose(rates, np.transpose(metrics.precision_recall_fscore_support(gold, predicted)))


def test_figures_of_no_example_are_zero():
  assert classes.single_label([], [], NAMES)['accuracy'] == 0
  assert classes.multi_label(np.zeros((0, 5)), np.zeros((0, 5)), NAMES)['subset_accuracy'] == 0


def test_the_mean_is_over_examples_not_over_batches():
  first, second = classes.single_label([0, 0, 0], [0, 0, 0], NAMES), classes.single_label([1], [0], NAMES)
  whole = classes.single_label([0, 0, 0, 1], [0, 0, 0, 0], NAMES)
  assert whole['accuracy'] == 0.75 != (first['accuracy'] + second['accuracy']) / 2


def test_the_best_threshold_is_found():
  gold = [[1, 0], [1, 0], [0, 1], [0, 0]]
  assert classes.best_threshold(gold, [[.3, .1], [.4, .2], [.1, .9], [.2, .1]]) == pytest.approx(0.25)
  # Nothing is gained by another one.
  assert classes.best_threshold(gold, [[.9, .1], [.8, .1], [.1, .9], [.1, .1]]) == 0.5
