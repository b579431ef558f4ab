"""Serialized tf.train.Example records without TensorFlow, whose import costs 1.6 s and 218 MB.

protobuf.py reads them and says how they look in protocol buffers.
"""

import numpy as np

from albert.common.errors import UserError
from albert.common import ragged
from albert.dataset import protobuf


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
  list_head = varint(protobuf.KIND_FIELDS[spec.kind] << 3 | 2) + varint(len(packed) + size) + packed
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
    if not record:
      raise ValueError('no byte')
    return {name: b''.join(values) if isinstance(values, list) else values
            for name, values in protobuf.parse(record).items()}
  except ValueError as error:
    raise UserError('{}: expected a tf.train.Example, found something else ({})'.format(path, error))
