"""Reading a data set of which some records may be damaged: each is logged once, too many end the run.

A record is lost if it is not in its file, has another checksum, or has not the form of the data set (examples.Form).
The latter is found before a record is used for the first time, of _REGION records at once, and then remembered under
the checksum of the file: in memory, and in the folder of the run for its next start.
"""

import logging
import os

from albert.common.errors import UserError
from albert.common import files
from albert.dataset import data_files
from albert.dataset.data_files import CHECKED_RECORDS_FILE
from albert.dataset.data_files import LOST_RECORDS_FILE
from albert.dataset.tfrecord import FRAME_BYTES
from albert.dataset.tfrecord import ShardFile

# The largest part of a data set that may be lost. Beyond it the run would train on another data set than it names.
MOST_LOST = 0.001

_LOST_HEAD = 'shard\trecord\tsize-mtime\treason'
_CHECKED_HEAD = 'shard\tform-checksum-size-region'
# Records whose form is checked together: a file of the data tool. Those of others may be much longer.
_REGION = 8192
# How many of them are read at a time: they fit into the processor's cache.
_BLOCK = 256

_LOG = logging.getLogger('albert')


class LostRecords:
  """The records of a data set that could not be read.

  Attributes:
    failure: the UserError that ended reading, or None. TensorFlow wraps exceptions of its input threads.
    remedy: how their places are filled, for the log.
  """

  def __init__(self, info, folder=None, warn=_LOG.warning):
    """Those that are known so far.

    Args:
      info: contract.DatasetInfo.
      folder: of the run, where what is found is kept across restarts, or None.
      warn: callable(line), for what is lost.
    """
    self._warn = warn
    self.failure = None
    self.remedy = 'others take their place'
    self._info = info
    self.most = MOST_LOST * sum(shard.records for shards in info.shards.values() for shard in shards)
    self._lost = set()
    self._file = folder and os.path.join(folder, LOST_RECORDS_FILE)
    self._checked_file = folder and os.path.join(folder, CHECKED_RECORDS_FILE)
    self._good = set()  # keys of regions without a misfit
    self._misfits = {}  # {key: {index: why}} of regions that were checked by this process and have some
    if folder:
      self._load()

  def __len__(self):
    return len(self._lost)

  def __contains__(self, file_and_index):
    return file_and_index in self._lost

  def _load(self):
    entries, unfit = data_files.read_lost_records(self._file)
    shards = {files.shown(shard.file): shard for split in self._info.shards.values() for shard in split}
    for name, index, stamp in entries:
      # The data of another phase is other files, and one that was restored since has lost nothing.
      if name in shards and stamp == self._stamp(shards[name].file):
        if index < shards[name].records:
          self._lost.add((shards[name].file, index))
        else:
          unfit += 1
    self._good = data_files.read_checked_records(self._checked_file)
    if unfit:
      self._warn('{}: expected a line for each record that was lost, found {:,} that say something else; they are left '
                 'out'.format(self._file, unfit))

  def _stamp(self, file):
    try:
      status = os.stat(os.path.join(self._info.folder, file))
      return '{}-{}'.format(status.st_size, status.st_mtime_ns)
    except OSError:
      return 'absent'

  def add(self, file, indices, reason):
    """Counts records that cannot be read.

    Args:
      file: name of the shard; indices: list or range of ints, of the records in it; reason: in words.

    Raises:
      UserError: more than MOST_LOST of the data set is lost.
    """
    if len(indices) > self.most:  # the number is that of dataset.json, and may exceed the memory
      self._fail(file, indices, reason, len(indices))
    fresh = [index for index in indices if (file, index) not in self._lost]
    self._lost.update((file, index) for index in fresh)
    if len(self._lost) > self.most:
      self._fail(file, indices, reason, len(self._lost))
    if fresh:
      self._warn('lost: {} of {} ({}); {}'.format(_ranges(fresh), file, reason, self.remedy))
      self._append(file, fresh, reason)

  def _fail(self, file, indices, reason, count):
    self.failure = UserError(
        '{}: expected at least {:.1%} of the {:,} records of this data set to be readable, found {} of this file '
        'lost ({}), {:,} in all; restore the file or make the data set again'.format(
            files.shown(os.path.join(self._info.folder, file)), 1.0 - MOST_LOST, round(self.most / MOST_LOST),
            _ranges(indices), reason, count))
    raise self.failure

  def _append(self, file, indices, reason):
    if self._file:
      files.append_lines(self._file, ['{}\t{}\t{}\t{}'.format(files.shown(file), index, self._stamp(file), reason)
                                      for index in indices], _LOST_HEAD)

  def misfits(self, name, file, form, region):
    """{index: why} of the records of a region that do not have the form.

    Args:
      name: of the shard. file: ShardFile. form: examples.Form. region: indices of its records // _REGION.
    """
    key = '{}-{}-{}'.format(form.digest[:16], file.checksum, region)
    if key not in self._good and key not in self._misfits:
      misfits = _find_misfits(file, form, range(region * _REGION, min(file.records, (region + 1) * _REGION)))
      if misfits:
        self._misfits[key] = misfits
      else:
        self._good.add(key)
        if self._checked_file:
          files.append_lines(self._checked_file, ['{}\t{}'.format(files.shown(name), key)], _CHECKED_HEAD)
    return self._misfits.get(key, {})


def _find_misfits(file, form, indices):
  """{index: why} of records that can be read but do not have the form."""
  misfits = {}
  for first in range(0, len(indices), _BLOCK):
    read = [(index, file.read(index)[0]) for index in indices[first:first + _BLOCK]]
    read = [(index, record) for index, record in read if record is not None]
    of_block = form.misfits([record for _, record in read])
    misfits.update((read[place][0], why) for place, why in of_block.items())
  return misfits


def _ranges(indices):
  """[3, 4, 5, 9] as 'record 3-5, 9'."""
  if isinstance(indices, range):
    return 'record {}-{}'.format(indices[0], indices[-1])
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

  def __init__(self, info, split, lost, form=None):
    """info: contract.DatasetInfo; split: 'train' or 'heldout'; lost: LostRecords; form: examples.Form, None for any."""
    self._shards = info.shards[split]
    self._paths = info.paths(split)
    self._lost, self._form = lost, form
    self._shard, self._file = None, None
    self._looked_at, self._misfits = set(), {}

  def read(self, shard, index):
    """Record `index` of shard number `shard` as bytes; None if it is lost, which is counted.

    Raises:
      UserError: more than MOST_LOST of the data set is lost.
    """
    if shard != self._shard:
      self._open(shard)
    if self._form is not None and index // _REGION not in self._looked_at:
      self._look_at(index // _REGION)
    record, reason = self._file.read(index)
    if index in self._misfits:
      record, reason = None, self._misfits[index]
    if record is None:
      self._lost.add(self._shards[shard].file, [index], reason)
    return record

  def _open(self, shard):
    self.close()
    self._shard, self._file = shard, ShardFile(self._paths[shard], self._shards[shard].records)
    self._file.report(self._shards[shard].file, self._lost)

  def _look_at(self, region):
    self._looked_at.add(region)
    self._misfits.update(self._lost.misfits(self._shards[self._shard].file, self._file, self._form, region))

  def close(self):
    """Closes the file."""
    if self._file:
      self._file.close()
      self._shard, self._file = None, None
      self._looked_at, self._misfits = set(), {}


def check_files(info, lost):
  """Finds the lost records of files that are absent or have not the size that they should. Reads no intact file.

  Raises:
    UserError: more than MOST_LOST of the data set is lost, or dataset.json has more records than fit into the files.
  """
  for split, shards in sorted(info.shards.items()):
    for shard, path in zip(shards, info.paths(split)):
      try:
        with files.open_regular(path) as source:
          size, reason = os.fstat(source.fileno()).st_size, 'the file has {:,} bytes'
      except OSError as error:
        size, reason = None, error.strerror
      possible = (size or 0) // FRAME_BYTES
      if shard.records - possible > lost.most:
        lost.add(shard.file, range(possible, shard.records), reason.format(size))
      if size is None or shard.bytes not in (None, size):
        file = ShardFile(path, shard.records)
        file.report(shard.file, lost)
        file.close()
