"""The rows of packed training examples: how many each shard has, what lies in each, how they are read.

Which records share a row follows from the lengths of a shard's records alone. So a position in the data counts rows as
it counts records without packing, and is reached without reading. A record that is lost keeps its place in the plan:
its row goes without it, and all others stay what they are.
"""

import itertools
import logging
import os
import zipfile

import numpy as np
import tensorflow as tf

from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import data_order
from albert.dataset import lost_records
from albert.dataset import packing

# In the folder of the run, where the data set has no lengths: those that were counted, for the next start.
COUNTED_FILE = 'record_lengths-{}.npz'

_LOG = logging.getLogger('albert')


def read_lengths(info, shard):
  """Lengths of the records of training shard number `shard` as the data set keeps them.

  Returns:
    uint16 array [records, 2] of tokens and labels, or None if there are none that can be those of its records.
  """
  try:
    lengths = np.load(contract.lengths_file(info.paths(contract.TRAIN)[shard]))
  except (OSError, ValueError, EOFError):
    return None
  return lengths if _are_possible(lengths, info, shard) else None


def _are_possible(lengths, info, shard):
  return (lengths.dtype == np.uint16 and lengths.shape == (info.shards[contract.TRAIN][shard].records, 2)
          and np.all(lengths[:, 0] > 0) and np.all(lengths <= [info.max_seq_length, info.max_predictions_per_seq]))


def length_of(record):
  """(tokens, labels) of a serialized tf.train.Example in the reference format."""
  values = tf.train.Example.FromString(record).features.feature
  weights = values['masked_lm_weights'].float_list.value
  return sum(values['input_mask'].int64_list.value), sum(weight > 0.0 for weight in weights)


class Rows:
  """Rows of the training shards of a data set."""

  def __init__(self, info, lost, folder=None, keep=True):
    """Reads nothing yet.

    Args:
      info: contract.DatasetInfo.
      lost: lost_records.LostRecords of it.
      folder: of the run, where lengths that had to be counted are kept, or None.
      keep: whether this process writes them there.
    """
    self._info = info
    self._shards = info.shards[contract.TRAIN]
    self._lost = lost
    self._lost.remedy = 'rows go without them'
    self._file = folder and os.path.join(folder, COUNTED_FILE.format(info.fingerprint()[:12]))
    self._keep = keep
    self._counted = {}  # by the number of the shard
    self._planned = None, None
    self._counts = None

  @property
  def counts(self):
    """The number of rows of each shard, a list.

    Raises:
      UserError: the data set has no lengths, and too many of its records cannot be read.
    """
    if self._counts is None:
      self._counts = [len(self._plan(number)) if shard.packed_rows is None else shard.packed_rows
                      for number, shard in enumerate(self._shards)]
    return self._counts

  def places(self, seed, start_row, rank=0, ranks=1):
    """Yields (shard number, row) for ever, from a rank's `start_row` on; arguments as for data_order.places.

    A shard's rows are shuffled as a whole: the plan begins with the longest examples.
    """
    return data_order.places(self._info, seed, start_row, rank, ranks, block=None, counts=self.counts)

  def records_at(self, seed, start_row, count, rank=0, ranks=1):
    """The (shard file, index) of the records in the `count` rows from a position on, as a list."""
    places = itertools.islice(self.places(seed, start_row, rank, ranks), count)
    return [(self._shards[shard].file, index) for shard, row in places for index in self._plan(shard)[row]]

  def read(self, reader, shard, row, stride=1):
    """The records of a row that can be read, as a list of bytes; if it has none, those of the nearest row that has.

    Args:
      reader: lost_records.Reader of the training records.
      shard, row: as places() gives them.
      stride: which rows may take its place, see Reader.read_or_next.
    """
    def read(shard, row):
      found = [reader.read(shard, index) for index in self._plan(shard)[row]]
      return [record for record in found if record is not None]
    return reader.first_readable(read, self.counts, shard, row, stride)

  def _plan(self, shard):
    """The rows of a shard, each a list of record numbers. The last plan is kept: shards are read one after another."""
    planned, rows = self._planned
    if planned != shard:
      lengths = self._lengths(shard)
      rows = packing.plan(lengths[:, 0], lengths[:, 1], self._info.max_seq_length, self._info.max_predictions_per_seq)
      expected = self._shards[shard].packed_rows
      if expected not in (None, len(rows)):
        # Raised in a thread of the input pipeline.
        self._lost.failure = UserError(
            '{}: expected lengths of records that fill {:,} rows, as {} says, found {:,} rows; restore the files or '
            'make the data set again'.format(contract.lengths_file(self._info.paths(contract.TRAIN)[shard]), expected,
                                        contract.DATASET_FILE, len(rows)))
        raise self._lost.failure
      self._planned = shard, rows
    return rows

  def _lengths(self, shard):
    lengths = read_lengths(self._info, shard)
    if lengths is None and shard not in self._counted:
      self._counted = self._read_counted()
    if lengths is None and shard not in self._counted:
      self._counted = self._count()
      self._write_counted()
    return self._counted[shard] if lengths is None else lengths

  def _count(self):
    """Counts the lengths of the shards that have none. A record that is lost is given a row of its own."""
    missing = [number for number in range(len(self._shards)) if read_lengths(self._info, number) is None]
    _LOG.info('counting the tokens of %s records: %d of %d shards have no lengths beside them, which the data tool '
              'writes', '{:,}'.format(sum(self._shards[number].records for number in missing)), len(missing),
              len(self._shards))
    reader = lost_records.Reader(self._info, contract.TRAIN, self._lost)
    counted = {}
    for number in missing:
      full = self._info.max_seq_length, self._info.max_predictions_per_seq
      read = (reader.read(number, index) for index in range(self._shards[number].records))
      lengths = [full if record is None else length_of(record) for record in read]
      counted[number] = np.maximum(np.array(lengths, np.uint16).reshape(-1, 2), [1, 0]).astype(np.uint16)
    reader.close()
    return counted

  def _read_counted(self):
    if not self._file or not os.path.exists(self._file):
      return {}
    try:
      with np.load(self._file) as found:
        lengths = {int(name): found[name] for name in found.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
      return {}
    return {number: found for number, found in lengths.items() if _are_possible(found, self._info, number)}

  def _write_counted(self):
    if self._file and self._keep:
      with open(self._file + '.tmp', 'wb') as target:
        np.savez(target, **{str(number): lengths for number, lengths in self._counted.items()})
      os.replace(self._file + '.tmp', self._file)
