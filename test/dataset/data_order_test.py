"""The order of records: a function of seed and position, the latter kept across starts."""

import itertools
import os
import shutil

import pytest

import synthetic_data
from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import data_order
from albert.dataset import tfrecord

COUNTS = (1200, 900)


def _absent(*counts):
  """A data set whose files do not exist."""
  shards = [contract.Shard(str(number), count, None) for number, count in enumerate(counts)]
  return contract.DatasetInfo('absent', 24, 5, 60, None, {contract.TRAIN: shards, contract.HELDOUT: []})


def _position(info, batch_size=4):
  return data_order.Position(data_order.RecordOrder(info, 3), batch_size)


def test_a_position_is_reached_by_counting_not_by_reading():
  """A billion records on."""
  sizes = {'a': 10**6, 'b': 2 * 10**6, 'c': 3 * 10**6}

  def first(start, count):
    shards = data_order.shuffled_shards(list(sizes.values()), 7, start)
    return [('abc'[shard], skip) for shard, _, skip in itertools.islice(shards, count)]

  epoch = 200 * sum(sizes.values())
  order = [name for name, _ in first(epoch, 3)]
  assert sorted(order) == ['a', 'b', 'c']
  assert first(epoch + 5, 1) == [(order[0], 5)]
  assert first(epoch + sizes[order[0]] + 9, 2) == [(order[1], 9), (order[2], 0)]


def test_blocks_are_shuffled_apart_and_skipped_whole():
  blocks = data_order.RecordOrder(_absent(*COUNTS), 3, block=100)
  order = list(itertools.islice(blocks.units(0), sum(COUNTS)))
  assert sorted(order) == [(shard, index) for shard, count in enumerate(COUNTS) for index in range(count)]
  for first in range(0, 900, 100):
    assert len({index // 100 for _, index in order[first:first + 100]}) == 1
  for start in (1, 99, 100, 101, 1234):
    assert next(blocks.units(start)) == order[start]


def test_reaching_a_position_opens_no_shard_before_it(tmp_path, monkeypatch):
  """However far it is: shards of known counts are skipped, not read."""
  count, size = 40, 300
  info = synthetic_data.write_dataset(str(tmp_path), (1,), 1)
  shards = []
  for number in range(count):
    name = contract.shard_name(contract.TRAIN, number, count)
    shutil.copy(info.paths(contract.TRAIN)[0], str(tmp_path / name))
    shards.append(contract.Shard(name, size, None))  # a record that is read would be lost
  info.shards[contract.TRAIN] = shards
  opened, start = [], 10**9 + 12345
  monkeypatch.setattr(tfrecord.ShardFile, 'read', lambda file, index: (b'record', None))
  monkeypatch.setattr(tfrecord.ShardFile, 'report', lambda file, *unused: opened.append(os.path.basename(file.path)))
  order = data_order.RecordOrder(info, 3)
  reader, wanted = order.reader(), list(itertools.islice(order.units(start), 2 * size))
  for place in wanted:
    order.read(reader, *place)
  assert 2 <= len(opened) <= 3
  assert opened == [name for name, _ in itertools.groupby(shards[shard].file for shard, _ in wanted)]


@pytest.mark.parametrize('ranks, batch_size', [(1, 12), (2, 6), (3, 4), (4, 3)])
@pytest.mark.parametrize('used', [0, 60, 96, 108])
def test_ranks_divide_each_batch_of_one_sequence(ranks, batch_size, used):
  """101 records: the batches lie across blocks, shards and epochs."""
  info, steps = _absent(70, 31), 10
  alone = list(itertools.islice(data_order.RecordOrder(info, 3, block=16).units(used), 12 * steps))
  parts = [list(itertools.islice(data_order.RecordOrder(info, 3, rank, ranks, block=16).units_of_rank(used, batch_size),
                                 batch_size * steps)) for rank in range(ranks)]
  together = [unit for step in range(steps) for part in parts
              for unit in part[step * batch_size:(step + 1) * batch_size]]
  assert together == alone


@pytest.mark.parametrize('rank', [0, 1, 2])
def test_the_position_of_each_unit_is_that_in_the_sequence(rank):
  order = data_order.RecordOrder(_absent(70, 31), 3, rank, 3)
  alone = list(itertools.islice(order.units(0), 100))
  for number, unit in enumerate(itertools.islice(order.units_of_rank(24, 4), 20)):
    assert alone[order.position_of(number, 24, 4)] == unit


class _Reader:
  """Reads records of which only some can be read."""

  def __init__(self, readable):
    self.readable, self.tried = readable, []

  def read(self, shard, index):
    self.tried.append((shard, index))
    return b'%d %d' % (shard, index) if (shard, index) in self.readable else None


@pytest.mark.parametrize('rank', [0, 1])
def test_the_next_readable_record_takes_the_place_of_a_lost_one_on_any_rank(rank):
  order = data_order.RecordOrder(_absent(3, 5, 2), 3, rank=rank, ranks=2)
  assert order.read(_Reader({(1, 3)}), 1, 3) == [b'1 3']
  reader = _Reader({(0, 2)})
  assert order.read(reader, 1, 3) == [b'0 2']
  assert reader.tried == [(1, 3), (1, 4), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (0, 0), (0, 1), (0, 2)]
  with pytest.raises(UserError, match='^absent: expected records, found none that can be read'):
    order.read(_Reader(set()), 1, 3)


def test_a_position_advances_by_batches_and_is_kept():
  info = _absent(70, 31)
  position = _position(info)
  position.advance(3)
  position.advance(1)
  entries = position.entries()
  assert entries == {'record': 16, 'ranks': 1, 'epoch_length': 101, 'data_set': info.fingerprint()}
  again = _position(info)
  again.restore(entries, 4, entries['record'])
  assert (again.used, again.entries()) == (16, entries)


@pytest.mark.parametrize('entries', [None, {}])
def test_without_a_manifest_each_step_has_used_a_batch(entries):
  position = _position(_absent(70, 31), batch_size=5)
  position.restore(entries, 7, None)
  assert position.used == 35
  position.restore(entries, 7, 50)  # of a manifest that has no position: the guard knows of data that was left out
  assert position.used == 50


def test_another_data_set_is_read_from_its_beginning():
  position = _position(_absent(70, 31))
  position.restore(_position(_absent(70, 32)).entries(), 7, 28)
  assert position.used == 0


def test_a_position_of_when_each_rank_had_a_sequence_of_its_own_is_refused():
  info = _absent(70, 31)
  before = dict(_position(info).entries(), ranks=3)
  with pytest.raises(UserError, match='found one of 3 ranks by an earlier version, in which it was that of each'):
    _position(info).restore(before, 7, 28)


def test_rows_instead_of_records_go_on_at_the_same_part_of_the_epoch():
  info = _absent(70, 31)
  rows = dict(_position(info).entries(), epoch_length=40)
  position = _position(info)
  position.restore(rows, 7, 28)
  assert position.used == 28 * 101 // 40


def test_manifests_from_before_there_was_packing_counted_records():
  info = _absent(70, 31)
  entries = _position(info).entries()
  del entries['epoch_length']
  position = _position(info)
  position.epoch_length = 40  # it counts rows now
  position.restore(entries, 7, 28)
  assert position.used == 28 * 40 // 101
