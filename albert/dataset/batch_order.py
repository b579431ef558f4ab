"""Which labelled examples share a batch, and which of them a row: a function of seed and epoch, and of nothing else.

A batch of fine-tuning has exactly B examples, whatever their lengths; the last one of an epoch has what is left. It is
packed into rows of S tokens (packing.py), so that a batch of short texts is a few rows. Their number must be the same
in every step, because shapes are static; so examples are dealt in such a way that all batches have nearly the same
number of tokens: within a pool of batches each gets one example of the shortest, one of the next, and so on.

An example with several windows (see albert/labelled) uses one of them in an epoch, at random. A position counts
batches.
"""

import collections

import numpy as np

from albert.dataset import contract
from albert.dataset import data_order
from albert.dataset import packing

# Batches of a pool: which examples share a pool is random, within it they are dealt by length.
POOL_BATCHES = 50
# Examples of one row: more rarely fill it better, and each costs a [CLS] slot.
MAX_EXAMPLES = 16

# The static shape of a packed batch, ints. rows: R. slots: K, examples of a row.
Layout = collections.namedtuple('Layout', ['rows', 'slots'])


class BatchOrder(data_order.Order):
  """The batches of a labelled data set, counted one by one.

  Attributes:
    batch_size: B, int.
    layout: Layout of every batch, after plan_layout() or as it was given.
  """

  unit, plural = 'batch', 'batches'

  def __init__(self, info, seed, batch_size, layout=None, lost=None):
    """Reads the lengths of the records. Arguments as the attributes, and as for data_order.Order."""
    super().__init__(info, seed, lost=lost)
    self.batch_size = batch_size
    self.layout = layout
    lengths = record_lengths(info)
    self._lengths = lengths[:, 0].astype(np.int64)
    self._first_windows = np.flatnonzero(lengths[:, 1])  # of each example
    self._window_counts = np.diff(np.append(self._first_windows, len(lengths)))
    self._ends = shard_ends(info)
    self._epoch = None, None  # number of the epoch that was made last, its batches

  @property
  def examples(self):
    """How many examples an epoch has."""
    return len(self._first_windows)

  @property
  def counts(self):
    """One entry, the number of batches: they lie across shards."""
    return [-(-self.examples // self.batch_size)]

  def units_in(self, batch_size):
    return 1

  def plan_layout(self, batches, multiple_of=1):
    """Layout that the first `batches` batches fit into, with a number of rows that is a multiple of `multiple_of`."""
    tables = [self._rows_of(*divmod(number, self.epoch_length)) for number in range(batches)]
    rows = max(map(len, tables))
    return Layout(-(-rows // multiple_of) * multiple_of, max(len(row) for table in tables for row in table))

  def units(self, used):
    """Yields (epoch, batch in it) for ever, after `used` batches."""
    while True:
      yield divmod(used, self.epoch_length)
      used += 1

  def rows(self, epoch, number):
    """The (shard, index) of the records in each row of a batch: list of lists. Of a batch that was planned."""
    return [[place_of(record, self._ends) for record in row] for row in self._rows_of(epoch, number)]

  def _rows_of(self, epoch, number):
    records = self._batches(epoch)[number]
    rows = packing.fill_rows(self._lengths[records], np.zeros(len(records), np.int64), self.info.max_seq_length, 1,
                             MAX_EXAMPLES)
    return [[int(records[place]) for place in row] for row in rows]

  def _indices(self, shard, number):
    raise NotImplementedError('batches lie across shards')

  def records_at(self, used, count):
    places = [place for number in range(used, used + count)
              for row in self.rows(*divmod(number, self.epoch_length)) for place in row]
    return [(self._shards[shard].file, index) for shard, index in places]

  def _batches(self, epoch):
    """The records of each batch of an epoch: list of int64 [B], the last one shorter."""
    if self._epoch[0] != epoch:
      self._epoch = epoch, self._deal(np.random.RandomState([self.seed % 2**32, epoch % 2**32]))
    return self._epoch[1]

  def _deal(self, random):
    windows = self._first_windows + (random.random_sample(self.examples) * self._window_counts).astype(np.int64)
    windows = windows[random.permutation(self.examples)]
    whole = self.examples // self.batch_size * self.batch_size
    batches, pool_size = [], POOL_BATCHES * self.batch_size
    for first in range(0, whole, pool_size):
      batches += deal_by_length(windows[first:min(first + pool_size, whole)], self._lengths, self.batch_size, random)
    return batches + ([windows[whole:]] if whole < self.examples else [])


def deal_by_length(records, lengths, batch_size, random):
  """Distributes records over batches, each of which gets one of every stratum of length.

  Args:
    records: int array, a multiple of batch_size.
    lengths: int array, of all records there are.
    batch_size: B.
    random: numpy RandomState.

  Returns:
    list of int arrays [B].
  """
  count = len(records) // batch_size
  by_length = records[np.argsort(lengths[records], kind='stable')]
  strata = [random.permutation(by_length[first:first + count]) for first in range(0, len(records), count)]
  return list(np.stack(strata, axis=1))


def record_lengths(info, split=contract.TRAIN):
  """uint16 [records, 2] of a labelled data set: tokens of each record, and 1 where an example begins, else 0."""
  return np.concatenate([info.lengths(number, split) for number in range(len(info.shards[split]))])


def shard_ends(info, split=contract.TRAIN):
  """How many records there are up to the end of each shard: int array, for place_of()."""
  return np.cumsum([shard.records for shard in info.shards[split]])


def place_of(record, ends):
  """(shard, index in it) of a record of a split. ends: what shard_ends() gave."""
  shard = int(np.searchsorted(ends, record, side='right'))
  return shard, int(record - (ends[shard - 1] if shard else 0))
