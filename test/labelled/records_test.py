"""Records of labelled windows: what is written is read again, each kind of label, and nothing stale is taken."""

import os

import numpy as np
import pytest

import labelled_text
from albert.dataset import batch_order
from albert.dataset import contract
from albert.dataset import examples
from albert.dataset import protobuf
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert.labelled import encoding
from albert.labelled import records

S = 12


@pytest.fixture
def vocab_file(tmp_path):
  return labelled_text.write_vocabulary(tmp_path)


def _recipe(vocab_file, kind='classify', classes=3, **changes):
  made = records.Recipe(kind, classes, False, S, vocab_file, len(labelled_text.VOCAB), {'text': 'a'})
  return made._replace(**changes)


def _window(example, target, size=4):
  ids = [2] + list(range(5, 3 + size)) + [3]
  return encoding.Window(example, ids, [0] * len(ids), [-1] * len(ids), [-1] * len(ids), target)


def _read(info, split=contract.TRAIN):
  return [protobuf.parse(record) for path in info.paths(split) for record in tfrecord.read_records(path)]


@pytest.mark.parametrize('kind, target, expected', [
    ('classify', 2, {'label_ids': [2]}), ('regress', -1.5, {'label_values': [-1.5]}),
    ('tag', [-1, 2, 0, -1], {'tag_ids': [0, 2, 0] + [0] * 9, 'tag_mask': [0, 1, 1] + [0] * 9}),
    ('read', (1, 2), {'answer_start': [1], 'answer_end': [2]})])
def test_a_record_holds_its_window_and_label(kind, target, expected, vocab_file, tmp_path):
  recipe = _recipe(vocab_file, kind)
  info = records.write(str(tmp_path / 'records'), recipe, [_window(0, target), _window(1, target)],
                       [_window(0, target)])
  first, second = _read(info)
  assert first['input_ids'].tolist() == [2, 5, 6, 3] + [0] * 8 and first['input_mask'].tolist() == [1] * 4 + [0] * 8
  assert [record['window'].tolist() for record in (first, second)] == [[0], [1]]
  for name, value in expected.items():
    assert second[name].tolist() == value
  form = examples.Form.of(info, contract.TRAIN, record_format.labelled_features(kind, 3))
  assert form.misfits([record for path in info.paths(contract.TRAIN) for record in tfrecord.read_records(path)]) == {}
  assert len(_read(info, contract.HELDOUT)) == 1


def test_several_classes(vocab_file, tmp_path):
  info = records.write(str(tmp_path / 'records'), _recipe(vocab_file, multi_label=True), [_window(0, [1, 0, 1])], [])
  assert _read(info)[0]['label_ids'].tolist() == [1, 0, 1]


def test_lengths_tell_where_an_example_begins(vocab_file, tmp_path, monkeypatch):
  monkeypatch.setattr(records, '_SHARD_RECORDS', 2)
  windows = [_window(0, 1), _window(3, 1, 5), _window(3, 1, 6), _window(3, 1), _window(4, 1)]
  info = records.write(str(tmp_path / 'records'), _recipe(vocab_file), windows, windows[:1])
  assert len(info.shards[contract.TRAIN]) == 3
  assert batch_order.record_lengths(info).tolist() == [[4, 1], [5, 1], [6, 0], [4, 0], [4, 1]]
  assert batch_order.record_lengths(info, contract.HELDOUT).tolist() == [[4, 1]]
  assert [record['window'][0] for record in _read(info)] == [0, 1, 2, 3, 4]


def test_records_of_the_same_content_are_found_and_of_any_other_are_not(vocab_file, tmp_path):
  folder, recipe = str(tmp_path / 'records'), _recipe(vocab_file)
  assert records.existing(folder, recipe) is None
  made = records.write(folder, recipe, [_window(0, 1)], [_window(0, 2)], {'train_examples': 1})
  existing = records.existing(folder, recipe)
  assert existing.fingerprint() == made.fingerprint() and existing.statistics == {'train_examples': 1}
  for changes in ({'sources': {'text': 'b'}}, {'classes': 4}, {'kind': 'tag'}, {'max_seq_length': 11},
                  {'multi_label': True}):
    assert records.existing(folder, recipe._replace(**changes)) is None
  with open(vocab_file, 'a') as target:
    target.write('more\n')
  assert records.existing(folder, recipe) is None


@pytest.mark.parametrize('name', ['train-00000-of-00001.tfrecord', 'train-00000-of-00001.tfrecord.lengths.npy',
                                  'heldout-00000-of-00001.tfrecord', 'dataset.json', 'vocab.txt'])
def test_records_of_which_a_file_is_cut_off_or_gone_are_made_again(name, vocab_file, tmp_path):
  folder, recipe = str(tmp_path / 'records'), _recipe(vocab_file)
  for damage in (lambda path: os.truncate(path, os.path.getsize(path) - 3), os.remove):
    records.write(folder, recipe, [_window(0, 1)], [_window(0, 2)])
    damage(os.path.join(folder, name))
    assert records.existing(folder, recipe) is None


def test_what_other_records_were_there_is_gone(vocab_file, tmp_path, monkeypatch):
  folder = str(tmp_path / 'records')
  with monkeypatch.context() as patch:
    patch.setattr(records, '_SHARD_RECORDS', 1)
    records.write(folder, _recipe(vocab_file), [_window(number, 1) for number in range(3)], [_window(0, 2)])
  info = records.write(folder, _recipe(vocab_file), [_window(0, 1)], [])
  assert sorted(os.listdir(folder)) == ['dataset.json', 'train-00000-of-00001.tfrecord',
                                        'train-00000-of-00001.tfrecord.lengths.npy', 'vocab.txt']
  assert np.array_equal(info.lengths(0), [[4, 1]])
