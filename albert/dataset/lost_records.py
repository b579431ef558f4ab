"""Reading records of which some may be lost: each is counted and logged once, too many end the run."""

import logging
import os

from albert.common.errors import UserError
from albert.dataset.tfrecord import ShardFile

LOST_RECORDS_FILE = 'lost_records.tsv'
# More than this part of a data set gone, and it is no longer the data set that was asked for.
MOST_LOST = 0.001

_LOG = logging.getLogger('albert')


class LostRecords:
  """Which records of a data set could not be read: each is logged once, too many end the run.

  Attributes:
    failure: the UserError that ended reading, or None. TensorFlow wraps what its input threads raise.
    remedy: what becomes of their places, for the log.
  """

  def __init__(self, info, folder=None):
    """info: contract.DatasetInfo; folder: of the run, where lost_records.tsv is kept across restarts, or None."""
    self.failure = None
    self.remedy = 'others take their place'
    self._info = info
    self._total = sum(shard.records for shards in info.shards.values() for shard in shards)
    self._lost = set()
    self._file = folder and os.path.join(folder, LOST_RECORDS_FILE)
    self._load()

  def __len__(self):
    return len(self._lost)

  def __contains__(self, file_and_index):
    return file_and_index in self._lost

  def _load(self):
    if not self._file or not os.path.exists(self._file):
      return
    with open(self._file, encoding='utf-8') as source:
      for line in source.read().split('\n')[1:-1]:
        file, index, stamp, _ = line.split('\t', 3)
        if stamp == self._stamp(file):  # a file that was restored since has lost nothing
          self._lost.add((file, int(index)))

  def _stamp(self, file):
    try:
      status = os.stat(os.path.join(self._info.folder, file))
      return '{}-{}'.format(status.st_size, status.st_mtime_ns)
    except OSError:
      return 'absent'

  def add(self, file, indices, reason):
    """Counts records that cannot be read.

    Args:
      file: name of the shard; indices: list of ints, of the records in it; reason: in words.

    Raises:
      UserError: more than MOST_LOST of the data set is lost.
    """
    fresh = [index for index in indices if (file, index) not in self._lost]
    self._lost.update((file, index) for index in fresh)
    if len(self._lost) > MOST_LOST * self._total:
      self.failure = UserError(
          '{}: expected at least {:.1%} of the {:,} records of this data set to be readable, found {} of this file '
          'lost ({}), {:,} in all; restore the file or make the data set again'.format(
              os.path.join(self._info.folder, file), 1.0 - MOST_LOST, self._total, _ranges(indices), reason,
              len(self._lost)))
      raise self.failure
    if fresh:
      _LOG.warning('lost: %s of %s (%s); %s', _ranges(fresh), file, reason, self.remedy)
      self._append(file, fresh, reason)

  def _append(self, file, indices, reason):
    if not self._file:
      return
    head = [] if os.path.exists(self._file) else ['shard\trecord\tsize-mtime\treason']
    lines = ['{}\t{}\t{}\t{}'.format(file, index, self._stamp(file), reason) for index in indices]
    with open(self._file, 'a', encoding='utf-8') as target:
      target.write('\n'.join(head + lines) + '\n')


def _ranges(indices):
  """[3, 4, 5, 9] as 'record 3-5, 9'."""
  parts = []
  for index in sorted(indices):
    if parts and parts[-1][1] == index - 1:
      parts[-1][1] = index
    else:
      parts.append([index, index])
  words = [str(first) if first == last else '{}-{}'.format(first, last) for first, last in parts[:5]]
  return 'record ' + ', '.join(words + ['...'] * (len(parts) > 5))


class Reader:
  """Reads records of a split one at a time; the file of the last one stays open."""

  def __init__(self, info, split, lost):
    """info: contract.DatasetInfo; split: 'train' or 'heldout'; lost: LostRecords."""
    self._shards = info.shards[split]
    self._paths = info.paths(split)
    self._lost = lost
    self._number, self._open = None, None

  def read(self, shard, index):
    """Record `index` of shard number `shard` as bytes; None if it is lost, which is counted.

    Raises:
      UserError: more than MOST_LOST of the data set is lost.
    """
    if shard != self._number:
      self.close()
      self._number, self._open = shard, ShardFile(self._paths[shard], self._shards[shard].records)
      self._open.report(self._shards[shard].file, self._lost)
    record, reason = self._open.read(index)
    if record is None:
      self._lost.add(self._shards[shard].file, [index], reason)
    return record

  def read_or_next(self, shard, index, stride=1):
    """Record `index`, or where it is lost the nearest after it, in steps of `stride` and through the shards in turn.

    So the number of records stays what it was, and with it the position of all that follow.
    """
    record = self.read(shard, index)
    if record is not None:
      return record
    return self.first_readable(self.read, [entry.records for entry in self._shards], shard, index, stride)

  def first_readable(self, read, counts, shard, index, stride=1):
    """As read_or_next, of whatever a shard has `counts` of and `read(shard, index)` gives, None or [] if lost."""
    for hop in range(len(counts)):
      number = (shard + hop) % len(counts)
      mine = range(index % stride, counts[number], stride)
      start = mine.index(index) if not hop else 0
      for place in range(len(mine)):
        found = read(number, mine[(start + place) % len(mine)])
        if found:
          return found
    raise UserError('{}: expected records, found none that can be read; restore the data set'.format(
        os.path.dirname(self._paths[shard])))

  def close(self):
    """Closes the file."""
    if self._open:
      self._open.close()
      self._number, self._open = None, None


def check_files(info, lost):
  """Counts what is lost of files that are absent or of another size than dataset.json says. Reads no intact file.

  Raises:
    UserError: more than MOST_LOST of the data set is lost.
  """
  for split, shards in sorted(info.shards.items()):
    for shard, path in zip(shards, info.paths(split)):
      if not os.path.exists(path) or shard.bytes not in (None, os.path.getsize(path)):
        file = ShardFile(path, shard.records)
        file.report(shard.file, lost)
        file.close()
