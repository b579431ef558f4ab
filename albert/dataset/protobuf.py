"""One serialized tf.train.Example, read without TensorFlow and as strictly as TensorFlow reads it.

In protocol buffers: Example{1: Features{1: map<string, Feature>}}, and a Feature is one of {1: BytesList{1: bytes}},
{2: FloatList{1: packed float}}, {3: Int64List{1: packed varint}}.
"""

import struct

import numpy as np

KIND_FIELDS = {'bytes': 1, 'float32': 2, 'int64': 3}
# What is before the length of a field that holds bytes, by the number of the field.
TAGS = {number: number << 3 | 2 for number in (1, 2, 3)}


def parse(record):
  """The features of a serialized tf.train.Example as TensorFlow takes them.

  Returns:
    {name: int64 or float32 array, or a list of bytes}.

  Raises:
    ValueError: bytes that TensorFlow does not take for an Example.
  """
  features = {}
  if not record:
    return features
  try:
    for entry in _fields(_only(record, 1), 1):
      name, feature = _entry(entry)
      name = bytes(name).decode('utf-8')
      if name in features:
        raise ValueError('{} is there twice'.format(name))
      features[name] = _parse_feature(feature)
  except (IndexError, struct.error):
    raise ValueError('it ends within a value')
  return features


def _parse_feature(feature):
  if not len(feature):
    return np.zeros(0, np.int64)
  kind = next((kind for kind, number in KIND_FIELDS.items() if feature[0] == TAGS[number]), None)
  if kind is None:
    raise ValueError('a feature of no kind')
  values = _only(feature, KIND_FIELDS[kind])
  if kind == 'bytes':
    return [bytes(value) for value in _fields(values, 1)]
  if len(values) and values[0] == TAGS[1]:
    values = _only(values, 1)
    if kind == 'float32':
      return np.frombuffer(values, '<f4')
    return _unpack_varints(values)
  return _unpack_one_by_one(values, kind)


def _unpack_one_by_one(values, kind):
  """Numbers of which each has a tag of its own."""
  numbers, position = [], 0
  while position < len(values):
    if values[position] != (0x08 if kind == 'int64' else 0x0d):
      raise ValueError('a value of another kind')
    if kind == 'int64':
      number, position = _read_varint(values, position + 1)
      numbers.append(number - (number >> 63 << 64))
    else:
      numbers += struct.unpack_from('<f', values, position + 1)
      position += 5
  return np.array(numbers, np.int64 if kind == 'int64' else np.float32)


def _unpack_varints(packed):
  """Packed varints to int64."""
  data = np.frombuffer(packed, np.uint8)
  ends = np.flatnonzero(data < 128)
  if len(data) and data[-1] > 127:
    raise ValueError('a number without end')
  begins = np.append(0, ends[:-1] + 1)[:len(ends)]
  places = np.arange(len(data)) - np.repeat(begins, ends - begins + 1)
  if len(data) and places.max() > 9:
    raise ValueError('a number of more than 64 bits')
  groups = (data & 127).astype(np.int64) << (7 * places)
  return np.add.reduceat(groups, begins) if len(begins) else np.zeros(0, np.int64)


def _entry(message):
  """(name, feature) of an entry of the map, in this order."""
  name, end = _field_at(message, 0, 1)
  feature, end = _field_at(message, end, 2)
  if end != len(message):
    raise ValueError('an entry of more than a name and a feature')
  return name, feature


def _only(message, number):
  """The content of the one field of a message."""
  content, end = _field_at(message, 0, number)
  if end != len(message):
    raise ValueError('{} bytes more than expected'.format(len(message) - end))
  return content


def _fields(message, number):
  """The contents of all fields of a message."""
  contents, position = [], 0
  while position < len(message):
    content, position = _field_at(message, position, number)
    contents.append(content)
  return contents


def _field_at(message, position, number):
  """(content, end) of the field at `position`, which must hold bytes and have this number."""
  tag, position = _read_varint(message, position)
  if tag != TAGS[number]:
    raise ValueError('another field than expected')
  size, position = _read_varint(message, position)
  if position + size > len(message):
    raise ValueError('a field is longer than what it is in')
  return message[position:position + size], position + size


def _read_varint(message, position):
  value = 0
  for shift in range(0, 70, 7):
    byte = message[position]
    position += 1
    value |= (byte & 127) << shift
    if byte < 128:
      return value & (1 << 64) - 1, position
  raise ValueError('a number of more than 64 bits')
