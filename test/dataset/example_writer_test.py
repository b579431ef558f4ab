"""tools.preprocessing.example_writer against TensorFlow's own writer and parser."""

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.dataset import example_writer
from albert.dataset import record_format
from albert.dataset import tfrecord

SPECS = (record_format.FeatureSpec('ids', 'int64', 5), record_format.FeatureSpec('flags', 'int64', 300),
         record_format.FeatureSpec('weights', 'float32', 3), record_format.FeatureSpec('label', 'int64', 1))


def batch():
  return {'ids': np.array([[0, 1, 127, 128, 16383], [16384, 21127, 2**21, 2**28 - 1, 5]], np.int32),
          'flags': np.random.RandomState(1).randint(0, 2, (2, 300)).astype(np.uint8),
          'weights': np.array([[0, 1, 0.5], [1, 1, 1]], np.float32), 'label': np.array([[1], [0]], np.uint8)}


def records():
  return example_writer.ExampleWriter(SPECS).records(batch())


def test_tensorflow_parses_the_records():
  kinds = {'int64': tf.int64, 'float32': tf.float32}
  parsed = tf.io.parse_example(records(), {
      spec.name: tf.io.FixedLenFeature([spec.length], kinds[spec.kind]) for spec in SPECS})
  with tf.compat.v1.Session() as session:
    parsed_values = session.run(parsed)
  for name, values in batch().items():
    np.testing.assert_array_equal(parsed_values[name], values)


def test_the_protocol_buffer_is_tensorflows():
  for record, row in zip(records(), range(2)):
    example = tf.train.Example.FromString(record)
    assert sorted(example.features.feature) == sorted(spec.name for spec in SPECS)
    assert list(example.features.feature['ids'].int64_list.value) == batch()['ids'][row].tolist()
    assert len(record) == example.ByteSize()


def test_any_integer_dtype_gives_the_same_bytes():
  values = np.array([[1, 90, 3]])
  encodings = {b''.join(example_writer.packed_varints(values.astype(dtype)))
               for dtype in (np.uint8, np.int32, np.int64)}
  assert encodings == {b'\x01\x5a\x03'}
  assert example_writer.packed_varints(np.array([[200]], np.uint8)) == [b'\xc8\x01']


def test_an_example_of_tensorflow_is_read(tmp_path):
  example = tf.train.Example()
  example.features.feature['a'].int64_list.value.extend([0, 300, 2**40])
  example.features.feature['b'].float_list.value.extend([0.25, -1])
  path = str(tmp_path / 'f')
  with tf.io.TFRecordWriter(path) as writer:
    writer.write(example.SerializeToString())
  record, = tfrecord.read_records(path)
  read = example_writer.parse_example(record)
  assert {name: values.tolist() for name, values in read.items()} == {'a': [0, 300, 2**40], 'b': [0.25, -1]}


def test_parse_example_reverses_the_writer():
  for row, record in enumerate(records()):
    read = example_writer.parse_example(record)
    for name, values in batch().items():
      np.testing.assert_array_equal(read[name], values[row])


@pytest.mark.parametrize('record', [b'\x00', b'\xff' * 9, b'\x0a\x05abc', b'\x0a\x04\x0a\x02\x0a\x00'])
def test_something_else_is_no_example(record):
  with pytest.raises(UserError, match='expected a tf.train.Example'):
    example_writer.parse_example(record)
