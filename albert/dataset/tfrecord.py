"""TFRecord files: written, read in order, and read in any order where they may be damaged.

A TFRecord file is a sequence of: uint64 length, uint32 masked crc32c of those 8 bytes, the record, uint32 masked crc32c
of the record, all little-endian. TensorFlow's own readers give up a file at its first bad byte; here a damaged record
is known to be lost, and all others are found.
"""

import array
import os
import struct

import google_crc32c

from albert.common.errors import UserError
from albert.common import files

FRAME_BYTES = 16  # around a record: length, crc, crc

_HEADER = struct.Struct('<QI')
_CRC = struct.Struct('<I')
_BLOCK_BYTES = 1 << 20


def masked_crc(data):
  """crc32c of bytes, masked as TFRecord files store it."""
  crc = google_crc32c.value(data)
  return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def frame(record):
  """A record (bytes) as it stands in a TFRecord file (bytes)."""
  length = struct.pack('<Q', len(record))
  return b''.join((length, _CRC.pack(masked_crc(length)), record, _CRC.pack(masked_crc(record))))


def read_records(path):
  """Yields the records (bytes) of a TFRecord file that must be intact.

  Raises:
    UserError: the file cannot be opened, ends within a record, or a checksum does not match.
  """
  try:
    with files.open_regular(path) as source:
      number = 0
      while True:
        head = source.read(_HEADER.size)
        if not head:
          return
        yield _read_record(source, head, path, number)
        number += 1
  except OSError as error:
    raise UserError('{}: expected a TFRecord file, found none that can be read ({}); check the path and its '
                    'permissions'.format(path, error.strerror))


def _read_record(source, head, path, number):
  if len(head) == _HEADER.size:
    length, crc = _HEADER.unpack(head)
    if crc != masked_crc(head[:8]):
      raise UserError('{}: expected a TFRecord file, found a wrong checksum in the length of record {}: it is corrupt '
                      'or another kind of file; make the data set again'.format(path, number))
    body = source.read(length + _CRC.size)
    if len(body) == length + _CRC.size:
      if _CRC.unpack(body[length:])[0] != masked_crc(body[:length]):
        raise UserError('{}: expected an intact TFRecord file, found a wrong checksum in record {}; make the data '
                        'set again'.format(path, number))
      return body[:length]
  raise UserError('{}: expected a complete TFRecord file, found that it ends within record {}; make the data set '
                  'again'.format(path, number))


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
  """Finds the records of a file by their checksummed lengths alone.

  Args:
    path: TFRecord file.
    expected: number of records that it had when it was made; None: those that are there.

  Returns:
    (array of int64, the offset of each expected record, -1 if it is lost; int, the number of damaged places).

  Raises:
    OSError: it cannot be read.
  """
  with files.open_regular(path) as source:
    headers, offset, offsets, gaps = _Headers(source.fileno()), 0, array.array('q'), []
    while offset < headers.size:
      length = headers.length_at(offset)
      if length is None:
        gaps.append(len(offsets))
        offset = headers.next_frame(offset + 1)
      else:
        offsets.append(offset)
        offset += length + FRAME_BYTES
  return (offsets if expected is None else _with_lost(offsets, gaps, expected)), len(gaps)


def _with_lost(offsets, gaps, expected):
  """Puts -1 where records are missing: one at each gap, the rest at the last gap; if there is none, at the end."""
  missing = max(0, expected - len(offsets))
  gaps = gaps[:missing] or [len(offsets)]
  lost_at = {gap: 1 for gap in gaps}
  lost_at[gaps[-1]] += missing - len(gaps)
  result = array.array('q')
  for index in range(len(offsets) + 1):
    result.extend([-1] * lost_at.get(index, 0))
    result.extend(offsets[index:index + 1])
  return result[:expected]


class ShardFile:
  """One file, open for reading records in any order. A file that cannot be opened has lost all its records.

  Attributes:
    path: str. records: int.
  """

  def __init__(self, path, records):
    """records: number of records that it had when it was made."""
    self.path, self.records = path, records
    self._file = self._source = self._checksum = None
    self._offsets = array.array('q', [-1]) * records
    self._reason = 'wrong length, or the file ends within it'
    try:
      self._file = files.open_regular(path)
      self._source = self._file.fileno()
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
    """Size of a record's frame, or a little more. Reading its header instead would be one more system call."""
    size = self._offsets[index + 1] - self._offsets[index]
    if 0 < size <= _BLOCK_BYTES:
      return size
    # The next record is lost, there is damage between the two, or this one is very long.
    length = _HEADER.unpack(os.pread(self._source, _HEADER.size, self._offsets[index]))[0]
    return min(length + FRAME_BYTES, self._offsets[-1])  # no more than the file had when it was opened

  @property
  def checksum(self):
    """Stands for the content: a str that is another one for another content, whatever the file is called; or None."""
    if self._checksum is None and self._source is not None:
      crc = 0
      for offset in range(0, self._offsets[-1], _BLOCK_BYTES):
        crc = google_crc32c.extend(crc, os.pread(self._source, _BLOCK_BYTES, offset))
      self._checksum = '{:08x}-{}'.format(crc, self._offsets[-1])
    return self._checksum

  def report(self, file, lost):
    """Adds the records that are not in the file to `lost`, a LostRecords. file: name of the shard."""
    lost.add(file, [index for index, offset in enumerate(self._offsets) if offset < 0], self._reason)

  def close(self):
    """Closes the file."""
    if self._file is not None:
      self._file.close()
      self._file = self._source = None
