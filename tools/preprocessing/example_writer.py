"""Serialized tf.train.Example records without TensorFlow, whose import costs 1.6 s and 218 MB.

In protocol buffers: Example{1: Features{1: map<string, Feature>}}, and a Feature is one of {1: BytesList{1: bytes}},
{2: FloatList{1: packed float}}, {3: Int64List{1: packed varint}}.
"""

import struct

import numpy as np

from albert.common.errors import UserError
from tools.preprocessing import ragged

_KIND_FIELDS = {'bytes': 1, 'float32': 2, 'int64': 3}


def varint(value):
  """A non-negative int as a protocol-buffer varint: bytes."""
  out = bytearray()
  while value > 127:
    out.append(value & 127 | 128)
    value >>= 7
  out.append(value)
  return bytes(out)


def _field(number, payload):
  """A length-delimited protocol-buffer field."""
  return varint(number << 3 | 2) + varint(len(payload)) + payload


class ExampleWriter:
  """Serializes batches of examples whose features have the same lengths.

  Args:
    specs: `record_format.FeatureSpec`s, in the order in which they are written.
  """

  def __init__(self, specs):
    self._specs = specs
    self._headers = {}

  def records(self, batch):
    """The serialized examples of a batch.

    Args:
      batch: {feature name: array [N, length]}, non-negative integers or float32; of kind 'bytes': list of N bytes.

    Returns:
      A list of N bytes.
    """
    columns = []
    for spec in self._specs:
      payloads = self._payloads(spec, batch[spec.name])
      columns.append([self._header(spec, len(payload)) for payload in payloads])
      columns.append(payloads)
    bodies = [b''.join(parts) for parts in zip(*columns)]
    return [self._header(None, len(body)) + body for body in bodies]

  def _payloads(self, spec, values):
    if spec.kind == 'bytes':
      return values
    if spec.kind == 'float32':
      return ragged.split(values.astype('<f4').tobytes(), np.full(len(values), 4 * values.shape[1]))
    return packed_varints(values)

  def _header(self, spec, size):
    """The bytes before a payload of `size` bytes: its feature's name, type and lengths; spec None: of the example."""
    key = (spec, size)
    header = self._headers.get(key)
    if header is None:
      header = self._headers[key] = _feature_header(spec, size) if spec else b'\x0a' + varint(size)
    return header


def _feature_header(spec, size):
  """The bytes of a map entry {name: Feature} that come before its `size` bytes of packed values."""
  packed = b'\x0a' + varint(size)
  list_head = varint(_KIND_FIELDS[spec.kind] << 3 | 2) + varint(len(packed) + size) + packed
  value_head = b'\x12' + varint(len(list_head) + size) + list_head
  name = _field(1, spec.name.encode('ascii'))
  return b'\x0a' + varint(len(name) + len(value_head) + size) + name + value_head


def packed_varints(values):
  """The rows of an integer matrix as packed varints: a list of bytes. values: not negative, any integer dtype."""
  count, width = values.shape
  if values.dtype.itemsize == 1 and (values.size == 0 or values.max() < 128):
    return ragged.split(values.tobytes(), np.full(count, width))
  largest = int(values.max()) if values.size else 0
  size = max(1, (largest.bit_length() + 6) // 7)
  groups = np.empty((count, width, size), np.uint8)
  used = np.empty((count, width, size), bool)
  for place in range(size):
    rest = values >> (7 * place)
    groups[:, :, place] = (rest & 127) | ((rest > 127) << 7)
    used[:, :, place] = rest > 0
  used[:, :, 0] = True
  return ragged.split(groups[used].tobytes(), np.count_nonzero(used.reshape(count, -1), axis=1))


def parse_example(record, path='record'):
  """The features of a serialized tf.train.Example: {name: int64 or float32 array, or bytes}.

  Raises:
    UserError: not a serialized Example.
  """
  try:
    features = {}
    for entry in _fields(_only(record, 1), 1):
      features[bytes(_only(entry, 1)).decode('utf-8')] = _parse_feature(_only(entry, 2))
    return features
  except (IndexError, KeyError, ValueError, struct.error) as error:
    raise UserError('{}: expected a tf.train.Example, found something else ({!r})'.format(path, error))


def _parse_feature(feature):
  for kind, number in _KIND_FIELDS.items():
    for values in _fields(feature, number):
      packed = b''.join(bytes(part) for part in _fields(values, 1))
      if kind == 'bytes':
        return packed
      return np.frombuffer(packed, '<f4') if kind == 'float32' else _unpack_varints(packed)
  raise ValueError('no values')


def _unpack_varints(packed):
  """Packed varints below 2**63 to int64."""
  data = np.frombuffer(packed, np.uint8)
  ends = np.flatnonzero(data < 128)
  if len(data) and data[-1] > 127:
    raise ValueError('a number without end')
  begins = np.append(0, ends[:-1] + 1)[:len(ends)]
  places = np.arange(len(data)) - np.repeat(begins, ends - begins + 1)
  groups = (data & 127).astype(np.int64) << (7 * places)
  return np.add.reduceat(groups, begins) if len(begins) else np.zeros(0, np.int64)


def _only(message, number):
  """The content of the field `number`, which occurs once."""
  content, = _fields(message, number)
  return content


def _fields(message, number):
  """The contents of the length-delimited fields `number` of a protocol-buffer message."""
  contents = []
  position = 0
  while position < len(message):
    tag, position = _read_varint(message, position)
    if tag & 7 != 2:
      raise ValueError('wire type {}'.format(tag & 7))
    size, position = _read_varint(message, position)
    if position + size > len(message):
      raise ValueError('a field is longer than its message')
    if tag >> 3 == number:
      contents.append(message[position:position + size])
    position += size
  return contents


def _read_varint(message, position):
  value = shift = 0
  while True:
    byte = message[position]
    position += 1
    value |= (byte & 127) << shift
    if byte < 128:
      return value, position
    shift += 7
