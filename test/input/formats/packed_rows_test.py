"""Packed rows as training reads them: each record once, in an order that is a function of seed and step."""

import collections
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

import synthetic_data
from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import lost_records
from albert.dataset import packing
from albert.dataset import tfrecord
from albert.input import checking
from albert.input.formats import packed_batches
from albert.input.formats import packed_rows
from albert import input_pipeline

# 0.1% of 2,000 records are 2.
COUNTS = (70, 1100, 830)
S = 48
OPTIONS = input_pipeline.InputOptions(packing=True)


def _write(folder):
  return synthetic_data.write_dataset(str(folder), COUNTS, 5, max_seq_length=S, longest=30)


@pytest.fixture(scope='module')
def info(tmp_path_factory):
  return synthetic_data.write_lengths(_write(tmp_path_factory.mktemp('data')))


@pytest.fixture
def own(info, tmp_path):
  """A copy that a test may damage."""
  shutil.copytree(info.folder, str(tmp_path / 'own'))
  return contract.DatasetInfo.load(str(tmp_path / 'own'))


@pytest.fixture(scope='module')
def two_epochs(info):
  """The rows of the first two epochs."""
  return _rows(_batches(info, 1, batch_size=2 * _total(info)))


@pytest.fixture(scope='module')
def epoch(info, two_epochs):
  """The rows of the first epoch."""
  return two_epochs[:_total(info)]


def _order(info, seed=7, **arguments):
  return input_pipeline.training_order(info, OPTIONS, seed, **arguments)


def _batches(info, count, batch_size=5, start=0, **arguments):
  with tf.Graph().as_default(), tf.Session() as session:
    dataset = input_pipeline.training_batches(_order(info, **arguments), batch_size, start)
    batch = tf.data.make_one_shot_iterator(dataset).get_next()
    return [session.run(batch) for _ in range(count)]


def _rows(batches):
  """The record numbers in each row, in order, as tuples."""
  rows = []
  for batch in batches:
    for ids, starts, weights in zip(batch['input_ids'], batch['cls_positions'], batch['example_weights']):
      rows.append(tuple(int((ids[start + 1] - 5) * 50 + ids[start + 2] - 5) for start in starts[weights > 0]))
  return rows


def _numbers(rows):
  return sorted(number for row in rows for number in row)


def _total(info):
  return sum(shard.packed_rows for shard in info.shards[contract.TRAIN])


def test_an_epoch_has_every_record_once(info, two_epochs):
  total, rows = _total(info), two_epochs
  assert _numbers(rows[:total]) == _numbers(rows[total:]) == list(range(sum(COUNTS)))
  assert rows[:total] != rows[total:] and set(rows[:total]) == set(rows[total:])
  assert total < 0.6 * sum(COUNTS)


def test_a_batch_holds_the_records_as_they_were_written(info):
  batch = _batches(info, 1)[0]
  for row, numbers in enumerate(_rows([batch])):
    values = [synthetic_data.record(number, max_seq_length=S, longest=30) for number in numbers]
    lengths = [sum(value['input_mask']) for value in values]
    for name in ('input_ids', 'segment_ids'):
      expected = [entry for value, length in zip(values, lengths) for entry in value[name][:length]]
      assert batch[name][row].tolist() == expected + [0] * (S - len(expected))
    labels = [label for value in values
              for label, weight in zip(value['masked_lm_ids'], value['masked_lm_weights']) if weight]
    assert batch['masked_lm_ids'][row][batch['masked_lm_weights'][row] > 0].tolist() == labels
    order = [value['next_sentence_labels'][0] for value in values]
    assert batch['next_sentence_labels'][row, :len(order)].tolist() == order


def test_shapes_are_static(info):
  with tf.Graph().as_default():
    shapes = tf.data.get_output_shapes(input_pipeline.training_batches(_order(info), 3))
  slots, examples = packing.max_predictions(synthetic_data.MAX_PREDICTIONS), packing.MAX_EXAMPLES
  assert sorted(shapes) == sorted(packed_batches.PackedBatch._fields)
  for name, shape in shapes.items():
    width = (slots if name.startswith('masked_lm') else
             examples if name in ('next_sentence_labels', 'cls_positions', 'example_weights') else S)
    assert shape.as_list() == [3, width], name


def test_seed_and_step_decide_the_order(info, two_epochs):
  run = two_epochs[:len(two_epochs) // 5 * 5]
  assert _rows(_batches(info, 20)) == run[:100]
  assert _rows(_batches(info, 10, seed=8)) != run[:50]
  ends = (np.cumsum([shard.packed_rows for shard in info.shards[contract.TRAIN]]) // 5).tolist()
  for step in (17, ends[0], len(run) // 5 - 2):
    assert _rows(_batches(info, 2, start=5 * step)) == run[5 * step:5 * step + 10], step
  for step in [0, 1] + ends:
    assert _records_at(info, 5 * step, 10) == [number for row in run[5 * step:5 * step + 10] for number in row], step


def test_long_and_short_examples_are_mixed(info):
  """The row table of a shard begins with its longest examples."""
  lengths = [np.mean([batch['input_mask'].sum() / batch['example_weights'].sum() for batch in part])
             for part in np.array_split(_batches(info, _total(info) // 5), 4)]
  assert max(lengths) < 1.1 * min(lengths)


def test_ranks_divide_the_batches_of_one(info):
  alone = _rows(_batches(info, 40, batch_size=12, start=24))
  parts = [_rows(_batches(info, 40, batch_size=4, start=24, rank=rank, ranks=3)) for rank in range(3)]
  assert alone == [row for step in range(40) for part in parts for row in part[4 * step:4 * step + 4]]


def test_more_ranks_than_rows_is_an_error(info):
  most = _total(info)
  _order(info, ranks=most)
  with pytest.raises(UserError, match='training row for each of {} ranks, found {}'.format(most + 1, most)):
    _order(info, ranks=most + 1)


def test_compact_records_are_not_packed(info):
  compact = contract.DatasetInfo(info.folder, S, synthetic_data.MAX_PREDICTIONS, info.vocab_size, info.vocab_sha256,
                                 info.shards, {'record_format': 'compact'})
  with pytest.raises(UserError, match='expected reference records with InputOptions.packing, found compact ones'):
    _order(compact)


def test_without_lengths_they_are_counted_once(info, epoch, tmp_path, caplog):
  caplog.set_level('INFO', logger='albert')
  bare = _write(tmp_path / 'data')
  expected = epoch[:100]

  assert _rows(_batches(bare, 20, folder=str(tmp_path))) == expected
  assert [entry.getMessage() for entry in caplog.records if 'counting' in entry.getMessage()] == [
      'counting the tokens of 2,000 records: 3 of 3 shards have no lengths beside them, which the data tool writes']
  caplog.clear()
  assert _order(bare, folder=str(tmp_path)).counts == [shard.packed_rows for shard in info.shards[contract.TRAIN]]
  assert _rows(_batches(bare, 20, folder=str(tmp_path))) == expected
  assert not caplog.records
  path, = [str(path) for path in tmp_path.glob('record_lengths-*')]
  with open(path, 'r+b') as target:
    target.truncate(100)
  assert _rows(_batches(bare, 20, folder=str(tmp_path))) == expected
  assert 'counting' in caplog.text


def test_a_record_that_is_lost_before_it_was_counted_has_a_row_of_its_own(tmp_path):
  bare = _write(tmp_path)
  _damage(bare, 1, 100)
  total = packed_rows.RowOrder(bare, 7).epoch_length
  assert total > 0
  numbers = _numbers(_rows(_batches(bare, 1, batch_size=total)))
  repeated = [number for number, times in collections.Counter(numbers).items() if times > 1]
  assert set(range(sum(COUNTS))) - set(numbers) == {COUNTS[0] + 100}
  assert len(repeated) >= 1  # the row that stands in for that row


@pytest.mark.parametrize('change', [os.remove, lambda path: os.truncate(path, 90),
                                    lambda path: np.save(path, np.full([COUNTS[1], 2], 49, np.uint16)),
                                    lambda path: np.save(path, np.ones([3, 2], np.uint16)),
                                    lambda path: np.save(path, np.load(path)[::-1])])
def test_lengths_that_are_gone_or_impossible_are_counted(own, epoch, change, caplog):
  caplog.set_level('INFO', logger='albert')
  change(contract.lengths_file(own.paths(contract.TRAIN)[1]))
  assert _rows(_batches(own, 1, batch_size=len(epoch))) == epoch
  assert '1,100 records: 1 of 3 shards' in caplog.text


def _lengths(info, shard):
  return np.load(contract.lengths_file(info.paths(contract.TRAIN)[shard]))


def test_lengths_of_other_records_are_an_error(own):
  """Noticed where the rows of the shard are filled, in a thread of TensorFlow's, if dataset.json has no digests."""
  own.digests = {}
  for shard in range(3):
    longer = np.minimum(_lengths(own, shard) + [2, 0], S).astype(np.uint16)
    np.save(contract.lengths_file(own.paths(contract.TRAIN)[shard]), longer)
  lost = lost_records.LostRecords(own)
  with pytest.raises(tf.errors.OpError):
    _batches(own, 1, lost=lost)
  assert 'fill' in str(lost.failure) and 'lengths.npy' in str(lost.failure)


def test_a_record_that_is_longer_than_planned_never_runs_into_the_next_row(own):
  """Lengths that are not those of the records, where neither a digest nor the number of rows gives it away."""
  own.digests = {}
  own.shards[contract.TRAIN] = [shard._replace(packed_rows=None) for shard in own.shards[contract.TRAIN]]
  for shard in range(3):
    np.save(contract.lengths_file(own.paths(contract.TRAIN)[shard]), _lengths(own, shard)[::-1])
  with pytest.raises(tf.errors.InvalidArgumentError, match='in a row than planned'):
    _batches(own, 100)
  with pytest.raises(UserError, match='lengths.npy says'):
    checking.check_readable(own)


def _damage(info, shard, index):
  path = info.paths(contract.TRAIN)[shard]
  offset = tfrecord.find_frames(path)[0][index]
  with open(path, 'r+b') as target:
    target.seek(offset + 40)
    byte = target.read(1)
    target.seek(offset + 40)
    target.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize('ranks', [1, 2])
@pytest.mark.fault('rotten data: packed')
def test_a_row_goes_without_a_record_that_is_lost(own, info, two_epochs, ranks, caplog):
  gone = 300
  size = -(-_total(info) // ranks)
  # As ranks read them, see test_ranks_divide_the_batches_of_one.
  expected = two_epochs[:ranks * size]
  _damage(own, 1, gone - COUNTS[0])
  actual = [row for rank in range(ranks) for row in _rows(_batches(own, 1, batch_size=size, rank=rank, ranks=ranks))]
  assert any(gone in row and len(row) > 1 for row in expected)
  assert actual == [tuple(number for number in row if number != gone) for row in expected]
  assert 'record 230 of train-00001-of-00003.tfrecord (wrong checksum); rows go without them' in caplog.text


@pytest.mark.fault('rotten data: packed')
def test_the_row_of_a_record_that_is_alone_is_replaced(tmp_path):
  """S = 24 and records of more than 16 tokens: most have a row of their own."""
  info = synthetic_data.write_lengths(synthetic_data.write_dataset(str(tmp_path), (600, 500), 5))
  total = _total(info)
  expected = _rows(_batches(info, 1, batch_size=total))
  gone = next(row[0] for row in expected if len(row) == 1)
  _damage(info, int(gone >= 600), gone - 600 * (gone >= 600))
  rows = _rows(_batches(info, 1, batch_size=total))
  changed = [place for place in range(total) if rows[place] != expected[place]]
  assert [expected[place] for place in changed] == [(gone,)]
  assert rows[changed[0]] in expected


def _records_at(info, used, count):
  """The numbers of the records in `count` rows from a position on, without reading them."""
  first = dict(zip([shard.file for shard in info.shards[contract.TRAIN]], np.cumsum((0,) + COUNTS)))
  return [first[file] + index for file, index in _order(info).records_at(used, count)]


def test_records_at_says_what_training_reads(info):
  assert _records_at(info, 35, 10) == [number for row in _rows(_batches(info, 2, start=35)) for number in row]


def _lengths_only(folder, lengths, packed_rows=(None,)):
  """A data set without records: what reads them would fail."""
  shards = []
  for number, rows in enumerate(packed_rows):
    shards.append(contract.Shard(str(number), len(lengths), None, None, rows))
    np.save(contract.lengths_file(os.path.join(str(folder), str(number))), lengths.astype(np.uint16))
  return contract.DatasetInfo(str(folder), 512, 51, 60, None, {contract.TRAIN: shards, contract.HELDOUT: []})


def _abstracts(random, count):
  """Most documents shorter than a row: half below 202 tokens, one in twenty below 78, one in ten above 425."""
  return np.exp(random.normal(np.log(202), 0.58, count))


def _news(random, count):
  """Chunks of full length, and what is left at the end of each document."""
  return np.where(random.rand(count) < 0.6, 512, random.randint(5, 513, count))


@pytest.mark.parametrize('draw', [_abstracts, _news])
def test_nearly_all_tokens_are_real(tmp_path, draw):
  tokens = np.clip(draw(np.random.RandomState(0), 5000), 5, 512).astype(int)
  assert tokens.mean() < 0.85 * 512
  info = _lengths_only(tmp_path, np.stack([tokens, np.ceil(0.1 * tokens).clip(1, 51)], axis=1))
  rows, = packed_rows.RowOrder(info, 7).counts
  assert tokens.sum() / (512.0 * rows) >= 0.97


def test_the_position_is_reached_by_counting_not_by_filling_rows(tmp_path, monkeypatch):
  """A billion rows on, rows are filled only of the shard that is read next."""
  lengths = np.tile([256, 26], [1000, 1])
  info = _lengths_only(tmp_path, lengths, packed_rows=(500,) * 30)
  filled = []
  fill_rows = packing.fill_rows
  monkeypatch.setattr(packing, 'fill_rows', lambda *arguments: filled.append(1) or fill_rows(*arguments))
  assert len(packed_rows.RowOrder(info, 3).records_at(10**9, 3)) == 6
  assert len(filled) == 1
