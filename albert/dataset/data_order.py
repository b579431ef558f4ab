"""Which record comes when: a pure function of seed and position, so nothing is kept that could be lost.

A position counts the records that one rank has used, or with packing the rows. Whole epochs and shards before it are
passed by their counts.
"""

import itertools

import numpy as np

from albert.dataset import contract


def shard_plan(info, seed, start_record, rank=0, ranks=1, counts=None):
  """Yields (shard number, seed of its shuffle, records to skip) for ever, from a rank's `start_record` on.

  Whole epochs and whole shards before the position are skipped by their counts, without being read. counts: as for
  places.
  """
  counts = [len(range(rank, count, ranks)) for count in counts or _records(info)]
  epoch, skip = divmod(start_record, sum(counts))
  while True:
    order = np.random.RandomState([seed % 2**32, epoch % 2**32])
    for index in order.permutation(len(counts)):
      shard_seed = order.randint(1, 2**31 - 1)
      if skip < counts[index]:
        yield int(index), shard_seed, skip
      skip = max(0, skip - counts[index])
    epoch += 1


def _records(info):
  return [shard.records for shard in info.shards[contract.TRAIN]]


def places(info, seed, start_record, rank=0, ranks=1, block=16384, counts=None):
  """Yields (shard number, index in the shard) for ever, from a rank's `start_record` on.

  Args:
    info: contract.DatasetInfo.
    seed: Python int.
    start_record: how many records of this rank to leave out.
    rank, ranks: this rank has record i of a shard where i % ranks == rank, so ranks share no record.
    block: a shard's records are shuffled within blocks of so many; the data tool has shuffled across the whole
      data set before. None: across the whole shard.
    counts: how many records each shard has; or rows, if it is they that are to be put in order. None: its records.
  """
  counts = counts or _records(info)
  for shard, shard_seed, skip in shard_plan(info, seed, start_record, rank, ranks, counts):
    mine = range(rank, counts[shard], ranks)
    size = block or len(mine)
    for first in range(skip // size * size, len(mine), size):
      order = np.random.RandomState([shard_seed, first // size]).permutation(min(size, len(mine) - first))
      for place in order[max(0, skip - first):]:
        yield shard, mine[first + int(place)]


def records_at(info, seed, start_record, count, rank=0, ranks=1, block=16384):
  """The (shard file, index) of the `count` records from a position on, as a list."""
  found = itertools.islice(places(info, seed, start_record, rank, ranks, block), count)
  return [(info.shards[contract.TRAIN][shard].file, index) for shard, index in found]
