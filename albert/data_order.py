"""Which record comes when: a pure function of seed and position, so nothing is kept that could be lost.

A position counts the records that one rank has used. Whole epochs and shards before it are passed by their counts.
"""

import itertools

import numpy as np

from albert import features


def shard_plan(info, seed, start_record, rank=0, ranks=1):
  """Yields (shard number, seed of its shuffle, records to skip) for ever, from a rank's `start_record` on.

  Whole epochs and whole shards before the position are skipped by their counts, without being read.
  """
  counts = [len(range(rank, shard.records, ranks)) for shard in info.shards[features.TRAIN]]
  epoch, skip = divmod(start_record, sum(counts))
  while True:
    order = np.random.RandomState([seed % 2**32, epoch % 2**32])
    for index in order.permutation(len(counts)):
      shard_seed = order.randint(1, 2**31 - 1)
      if skip < counts[index]:
        yield int(index), shard_seed, skip
      skip = max(0, skip - counts[index])
    epoch += 1


def places(info, seed, start_record, rank=0, ranks=1, block=16384):
  """Yields (shard number, index in the shard) for ever, from a rank's `start_record` on.

  Args:
    info: features.DatasetInfo.
    seed: Python int.
    start_record: how many records of this rank to leave out.
    rank, ranks: this rank has record i of a shard where i % ranks == rank, so ranks share no record.
    block: a shard's records are shuffled within blocks of so many; the data tool has shuffled across the whole
      data set before.
  """
  for shard, shard_seed, skip in shard_plan(info, seed, start_record, rank, ranks):
    mine = range(rank, info.shards[features.TRAIN][shard].records, ranks)
    for first in range(skip // block * block, len(mine), block):
      order = np.random.RandomState([shard_seed, first // block]).permutation(min(block, len(mine) - first))
      for place in order[max(0, skip - first):]:
        yield shard, mine[first + int(place)]


def records_at(info, seed, start_record, count, rank=0, ranks=1, block=16384):
  """The (shard file, index) of the `count` records from a position on, as a list."""
  found = itertools.islice(places(info, seed, start_record, rank, ranks, block), count)
  return [(info.shards[features.TRAIN][shard].file, index) for shard, index in found]
