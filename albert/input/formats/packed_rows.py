"""The rows of packed training examples: how many each shard has, what lies in each, how they are read.

Which records share a row follows from the lengths of a shard's records alone. So a position in the data counts rows as
it counts records without packing, and is reached without reading. A record that is lost keeps its place in the row
table: its row goes without it, and all others stay as they are.
"""

import contextlib
import logging
import os

import numpy as np
import tensorflow as tf

from albert.common.errors import UserError
from albert.common import files
from albert.dataset import contract
from albert.dataset import data_files
from albert.dataset import data_order
from albert.dataset import packing
from albert.dataset import record_format

_LOG = logging.getLogger('albert')


def length_of(record):
  """(tokens, labels) of a serialized tf.train.Example in the reference format."""
  values = tf.train.Example.FromString(record).features.feature
  weights = values['masked_lm_weights'].float_list.value
  return sum(values['input_mask'].int64_list.value), sum(weight > 0.0 for weight in weights)


class RowOrder(data_order.Order):
  """Rows of several records, shuffled within whole shards: a shard's row table begins with its longest examples."""

  unit = 'row'
  is_packed = True

  def __init__(self, info, seed, rank=0, ranks=1, lost=None, folder=None, keep=True):
    """Reads nothing yet.

    Args:
      info, seed, rank, ranks, lost: as for data_order.Order.
      folder: of the run, where lengths that had to be counted are kept, or None.
      keep: whether this process writes them there.
    """
    super().__init__(info, seed, rank, ranks, lost)
    self.lost.remedy = 'rows go without them'
    self._file = folder and os.path.join(folder, data_files.COUNTED_FILE.format(info.fingerprint()[:12]))
    self._keep = keep
    self._counted = {}  # lengths, by the number of the shard
    self._newest = None, None  # number of the shard that was read last, its row table
    self._counts = None

  @property
  def counts(self):
    """The number of rows of each shard, a list.

    Raises:
      UserError: the data set has no lengths, and too many of its records cannot be read.
    """
    if self._counts is None:
      self._counts = [len(self._rows_of(number)) if shard.packed_rows is None else shard.packed_rows
                      for number, shard in enumerate(self._shards)]
    return self._counts

  def _indices(self, shard, number):
    return self._rows_of(shard)[number]

  def _rows_of(self, shard):
    """The row table of a shard: for each row its record numbers. The last one is kept: shards are read in turn."""
    number, rows = self._newest
    if number != shard:
      lengths = self._lengths(shard)
      rows = packing.fill_rows(lengths[:, 0], lengths[:, 1], self.info.max_seq_length,
                               self.info.max_predictions_per_seq)
      self._check_row_count(shard, len(rows))
      self._newest = shard, rows
    return rows

  def _check_row_count(self, shard, count):
    expected = self._shards[shard].packed_rows
    if expected not in (None, count):
      # Raised in a thread of the input pipeline.
      self.lost.failure = UserError(
          '{}: expected lengths of records that fill {:,} rows, as {} says, found {:,} rows; restore the files or '
          'make the data set again'.format(contract.lengths_file(self.info.paths(contract.TRAIN)[shard]), expected,
                                           contract.DATASET_FILE, count))
      raise self.lost.failure

  def _lengths(self, shard):
    lengths = self.info.lengths(shard)
    if lengths is None and shard not in self._counted:
      self._counted = self._read_counted()
    if lengths is None and shard not in self._counted:
      self._counted = self._count()
      self._write_counted()
    return self._counted[shard] if lengths is None else lengths

  def _count(self):
    """Counts the lengths of the shards that have none. A record that is lost is given a row of its own."""
    missing = [number for number in range(len(self._shards)) if self.info.lengths(number) is None]
    _LOG.info('counting the tokens of %s records: %d of %d shards have no lengths beside them, which the data tool '
              'writes', '{:,}'.format(sum(self._shards[number].records for number in missing)), len(missing),
              len(self._shards))
    full = self.info.max_seq_length, self.info.max_predictions_per_seq
    counted = {}
    with contextlib.closing(self.reader(record_format.REFERENCE_FEATURES)) as reader:
      for number in missing:
        records = (reader.read(number, index) for index in range(self._shards[number].records))
        lengths = [full if record is None else length_of(record) for record in records]
        counted[number] = np.maximum(np.array(lengths, np.uint16).reshape(-1, 2), [1, 0]).astype(np.uint16)
    return counted

  def _read_counted(self):
    if not self._file or not os.path.exists(self._file):
      return {}
    try:
      with files.open_regular(self._file) as source:
        counted = {int(name): lengths for name, lengths in np.load(source).items()}
    except Exception:  # zip files, their compression and numpy's headers have no common class for "this is damaged"
      return {}
    return {number: lengths for number, lengths in counted.items() if self._are_possible(number, lengths)}

  def _are_possible(self, number, lengths):
    return (0 <= number < len(self._shards) and lengths.dtype == np.uint16
            and lengths.shape == (self._shards[number].records, 2)
            and data_files.are_possible(lengths, self.info.max_seq_length, self.info.max_predictions_per_seq))

  def _write_counted(self):
    if self._file and self._keep:
      with files.atomic(self._file, 'wb') as target:
        np.savez(target, **{str(number): lengths for number, lengths in self._counted.items()})
