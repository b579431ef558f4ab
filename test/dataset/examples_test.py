"""albert.dataset.examples: what TensorFlow would not take, or a model could not, is known before they get it."""

import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

from albert.common.files import ROOT
from albert.dataset import contract
from albert.dataset import example_writer
from albert.dataset import examples
from albert.dataset import lost_records
from albert.dataset import protobuf
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert import input_pipeline
import synthetic_data

S, P, V = synthetic_data.MAX_SEQ_LENGTH, synthetic_data.MAX_PREDICTIONS, len(synthetic_data.VOCAB)
REFERENCE = examples.Form(record_format.REFERENCE_FEATURES, S, P, V)
COMPACT = examples.Form(record_format.COMPACT_FEATURES, S, P, V)


def _written(values, features=record_format.REFERENCE_FEATURES):
  """A record as the data tool writes it."""
  kinds = {'float32': np.float32, 'int64': np.int64}
  batch = {spec.name: [values[spec.name]] if spec.kind == 'bytes' else np.array([values[spec.name]], kinds[spec.kind])
           for spec in features}
  return example_writer.ExampleWriter(features).records(batch)[0]


def _compact(ids=(2, 7, 8, 9, 3, 10, 3), sizes=(255, 2, 0, 255, 255, 1, 255), second=5, order=0):
  return _written({'token_ids': np.array(ids, '<u2').tobytes(), 'word_lengths': np.array(sizes, np.uint8).tobytes(),
                   'second_segment': [second], 'next_sentence_labels': [order], 'record_index': [3]},
                  record_format.COMPACT_FEATURES)


@pytest.mark.parametrize('make', [lambda number: synthetic_data.serialize(synthetic_data.record(number)),
                                  lambda number: _written(synthetic_data.record(number))])
def test_good_records_are_known_by_their_layout_alone(make, monkeypatch):
  """TensorFlow's own writer has features in any order."""
  records = [make(number) for number in range(300)]
  monkeypatch.setattr(examples.protobuf, 'parse', None)
  assert REFERENCE.misfits(records) == {}


def test_good_compact_records_are_known_by_their_layout_alone(monkeypatch):
  monkeypatch.setattr(examples.protobuf, 'parse', None)
  assert COMPACT.misfits([_compact(), _compact(range(2, 26), [1] * 24, 24)]) == {}


@pytest.mark.parametrize('feature,place,value,words', [
    ('input_ids', 2, 60, 'input_ids holds 60, expected 0 to 59 (vocab_size=60)'),
    ('input_ids', 2, 10**6, 'holds 1000000'),
    ('input_ids', 2, 2**40, 'holds 1099511627776'), ('masked_lm_ids', 0, 60, 'masked_lm_ids holds 60'),
    ('masked_lm_positions', 0, S, 'masked_lm_positions holds 24, expected 0 to 23 (max_seq_length=24)'),
    ('masked_lm_positions', 0, S - 1, 'holds 23, behind the'), ('segment_ids', 1, 2, 'segment_ids holds 2'),
    ('input_mask', 0, 2, 'input_mask holds 2'), ('next_sentence_labels', 0, 2, 'next_sentence_labels holds 2')])
def test_a_number_that_leads_elsewhere_is_found(feature, place, value, words):
  values = synthetic_data.record(1)
  assert sum(values['input_mask']) < S
  values[feature][place] = value
  for bad in (_written(values), synthetic_data.serialize(values)):
    good = [synthetic_data.serialize(synthetic_data.record(number)) for number in range(5)]
    misfits = REFERENCE.misfits(good[:2] + [bad] + good[2:])
    assert list(misfits) == [2] and words in misfits[2]


def test_negative_numbers_are_found():
  for feature in ('input_ids', 'masked_lm_positions', 'masked_lm_ids', 'next_sentence_labels'):
    values = synthetic_data.record(1)
    values[feature][0] = -1
    assert REFERENCE.misfits([synthetic_data.serialize(values)])[0].startswith(feature + ' holds -1')


@pytest.mark.parametrize('value, words', [
    (float('nan'), 'nan, expected finite numbers'), (float('inf'), 'inf, expected finite numbers'),
    (-1.0, '-1.0, expected at least 0')])
def test_weights_that_would_spoil_the_loss_are_found(value, words):
  values = synthetic_data.record(1)
  values['masked_lm_weights'][0] = value
  good = synthetic_data.serialize(synthetic_data.record(2))
  for bad in (_written(values), synthetic_data.serialize(values)):
    assert REFERENCE.misfits([good, bad]) == {1: 'masked_lm_weights holds ' + words}


def test_a_value_of_regression_is_finite():
  features = record_format.labelled_features(record_format.REGRESS)[-1:]
  record = _written({'label_values': [float('nan')]}, features)
  assert 'label_values holds nan' in examples.Form(features, S, P).misfits([record])[0]


def test_without_a_vocabulary_any_id_is_good():
  values = synthetic_data.record(1)
  values['input_ids'][2] = 10**6
  assert examples.Form(record_format.REFERENCE_FEATURES, S, P).misfits([_written(values)]) == {}


def test_other_features_lengths_and_kinds_are_found():
  record = synthetic_data.serialize(synthetic_data.record(1))
  longer = examples.Form(record_format.REFERENCE_FEATURES, S + 1, P)
  assert 'holds 24 values, expected 25' in longer.misfits([record])[0]
  other = record_format.FeatureSpec('other', 'int64', 1)
  assert examples.Form([other], S, P).misfits([record])[0] == 'no feature other'
  assert REFERENCE.misfits([_compact()])[0] == 'no feature input_ids'
  floats = record_format.FeatureSpec('input_ids', 'float32', 'S')
  assert examples.Form([floats], S, P).misfits([record])[0] == 'input_ids holds int64 values, expected float32'


@pytest.mark.parametrize('record,words', [
    (_compact(ids=(2, 60, 8, 9, 3, 10, 3)), 'token_ids holds 60'), (_compact(ids=(2, 7, 8)), 'bytes of token_ids'),
    (_compact(range(2, 27), [1] * 25), 'bytes of token_ids'), (_compact((), ()), 'bytes of token_ids'),
    (_compact(sizes=(255, 2, 0, 255, 255, 1, 2)), 'word_lengths holds a word that leaves'),
    (_compact(second=8), 'second_segment holds 8'), (_compact(order=2), 'next_sentence_labels holds 2')])
def test_compact_records_that_lead_elsewhere_are_found(record, words):
  misfits = COMPACT.misfits([_compact(), record])
  assert list(misfits) == [1] and words in misfits[1]


@pytest.mark.parametrize('record', [
    b'\xff' * 40, b'\x0a', bytes(30), b'\x0a\x05\x0a\xff\xff\xff\xff', b'\x0b\x0c', b'\x12\x02ab',
    _compact() + b'\x0a\x00', _compact()[:-1], _compact() + _compact()])
def test_what_is_no_example_is_found(record):
  assert COMPACT.misfits([_compact(), record, _compact()])[1].startswith('no tf.train.Example: ')


def _varint_one_by_one(record):
  """The record with the number of next_sentence_labels, 1, not packed, which TensorFlow takes too."""
  packed, single = b'\x12\x05\x1a\x03\x0a\x01\x01', b'\x12\x04\x1a\x02\x08\x01'
  assert record.count(packed) == 1
  entry = record.index(b'\x0a\x14next_sentence_labels') - 1
  changed = bytearray(record.replace(packed, single))
  changed[entry] -= 1  # the lengths of what it is in
  changed[1] -= 1
  return bytes(changed)


def test_numbers_one_by_one_are_numbers():
  values = dict(synthetic_data.record(1), next_sentence_labels=[1])
  record = _varint_one_by_one(_written(values))
  assert protobuf.parse(record)['next_sentence_labels'].tolist() == [1]
  assert REFERENCE.misfits([record]) == {}


def _mutations(record, count, seed):
  generator = random.Random(seed)
  for _ in range(count):
    data = bytearray(record)
    for _ in range(generator.choice((1, 1, 1, 2, 5))):
      place = generator.randrange(len(data))
      kind = generator.random()
      if kind < 0.6:
        data[place] = generator.randrange(256)
      elif kind < 0.8:
        del data[place:place + generator.choice((1, 2, 30))]
      else:
        data[place:place] = bytes(generator.randrange(256) for _ in range(generator.choice((1, 4))))
      data = data or bytearray(1)
    yield bytes(data)


def _crashes_tensorflow(records):
  """A process of its own parses them, and computes on nothing else: its exit code, and what it printed."""
  program = """
import struct, sys
import tensorflow as tf
import synthetic_data
from albert.dataset import contract
from albert import input_pipeline
data, records = sys.stdin.buffer.read(), []
while data:
  size, = struct.unpack('<I', data[:4])
  records.append(data[4:4 + size])
  data = data[4 + size:]
info = contract.DatasetInfo('', synthetic_data.MAX_SEQ_LENGTH, synthetic_data.MAX_PREDICTIONS, 60, '', {})
serialized = tf.compat.v1.placeholder(tf.string, [None])
parsed = input_pipeline.parser(info)(serialized)
with tf.compat.v1.Session() as session:
  session.run(parsed, {serialized: records})
print('parsed', len(records))
"""
  framed = b''.join(len(record).to_bytes(4, 'little') + record for record in records)
  done = subprocess.run([sys.executable, '-W', 'ignore', '-c', program], input=framed, cwd=ROOT, stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL, env={'PYTHONPATH': ROOT + ':' + ROOT + '/test/support'})
  return done.returncode, done.stdout.decode()


@pytest.mark.integration
def test_tensorflow_takes_whatever_is_taken_for_good():
  record = synthetic_data.serialize(synthetic_data.record(1))
  mutated = [mutant for seed, made in enumerate((record, _written(synthetic_data.record(1))))
             for mutant in _mutations(made, 20000, seed)]
  bad = REFERENCE.misfits(mutated)
  good = [mutant for place, mutant in enumerate(mutated) if place not in bad]
  assert len(bad) > 10000 and len(good) > 1000
  assert _crashes_tensorflow(good + [_varint_one_by_one(_written(synthetic_data.record(2)))]) == (
      0, 'parsed {}\n'.format(len(good) + 1))


def _forge(info, split, index, record):
  """Puts a record with good checksums into the place of another one."""
  path = info.paths(split)[0]
  records = list(tfrecord.read_records(path))
  records[index] = record
  with open(path, 'wb') as target:
    target.write(b''.join(map(tfrecord.frame, records)))


@pytest.fixture(scope='module')
def intact(tmp_path_factory):
  """0.1% of the records are 2."""
  return synthetic_data.write_dataset(str(tmp_path_factory.mktemp('intact')), (1200, 20), 1100)


@pytest.fixture
def info(intact, tmp_path):
  shutil.copytree(intact.folder, str(tmp_path / 'data'))
  return contract.DatasetInfo.load(str(tmp_path / 'data'))


@pytest.mark.parametrize('split', [contract.TRAIN, contract.HELDOUT])
@pytest.mark.fault('forged: record that is no Example')
def test_a_record_that_is_no_example_costs_itself(info, split, tmp_path, caplog):
  _forge(info, split, 700, b'\xff' * 40)
  form = examples.Form.of(info, split)
  for _ in range(2):
    lost = lost_records.LostRecords(info, str(tmp_path))
    reader = lost_records.Reader(info, split, lost, form)
    assert [index for index in range(1100) if reader.read(0, index) is None] == [700]
    assert len(lost) == 1
  assert ['(no tf.train.Example: ' in entry.getMessage() for entry in caplog.records] == [True], 'told once'


def test_what_was_found_good_is_remembered_under_its_checksum(info, tmp_path, monkeypatch):
  looked_at = []
  find = lost_records._find_misfits
  monkeypatch.setattr(lost_records, '_find_misfits', lambda *rest: looked_at.append(1) or find(*rest))

  def read(vocab_size=None):
    lost = lost_records.LostRecords(info, str(tmp_path))
    for _ in range(2):
      reader = lost_records.Reader(info, contract.TRAIN, lost, examples.Form.of(
          info, contract.TRAIN, vocab_size=vocab_size))
      assert [reader.read(shard, 3) is not None for shard in (0, 1, 0)] == [True] * 3
      reader.close()
    return len(looked_at), looked_at.clear()

  assert read() == (2, None)
  assert read() == (0, None), 'remembered in the folder of the run'
  assert read(vocab_size=61) == (2, None), 'good for another vocabulary'
  assert read() == (0, None)
  _forge(info, contract.TRAIN, 900, _written(synthetic_data.record(7)))
  assert read() == (1, None), 'another content'


def test_a_long_file_is_looked_at_a_region_at_a_time(info, monkeypatch):
  monkeypatch.setattr(lost_records, '_REGION', 100)
  sizes = []
  find = lost_records._find_misfits
  monkeypatch.setattr(lost_records, '_find_misfits',
                      lambda file, form, indices: sizes.append(len(indices)) or find(file, form, indices))
  reader = lost_records.Reader(info, contract.TRAIN, lost_records.LostRecords(info),
                               examples.Form.of(info, contract.TRAIN))
  for index in (5, 99, 1199, 7):
    assert reader.read(0, index)
  assert reader.read(1, 5) and sizes == [100, 100, 20]


def test_too_many_are_one_line(info):
  bad = dict(synthetic_data.record(3))
  bad['masked_lm_ids'] = [60] + bad['masked_lm_ids'][1:]
  for index in (3, 4, 5, 6):
    _forge(info, contract.TRAIN, index, _written(bad))
  lost = lost_records.LostRecords(info)
  reader = input_pipeline.training_order(info, input_pipeline.InputOptions(), 3, lost=lost).reader(
      record_format.REFERENCE_FEATURES)
  with pytest.raises(lost_records.UserError, match='masked_lm_ids holds 60, expected 0 to 59.*3 in all'):
    for index in range(1200):
      reader.read(0, index)
