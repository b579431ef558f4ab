"""TFRecord files that may be damaged. Each record is found or known to be lost; the rest of a file never goes with it.

A TFRecord file is a row of: uint64 length, uint32 masked crc32c of those 8 bytes, the record, uint32 masked crc32c of
the record, all little-endian. Needs no TensorFlow, whose own readers give up a file at its first bad byte.
"""

import array
import logging
import os
import struct

import google_crc32c


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
