"""Masks of compact records have the distribution of the static ones, and are repeatable."""

import collections
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import example_writer
from albert.dataset import lost_records
from albert.dataset import random_bits
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert.input import checking
from albert.input.formats import dynamic_masking
from albert import input_pipeline
from tools.preprocessing import compact
from tools.preprocessing import data_set
from tools.preprocessing import masking

import fault_runs
import random_examples
import small_corpus

WIDTH, SLOTS = 64, 9


@pytest.fixture(scope='module')
def infos(tmp_path_factory):
  """The same examples in both formats: {record format: DatasetInfo}."""
  folder = tmp_path_factory.mktemp('compact')
  text_file, vocab_file = small_corpus.write(folder, small_corpus.text(400))
  return {name: data_set.create(
      small_corpus.settings(vocab_file, record_format=name, max_seq_length=WIDTH, max_predictions_per_seq=SLOTS,
                            dupe_factor=4, masked_lm_prob=0.15, records_per_shard=1000),
      [text_file], str(folder / name)).info for name in record_format.RECORD_FORMATS}


def read(info):
  return [example_writer.parse_example(record) for path in info.paths('train')
          for record in tfrecord.read_records(path)]


def run(batches, count):
  """The first `count` batches of a dataset: a list of dicts of arrays."""
  following = tf.compat.v1.data.make_one_shot_iterator(batches).get_next()
  with tf.compat.v1.Session() as session:
    return [session.run(following) for _ in range(count)]


def training_batches(info, batch_size, seed, used=0, **arguments):
  order = input_pipeline.training_order(info, input_pipeline.InputOptions(), seed, **arguments)
  return input_pipeline.training_batches(order, batch_size, used)


def mask(info, epochs, seed=5):
  """All training records, masked: {name: array}, epoch after epoch."""
  records = [record for path in info.paths('train') for record in tfrecord.read_records(path)]
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    masker = dynamic_masking.masker(dynamic_masking.masking_options(info), seed)
    serialized, epoch = tf.compat.v1.placeholder(tf.string, [None]), tf.compat.v1.placeholder(tf.int64, [None])
    batch = masker(serialized, epoch)
    masked = [session.run(batch, {serialized: records, epoch: [number] * len(records)}) for number in epochs]
  return {name: np.concatenate([part[name] for part in masked]) for name in masked[0]}


@pytest.fixture(scope='module')
def epochs(infos):
  """The masked training records of six epochs, each a dict of arrays."""
  batch = mask(infos['compact'], range(6))
  return [{name: part for name, part in zip(batch, parts)}
          for parts in zip(*[np.split(values, 6) for values in batch.values()])]


def joined(epochs):
  return {name: np.concatenate([epoch[name] for epoch in epochs]) for name in epochs[0]}


def labelled(batch):
  """Rows, columns and labels of the masked tokens."""
  rows, slots = np.nonzero(batch['masked_lm_weights'])
  return rows, batch['masked_lm_positions'][rows, slots], batch['masked_lm_ids'][rows, slots]


def originals(batch):
  rows, columns, labels = labelled(batch)
  ids = batch['input_ids'].copy()
  ids[rows, columns] = labels
  return ids


def as_arrays(records):
  return {name: np.stack([record[name] for record in records]) for name in records[0]}


def test_nothing_but_the_masks_differs_from_the_reference_format(infos, epochs):
  static, dynamic = as_arrays(read(infos['reference'])), epochs[0]
  for name in ('input_mask', 'segment_ids', 'next_sentence_labels'):
    np.testing.assert_array_equal(static[name], dynamic[name])
  np.testing.assert_array_equal(originals(static), originals(dynamic))
  unpacked = as_arrays([compact.unpack(record, WIDTH) for record in read(infos['compact'])])
  np.testing.assert_array_equal(unpacked['input_ids'], originals(static))
  for name in ('input_mask', 'segment_ids', 'token_boundary', 'next_sentence_labels'):
    np.testing.assert_array_equal(unpacked[name], static[name])


def test_types_and_shapes_are_those_of_a_batch(infos):
  for info in infos.values():
    batches = training_batches(info, 8, 1)
    shapes, types = tf.compat.v1.data.get_output_shapes(batches), tf.compat.v1.data.get_output_types(batches)
    assert set(shapes) == set(input_pipeline.Batch._fields)
    for spec in record_format.REFERENCE_FEATURES:
      length = record_format.feature_length(spec, WIDTH, SLOTS)
      assert shapes[spec.name].as_list() == [8, length]
      assert types[spec.name] == (tf.float32 if spec.kind == 'float32' else tf.int32)


def test_words_are_masked_whole_and_within_the_limits(infos, epochs):
  batch = joined(epochs[:3])
  lengths = np.stack([np.pad(np.frombuffer(record['word_lengths'], np.uint8), (0, WIDTH), 'constant')[:WIDTH]
                      for record in read(infos['compact'])] * 3)
  rows, columns, _ = labelled(batch)
  is_masked = np.zeros_like(lengths, bool)
  is_masked[rows, columns] = True
  for row, column in zip(*np.nonzero(lengths)):
    size = int(lengths[row, column])
    if size == record_format.UNMASKABLE:
      size = 1
      assert not is_masked[row, column]
    assert len(set(is_masked[row, column:column + size])) == 1
  assert ((np.diff(batch['masked_lm_positions'], axis=1) > 0) | (batch['masked_lm_weights'][:, 1:] == 0)).all()
  assert (batch['masked_lm_weights'].sum(axis=1) >= 1).all()
  unused = batch['masked_lm_weights'] == 0
  assert not batch['masked_lm_positions'][unused].any() and not batch['masked_lm_ids'][unused].any()


def word_lengths(batch, records):
  """Share of the masked words by length."""
  counts = collections.Counter()
  boundary = np.stack([record['token_boundary'] for record in records])
  for row, column, _ in zip(*labelled(batch)):
    if boundary[row % len(records), column]:
      rest = boundary[row % len(records), column + 1:]
      counts[int(np.argmax(np.append(rest, 1))) + 1] += 1
  return np.array([counts[size] for size in range(1, 9)]) / sum(counts.values())


def test_the_distributions_agree_with_the_static_path(infos, epochs):
  records = read(infos['reference'])
  static, dynamic = as_arrays(records), joined(epochs)
  assert len(records) > 1500
  share = {}
  for name, batch in (('static', static), ('dynamic', dynamic)):
    _, _, labels = labelled(batch)
    rows, columns, _ = labelled(batch)
    inputs = batch['input_ids'][rows, columns]
    vocabulary = dynamic_masking.masking_options(infos['compact'])
    share[name] = dict(
        fraction=len(labels) / (batch['input_mask'].sum() - 3 * len(batch['input_mask'])),
        mask=np.mean(inputs == vocabulary.mask_id), kept=np.mean(inputs == labels),
        spread=np.std(batch['masked_lm_weights'].sum(axis=1) / batch['input_mask'].sum(axis=1)))
    assert set(inputs[(inputs != labels) & (inputs != vocabulary.mask_id)]) <= set(vocabulary.replacement_ids)
  assert abs(share['static']['fraction'] - share['dynamic']['fraction']) < 0.001
  assert abs(share['static']['spread'] - share['dynamic']['spread']) < 0.002
  assert abs(share['dynamic']['mask'] - 0.8) < 0.01 and abs(share['static']['mask'] - 0.8) < 0.01
  # A random token may be the original one.
  assert abs(share['dynamic']['kept'] - share['static']['kept']) < 0.01
  np.testing.assert_allclose(word_lengths(static, records), word_lengths(dynamic, records), atol=0.012)


def test_masks_are_new_in_each_epoch_and_for_each_seed(infos, epochs):
  first, second = [epoch['masked_lm_positions'] for epoch in epochs[:2]]
  again, other = [mask(infos['compact'], [0], seed)['masked_lm_positions'] for seed in (5, 6)]
  np.testing.assert_array_equal(first, again)
  for changed in (second, other):
    assert 0.9 < (first != changed).any(axis=1).mean()


def test_a_batch_does_not_depend_on_where_reading_began(infos):
  info = infos['compact']
  per_epoch = info.records('train') // 16
  steps = per_epoch + 4  # into the second epoch
  whole = run(training_batches(info, 16, 3), steps)
  tail = run(training_batches(info, 16, 3, used=(per_epoch - 2) * 16), 6)
  for expected, of_tail in zip(whole[per_epoch - 2:], tail):
    for name in expected:
      np.testing.assert_array_equal(expected[name], of_tail[name])
  other_size = run(training_batches(info, 8, 3), 4)
  for name in other_size[0]:
    np.testing.assert_array_equal(np.concatenate([batch[name] for batch in other_size[:2]]), whole[0][name])


def test_the_random_bits_are_those_of_the_data_tools():
  keys = np.array([0, 1, 2**63 - 1, -5, -2**63], np.int64)
  with tf.compat.v1.Session() as session:
    for part in (0, 1, 77):
      expected = random_bits.derive_array(keys.astype(np.uint64), part)
      bits_of_number, tensor = session.run([dynamic_masking._derive(tf.constant(keys), part),
                                   dynamic_masking._derive(tf.constant(keys), tf.constant(part, tf.int64))])
      np.testing.assert_array_equal(bits_of_number.astype(np.uint64), expected)
      np.testing.assert_array_equal(tensor.astype(np.uint64), expected)
    shifted, unit, below = session.run([dynamic_masking._shift(tf.constant(keys), 11),
                                        dynamic_masking._unit(tf.constant(keys)),
                                        dynamic_masking._below(tf.constant(keys), 211)])
  bits = keys.astype(np.uint64)
  np.testing.assert_array_equal(shifted.astype(np.uint64), bits >> np.uint64(11))
  np.testing.assert_array_equal(unit, random_bits.unit_array(bits))
  np.testing.assert_array_equal(below, random_bits.below_array(bits, 211))


def test_budgets_and_replacements_are_those_of_the_data_tools():
  random = np.random.RandomState(1)
  keys = random.randint(-2**63, 2**63 - 1, 2000)
  totals, columns, labels = random.randint(2, 60, 2000), random.randint(1, 62, 2000), random.randint(10, 300, 2000)
  options, none = random_examples.options(masked_lm_prob=0.15), np.zeros(0, np.int64)
  with tf.compat.v1.Session() as session:
    budgets, inputs = session.run([
        dynamic_masking._budgets(tf.constant(totals, tf.int32), tf.constant(keys[:, None]), options),
        dynamic_masking._replacements(tf.constant(keys), tf.constant(columns, tf.int64),
                                      tf.constant(labels, tf.int32), options)])
  bits = keys.astype(np.uint64)
  np.testing.assert_array_equal(budgets[:, 0], masking._budgets(bits, totals, none, none, options))
  np.testing.assert_array_equal(inputs, masking._replacements(bits, columns, labels, options))
  assert set(budgets[:, 0]) == set(range(1, 9)) and 0.78 < np.mean(inputs == random_examples.MASK) < 0.82


@pytest.mark.parametrize('sizes, left, expected', [
    ([3, 2, 4, 1, 1], 6, [1, 1, 0, 1, 0]), ([5, 5, 1], 4, [0, 0, 1]), ([0, 0], 3, [0, 0]),
    ([4, 3, 2, 1, 1, 1], 8, [1, 1, 0, 1, 0, 0])])
def test_words_that_do_not_fit_are_passed_over(sizes, left, expected):
  with tf.compat.v1.Session() as session:
    taken = session.run(dynamic_masking._fill(tf.constant([sizes]), tf.constant([[left]])))
  assert taken[0].astype(int).tolist() == expected


def test_another_vocabulary_is_refused(infos):
  info = infos['compact']
  changed = contract.DatasetInfo(info.folder, WIDTH, SLOTS, info.vocab_size, 'another', info.shards, info.settings)
  with pytest.raises(UserError, match='expected the vocabulary'):
    dynamic_masking.masking_options(changed)


def test_held_out_records_are_the_reference_ones(infos):
  contents = [[open(path, 'rb').read() for path in info.paths('heldout')] for info in infos.values()]
  assert contents[0] == contents[1]
  batch, = run(input_pipeline.heldout_batches(infos['compact'], 4), 1)
  assert batch['masked_lm_weights'].sum() > 0


def test_compact_records_are_small(infos):
  sizes = {name: sum(os.path.getsize(path) for path in info.paths('train')) for name, info in infos.items()}
  records = read(infos['compact'])
  tokens = sum(len(record['word_lengths']) for record in records)
  assert sizes['compact'] < 0.6 * sizes['reference'] and sizes['compact'] < 3 * tokens + 220 * len(records)


def test_masks_are_the_same_on_any_number_of_ranks_and_new_in_each_epoch(infos, monkeypatch):
  info = infos['compact']
  # Across the end of an epoch, in blocks of 4 batches, or of 16 of the small ones.
  monkeypatch.setattr(input_pipeline, '_BLOCK_RECORDS', 32)
  steps, used = 40, (info.records('train') // 8 - 20) * 8
  alone = run(training_batches(info, 8, 3, used=used), steps)
  parts = [run(training_batches(info, 2, 3, used=used, rank=rank, ranks=4), steps) for rank in range(4)]
  for number, batch in enumerate(alone):
    for name, values in batch.items():
      assert np.array_equal(values, np.concatenate([part[number][name] for part in parts])), name


def test_compact_records_are_checked(infos, tmp_path):
  info = infos['compact']
  checking.check_readable(info)
  path = str(tmp_path / 'x')
  with open(path, 'wb') as target:
    target.write(tfrecord.frame(b''))
  broken = contract.DatasetInfo(str(tmp_path), WIDTH, SLOTS, 1, '', {
      'train': [contract.Shard('x', 1, None)], 'heldout': []}, info.settings)
  with pytest.raises(UserError, match='in record 0, found no feature token_ids'):
    checking.check_readable(broken)


@pytest.mark.fault('rotten data: compact')
def test_a_lost_record_moves_no_other(infos, tmp_path, monkeypatch, caplog):
  monkeypatch.setattr(lost_records, 'MOST_LOST', 0.01)  # of a small data set
  shutil.copytree(infos['compact'].folder, str(tmp_path / 'data'))
  info = contract.DatasetInfo.load(str(tmp_path / 'data'))
  count = info.records('train') // 5
  with tf.Graph().as_default():
    expected = run(training_batches(infos['compact'], 5, 3), count)
  fault_runs.flip_bit(info.paths('train')[0], 7)
  with tf.Graph().as_default():
    batches = run(training_batches(info, 5, 3, lost=lost_records.LostRecords(info)), count)
  assert [entry.getMessage().split(' (')[0] for entry in caplog.records] == ['lost: record 7 of ' + os.path.basename(
      info.paths('train')[0])]
  changed = [(batch, row) for batch in range(count) for row in range(5)
             if any((batches[batch][name][row] != expected[batch][name][row]).any() for name in batches[batch])]
  assert len(changed) == 1


def run_lengths(batch):
  """Share of the stretches of masked tokens by length."""
  counts = collections.Counter()
  is_masked = np.zeros(batch['input_ids'].shape, bool)
  rows, columns, _ = labelled(batch)
  is_masked[rows, columns] = True
  edges = np.diff(np.pad(is_masked, ((0, 0), (1, 1)), 'constant').astype(int).ravel())
  counts.update((np.flatnonzero(edges < 0) - np.flatnonzero(edges > 0)).tolist())
  return np.array([counts[size] for size in range(1, 10)]) / sum(counts.values())


def test_ngrams_agree_with_the_static_path(infos, epochs, tmp_path):
  folder = os.path.dirname(infos['compact'].folder)
  made = {name: data_set.create(
      small_corpus.settings(os.path.join(folder, 'vocab.txt'), record_format=name, max_seq_length=WIDTH, dupe_factor=4,
                            max_predictions_per_seq=SLOTS, masked_lm_prob=0.15, max_ngram=3),
      [os.path.join(folder, 'text.txt')], str(tmp_path / name)).info for name in record_format.RECORD_FORMATS}
  static, dynamic, single = as_arrays(read(made['reference'])), mask(made['compact'], range(4)), joined(epochs[:2])
  np.testing.assert_allclose(run_lengths(static), run_lengths(dynamic), atol=0.02)
  assert np.abs(run_lengths(static) - run_lengths(single)).max() > 0.05
  shares = [batch['masked_lm_weights'].sum() / batch['input_mask'].sum() for batch in (static, dynamic)]
  assert abs(shares[0] - shares[1]) < 0.002
  boundary = np.stack([record['token_boundary'] for record in read(made['reference'])] * 4)
  rows, columns, _ = labelled(dynamic)
  is_masked = np.zeros(boundary.shape, bool)
  is_masked[rows, columns] = True
  within_word = (boundary[:, 1:] == 0) & (dynamic['input_mask'][:, 1:] > 0)
  assert (is_masked[:, 1:] == is_masked[:, :-1])[within_word].all()
