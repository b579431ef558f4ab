"""Shards to static-shape batches. The order is a function of (seed, step); nothing is kept that could be lost.

Shapes: B batch, S sequence, P masked predictions.
"""

import contextlib
import dataclasses
import glob
import itertools
import logging
import os

import gin
import numpy as np
import tensorflow as tf

from albert.common import checks
from albert.common.errors import UserError
from albert.dataset.batch import Batch  # noqa: F401, part of this module's interface
from albert.dataset import batch_order
from albert.dataset import contract
from albert.dataset import data_order
from albert.dataset import examples
from albert.dataset import lost_records
from albert.dataset import packing
from albert.dataset import protobuf
from albert.dataset import record_format
from albert.input import bare_files
from albert.input import checking
from albert.input.formats import dynamic_masking
from albert.input.formats import packed_batches
from albert.input.formats import packed_rows
from albert.input.formats import packed_windows

# About this number of records are read and parsed together: a call from TensorFlow to Python takes as long as a record,
# and so does a small operation.
_BLOCK_RECORDS = 256

# The functions that tf.data gets here have no loops or conditions on tensors. AutoGraph would search their sources for
# some: half a second and 60 MB at every start.
_without_autograph = tf.autograph.experimental.do_not_convert

_LOG = logging.getLogger('albert')


@gin.configurable
@dataclasses.dataclass(frozen=True)
class InputOptions:
  """How records are read; only shuffle_buffer_records and packing change what is read.

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

  shuffle_buffer_records: int = 16384
  num_parallel_calls: int = 2
  prefetch_batches: int = 4
  packing: bool = False

  def __post_init__(self):
    for name in ('shuffle_buffer_records', 'num_parallel_calls', 'prefetch_batches'):
      checks.whole_number('InputOptions.' + name, getattr(self, name))
    checks.flag('InputOptions.packing', self.packing)


def open_dataset(source, features=record_format.REFERENCE_FEATURES, warn=_LOG.warning):
  """Finds out what a data set is.

  Args:
    source: a folder with dataset.json, that file, or TFRecord files in the reference format: a path, a glob, or
      several of either separated by commas.
    features: tuple of record_format.FeatureSpec, of a record of bare files.
    warn: callable(line), for what is lost of a data set.

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
    checking.check_vocabulary(info)
    lost_records.check_files(info, lost_records.LostRecords(info, warn=warn))
    return info
  paths = [path for pattern in source.split(',') for path in _files_of(pattern.strip())]
  if not paths:
    raise UserError('expected a data set folder or TFRecord files, found nothing at {!r}; '
                    'make one with "make data" or correct the path'.format(source))
  return bare_files.describe(paths, features)


def _files_of(pattern):
  """Paths that a path or a pattern stands for, sorted. A file whose name looks like a pattern is that file."""
  return [pattern] if os.path.isfile(pattern) else sorted(glob.glob(pattern))


def is_labelled(info):
  """Whether a data set holds windows of labelled text, whose batches are packed anew in each epoch."""
  return info.record_format == record_format.LABELLED


def training_order(info, options, seed, rank=0, ranks=1, lost=None, folder=None, keep=True, batch_size=None,
                   layout=None):
  """The order of records, with options.packing of packed rows, of labelled text of batches, for training_batches().

  Args:
    info: contract.DatasetInfo.
    options: InputOptions.
    seed: Python int.
    rank, ranks: this process among those that train together: it reads its part of each batch.
    lost: lost_records.LostRecords of the data set.
    folder: of the run, where lengths that packing had to count are kept, or None.
    keep: whether this process writes them there.
    batch_size, layout: of labelled text, see batch_order.BatchOrder.

  Returns:
    data_order.Order: of its subclasses RecordOrder, packed_rows.RowOrder or batch_order.BatchOrder.

  Raises:
    UserError: compact records with packing, or fewer training records (or rows) than ranks.
  """
  if is_labelled(info):
    order = batch_order.BatchOrder(info, seed, batch_size, layout, lost)
  elif not options.packing:
    order = data_order.RecordOrder(info, seed, rank, ranks, lost, options.shuffle_buffer_records)
  elif info.record_format == record_format.COMPACT:
    raise UserError('{}: expected reference records with InputOptions.packing, found compact ones; make the data with '
                    '--record_format=reference or leave packing out'.format(info.folder))
  else:
    order = packed_rows.RowOrder(info, seed, rank, ranks, lost, folder, keep)
  if order.epoch_length < ranks:
    raise UserError('{}: expected at least one training {} for each of {} ranks, found {}; use more text'.format(
        info.folder, order.unit, ranks, order.epoch_length))
  return order


@_without_autograph
def training_batches(order, batch_size, used=0, options=None, features=record_format.REFERENCE_FEATURES):
  """Endless training batches from a position on.

  A record that cannot be read is counted in order.lost, and another one of its file takes its place, or with packing
  its row goes without it: all others keep theirs, so that the position stays a function of the step.

  Args:
    order: data_order.Order, from training_order().
    batch_size: B of this rank: records, or packed rows.
    used: how many records, or rows, all ranks together have used before. They are not read.
    options: InputOptions.
    features: tuple of record_format.FeatureSpec, of a record that is neither compact nor packed.

  Returns:
    tf.data.Dataset of dicts with the names of the features as keys (in pre-training those of Batch, with packing those
    of PackedBatch) and static shapes.
  """
  options = options or InputOptions()
  if is_labelled(order.info):
    return _labelled_batches(order, used, features).prefetch(options.prefetch_batches)
  # A packed row has several records, so that a batch of them is a block.
  block_size = batch_size * (1 if order.is_packed else max(1, _BLOCK_RECORDS // batch_size))

  def serialized_blocks():
    with contextlib.closing(order.reader(features)) as reader:
      units = order.units_of_rank(used, batch_size)
      while True:
        block = [order.read(reader, *unit) for unit in itertools.islice(units, block_size)]
        yield ([record for records in block for record in records],
               np.repeat(np.arange(block_size, dtype=np.int32), [len(records) for records in block]))

  blocks = tf.data.Dataset.from_generator(serialized_blocks, (tf.string, tf.int32), ([None], [None]))
  tensors = _to_tensors(blocks, order, block_size, lambda number: order.position_of(number, used, batch_size), options,
                        features)
  return _divide(tensors, batch_size).prefetch(options.prefetch_batches)


def _labelled_batches(order, used, features):
  """Batches of a BatchOrder; a record that cannot be read is counted, and its batch goes without it."""
  def batches():
    with contextlib.closing(order.reader(features)) as reader:
      for epoch, number in order.units(used):
        rows = [[protobuf.parse(record) for record in (reader.read(*place) for place in row) if record is not None]
                for row in order.rows(epoch, number)]
        yield packed_windows.pack(rows, features, order.layout, order.info.max_seq_length)

  types, shapes = packed_windows.types_and_shapes(features, order.layout, order.info.max_seq_length)
  return tf.data.Dataset.from_generator(batches, types, shapes)


def _to_tensors(blocks, order, block_size, position_of, options, features):
  """The blocks of an order, parsed and masked or packed: a tf.data.Dataset of dicts of [block_size, ...].

  Args:
    blocks: tf.data.Dataset of (serialized records string [n], numbers of their rows in the block int32 [n]).
    order, options, features: as for training_batches.
    block_size: int.
    position_of: function of the numbers of records among those of this rank, int64, to their positions among all.
  """
  parse = parser(order.info, features)
  if order.is_packed:
    return blocks.map(lambda serialized, rows: packed_batches.pack(parse(serialized), rows, block_size),
                      options.num_parallel_calls)
  serialized = blocks.map(lambda serialized, _: tf.ensure_shape(serialized, [block_size]))
  if order.info.record_format == record_format.COMPACT:
    return dynamic_masking.masked_batches(serialized, order.info, order.seed, position_of, options.num_parallel_calls)
  return serialized.map(parse, options.num_parallel_calls)


def _divide(blocks, batch_size):
  """Batches of B from a tf.data.Dataset of dicts whose tensors hold several of them, in order."""
  def stack(block):
    return {name: tf.reshape(value, [-1, batch_size] + value.shape.as_list()[1:]) for name, value in block.items()}

  return blocks.map(stack).unbatch()


@_without_autograph
def heldout_batches(info, batch_size, split=contract.HELDOUT, max_batches=None, lost=None,
                    features=record_format.REFERENCE_FEATURES, rank=0, ranks=1):
  """Every record once, in order; the last batch is filled with rows of zeros, whose input_mask is 0.

  Several ranks divide them; where there are fewer records than ranks, some have no batch.

  Args:
    info: contract.DatasetInfo.
    batch_size: B.
    split: contract.HELDOUT or contract.TRAIN.
    max_batches: stop after the records of this number, of all ranks together; None for all.
    lost: lost_records.LostRecords; records that cannot be read are counted there and left out.
    features: tuple of record_format.FeatureSpec, of a record.
    rank, ranks: this process among those that evaluate together. Labelled text has one.

  Returns:
    tf.data.Dataset of dicts with the names of the features as keys and static shapes.
  """
  lost = lost_records.LostRecords(info) if lost is None else lost
  form = examples.Form.of(info, split, features)
  if is_labelled(info):
    batches = _labelled_heldout_batches(info, batch_size, split, lost, features, form)
    return batches.take(-1 if max_batches is None else max_batches).prefetch(2)

  count = info.records(split) if max_batches is None else min(info.records(split), max_batches * batch_size)

  def serialized_batches():
    with contextlib.closing(lost_records.Reader(info, split, lost, form)) as reader:
      places = ((number, index) for number, shard in enumerate(info.shards[split]) for index in range(shard.records))
      read = (reader.read(*place) for place in itertools.islice(
          places, count * rank // ranks, count * (rank + 1) // ranks))
      good = (record for record in read if record is not None)
      yield from iter(lambda: list(itertools.islice(good, batch_size)), [])

  batches = tf.data.Dataset.from_generator(serialized_batches, tf.string, [None]).map(parser(info, features))
  return batches.map(lambda batch: _filled(batch, batch_size)).prefetch(2)


def _filled(batch, batch_size):
  """A dict of tensors with rows of zeros up to a static batch size."""
  filled = {}
  for name, value in batch.items():
    missing = batch_size - tf.shape(value)[0]
    filled[name] = tf.pad(value, [[0, missing], [0, 0]])
    filled[name].set_shape([batch_size] + value.shape.as_list()[1:])
  return filled


def _labelled_heldout_batches(info, batch_size, split, lost, features, form):
  """Every record once, several in each of the B rows of a batch; the last batch is filled with rows without any."""
  ends = batch_order.shard_ends(info, split)
  lengths = batch_order.record_lengths(info, split)[:, 0]
  table = packing.fill_rows(lengths, np.zeros(len(lengths), np.int64), info.max_seq_length, 1, batch_order.MAX_EXAMPLES)
  layout = batch_order.Layout(batch_size, max(map(len, table)))

  def batches():
    with contextlib.closing(lost_records.Reader(info, split, lost, form)) as reader:
      for first in range(0, len(table), batch_size):
        rows = [[reader.read(*batch_order.place_of(record, ends)) for record in row]
                for row in table[first:first + batch_size]]
        yield packed_windows.pack([[protobuf.parse(record) for record in row if record is not None] for row in rows],
                                  features, layout, info.max_seq_length)

  return tf.data.Dataset.from_generator(batches, *packed_windows.types_and_shapes(
      features, layout, info.max_seq_length))


def parser(info, features=record_format.REFERENCE_FEATURES):
  """A function from serialized examples, string [B], to a dict of tensors. Whole batches: 6 times faster."""
  kinds = {'int64': tf.int64, 'float32': tf.float32}
  specs = {
      spec.name: tf.io.FixedLenFeature(
          [record_format.feature_length(spec, info.max_seq_length, info.max_predictions_per_seq)], kinds[spec.kind])
      for spec in features}

  def parse(serialized):
    parsed = tf.io.parse_example(serialized, specs)
    return {name: tf.cast(value, tf.int32) if value.dtype == tf.int64 else value for name, value in parsed.items()}

  return parse
