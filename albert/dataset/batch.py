"""A batch of examples: its named tensors.

Shapes: B batch or rows, S sequence, P masked predictions, K = packing.MAX_EXAMPLES, Q = packing.max_predictions(P).
"""

import collections

from albert.dataset import record_format

# int32 [B, S]: input_ids, input_mask, segment_ids; int32 [B, P]: masked_lm_positions, masked_lm_ids;
# float32 [B, P]: masked_lm_weights; int32 [B, 1]: next_sentence_labels (1 = swapped).
Batch = collections.namedtuple('Batch', [spec.name for spec in record_format.REFERENCE_FEATURES])

# The fields of Batch; masked_lm_positions, masked_lm_ids and masked_lm_weights are [B, Q], next_sentence_labels [B, K].
# Then int32 [B, S]: position_ids (each example begins at 0), example_ids (its number in the row, -1 for padding);
# int32 [B, K]: cls_positions; float32 [B, K]: example_weights, 0 for an unused slot.
PackedBatch = collections.namedtuple('PackedBatch', Batch._fields + (
    'position_ids', 'example_ids', 'cls_positions', 'example_weights'))
