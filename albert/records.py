"""TFRecord files that may be damaged. Each record is found or known to be lost; the rest of a file never goes with it.

A TFRecord file is a row of: uint64 length, uint32 masked crc32c of those 8 bytes, the record, uint32 masked crc32c of
the record, all little-endian. Needs no TensorFlow, whose own readers give up a file at its first bad byte.
"""

import array
import logging
import os
import struct

import google_crc32c

from albert.errors import UserError

FRAME_BYTES = 16  # around a record: length, crc, crc
LOST_RECORDS_FILE = 'lost_records.tsv'
# More than this part of a data set gone, and it is no longer the data set that was asked for.
MOST_LOST = 0.001

_HEADER = struct.Struct('<QI')
_CRC = struct.Struct('<I')
_BLOCK_BYTES = 1 << 20
_LOG = logging.getLogger('albert')


def masked_crc(data):
  """crc32c of bytes, masked as TFRecord files store it."""
  crc = google_crc32c.value(data)
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


class _Headers:
  """Lengths of the records of an open file, from their checksummed headers; the file is read a block at a time."""

  def __init__(self, source):
    self._source = source
    self.size = os.fstat(source).st_size
    self._begin, self._block = 0, b''
    self._lengths = {}  # by header: records have few lengths, and a checksum takes longer than finding it here

  def length_at(self, offset):
    """Length of the record whose frame begins at `offset`, or None if that is no frame or leaves the file."""
    place = offset - self._begin
    if not 0 <= place <= len(self._block) - _HEADER.size:
      self._begin, self._block, place = offset, os.pread(self._source, _BLOCK_BYTES, offset), 0
    header = self._block[place:place + _HEADER.size]
    length = self._lengths.get(header)
    if length is None and len(header) == _HEADER.size:
      length, crc = _HEADER.unpack(header)
      if crc != masked_crc(header[:8]):
        return None
      self._lengths[header] = length
    return length if length is not None and offset + length + FRAME_BYTES <= self.size else None

  def next_frame(self, offset):
    """The next offset at which a frame begins, or the size of the file."""
    while offset < self.size:
      block = os.pread(self._source, _BLOCK_BYTES + _HEADER.size, offset)
      # Records are shorter than 4 GB, so the upper half of a length is zero: a fast search for candidates.
      place = block.find(b'\0\0\0\0', 4)
      while 0 <= place and place - 4 < _BLOCK_BYTES:
        if self.length_at(offset + place - 4) is not None:
          return offset + place - 4
        place = block.find(b'\0\0\0\0', place + 1)
      offset += _BLOCK_BYTES
    return self.size


def find_frames(path, expected=None):
  """Where the records of a file are, from the checksummed lengths alone.

  Args:
    path: TFRecord file.
    expected: how many records it had when it was made; None: as many as are found.

  Returns:
    (array of int64 offsets, -1 for a record that is lost, one for each expected record; int, how many places in the
    file are no frame).

  Raises:
    OSError: it cannot be read.
  """
  source = os.open(path, os.O_RDONLY)
  try:
    headers, offset, found, gaps = _Headers(source), 0, array.array('q'), []
    while offset < headers.size:
      length = headers.length_at(offset)
      if length is None:
        gaps.append(len(found))
        offset = headers.next_frame(offset + 1)
      else:
        found.append(offset)
        offset += length + FRAME_BYTES
  finally:
    os.close(source)
  return (found if expected is None else _with_lost(found, gaps, expected)), len(gaps)


def _with_lost(found, gaps, expected):
  """Puts -1 where records are missing: one at each gap, what is still missing at the last one, else at the end."""
  missing = max(0, expected - len(found))
  gaps = gaps[:missing] or [len(found)]
  lost_at = {gap: 1 for gap in gaps}
  lost_at[gaps[-1]] += missing - len(gaps)
  result = array.array('q')
  for index in range(len(found) + 1):
    result.extend([-1] * lost_at.get(index, 0))
    result.extend(found[index:index + 1])
  return result[:expected]


class ShardFile:
  """One file, open for reading records in any order. A file that cannot be opened has lost all its records."""

  def __init__(self, path, records):
    """records: how many it had when it was made."""
    self.path = path
    self._source = None
    self._offsets = array.array('q', [-1]) * records
    self._reason = 'wrong length, or the file ends within it'
    try:
      self._source = os.open(path, os.O_RDONLY)
      self._offsets, _ = find_frames(path, records)
      self._offsets.append(os.fstat(self._source).st_size)
      os.posix_fadvise(self._source, 0, 0, os.POSIX_FADV_WILLNEED)  # records are read in random order
    except OSError as error:
      self._reason = error.strerror

  def read(self, index):
    """(record `index` as bytes, None), or (None, why it is lost)."""
    offset = self._offsets[index]
    if offset < 0:
      return None, self._reason
    try:
      frame = os.pread(self._source, self._frame_bytes(index), offset)
      end = _HEADER.size + _HEADER.unpack_from(frame)[0]
      record, (crc,) = frame[_HEADER.size:end], _CRC.unpack_from(frame, end)
    except (OSError, struct.error) as error:
      return None, str(error)
    return (record, None) if crc == masked_crc(record) else (None, 'wrong checksum')

  def _frame_bytes(self, index):
    """Size of a record's frame, or a little more; one call of the kernel fewer than asking its header."""
    size = self._offsets[index + 1] - self._offsets[index]
    if 0 < size <= _BLOCK_BYTES:
      return size
    # The next one is lost, what lies between is damaged, or it is a very long record.
    return FRAME_BYTES + _HEADER.unpack(os.pread(self._source, _HEADER.size, self._offsets[index]))[0]

  def report(self, file, lost):
    """Counts the records whose place in the file is not known. file: name of the shard; lost: LostRecords."""
    lost.add(file, [index for index, offset in enumerate(self._offsets) if offset < 0], self._reason)

  def close(self):
    """Closes the file."""
    if self._source is not None:
      os.close(self._source)
      self._source = None


class LostRecords:
  """Which records of a data set could not be read: each is logged once, too many end the run.

  Attributes:
    failure: the UserError that ended reading, or None. TensorFlow wraps what its input threads raise.
    remedy: what becomes of their places, for the log.
  """

  def __init__(self, info, folder=None):
    """info: features.DatasetInfo; folder: of the run, where lost_records.tsv is kept across restarts, or None."""
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
    """info: features.DatasetInfo; split: 'train' or 'heldout'; lost: LostRecords."""
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
