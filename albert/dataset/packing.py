"""Sequence packing: which examples share one row of S tokens. Needs no TensorFlow.

Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination". Best fit, longest first: each example goes
to the fullest row that still has room for it. A row of pre-training holds at most MAX_EXAMPLES examples and
max_predictions(P) labels, so that shapes stay static; for fine-tuning see batch_order.py.
"""

import numpy as np

# More rarely fill a row better, and each costs a [CLS] and a sentence-order slot.
MAX_EXAMPLES = 8


def max_predictions(max_predictions_per_seq):
  """Labels that a row has room for: examples round their share of labels up, so several need more than one."""
  return max_predictions_per_seq + MAX_EXAMPLES


def fill_rows(lengths, labels, max_seq_length, max_predictions_per_seq, max_examples=MAX_EXAMPLES):
  """Distributes examples over rows.

  Args:
    lengths: int array [N], tokens of each example, from 1 to max_seq_length.
    labels: int array [N], masked tokens of each, at most max_predictions_per_seq.
    max_seq_length: S.
    max_predictions_per_seq: P.
    max_examples: of a row.

  Returns:
    A list of lists of example numbers, each number once. It depends on the arguments only.
  """
  lengths, labels = np.asarray(lengths), np.asarray(labels)
  room_for_labels = max_predictions(max_predictions_per_seq)
  rows, labels_of = [], []
  open_rows = [[] for _ in range(max_seq_length + 1)]  # by the room that is left
  occupied = 0  # bit r is set if open_rows[r] is not empty
  for example in np.argsort(-lengths, kind='stable').tolist():
    length, count = int(lengths[example]), int(labels[example])
    row, room = _take_fullest(open_rows, occupied, length, count, labels_of, room_for_labels)
    if row is None:
      row, room = len(rows), max_seq_length
      rows.append([])
      labels_of.append(0)
    elif not open_rows[room]:
      occupied &= ~(1 << room)
    rows[row].append(example)
    labels_of[row] += count
    left = room - length
    if left and len(rows[row]) < max_examples:
      open_rows[left].append(row)
      occupied |= 1 << left
  return rows


def _take_fullest(open_rows, occupied, length, count, labels_of, room_for_labels):
  """Removes and returns (row, its room) of the fullest open row with room for the example, or (None, None)."""
  candidates = occupied >> length << length
  while candidates:
    room = (candidates & -candidates).bit_length() - 1
    row = open_rows[room][-1]
    if labels_of[row] + count <= room_for_labels:
      return open_rows[room].pop(), room
    candidates &= candidates - 1
  return None, None
