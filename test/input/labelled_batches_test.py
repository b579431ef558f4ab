"""Labelled records to batches: each example once an epoch, from any position the same, dev once and none twice."""

import numpy as np
import pytest
import tensorflow as tf

import labelled_text
from albert.dataset import contract
from albert.dataset import record_format
from albert import input_pipeline
from albert.labelled import encoding
from albert.labelled import records

S, COUNT, B = 16, 21, 4
FEATURES = record_format.labelled_features(record_format.CLASSIFY, 3)


def _windows(count, first):
  sizes = np.random.RandomState(first).randint(3, S + 1, count)
  return [encoding.Window(number, [2] + [5 + (first + number) % 50] * (size - 2) + [3], [0] * size, [-1] * size,
                          [-1] * size, number % 3) for number, size in enumerate(sizes)]


@pytest.fixture(scope='module')
def info(tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  vocab_file = labelled_text.write_vocabulary(folder)
  recipe = records.Recipe('classify', 3, False, S, vocab_file, len(labelled_text.VOCAB), {})
  records.write(str(folder / 'records'), recipe, _windows(COUNT, 0), _windows(11, 20))
  return input_pipeline.open_dataset(str(folder / 'records'))


def _order(info):
  order = input_pipeline.training_order(info, input_pipeline.InputOptions(), 7, batch_size=B)
  order.layout = order.plan_layout(3 * order.epoch_length)
  return order


def _batches(dataset, count):
  with tf.Session() as session:
    following = tf.data.make_one_shot_iterator(dataset).get_next()
    return [session.run(following) for _ in range(count)]


def _numbers(batch):
  return batch['window'][batch['example_weights'] > 0].tolist()


def test_an_epoch_has_every_example_once_and_goes_on_from_any_batch(info):
  order = _order(info)
  assert order.epoch_length == 6
  batches = _batches(input_pipeline.training_batches(order, B, 0, features=FEATURES), 13)
  assert [len(_numbers(batch)) for batch in batches[:6]] == [4] * 5 + [1]
  for epoch in (batches[:6], batches[6:12]):
    assert sorted(number for batch in epoch for number in _numbers(batch)) == list(range(COUNT))
  assert {batch['input_ids'].shape for batch in batches} == {(order.layout.rows, S)}
  again = _batches(input_pipeline.training_batches(_order(info), B, 8, features=FEATURES), 5)
  for a, b in zip(batches[8:], again):
    assert sorted(a) == sorted(b) and all((a[name] == b[name]).all() for name in a)


def test_a_batch_holds_its_records(info):
  batch = _batches(input_pipeline.training_batches(_order(info), B, 0, features=FEATURES), 1)[0]
  for row, slot in np.argwhere(batch['example_weights'] > 0):
    number = batch['window'][row, slot]
    assert batch['label_ids'][row, slot] == number % 3
    own = batch['input_ids'][row][batch['example_ids'][row] == slot]
    assert own.tolist() == _windows(COUNT, 0)[number].input_ids


def test_dev_is_read_once_and_none_of_it_is_dropped(info):
  for rows in (1, 2, 5):
    dataset = input_pipeline.heldout_batches(info, rows, features=FEATURES)
    shapes = dataset.output_shapes['input_ids'].as_list()
    assert shapes == [rows, S]
    numbers, batches = [], 0
    with tf.Session() as session:
      following = tf.data.make_one_shot_iterator(dataset).get_next()
      while True:
        try:
          numbers += _numbers(session.run(following))
          batches += 1
        except tf.errors.OutOfRangeError:
          break
    assert sorted(numbers) == list(range(11)) and batches > 1
  limited = _batches(input_pipeline.heldout_batches(info, 2, max_batches=1, features=FEATURES), 1)
  assert 0 < len(_numbers(limited[0])) < 11


def test_records_without_a_good_label_are_told(info):
  assert info.records(contract.TRAIN) == COUNT and input_pipeline.is_labelled(info)
