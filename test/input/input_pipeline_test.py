"""The reader: every record, in an order that is a function of seed and step, and errors that name the file."""

import os

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.autograph.impl import conversion

import synthetic_data
from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import record_format
from albert.input import checking
from albert import input_pipeline

COUNTS = (7, 6, 8)
TOTAL = sum(COUNTS)


@pytest.fixture(scope='module')
def info(tmp_path_factory):
  return synthetic_data.write_dataset(str(tmp_path_factory.mktemp('data')), COUNTS, heldout_count=11)


def _batches(dataset, count):
  """The first `count` batches that dataset() gives, or all of them for None."""
  batches = []
  with tf.Graph().as_default(), tf.Session() as session:
    batch = tf.data.make_one_shot_iterator(dataset()).get_next()
    try:
      while count is None or len(batches) < count:
        batches.append(session.run(batch))
    except tf.errors.OutOfRangeError:
      pass
  return batches


def _number(row):
  """The record number that synthetic_data hides in positions 1 and 2."""
  return int((row[1] - 5) * 50 + row[2] - 5)


def _numbers(batches):
  return [_number(row) for batch in batches for row in batch['input_ids'] if row[0]]


def _order(info, seed=7, **arguments):
  return input_pipeline.training_order(info, input_pipeline.InputOptions(), seed, **arguments)


def _train(info, count, batch_size=2, used=0, **arguments):
  return _numbers(_batches(lambda: input_pipeline.training_batches(_order(info, **arguments), batch_size, used), count))


def test_a_record_is_read_as_it_was_written(info):
  batch = _batches(lambda: input_pipeline.training_batches(_order(info), 3), 1)[0]
  assert sorted(batch) == sorted(input_pipeline.Batch._fields)
  for row in range(3):
    expected = synthetic_data.record(_number(batch['input_ids'][row]))
    for name, values in expected.items():
      assert batch[name][row].tolist() == values, name
      assert batch[name].dtype == (np.float32 if name == 'masked_lm_weights' else np.int32)


def test_shapes_are_static(info):
  with tf.Graph().as_default():
    for dataset in (input_pipeline.training_batches(_order(info), 3), input_pipeline.heldout_batches(info, 4)):
      for name, shape in tf.data.get_output_shapes(dataset).items():
        assert shape.is_fully_defined(), name


def test_autograph_reads_none_of_their_sources(info, monkeypatch):
  """It would load a thousand modules to do so."""
  read, convert = [], conversion.convert
  monkeypatch.setattr(conversion, 'convert', lambda entity, *rest: read.append(entity) or convert(entity, *rest))
  with tf.Graph().as_default():
    input_pipeline.training_batches(_order(info), 3)
    input_pipeline.heldout_batches(info, 4)
    assert read == []
    tf.data.Dataset.range(3).map(lambda number: number + 1)
  assert read  # it is by this that it would


def test_an_epoch_has_every_training_record_once_and_no_heldout_one(info):
  numbers = _train(info, TOTAL, batch_size=1)
  assert sorted(numbers) == list(range(TOTAL))
  assert numbers != list(range(TOTAL))


def test_epochs_and_seeds_differ_and_the_same_seed_repeats(info):
  first = _train(info, 2 * TOTAL, batch_size=1)
  assert first[:TOTAL] != first[TOTAL:]
  assert sorted(first[TOTAL:]) == list(range(TOTAL))
  assert first == _train(info, 2 * TOTAL, batch_size=1)
  other = _train(info, TOTAL, batch_size=1, seed=8)
  assert other != first[:TOTAL]


@pytest.mark.parametrize('start', [0, 1, 3, 9, 10, 11, 25])
def test_the_position_follows_from_the_step(info, start):
  """Batch size 2 and 21 records: batches lie across shards and epochs."""
  assert _train(info, 4, used=2 * start) == _train(info, 32)[2 * start:2 * start + 8]


@pytest.mark.parametrize('used', [0, 12])
def test_ranks_divide_the_batches_of_one(info, used):
  alone = _train(info, 10, batch_size=6, used=used)
  parts = [_train(info, 10, batch_size=2, rank=rank, ranks=3, used=used) for rank in range(3)]
  assert alone == [number for step in range(10) for part in parts for number in part[2 * step:2 * step + 2]]


def test_more_ranks_than_records_is_an_error(info):
  _order(info, ranks=TOTAL)
  with pytest.raises(UserError, match='training record for each of 22 ranks, found 21; use more text'):
    _order(info, ranks=TOTAL + 1)


@pytest.mark.parametrize('batch_size', [1, 3, 8, 11, 20])
def test_evaluation_reads_every_record_once_and_fills_with_rows_that_count_nowhere(info, batch_size):
  batches = _batches(lambda: input_pipeline.heldout_batches(info, batch_size), None)
  assert _numbers(batches) == list(range(TOTAL, TOTAL + 11))
  filling = len(batches) * batch_size - 11
  assert 0 <= filling < batch_size
  for batch in batches:
    for index in np.flatnonzero(batch['input_mask'][:, 0] == 0):
      assert not any(value[index].any() for value in batch.values())
      filling -= 1
  assert filling == 0


def test_evaluation_can_be_cut_short(info):
  assert len(_batches(lambda: input_pipeline.heldout_batches(info, 3, max_batches=2), None)) == 2


@pytest.mark.parametrize('ranks', [2, 3, 4, 13])
@pytest.mark.parametrize('max_batches', [None, 2])
def test_ranks_divide_the_heldout_records_evenly(info, ranks, max_batches):
  def read(rank, ranks):
    return _numbers(_batches(lambda: input_pipeline.heldout_batches(
        info, 3, max_batches=max_batches, rank=rank, ranks=ranks), None))

  parts, alone = [read(rank, ranks) for rank in range(ranks)], read(0, 1)
  assert sum(parts, []) == alone and max(map(len, parts)) - min(map(len, parts)) <= 1
  assert ranks < 13 or [] in parts


def _open_files():
  return len(os.listdir('/proc/self/fd'))


@pytest.mark.parametrize('make,count', [
    (lambda info: input_pipeline.heldout_batches(info, 4), None),
    (lambda info: input_pipeline.heldout_batches(info, 1, max_batches=2), None),
    (lambda info: input_pipeline.heldout_batches(info, 1), 1),
    (lambda info: input_pipeline.training_batches(_order(info), 4), 3)], ids=[
        'to the end', 'cut short', 'abandoned', 'training'])
def test_no_file_stays_open(info, make, count):
  _batches(lambda: make(info), count)  # what TensorFlow opens once
  before = _open_files()
  for _ in range(4):
    _batches(lambda: make(info), count)
  assert _open_files() == before


def test_open_dataset_takes_a_folder_its_json_and_bare_files(info):
  for source in (info.folder, os.path.join(info.folder, 'dataset.json')):
    assert vars(input_pipeline.open_dataset(source)) == vars(info)
  bare = input_pipeline.open_dataset(os.path.join(info.folder, 'train-*'))
  assert (bare.max_seq_length, bare.max_predictions_per_seq) == (24, 5)
  assert [shard.records for shard in bare.shards['train']] == list(COUNTS)
  assert bare.records('heldout') == 0
  assert bare.vocab_size == len(synthetic_data.VOCAB)


def test_bare_file_without_dataset_json_says_no_vocabulary(tmp_path):
  synthetic_data.write_shard(str(tmp_path / 'a.tfrecord'), range(3), max_seq_length=30, max_predictions=4)
  bare = input_pipeline.open_dataset(str(tmp_path / 'a.tfrecord'))
  assert (bare.max_seq_length, bare.max_predictions_per_seq, bare.vocab_size) == (30, 4, None)
  assert len(_train(bare, 3, batch_size=1)) == 3


def test_bare_files_may_hold_the_records_of_another_task(tmp_path):
  """Without masked words: no P."""
  features = record_format.REFERENCE_FEATURES[:3] + (record_format.FeatureSpec('label', 'int64', 1, 3),)
  path = str(tmp_path / 'a.tfrecord')
  with tf.io.TFRecordWriter(path) as writer:
    for number in range(3):
      record = {spec.name: synthetic_data.record(number)[spec.name] for spec in features[:3]}
      writer.write(synthetic_data.serialize(dict(record, label=[number + 1]), features))
  with pytest.raises(UserError, match='none named masked_lm_positions'):
    input_pipeline.open_dataset(path)
  info = input_pipeline.open_dataset(path, features)
  assert (info.max_seq_length, info.max_predictions_per_seq) == (24, 0)
  with pytest.raises(UserError, match='in record 2, found label holds 3, expected 0 to 2'):
    checking.check_readable(info, features=features)


def test_other_shapes_than_asked_are_an_error(info):
  checking.check_shapes(info, 24, 5)
  with pytest.raises(UserError, match='--max_seq_length: expected 512 .*found 24'):
    checking.check_shapes(info, max_seq_length=512)
  with pytest.raises(UserError, match='--max_predictions_per_seq: expected 51 .*found 5'):
    checking.check_shapes(info, max_predictions_per_seq=51)


def test_other_shapes_of_heldout_data_are_told_from_a_flag(info):
  with pytest.raises(UserError, match='--eval_input_file: expected max_seq_length=512 as in the training data X, '
                                      'found 24') as caught:
    checking.check_shapes(info, 512, 5, 'X')
  assert 'flag' not in str(caught.value)


@pytest.mark.parametrize('source', ['', 'train-*'])
def test_another_vocabulary_than_the_data_set_was_made_with(tmp_path, source):
  info = synthetic_data.write_dataset(str(tmp_path))
  input_pipeline.open_dataset(os.path.join(info.folder, source))
  with open(info.vocab_file, 'a') as target:
    target.write('more\n')
  with pytest.raises(UserError, match='vocab.txt: expected the vocabulary .* found another'):
    input_pipeline.open_dataset(os.path.join(info.folder, source))
  os.remove(info.vocab_file)
  with pytest.raises(UserError, match='vocab.txt: expected the vocabulary .* found none'):
    input_pipeline.open_dataset(os.path.join(info.folder, source))


@pytest.mark.parametrize('feature,bad', [('input_ids', 60), ('input_ids', -1), ('masked_lm_ids', 60)])
def test_ids_outside_the_vocabulary_are_found_and_named(tmp_path, feature, bad):
  path = str(tmp_path / 'a.tfrecord')
  with tf.io.TFRecordWriter(path) as writer:
    for number in range(3):
      record = synthetic_data.record(number)
      record[feature][1] = bad if number == 2 else record[feature][1]
      writer.write(synthetic_data.serialize(record))
  info = input_pipeline.open_dataset(path)
  if bad > 0:
    checking.check_readable(info)
    checking.check_readable(info, 61)
  expected = 'a.tfrecord: expected .*vocabulary.* in record 2, found {} holds {}, expected 0 to 59'.format(feature, bad)
  with pytest.raises(UserError, match=expected):
    checking.check_readable(info, 60)


def _damaged(tmp_path, change):
  info = synthetic_data.write_dataset(str(tmp_path), (4, 3), 2)
  path = info.paths(contract.TRAIN)[1]
  with open(path, 'rb') as source:
    data = bytearray(source.read())
  with open(path, 'wb') as target:
    target.write(change(data))
  return info, path


def test_truncated_or_missing_shards_are_named_before_training(tmp_path):
  info, path = _damaged(tmp_path, lambda data: data[:-30])
  with pytest.raises(UserError, match='00001-of-00002.*found record 2 of this file lost'):
    input_pipeline.open_dataset(info.folder)
  os.remove(path)
  with pytest.raises(UserError, match='00001-of-00002.*record 0-2 .*No such file'):
    input_pipeline.open_dataset(info.folder)


def test_a_shard_that_lost_whole_records_is_named(tmp_path):
  info, path = _damaged(tmp_path, lambda data: data)
  synthetic_data.write_shard(path, range(2))
  with pytest.raises(UserError, match='found record 2 of this file lost'):
    input_pipeline.open_dataset(info.folder)


def test_a_flipped_byte_is_found_and_named(tmp_path):
  def flip(data):
    data[len(data) // 2] ^= 1
    return data
  info, _ = _damaged(tmp_path, flip)
  with pytest.raises(UserError, match='00001-of-00002.*record 1'):
    checking.check_readable(info)


def test_records_of_another_length_are_found_and_named(tmp_path):
  info = synthetic_data.write_dataset(str(tmp_path), (4, 3), 2)
  synthetic_data.write_shard(info.paths(contract.TRAIN)[0], range(4), max_seq_length=30)
  with pytest.raises(UserError, match='in record 0, found input_ids holds 30 values, expected 24'):
    checking.check_readable(info)


def test_what_is_no_tfrecord(tmp_path):
  path = tmp_path / 'text.tfrecord'
  path.write_text('这不是记录' * 20, encoding='utf-8')
  with pytest.raises(UserError, match='text.tfrecord'):
    input_pipeline.open_dataset(str(path))
  path.write_text('')
  with pytest.raises(UserError, match='empty'):
    input_pipeline.open_dataset(str(path))
  path.write_bytes(b'\x01\x02\x03\x04\x05\x06')
  with pytest.raises(UserError, match='truncated or corrupt after record 0'):
    input_pipeline.open_dataset(str(path))
  with pytest.raises(UserError, match='cannot be read'):
    input_pipeline.open_dataset(str(tmp_path) + '*')  # a folder without dataset.json, by a glob
  with tf.io.TFRecordWriter(str(path)) as writer:
    writer.write(tf.train.Example().SerializeToString())
  with pytest.raises(UserError, match='none named input_ids'):
    input_pipeline.open_dataset(str(path))
  with pytest.raises(UserError, match='nothing at'):
    input_pipeline.open_dataset(str(tmp_path / 'absent-*'))
