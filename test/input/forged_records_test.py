"""Records with good checksums that are no Examples, or lead elsewhere: no way of reading gives them to TensorFlow."""

import os
import shutil

import pytest
import tensorflow as tf

import small_corpus
import synthetic_data
from albert.dataset import contract
from albert.dataset import lost_records
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert import input_pipeline
from tools.preprocessing import data_set


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """Function (record format, folder) that makes a copy of a data set there, to be damaged; returns its DatasetInfo."""
  folder = tmp_path_factory.mktemp('text')
  text_file, vocab_file = small_corpus.write(folder, small_corpus.text(60))
  for name in record_format.RECORD_FORMATS:
    data_set.create(small_corpus.settings(vocab_file, record_format=name, records_per_shard=100), [text_file],
                    str(folder / name))

  def copy(name, to):
    shutil.copytree(str(folder / name), str(to))
    return contract.DatasetInfo.load(str(to))
  return copy


def _forge(info, split, places, change):
  path = info.paths(split)[0]
  records = list(tfrecord.read_records(path))
  for place in places:
    records[place] = change(records[place])
  with open(path, 'wb') as target:
    target.write(b''.join(map(tfrecord.frame, records)))


def _read(batches, count):
  """How many of `count` batches, all for None, came."""
  batch, came = tf.data.make_one_shot_iterator(batches).get_next(), 0
  with tf.Session() as session:
    try:
      while count is None or came < count:
        session.run(batch)
        came += 1
    except tf.errors.OutOfRangeError:
      pass
  return came


@pytest.mark.parametrize('way', ['reference', 'packing', 'packing, counted', 'compact'])
@pytest.mark.parametrize('size', [0, 40])
@pytest.mark.fault('forged: record that is no Example')
def test_training_goes_without_it(made, way, size, tmp_path, monkeypatch):
  monkeypatch.setattr(lost_records, 'MOST_LOST', 0.02)  # of a small data set
  info = made('compact' if way == 'compact' else 'reference', tmp_path / 'd')
  _forge(info, contract.TRAIN, [3, 50], lambda record: b'\xff' * size)
  if 'counted' in way:
    os.remove(contract.lengths_file(info.paths(contract.TRAIN)[0]))
    info.shards[contract.TRAIN] = [shard._replace(packed_rows=None) for shard in info.shards[contract.TRAIN]]
  lost = lost_records.LostRecords(info)
  order = input_pipeline.training_order(info, input_pipeline.InputOptions(packing='packing' in way), 3, lost=lost)
  count = order.epoch_length // 4 + 1
  assert _read(input_pipeline.training_batches(order, 4), count) == count
  file = info.shards[contract.TRAIN][0].file
  assert (file, 3) in lost and (file, 50) in lost and len(lost) == 2


@pytest.mark.fault('forged: record that is no Example')
def test_evaluation_goes_without_it(made, tmp_path, monkeypatch):
  monkeypatch.setattr(lost_records, 'MOST_LOST', 0.02)
  info = made('reference', tmp_path / 'd')
  _forge(info, contract.HELDOUT, [0], lambda record: b'\xff' * 40)
  lost = lost_records.LostRecords(info)
  assert _read(input_pipeline.heldout_batches(info, 1, lost=lost), None) == info.records(contract.HELDOUT) - 1
  assert len(lost) == 1


def test_a_position_outside_a_bare_record_is_told_in_one_line(tmp_path):
  path = str(tmp_path / 'a.tfrecord')
  records = [synthetic_data.record(number) for number in range(20)]
  records[7]['masked_lm_positions'][0] = synthetic_data.MAX_SEQ_LENGTH
  with tf.io.TFRecordWriter(path) as writer:
    for record in records:
      writer.write(synthetic_data.serialize(record))
  info = input_pipeline.open_dataset(path)
  lost = lost_records.LostRecords(info)
  order = input_pipeline.training_order(info, input_pipeline.InputOptions(), 3, lost=lost)
  with pytest.raises(tf.errors.OpError):
    _read(input_pipeline.training_batches(order, 4), 5)
  assert 'found record 7 of this file lost (masked_lm_positions holds 24, expected 0 to 23' in str(lost.failure)
