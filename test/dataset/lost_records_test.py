"""Damaged TFRecord files: exactly what is damaged is lost, and the order of all other records stays."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

import synthetic_data
from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import data_order
from albert.dataset import lost_records
from albert.dataset import tfrecord
from albert import input_pipeline

# 0.1% of them are 2 records.
COUNTS = (1200, 900)


@pytest.fixture(scope='module')
def intact(tmp_path_factory):
  return synthetic_data.write_dataset(str(tmp_path_factory.mktemp('intact')), COUNTS, 11)


@pytest.fixture
def info(intact, tmp_path):
  shutil.copytree(intact.folder, str(tmp_path / 'data'))
  return contract.DatasetInfo.load(str(tmp_path / 'data'))


def _change(info, shard, change):
  path = info.paths(contract.TRAIN)[shard]
  with open(path, 'rb') as source:
    data = change(bytearray(source.read()), tfrecord.find_frames(path)[0])
  with open(path, 'wb') as target:
    target.write(data)


def _flip_payload(*indices):
  def change(data, offsets):
    for index in indices:
      data[offsets[index] + 40] ^= 1
    return data
  return change


def _flip_length(*indices):
  def change(data, offsets):
    for index in indices:
      data[offsets[index]] ^= 1
    return data
  return change


def _cut(index):
  return lambda data, offsets: data[:offsets[index] + 50]


def _read_all(info, shard=0):
  """(the records of a shard with None for lost ones, LostRecords)."""
  lost = lost_records.LostRecords(info)
  reader = lost_records.Reader(info, contract.TRAIN, lost)
  return [reader.read(shard, index) for index in range(COUNTS[shard])], lost


@pytest.mark.parametrize('change,gone', [
    (_flip_payload(700), [700]), (_flip_payload(0, 1199), [0, 1199]), (_flip_length(700), [700]),
    (_flip_length(0), [0]), (_flip_length(1199), [1199]), (_flip_length(5, 900), [5, 900]),
    (_flip_length(5, 6), [5, 6]), (_cut(1199), [1199]), (_cut(1198), [1198, 1199]),
    (lambda data, offsets: data[:offsets[1198]], [1198, 1199]),
    (lambda data, offsets: data[:offsets[4]] + bytes(300) + data[offsets[5]:], [4]),
    (lambda data, offsets: data + bytes(300), [])])
@pytest.mark.fault('rotten data: flipped bit, length, cut file, gap')
def test_exactly_the_damaged_records_are_lost(info, intact, lost, change, gone):
  expected, _ = _read_all(intact)
  assert None not in expected
  _change(info, 0, change)
  records, noted = _read_all(info)
  assert [index for index, record in enumerate(records) if record is None] == gone
  assert [record for record in records if record is not None] == [
      record for index, record in enumerate(expected) if index not in gone]
  assert len(noted) == len(gone)
  for index in gone:
    assert ('train-00000-of-00002.tfrecord', index) in noted
  lost(records=len(gone))


def test_a_long_hole_is_not_read_with_the_record_before_it(info, intact, monkeypatch):
  expected, _ = _read_all(intact)
  _change(info, 0, lambda data, offsets: data[:offsets[1198]] + bytes((1 << 20) + 100) + data[offsets[1198]:])
  reader = lost_records.Reader(info, contract.TRAIN, lost_records.LostRecords(info))
  assert reader.read(0, 0) is not None  # opens the file
  sizes, pread = [], os.pread
  monkeypatch.setattr(os, 'pread', lambda source, size, offset: sizes.append(size) or pread(source, size, offset))
  for index in (0, 1197, 1198, 1199):
    assert reader.read(0, index) == expected[index]
  assert max(sizes) < 1000


def test_the_same_records_as_tensorflow_reads(intact):
  for shard, path in enumerate(intact.paths(contract.TRAIN)):
    assert _read_all(intact, shard)[0] == list(tf.io.tf_record_iterator(path))


def _numbers(info, count, used=0, **arguments):
  """The numbers that synthetic_data hides in the first `count` batches of 7."""
  with tf.Graph().as_default(), tf.Session() as session:
    batch = tf.data.make_one_shot_iterator(
        input_pipeline.training_batches(data_order.RecordOrder(info, 3, **arguments), 7, used)).get_next()['input_ids']
    return [int((row[1] - 5) * 50 + row[2] - 5) for _ in range(count) for row in session.run(batch)]


@pytest.mark.parametrize('ranks', [1, 2])
@pytest.mark.fault('rotten data: others keep their place')
def test_a_lost_record_moves_no_other(info, intact, ranks, caplog):
  count = 6 * sum(COUNTS) // ranks // 7 + 1
  expected = _numbers(intact, count, ranks=ranks)
  _change(info, 1, _flip_payload(100))
  numbers = _numbers(info, count, ranks=ranks, lost=lost_records.LostRecords(info))
  named = [entry.getMessage() for entry in caplog.records if entry.name == 'albert']
  assert named == ['lost: record 100 of train-00001-of-00002.tfrecord (wrong checksum); others take their place']
  assert set(np.flatnonzero(np.array(numbers) != expected)) == {
      place for place, number in enumerate(expected) if number == COUNTS[0] + 100}
  assert COUNTS[0] + 100 not in numbers
  later = _numbers(info, 5, used=7 * ranks * (count - 5), ranks=ranks)
  assert later == numbers[-35:]


@pytest.mark.fault('rotten data: above 0.1%, stops')
def test_above_a_thousandth_the_run_stops(info):
  lost = lost_records.LostRecords(info)
  _change(info, 0, _flip_payload(1, 2, 3))
  with pytest.raises(tf.errors.OpError):
    _numbers(info, 400, lost=lost)
  assert '3 in all' in str(lost.failure)


def test_what_is_lost_is_kept_and_forgotten_when_the_file_is_restored(info, intact, tmp_path):
  _change(info, 0, _flip_payload(1, 2))
  for _ in range(2):
    lost = lost_records.LostRecords(info, str(tmp_path))
    reader = lost_records.Reader(info, contract.TRAIN, lost)
    assert reader.read(0, 1) is None and reader.read(0, 2) is None
  lines = (tmp_path / lost_records.LOST_RECORDS_FILE).read_text().splitlines()
  assert [line.split('\t')[:2] for line in lines[1:]] == [['train-00000-of-00002.tfrecord', '1'],
                                                          ['train-00000-of-00002.tfrecord', '2']]
  assert len(lost_records.LostRecords(info, str(tmp_path))) == 2
  with pytest.raises(UserError, match='3 in all'):
    lost_records.LostRecords(info, str(tmp_path)).add('train-00001-of-00002.tfrecord', [7], 'test')
  shutil.copy(intact.paths(contract.TRAIN)[0], info.folder)
  assert len(lost_records.LostRecords(info, str(tmp_path))) == 0


@pytest.mark.fault('rotten data: missing shard, stops')
def test_a_missing_or_short_shard_is_known_at_the_start_without_reading_the_others(info, monkeypatch):
  opened = []
  find_frames = tfrecord.find_frames
  monkeypatch.setattr(tfrecord, 'find_frames', lambda path, *rest: opened.append(path) or find_frames(path, *rest))
  input_pipeline.open_dataset(info.folder)
  assert opened == []
  _change(info, 1, _cut(898))
  input_pipeline.open_dataset(info.folder)
  assert opened == [info.paths(contract.TRAIN)[1]] * 2  # by _change, and by the check
  os.remove(info.paths(contract.TRAIN)[0])
  with pytest.raises(UserError, match='record 0-1199 of this file lost .No such file'):
    input_pipeline.open_dataset(info.folder)


def test_a_shard_without_any_record_is_replaced_by_the_next(tmp_path):
  info = synthetic_data.write_dataset(str(tmp_path), (1, 1500), 11)
  os.remove(info.paths(contract.TRAIN)[0])
  order = data_order.RecordOrder(info, 3)
  reader = order.reader()
  assert order.read(reader, 0, 0) == [reader.read(1, 0)]


@pytest.mark.fault('rotten data: held-out')
def test_evaluation_leaves_out_what_is_lost(tmp_path):
  info = synthetic_data.write_dataset(str(tmp_path), (1500,), 11)
  path = info.paths(contract.HELDOUT)[0]
  with open(path, 'r+b') as target:
    target.seek(tfrecord.find_frames(path)[0][4] + 40)
    target.write(b'\xff')
  with tf.Graph().as_default(), tf.Session() as session:
    batch = tf.data.make_one_shot_iterator(input_pipeline.heldout_batches(info, 4)).get_next()['input_ids']
    rows = np.concatenate([session.run(batch) for _ in range(3)])
  assert [int((row[1] - 5) * 50 + row[2] - 5) - 1500 for row in rows if row[0]] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]


def test_records_at_says_what_training_reads(intact):
  named = data_order.RecordOrder(intact, 3).records_at(35, 14)
  before = dict(zip([shard.file for shard in intact.shards[contract.TRAIN]], (0, COUNTS[0])))
  assert [before[file] + index for file, index in named] == _numbers(intact, 2, used=35)
