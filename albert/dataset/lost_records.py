"""Reading a data set of which some records may be damaged: each is logged once, too many end the run."""

import logging
import os

from albert.common.errors import UserError
from albert.dataset.tfrecord import ShardFile

LOST_RECORDS_FILE = 'lost_records.tsv'
# The largest part of a data set that may be lost. Beyond it the run would train on another data set than it names.
MOST_LOST = 0.001

_LOG = logging.getLogger('albert')


class LostRecords:
  """The records of a data set that could not be read.

  Attributes:
    failure: the UserError that ended reading, or None. TensorFlow wraps exceptions of its input threads.
    remedy: how their places are filled, for the log.
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
    self._shard, self._file = None, None

  def read(self, shard, index):
    """Record `index` of shard number `shard` as bytes; None if it is lost, which is counted.

    Raises:
      UserError: more than MOST_LOST of the data set is lost.
    """
    if shard != self._shard:
      self.close()
      self._shard, self._file = shard, ShardFile(self._paths[shard], self._shards[shard].records)
      self._file.report(self._shards[shard].file, self._lost)
    record, reason = self._file.read(index)
    if record is None:
      self._lost.add(self._shards[shard].file, [index], reason)
    return record

  def close(self):
    """Closes the file."""
    if self._file:
      self._file.close()
      self._shard, self._file = None, None


def check_files(info, lost):
  """Finds the lost records of files that are absent or differ in size from dataset.json. Reads no intact file.

  Raises:
    UserError: more than MOST_LOST of the data set is lost.
  """
  for split, shards in sorted(info.shards.items()):
    for shard, path in zip(shards, info.paths(split)):
      if not os.path.exists(path) or shard.bytes not in (None, os.path.getsize(path)):
        file = ShardFile(path, shard.records)
        file.report(shard.file, lost)
        file.close()
