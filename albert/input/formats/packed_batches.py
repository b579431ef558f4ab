"""Several examples in one row: a batch of examples put together as albert/dataset/packing.py distributes them.

Shapes: n examples, B rows, S sequence, P labels of an example, K = packing.MAX_EXAMPLES,
Q = packing.max_predictions(P).
"""

import tensorflow as tf

from albert.dataset.batch import PackedBatch
from albert.dataset import packing


def pack(examples, rows, batch_size):
  """Puts examples into rows, one behind the other.

  Args:
    examples: dict of the tensors of Batch, [n, ...].
    rows: int32 [n], the row of each example; ascending.
    batch_size: B, Python int.

  Returns:
    dict with the fields of PackedBatch and static shapes. Evaluating it fails with InvalidArgumentError where a row has
    no room for its examples.
  """
  seq_length, labels = examples['input_ids'].shape[1].value, examples['masked_lm_ids'].shape[1].value
  slots = packing.max_predictions(labels)
  first = tf.searchsorted(rows, rows)  # number of the first example of the same row
  place = tf.range(tf.shape(rows)[0]) - first
  lengths = tf.reduce_sum(examples['input_mask'], axis=1)
  used = tf.cast(examples['masked_lm_weights'] > 0.0, tf.int32)
  starts, first_slots = _sums_before(lengths, first), _sums_before(tf.reduce_sum(used, axis=1), first)
  # What does not fit would run over into the next row.
  fits = [tf.debugging.assert_less_equal(starts + lengths, seq_length, message='more tokens in a row than planned'),
          tf.debugging.assert_less_equal(first_slots + tf.reduce_sum(used, axis=1), slots,
                                         message='more labels in a row than planned'),
          tf.debugging.assert_less(place, packing.MAX_EXAMPLES, message='more examples in a row than planned')]
  with tf.control_dependencies(fits):
    rows = tf.identity(rows)
  tokens = _Scatter(rows * seq_length + starts, examples['input_mask'], [batch_size, seq_length])
  chosen = _Scatter(rows * slots + first_slots, used, [batch_size, slots])
  whole = _Scatter(rows * packing.MAX_EXAMPLES + place, tf.ones_like(rows)[:, tf.newaxis],
                   [batch_size, packing.MAX_EXAMPLES])
  one = tf.ones_like(examples['input_mask'])
  return PackedBatch(
      input_ids=tokens(examples['input_ids']), input_mask=tokens(one), segment_ids=tokens(examples['segment_ids']),
      masked_lm_positions=chosen(examples['masked_lm_positions'] + starts[:, tf.newaxis]),
      masked_lm_ids=chosen(examples['masked_lm_ids']), masked_lm_weights=chosen(examples['masked_lm_weights']),
      next_sentence_labels=whole(examples['next_sentence_labels']),
      position_ids=tokens(one * tf.range(seq_length)),
      example_ids=tokens(one * (place + 1)[:, tf.newaxis]) - 1,
      cls_positions=whole(starts[:, tf.newaxis]),
      example_weights=whole(tf.ones_like(rows, tf.float32)[:, tf.newaxis]))._asdict()


def _sums_before(values, first):
  """For each example the sum of `values` over the examples before it in its row. int32 [n]."""
  before = tf.cumsum(values, exclusive=True)
  return before - tf.gather(before, first)


class _Scatter:
  """Writes the leading entries of each example's [width] behind those of the one before in its row."""

  def __init__(self, starts, mask, shape):
    """starts: int32 [n], in the flat result; mask: int32 [n, width], ones then zeros; shape: of the result."""
    self._chosen = tf.reshape(tf.where(tf.reshape(mask, [-1]) > 0), [-1])
    self._targets = self._leading(starts[:, tf.newaxis] + tf.range(mask.shape[1].value))[:, tf.newaxis]
    self._shape = shape

  def __call__(self, values):
    flat = tf.scatter_nd(self._targets, self._leading(values), [self._shape[0] * self._shape[1]])
    return tf.reshape(flat, self._shape)

  def _leading(self, values):
    """The entries of [n, width] that are written, one behind the other."""
    return tf.gather(tf.reshape(values, [-1]), self._chosen)
