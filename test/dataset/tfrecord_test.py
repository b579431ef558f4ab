"""albert.dataset.tfrecord against TensorFlow's own reader. Damaged files: lost_records_test.py."""

import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.dataset import tfrecord


def write(path, framed):
  path.write_bytes(b''.join(framed))
  return str(path)


def test_tensorflow_reads_the_file(tmp_path):
  bodies = [b'some record', b'\x00\xff', b'', b'x' * 5000]
  path = write(tmp_path / 'f', map(tfrecord.frame, bodies))
  assert list(tf.compat.v1.io.tf_record_iterator(path)) == bodies
  assert list(tfrecord.read_records(path)) == bodies


@pytest.mark.parametrize('place', [0, 9, 20, -2])
def test_a_corrupt_byte_is_found(tmp_path, place):
  data = bytearray(tfrecord.frame(b'some record'))
  data[place] ^= 1
  with pytest.raises(UserError, match='wrong checksum'):
    list(tfrecord.read_records(write(tmp_path / 'f', [bytes(data)])))


@pytest.mark.parametrize('size', [3, 12, 15, -1])
def test_a_truncated_file_is_found(tmp_path, size):
  framed = tfrecord.frame(b'some record')
  path = write(tmp_path / 'f', [framed, framed[:size]])
  with pytest.raises(UserError, match='ends within record 1'):
    list(tfrecord.read_records(path))
