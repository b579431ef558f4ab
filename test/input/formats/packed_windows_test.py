"""Windows in rows: each token, label and position where it belongs."""

import numpy as np

from albert.dataset.batch_order import Layout
from albert.dataset import record_format
from albert.input.formats import packed_windows

S = 8


def _example(ids, **labels):
  def padded(values):
    return list(values) + [0] * (S - len(values))
  labels = {name: padded(value) if len(value) > 1 else value for name, value in labels.items()}
  return dict(labels, input_ids=padded(ids), input_mask=padded([1] * len(ids)),
              segment_ids=padded([0] + [1] * (len(ids) - 1)))


def test_examples_lie_one_behind_the_other():
  features = record_format.labelled_features(record_format.TAG, 4)
  batch = packed_windows.pack(
      [[_example([2, 11, 3], window=[5], tag_ids=[0, 3, 0], tag_mask=[0, 1, 0]), _example(
          [2, 12, 13, 3], window=[9], tag_ids=[0, 1, 2, 0], tag_mask=[0, 1, 1, 0])]], features, Layout(2, 3), S)
  assert batch['input_ids'].tolist() == [[2, 11, 3, 2, 12, 13, 3, 0], [0] * S]
  assert batch['input_mask'].tolist() == [[1] * 7 + [0], [0] * S]
  assert batch['segment_ids'][0].tolist() == [0, 1, 1, 0, 1, 1, 1, 0]
  assert batch['tag_ids'][0].tolist() == [0, 3, 0, 0, 1, 2, 0, 0]
  assert batch['tag_mask'][0].tolist() == [0, 1, 0, 0, 1, 1, 0, 0]
  assert batch['position_ids'][0].tolist() == [0, 1, 2, 0, 1, 2, 3, 0]
  assert batch['example_ids'].tolist() == [[0] * 3 + [1] * 4 + [-1], [-1] * S]
  assert batch['cls_positions'].tolist() == [[0, 3, 0], [0, 0, 0]]
  assert batch['example_weights'].tolist() == [[1, 1, 0], [0, 0, 0]]
  assert batch['window'].tolist() == [[5, 9, 0], [0, 0, 0]]


def test_positions_of_answers_are_those_of_the_row():
  features = record_format.labelled_features(record_format.READ)
  batch = packed_windows.pack([[_example([2, 11, 3], window=[0], answer_start=[1], answer_end=[2]), _example(
      [2, 12, 13, 3], window=[1], answer_start=[0], answer_end=[2])]], features, Layout(1, 2), S)
  assert batch['answer_start'].tolist() == [[1, 3]] and batch['answer_end'].tolist() == [[2, 5]]


def test_labels_of_several_classes_and_numbers():
  multi = record_format.labelled_features(record_format.CLASSIFY, 3, multi_label=True)
  batch = packed_windows.pack([[_example([2, 3], window=[0], label_ids=[1, 0, 1][:3])]], multi[:-1], Layout(1, 1), S)
  assert 'label_ids' not in batch
  example = dict(_example([2, 3], window=[0]), label_ids=[1, 0, 1])
  assert packed_windows.pack([[example]], multi, Layout(1, 2), S)['label_ids'].tolist() == [[[1, 0, 1], [0, 0, 0]]]
  regress = record_format.labelled_features(record_format.REGRESS)
  batch = packed_windows.pack([[_example([2, 3], window=[0], label_values=[0.5])]], regress, Layout(1, 1), S)
  assert batch['label_values'].tolist() == [[0.5]] and batch['label_values'].dtype == np.float32


def test_types_and_shapes_are_those_of_a_batch():
  features = record_format.labelled_features(record_format.CLASSIFY, 3)
  types, shapes = packed_windows.types_and_shapes(features, Layout(2, 3), S)
  batch = packed_windows.pack([], features, Layout(2, 3), S)
  assert {name: (value.dtype, value.shape) for name, value in batch.items()} == {
      name: (types[name], shapes[name]) for name in batch}
