"""Which examples share a row."""

import numpy as np
import pytest

from albert.dataset import packing

S, P = 64, 7


def _random(count, seed=0):
  random = np.random.RandomState(seed)
  lengths = random.randint(4, S + 1, count)
  return lengths, np.maximum(1, np.round(lengths * 0.1)).astype(int)


@pytest.mark.parametrize('count', [0, 1, 2, 500])
def test_every_example_has_one_place_and_rows_hold_what_fits(count):
  lengths, labels = _random(count)
  rows = packing.fill_rows(lengths, labels, S, P)
  assert sorted(example for row in rows for example in row) == list(range(count))
  for row in rows:
    assert sum(lengths[row]) <= S
    assert sum(labels[row]) <= packing.max_predictions(P)
    assert 1 <= len(row) <= packing.MAX_EXAMPLES


def test_rows_are_nearly_full():
  lengths, labels = _random(2000)
  rows = packing.fill_rows(lengths, labels, S, P)
  assert sum(lengths) / (S * len(rows)) > 0.97
  assert packing.fill_rows(lengths, labels, S, P) == rows


def test_an_example_of_full_length_is_alone_and_no_row_has_too_many():
  assert [len(row) for row in packing.fill_rows([S, 3, S, 3], [7, 1, 7, 1], S, P)] == [1, 1, 2]
  assert [len(row) for row in packing.fill_rows([3] * 20, [1] * 20, S, P)] == [8, 8, 4]


def test_labels_limit_a_row_too():
  assert packing.max_predictions(P) == 15
  assert [len(row) for row in packing.fill_rows([5] * 6, [7] * 6, S, P)] == [2, 2, 2]
