"""Which rows are computed where: every part of a batch once, towers side by side, the variables once."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.training import micro_batches

Batch = collections.namedtuple('Batch', ['rows', 'pairs'])


def _batch(size):
  return Batch(tf.reshape(tf.range(size), [size]), tf.reshape(tf.range(2 * size), [size, 2]))


def _parts(size, micro_batch_size, towers):
  """{number of a part: its rows}, and the sums, of a batch whose figures say which rows they were computed from."""
  seen = {}

  def note(number, rows):
    seen[int(number)] = list(rows)
    return np.float32(0)

  def build(part, number):
    weight = tf.get_variable('weight', [], initializer=tf.ones_initializer())
    loss = weight * tf.cast(tf.reduce_sum(part.rows), tf.float32)
    return loss + tf.numpy_function(note, [number, part.rows], tf.float32), collections.OrderedDict(
        pairs=tf.cast(tf.reduce_sum(part.pairs), tf.float32))

  sums, figures = micro_batches.accumulate(_batch(size), micro_batch_size, build, tf.gradients, towers)
  (gradient, variable), = sums
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    values = session.run([gradient, figures])
  assert tf.global_variables() == [variable]
  return seen, values


@pytest.mark.parametrize('micro_batch_size,towers', [(6, 1), (6, 2), (2, 1), (2, 2), (3, 3), (6, 6)])
def test_each_row_is_in_one_part_in_the_order_of_the_batch(micro_batch_size, towers):
  seen, (gradient, figures) = _parts(6, micro_batch_size, towers)
  assert sorted(seen) == list(range(6 * towers // micro_batch_size))
  assert [row for number in sorted(seen) for row in seen[number]] == list(range(6))
  assert (gradient, figures['pairs']) == (15, 66)


def test_more_parts_than_dropout_can_number():
  with pytest.raises(UserError, match='expected at most 4096 parts of a batch, .*, found 4097'):
    micro_batches.accumulate(_batch(4097), 1, None, None)


@pytest.mark.parametrize('towers', [1, 2, 3, 4, 8])
def test_side_by_side_gives_what_the_whole_batch_gives(towers):
  def build(part):
    weight = tf.get_variable('weight', [], tf.int32, initializer=tf.ones_initializer())
    assert part.rows.shape[0].value in (6 // towers, 6 // towers + 1)
    return Batch(weight * part.rows, part.pairs)

  outputs = micro_batches.side_by_side(_batch(6), towers, build)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    values = session.run(outputs)
  assert values.rows.tolist() == list(range(6)) and values.pairs.tolist() == [[2 * n, 2 * n + 1] for n in range(6)]
  assert len(tf.global_variables()) == 1
