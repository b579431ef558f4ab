"""The order of labelled batches: exact sizes, every example once an epoch, nearly the same tokens, any position."""

import collections

import numpy as np
import pytest

from albert.dataset import batch_order
from albert.dataset import contract
from albert.dataset import data_order

S = 128


class Info:
  """What BatchOrder reads of a contract.DatasetInfo: records of these windows in two shards."""

  folder, max_seq_length = 'data', S

  def __init__(self, lengths, begins=None):
    lengths = np.array(lengths, np.uint16)
    begins = np.ones(len(lengths), np.uint16) if begins is None else np.array(begins, np.uint16)
    self._lengths = np.stack([lengths, begins], axis=1)
    half = len(lengths) // 2
    self._ends = [(0, half), (half, len(lengths))]
    self.shards = {contract.TRAIN: [contract.Shard('shard-{}'.format(number), end - begin, None)
                                    for number, (begin, end) in enumerate(self._ends)], contract.HELDOUT: []}

  def lengths(self, number, split=contract.TRAIN):
    assert split == contract.TRAIN
    return self._lengths[slice(*self._ends[number])]

  def records(self, split):
    return sum(shard.records for shard in self.shards[split])

  def fingerprint(self):
    return 'fingerprint'


def _lengths(count):
  return 3 + np.minimum(np.random.RandomState(0).geometric(0.05, count), S - 3)


def _order(lengths, batch_size=32, seed=7, begins=None):
  order = batch_order.BatchOrder(Info(lengths, begins), seed, batch_size)
  order.layout = order.plan_layout(3 * order.epoch_length)
  return order


def _batch(order, number):
  """Records of a batch, by their number."""
  half = order.info.shards[contract.TRAIN][0].records
  return [index + shard * half for row in order.rows(*divmod(number, order.epoch_length)) for shard, index in row]


@pytest.fixture(scope='module')
def order():
  return _order(_lengths(1185))


def test_each_epoch_has_every_example_once_in_batches_of_exactly_the_size(order):
  assert order.epoch_length == 38
  epochs = [[_batch(order, epoch * 38 + number) for number in range(38)] for epoch in range(2)]
  for batches in epochs:
    assert [len(batch) for batch in batches] == [32] * 37 + [1]
    assert sorted(record for batch in batches for record in batch) == list(range(1185))
  assert epochs[0] != epochs[1]


def test_all_whole_batches_have_nearly_the_same_number_of_tokens(order):
  lengths = _lengths(1185)
  tokens = [lengths[_batch(order, number)].sum() for number in range(37)]
  assert max(tokens) - min(tokens) < 0.12 * np.mean(tokens)
  assert order.layout.rows == -(-max(tokens) // S)


def test_within_a_pool_who_is_together_is_chance():
  lengths = np.full(640, 20)
  together = collections.Counter()
  for seed in range(40):
    batch = _batch(_order(lengths, seed=seed), 0)
    together.update(batch)
  # Each of 640 is in one of 20 batches: 40 draws of 1 / 20.
  assert max(together.values()) < 12 and len(together) > 400


def test_rows_hold_no_more_than_they_can_and_no_more_are_needed_than_planned(order):
  lengths = _lengths(1185)
  half = order.info.shards[contract.TRAIN][0].records
  for number in range(3 * 38):
    rows = order.rows(*divmod(number, 38))
    assert len(rows) <= order.layout.rows and max(map(len, rows)) <= order.layout.slots <= batch_order.MAX_EXAMPLES
    assert all(sum(lengths[index + shard * half] for shard, index in row) <= S for row in rows)


def test_the_number_of_rows_is_a_multiple_of_what_is_asked(order):
  assert order.plan_layout(38, 4).rows == -(-order.layout.rows // 4) * 4


def test_a_position_is_a_number_of_batches_and_is_reached_without_the_ones_before(order):
  position = data_order.Position(order, 32)
  position.advance(40)
  assert position.used == 40 and position.entries()['epoch_length'] == 38
  units = _order(_lengths(1185)).units(40)
  assert [next(units), next(units)] == [(1, 2), (1, 3)]
  again = _order(_lengths(1185))
  assert again.rows(1, 2) == order.rows(1, 2)
  assert again.records_at(40, 1) == [('shard-{}'.format(shard), index) for row in order.rows(1, 2)
                                     for shard, index in row]


def test_another_seed_is_another_order(order):
  assert _batch(_order(_lengths(1185), seed=8), 0) != _batch(order, 0)


def test_an_example_uses_one_of_its_windows_in_an_epoch():
  begins = [1, 0, 0, 1, 1, 0] * 20
  order = _order([10] * 120, batch_size=8, begins=begins)
  owners = np.cumsum(begins) - 1
  assert order.examples == 60 and order.epoch_length == 8
  used = set()
  for epoch in range(3):
    records = [record for number in range(8) for record in _batch(order, epoch * 8 + number)]
    assert sorted(owners[records]) == list(range(60))
    used.update(records)
  assert len(used) > 80


@pytest.mark.parametrize('count, expected', [(1, [1]), (31, [31]), (32, [32]), (33, [32, 1])])
def test_few_examples(count, expected):
  order = _order([9] * count)
  assert [len(_batch(order, number)) for number in range(len(expected))] == expected
  assert order.epoch_length == len(expected)
