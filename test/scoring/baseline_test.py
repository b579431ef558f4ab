"""scoring.baseline: what is no better than knowing nothing is told."""

import pytest

from albert.scoring import answers
from albert.scoring import baseline
from albert.scoring import classes
from albert.scoring import entities
from albert.scoring import regression

NAMES = ['a', 'b', 'c']
GOLD = [0] * 50 + [1] * 30 + [2] * 20


def of_classes(predicted):
  return baseline.doubt(classes.single_label(GOLD, predicted, NAMES), len(GOLD))


def test_one_class_for_nearly_everything_is_doubted():
  # 99 of 100, whatever the accuracy.
  assert of_classes([1] * 99 + [0]) == 'dev: 99.0% of the predictions are b'


@pytest.mark.parametrize('right, is_doubted', [(60, True), (61, False)])
def test_an_accuracy_within_two_standard_errors_of_the_majority_is_doubted(right, is_doubted):
  """0.5 of 100: two standard errors are 0.1. The rest is answered wrongly, by turns."""
  predicted = [gold if place < right else (gold + 1) % 3 for place, gold in enumerate(GOLD)]
  assert (of_classes(predicted) is not None) == is_doubted


def test_a_worse_accuracy_than_the_majority_is_doubted_too():
  assert 'majority class a (0.500)' in of_classes([(gold + 1) % 3 for gold in GOLD])


def test_sets_of_classes():
  gold = [[1, 0], [0, 1], [1, 1], [1, 0]] * 25
  assert baseline.doubt(classes.multi_label(gold, gold, NAMES[:2]), 100) is None
  assert baseline.doubt(classes.multi_label(gold, [[0, 0]] * 100, NAMES[:2]), 100) == 'not one class of dev is right'
  assert 'always a' in baseline.doubt(classes.multi_label(gold, [[1, 0]] * 100, NAMES[:2]), 100)


def test_numbers():
  gold = [float(number) for number in range(100)]
  assert baseline.doubt(regression.score(gold, gold), 100) is None
  assert 'all predictions are equal' in baseline.doubt(regression.score(gold, [1.] * 100), 100)
  assert baseline.doubt(regression.score(gold, gold[::-1]), 100) == (
      'dev: Pearson -1.000 is at most two standard errors (0.200) above 0')


def test_entities_and_answers():
  predicted = [[('PER', 0, 2)]]
  assert baseline.doubt(entities.score(predicted, predicted, [5]), 1) is None
  assert baseline.doubt(entities.score(predicted, [[]], [5]), 1) == 'not one entity of dev is right'
  assert baseline.doubt(answers.score([['北京']] * 50, ['北京'] * 50), 50) is None
  assert '0.0% of the answers are exact' in baseline.doubt(answers.score([['北京']] * 50, ['上海'] * 50), 50)


def test_nothing_is_said_of_nothing():
  assert baseline.doubt({'f1': 0.}, 0) is None
