"""Shards to static-shape batches. The order is a function of (seed, step); nothing is kept that could be lost.

Shapes: B batch, S sequence, P masked predictions.
"""

import collections
import glob
import itertools
import os

from google.protobuf import message
import gin
import numpy as np
import tensorflow as tf

from albert.common import checks
from albert.common.errors import UserError
from albert.common import files
from albert.dataset import contract
from albert.dataset import data_order
from albert.dataset import lost_records
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert.input import dynamic_masking
from albert.input import packed_batches
from albert.input import packed_rows

# int32 [B, S]: input_ids, input_mask, segment_ids; int32 [B, P]: masked_lm_positions, masked_lm_ids;
# float32 [B, P]: masked_lm_weights; int32 [B, 1]: next_sentence_labels (1 = swapped).
Batch = collections.namedtuple('Batch', [spec.name for spec in record_format.REFERENCE_FEATURES])

# About so many records are read and made into batches together: a call from TensorFlow to Python and a small operation
# take as long as a record.
_BLOCK_RECORDS = 256


@gin.configurable
class InputOptions:
  """How records are read; none of it changes what is read, but shuffle_buffer_records and packing.

  Attributes:
    shuffle_buffer_records: records are shuffled within blocks of this size in each shard (and shards among
      each other): the data tool has shuffled across the whole data set before. Packed rows are shuffled within
      whole shards.
    num_parallel_calls: threads that parse.
    prefetch_batches: batches made ahead.
    packing: whether a training batch has several examples in each of its rows, see albert/dataset/packing.py.

  Raises:
    UserError: a value that is no whole number of at least 1, or a packing that is not True or False.
  """

  def __init__(self, shuffle_buffer_records=16384, num_parallel_calls=2, prefetch_batches=4, packing=False):
    self.shuffle_buffer_records = shuffle_buffer_records
    self.num_parallel_calls = num_parallel_calls
    self.prefetch_batches = prefetch_batches
    for name, value in vars(self).items():
      checks.whole_number('InputOptions.' + name, value)
    if not isinstance(packing, bool):
      raise UserError('InputOptions.packing: expected True or False, found {!r}'.format(packing))
    self.packing = packing


def open_dataset(source):
  """Finds out what a data set is.

  Args:
    source: a folder with dataset.json, that file, or TFRecord files in the reference format: a path, a glob, or
      several of either separated by commas.

  Returns:
    contract.DatasetInfo. For bare TFRecord files shapes come from the first record, records are counted, nothing
    is held out, and the vocabulary is None unless a dataset.json lies beside them.

  Raises:
    UserError: nothing there, not a TFRecord, more than lost_records.MOST_LOST of it absent or truncated, not in the
      reference format, or beside another vocabulary than it was made with.
  """
  if os.path.basename(source) == contract.DATASET_FILE:
    source = os.path.dirname(source) or '.'
  if os.path.isdir(source):
    info = contract.DatasetInfo.load(source)
    _check_vocabulary(info)
    lost_records.check_files(info, lost_records.LostRecords(info))
    return info
  paths = [path for pattern in source.split(',') for path in sorted(glob.glob(pattern.strip()))]
  if not paths:
    raise UserError('expected a data set folder or TFRecord files, found nothing at {!r}; '
                    'make one with "make data" or correct the path'.format(source))
  return _describe_bare_files(paths)


def _describe_bare_files(paths):
  folder = os.path.dirname(paths[0]) or '.'
  # First, for TensorFlow takes a file that is cut off in its first record for an empty one.
  shards = [contract.Shard(os.path.relpath(path, folder), count_records(path), None) for path in paths]
  max_seq_length, max_predictions = _shapes_of_first_record(paths[0])
  vocab_size, vocab_sha256 = None, None
  if os.path.exists(os.path.join(folder, contract.DATASET_FILE)):
    beside = contract.DatasetInfo.load(folder)
    _check_vocabulary(beside)
    vocab_size, vocab_sha256 = beside.vocab_size, beside.vocab_sha256
  return contract.DatasetInfo(folder, max_seq_length, max_predictions, vocab_size, vocab_sha256,
                              {contract.TRAIN: shards, contract.HELDOUT: []})


def _check_vocabulary(info):
  """Raises UserError unless vocab.txt is the one that the ids of the data set refer to."""
  try:
    found = files.file_sha256(info.vocab_file)
  except OSError as error:
    raise UserError('{}: expected the vocabulary that the data set was made with, found none ({}); restore it or make '
                    'the data set again'.format(info.vocab_file, error.strerror))
  if found != info.vocab_sha256:
    raise UserError('{}: expected the vocabulary that the data set was made with (SHA-256 {:.12}...), found another '
                    '({:.12}...); restore it or make the data set again'.format(
                        info.vocab_file, info.vocab_sha256, found))


def count_records(path):
  """The number of records in a TFRecord file, from its framing alone.

  Raises:
    UserError: the file cannot be read, or is damaged, so that nobody knows how many it had.
  """
  try:
    offsets, gaps = tfrecord.find_frames(path)
  except OSError as error:
    raise UserError('{}: expected a TFRecord file, found that it cannot be read ({}); correct the path'.format(
        path, error.strerror))
  if gaps:
    raise UserError('{}: expected a TFRecord file, found one that is truncated or corrupt after record {}; restore it '
                    'or make the data set again'.format(path, len(offsets)))
  return len(offsets)


def _shapes_of_first_record(path):
  """(S, P) of the first record of a TFRecord file in the reference format."""
  try:
    example = tf.train.Example.FromString(next(tf.io.tf_record_iterator(path)))
  except StopIteration:
    raise UserError('{}: expected TFRecords, found an empty file; make the data set again'.format(path))
  except Exception as error:  # protobuf and TensorFlow have no common class for "these bytes are wrong"
    raise UserError('{}: expected TFRecords in the reference format, found bytes that cannot be read ({}); '
                    'check that it is the right file'.format(path, str(error).split('\n')[0]))
  missing = [spec.name for spec in record_format.REFERENCE_FEATURES if spec.name not in example.features.feature]
  if missing:
    raise UserError('{}: expected the features of the reference format, found none named {}; '
                    'make the data set with tools.create_pretraining_data'.format(path, ', '.join(missing)))
  values = example.features.feature
  return len(values['input_ids'].int64_list.value), len(values['masked_lm_positions'].int64_list.value)


def check_readable(info, vocab_size=None):
  """Raises UserError that names the first file and record of a data set whose content does not parse or fit.

  Args:
    info: contract.DatasetInfo.
    vocab_size: V; ids must be below it. None: they are not looked at.
  """
  reference = {spec.name: record_format.feature_length(spec, info.max_seq_length, info.max_predictions_per_seq)
               for spec in record_format.REFERENCE_FEATURES}
  compact = {spec.name: 1 for spec in record_format.COMPACT_FEATURES}
  lost = lost_records.LostRecords(info)
  for split in (contract.TRAIN, contract.HELDOUT):
    parse = compact if info.record_format == record_format.COMPACT and split == contract.TRAIN else reference
    reader = lost_records.Reader(info, split, lost)
    for number, (shard, path) in enumerate(zip(info.shards[split], info.paths(split))):
      lengths = packed_rows.read_lengths(info, number) if split == contract.TRAIN else None
      for index in range(shard.records):
        record = reader.read(number, index)
        _check_record(record, parse, path, index, vocab_size)
        if lengths is not None and record is not None:
          _check_length(record, lengths[index].tolist(), path, index)


def _check_record(record, parse, path, index, vocab_size):
  try:
    values = tf.train.Example.FromString(record or b'').features.feature
  except message.DecodeError as error:
    raise UserError('{}: expected a tf.train.Example in record {}, found something else ({}); restore the file or make '
                    'the data set again'.format(path, index, error))
  for name, length in parse.items() if record is not None else ():
    found = max(len(values[name].int64_list.value), len(values[name].float_list.value),
                len(values[name].bytes_list.value))
    if found != length:
      raise UserError('{}: expected {} values of {} in record {}, found {}; restore the file or make the data set '
                      'again'.format(path, length, name, index, found))
  for name in ('input_ids', 'masked_lm_ids') if record is not None and vocab_size is not None else ():
    ids = values[name].int64_list.value
    if ids and not 0 <= min(ids) <= max(ids) < vocab_size:
      raise UserError('{}: expected {} of 0 to {}, the vocabulary of the model (AlbertConfig.vocab_size={}), found {} '
                      'in record {}; set the vocabulary size that the file was made with'.format(
                          path, name, vocab_size - 1, vocab_size, max(ids) if min(ids) >= 0 else min(ids), index))


def _check_length(record, expected, path, index):
  found = list(packed_rows.length_of(record))
  if found != expected:
    raise UserError('{}: expected {} tokens and {} labels in record {}, as {} says, found {} and {}; remove that file, '
                    'then they are counted, or make the data set again'.format(
                        path, *expected, index, os.path.basename(contract.lengths_file(path)), *found))


def check_shapes(info, max_seq_length=None, max_predictions_per_seq=None, training_folder=None):
  """Raises UserError if the data set has another S or P than the ones given.

  Args:
    info: contract.DatasetInfo.
    max_seq_length, max_predictions_per_seq: int, or None for any.
    training_folder: the data set whose S and P they are; None: they were asked for by flags.
  """
  for name, asked in (('max_seq_length', max_seq_length), ('max_predictions_per_seq', max_predictions_per_seq)):
    found = getattr(info, name)
    if asked not in (None, found) and training_folder is not None:
      raise UserError('--eval_input_file: expected {}={} as in the training data {}, found {} in {}; make both with '
                      'the same lengths'.format(name, asked, training_folder, found, info.folder))
    if asked not in (None, found):
      raise UserError('expected {}={} as asked, found {} in the data set {}; leave the flag out or make the data '
                      'with it'.format(name, asked, found, info.folder))


def training_batches(info, batch_size, seed, start_record=0, rank=0, ranks=1, options=None, lost=None, rows=None):
  """Endless training batches from a position on.

  A record that cannot be read is counted in `lost`, and another one of its file takes its place, or with packing its
  row goes without it: all others keep theirs, so that the position stays a function of the step.

  Args:
    info: contract.DatasetInfo.
    batch_size: B of one rank; with packing, rows.
    seed: Python int.
    start_record: how many records of this rank, with packing rows, to leave out. They are not read.
    rank, ranks: this process reads record (or row) i of a shard where i % ranks == rank, so ranks share none.
    options: InputOptions.
    lost: lost_records.LostRecords.
    rows: packed_rows.Rows, if options.packing; None makes them.

  Returns:
    tf.data.Dataset of dicts with the keys of Batch, with packing those of PackedBatch, and static shapes.

  Raises:
    UserError: no shard has a training record, with packing a row, for each rank.
  """
  options = options or InputOptions()
  lost = lost_records.LostRecords(info) if lost is None else lost
  if options.packing and info.record_format == record_format.COMPACT:
    raise UserError('{}: expected reference records with InputOptions.packing, found compact ones; make the data with '
                    '--record_format=reference or leave packing out'.format(info.folder))
  if options.packing:
    rows = rows or packed_rows.Rows(info, lost)
  counts = rows.counts if options.packing else [shard.records for shard in info.shards[contract.TRAIN]]
  if max(counts, default=0) < ranks:
    raise UserError('{}: expected a shard with at least one training {} for each of {} ranks, found {}; use more text'
                    .format(info.folder, 'row' if options.packing else 'record', ranks, max(counts, default=0)))
  if options.packing:
    return _packed_batches(info, batch_size, rows, lambda: rows.places(seed, start_record, rank, ranks), ranks, options,
                           lost)

  block_size = max(1, _BLOCK_RECORDS // batch_size) * batch_size

  def serialized_blocks():
    reader = lost_records.Reader(info, contract.TRAIN, lost)
    order = data_order.places(info, seed, start_record, rank, ranks, options.shuffle_buffer_records)
    while True:
      yield [reader.read_or_next(*next(order), stride=ranks) for _ in range(block_size)]

  blocks = tf.data.Dataset.from_generator(serialized_blocks, tf.string, [block_size])
  if info.record_format == record_format.COMPACT:
    blocks = dynamic_masking.masked_batches(blocks, info, seed, start_record, rank, ranks, options.num_parallel_calls)
  else:
    blocks = blocks.map(parser(info), options.num_parallel_calls)
  return _divide(blocks, batch_size).prefetch(options.prefetch_batches)


def _divide(blocks, batch_size):
  """Batches of B from a tf.data.Dataset of dicts whose tensors hold several of them, in order."""
  def stack(block):
    return {name: tf.reshape(value, [-1, batch_size] + value.shape.as_list()[1:]) for name, value in block.items()}

  return blocks.map(stack).unbatch()


def _packed_batches(info, batch_size, rows, places, ranks, options, lost):
  """Batches of rows. places: gives an iterator of (shard, row); other arguments are those of training_batches."""
  def serialized_rows():
    reader, order = lost_records.Reader(info, contract.TRAIN, lost), places()
    while True:
      found = [rows.read(reader, *next(order), stride=ranks) for _ in range(batch_size)]
      yield ([record for row in found for record in row],
             np.repeat(np.arange(batch_size, dtype=np.int32), [len(row) for row in found]))

  parse = parser(info)
  batches = tf.data.Dataset.from_generator(serialized_rows, (tf.string, tf.int32), ([None], [None]))
  return batches.map(lambda serialized, numbers: packed_batches.pack(parse(serialized), numbers, batch_size),
                     options.num_parallel_calls).prefetch(options.prefetch_batches)


def heldout_batches(info, batch_size, split=contract.HELDOUT, max_batches=None, lost=None):
  """Every record once, in order; the last batch is filled with rows of zeros, whose input_mask is 0.

  Args:
    info: contract.DatasetInfo.
    batch_size: B.
    split: contract.HELDOUT or contract.TRAIN.
    max_batches: stop after so many, None for all.
    lost: lost_records.LostRecords; records that cannot be read are counted there and left out.

  Returns:
    tf.data.Dataset of dicts with the keys of Batch and static shapes.
  """
  lost = lost_records.LostRecords(info) if lost is None else lost

  def serialized_batches():
    reader = lost_records.Reader(info, split, lost)
    read = (reader.read(number, index) for number, shard in enumerate(info.shards[split])
            for index in range(shard.records))
    good = (record for record in read if record is not None)
    return iter(lambda: list(itertools.islice(good, batch_size)), [])

  batches = tf.data.Dataset.from_generator(serialized_batches, tf.string, [None]).map(parser(info))

  def fill(batch):
    filled = {}
    for name, value in batch.items():
      missing = batch_size - tf.shape(value)[0]
      filled[name] = tf.pad(value, [[0, missing], [0, 0]])
      filled[name].set_shape([batch_size] + value.shape.as_list()[1:])
    return filled

  return batches.map(fill).take(-1 if max_batches is None else max_batches).prefetch(2)


def parser(info):
  """A function from serialized examples, string [B], to a dict of tensors. Whole batches: 6 times faster."""
  kinds = {'int64': tf.int64, 'float32': tf.float32}
  specs = {
      spec.name: tf.io.FixedLenFeature(
          [record_format.feature_length(spec, info.max_seq_length, info.max_predictions_per_seq)], kinds[spec.kind])
      for spec in record_format.REFERENCE_FEATURES}

  def parse(serialized):
    parsed = tf.io.parse_example(serialized, specs)
    return {name: tf.cast(value, tf.int32) if value.dtype == tf.int64 else value for name, value in parsed.items()}

  return parse
