"""Windows of labelled text put into rows, one behind the other: the batches of fine-tuning, evaluation and prediction.

In numpy, on the host: a batch is a few rows, and prediction fills them from text that was never a record.

Shapes: R rows, S sequence, K examples of a row (batch_order.Layout), C values of a feature.
"""

import numpy as np

# Besides the features of the records. int32 [R, S]: position_ids, which begin at 0 in each example, and example_ids,
# its number in the row, -1 for padding; int32 [R, K] cls_positions; float32 [R, K] example_weights, 0 for an unused
# slot.
PACKING_FIELDS = ('position_ids', 'example_ids', 'cls_positions', 'example_weights')


def empty(features, layout, max_seq_length):
  """A batch without an example: dict of arrays.

  Args:
    features: FeatureSpecs, see record_format.labelled_features; 'S' ones are [R, S], others [R, K] or [R, K, C].
    layout: batch_order.Layout.
    max_seq_length: S.
  """
  tokens, slots = (layout.rows, max_seq_length), (layout.rows, layout.slots)
  batch = {spec.name: np.zeros(tokens if spec.length == 'S' else slots + (() if spec.length == 1 else (spec.length,)),
                               np.float32 if spec.kind == 'float32' else np.int32) for spec in features}
  batch.update(position_ids=np.zeros(tokens, np.int32), example_ids=np.full(tokens, -1, np.int32),
               cls_positions=np.zeros(slots, np.int32), example_weights=np.zeros(slots, np.float32))
  return batch


def pack(rows, features, layout, max_seq_length):
  """A batch of rows.

  Args:
    rows: list of at most R lists of at most K examples, {feature name: sequence}; what is beyond input_mask of an 'S'
      feature is left out. Features of one number below 'S' are positions, and get those of the row.
    features, layout, max_seq_length: as for empty().

  Returns:
    dict of arrays.
  """
  batch = empty(features, layout, max_seq_length)
  for row, examples in enumerate(rows):
    start = 0
    for slot, example in enumerate(examples):
      _put(batch, row, slot, start, example, features)
      start += int(np.sum(example['input_mask']))
  return batch


def _put(batch, row, slot, start, example, features):
  size = int(np.sum(example['input_mask']))
  place = slice(start, start + size)
  for spec in features:
    values = np.asarray(example[spec.name])
    if spec.length == 'S':
      batch[spec.name][row, place] = values[:size]
    else:
      shift = start if spec.below == 'S' else 0
      batch[spec.name][row, slot] = shift + values.reshape(batch[spec.name].shape[2:])
  batch['position_ids'][row, place] = np.arange(size)
  batch['example_ids'][row, place] = slot
  batch['cls_positions'][row, slot] = start
  batch['example_weights'][row, slot] = 1.0


def types_and_shapes(features, layout, max_seq_length):
  """({name: numpy dtype}, {name: shape}) of what pack() gives."""
  batch = empty(features, layout, max_seq_length)
  return {name: value.dtype for name, value in batch.items()}, {name: value.shape for name, value in batch.items()}
