"""Which record comes when: a pure function of seed and position, so nothing is kept that could be lost.

There is one sequence, however many ranks train together: a step takes the next batch of it, and the ranks divide the
batch among them. A position is how many records, or with packing rows, all ranks together have used. Whole epochs and
shards before it are passed by their counts, without reading.
"""

import itertools
import os

import numpy as np

from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import examples
from albert.dataset import lost_records


def shuffled_shards(counts, seed, used):
  """Yields (shard number, seed of its shuffle, how much of it is used) for ever, after `used` in all.

  Args:
    counts: how many records or rows each shard has.
    seed: Python int.
    used: int; whole epochs and whole shards within it are skipped.
  """
  epoch, skip = divmod(used, sum(counts))
  while True:
    random = np.random.RandomState([seed % 2**32, epoch % 2**32])
    for shard in random.permutation(len(counts)):
      shard_seed = random.randint(1, 2**31 - 1)
      if skip < counts[shard]:
        yield int(shard), shard_seed, skip
      skip = max(0, skip - counts[shard])
    epoch += 1


class Order:
  """The order in which the training data is used. Subclasses say in which units it is counted: records or rows.

  Of each batch of the one sequence rank r has part r, so ranks share nothing, leave nothing out, and see together what
  one rank alone would see.

  Attributes:
    unit: 'record', 'row' or 'batch', for messages. plural: of it.
    is_packed: whether a unit is a row that holds several records.
    info: contract.DatasetInfo.
    seed: int.
    rank, ranks: int, this process among those that train together.
    lost: lost_records.LostRecords, which counts what cannot be read.
    counts: how many units each shard has, a list.
  """

  unit = None
  is_packed = False

  @property
  def plural(self):
    return self.unit + 's'

  def __init__(self, info, seed, rank=0, ranks=1, lost=None, block=None):
    """Reads nothing. block: a shard's units are shuffled within blocks of this size; None: across the whole shard."""
    self.info, self.seed, self.rank, self.ranks = info, seed, rank, ranks
    self.lost = lost_records.LostRecords(info) if lost is None else lost
    self._shards = info.shards[contract.TRAIN]
    self._block = block

  @property
  def counts(self):
    raise NotImplementedError

  def _indices(self, shard, number):
    """The indices of the records of one unit, a list."""
    raise NotImplementedError

  @property
  def epoch_length(self):
    """How many units there are in an epoch."""
    return sum(self.counts)

  def units_in(self, batch_size):
    """How many units a batch of this size is."""
    return batch_size

  def units(self, used):
    """Yields (shard number, number of a record or row in it) for ever: what all ranks use after `used` of them."""
    for shard, seed, skip in shuffled_shards(self.counts, self.seed, used):
      count = self.counts[shard]
      size = self._block or count
      for first in range(skip // size * size, count, size):
        order = np.random.RandomState([seed, first // size]).permutation(min(size, count - first))
        for place in order[max(0, skip - first):]:
          yield shard, first + int(place)

  def units_of_rank(self, used, batch_size):
    """As units(), but of each batch of all ranks only the part of this one. batch_size: int, units in this part."""
    return (unit for place, unit in enumerate(self.units(used)) if place // batch_size % self.ranks == self.rank)

  def position_of(self, number, used, batch_size):
    """The position of a unit in the one sequence.

    Args:
      number: int, or int64 tensor: how many units_of_rank() yields before it.
      used, batch_size: int, as for units_of_rank.
    """
    return used + (number // batch_size * self.ranks + self.rank) * batch_size + number % batch_size

  def records_at(self, used, count):
    """The (shard file, index) of the records in the `count` units after `used`, a list."""
    return [(self._shards[shard].file, index) for shard, number in itertools.islice(self.units(used), count)
            for index in self._indices(shard, number)]

  def reader(self, features=None):
    """A lost_records.Reader of the training records, for read().

    Args:
      features: record_format.FeatureSpecs that records must have if they are not compact; None: anything is a record.
    """
    form = features and examples.Form.of(self.info, contract.TRAIN, features)
    return lost_records.Reader(self.info, contract.TRAIN, self.lost, form)

  def read(self, reader, shard, number):
    """The records of a unit that can be read, a list of bytes; if it has none, those of another that has.

    So the number of units stays the same, and with it the position of all that follow.

    Args:
      reader: what reader() gave.
      shard, number: a place.

    Raises:
      UserError: too much of the data set is lost.
    """
    return self._readable(reader, shard, number) or self._read_substitute(reader, shard, number)

  def _readable(self, reader, shard, number):
    records = [reader.read(shard, index) for index in self._indices(shard, number)]
    return [record for record in records if record is not None]

  def _read_substitute(self, reader, shard, number):
    for place in self._other_places(shard, number):
      records = self._readable(reader, *place)
      if records:
        return records
    raise UserError('{}: expected records, found none that can be read; restore the data set'.format(
        os.path.dirname(self.info.paths(contract.TRAIN)[shard])))

  def _other_places(self, shard, number):
    """Yields the other places: the rest of the shard, its beginning, then the shards after it in turn.

    Those of all ranks: what takes the place of a lost record is the same on any number of them.
    """
    for other in itertools.chain(range(number + 1, self.counts[shard]), range(number)):
      yield shard, other
    for other_shard in itertools.chain(range(shard + 1, len(self.counts)), range(shard)):
      for other in range(self.counts[other_shard]):
        yield other_shard, other


class RecordOrder(Order):
  """Records one by one, shuffled within blocks: the data tool has shuffled across the whole data set before."""

  unit = 'record'

  def __init__(self, info, seed, rank=0, ranks=1, lost=None, block=16384):
    super().__init__(info, seed, rank, ranks, lost, block)
    self._counts = [shard.records for shard in self._shards]

  @property
  def counts(self):
    """The number of records of each shard, a list."""
    return self._counts

  def _indices(self, shard, number):
    return [number]

  def _readable(self, reader, shard, number):
    # As in the base class, without its lists, which take a fifth of the time.
    record = reader.read(shard, number)
    return [] if record is None else [record]


class Position:
  """Where a run is in the training data, the same on all ranks.

  Attributes:
    used: how many records, or with packing rows, or batches of labelled text, all ranks together have used.
    batch_size: units of a batch of all ranks together.
    epoch_length: how many records, or rows, or batches, there are in an epoch.
    data_set: fingerprint of the data set.
    elsewhere: dict of fingerprint to entries, where the run is in data sets that it used before and may return to.
  """

  def __init__(self, order, batch_size):
    """At the beginning. order: Order. batch_size: as the options of the run have it."""
    self.used = 0
    self.epoch_length = order.epoch_length
    self.data_set = order.info.fingerprint()
    self.batch_size = order.units_in(batch_size)
    self.elsewhere = {}
    self._records = order.info.records(contract.TRAIN)

  def advance(self, batches):
    """Counts batches that were used."""
    self.used += batches * self.batch_size

  def entries(self):
    """The entry of a checkpoint's manifest, a dict for JSON."""
    # ranks: how many sequences are counted. Once each rank had its own.
    entries = {'record': self.used, 'ranks': 1, 'epoch_length': self.epoch_length, 'data_set': self.data_set}
    return dict(entries, elsewhere=self.elsewhere) if self.elsewhere else entries

  def restore(self, entries, start_step, guard_record):
    """Goes to the position of a checkpoint; in another data set to where the run left it, at first its beginning.

    Args:
      entries: what entries() gave; empty or None in manifests that are older, or if there is none.
      start_step: the step of the checkpoint.
      guard_record: `used` as the manifest's 'guard' has it, or None without a manifest: then each step has used one
        batch.

    Raises:
      UserError: it is of a version in which each rank had a sequence, and a batch size, of its own.
    """
    self.used = start_step * self.batch_size if guard_record is None else guard_record
    if not entries:
      return
    positions = dict(entries.get('elsewhere', {}))
    positions[entries['data_set']] = {'record': self.used, 'ranks': entries['ranks'],
                                   'epoch_length': entries.get('epoch_length')}
    entries = positions.pop(self.data_set, None)
    self.elsewhere = positions
    if entries is None:
      self.used = 0
      return
    if entries['ranks'] > 1:
      raise UserError('expected a checkpoint whose train_batch_size is that of all ranks, found one of {} ranks by an '
                      'earlier version, in which it was that of each; begin from it in another output folder '
                      '(OUT=... --init_checkpoint=...)'.format(entries['ranks']))
    self.used = entries['record']
    # The same part of the epoch, also where packing was switched and rows are counted instead of records. Manifests
    # without a length are from before there was packing.
    epoch_length = entries.get('epoch_length') or self._records
    self.used = self.used * self.epoch_length // epoch_length
