"""Small data sets of random records, written with TensorFlow's own writer, for tests of what reads them."""

import os

import numpy as np
import tensorflow as tf

from albert.common import files
from albert.dataset import contract
from albert.dataset import packing
from albert.dataset import record_format
from albert.input.formats import packed_rows

VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + [chr(0x4E00 + i) for i in range(55)]
MAX_SEQ_LENGTH = 24
MAX_PREDICTIONS = 5


def record(number, max_seq_length=MAX_SEQ_LENGTH, max_predictions=MAX_PREDICTIONS, longest=None):
  """A dict of lists; input_ids[1] tells the number (below 2,500), so that a test can follow a record."""
  random = np.random.RandomState(number)
  length = random.randint(8, (longest or max_seq_length) + 1)
  ids = random.randint(5, len(VOCAB), size=length)
  ids[0], ids[1], ids[2], ids[length // 2], ids[-1] = 2, 5 + number // 50, 5 + number % 50, 3, 3
  labels = random.randint(1, max_predictions + 1)
  positions = np.sort(random.choice(np.arange(3, length - 1), size=min(labels, length - 5), replace=False))

  def padded(values, size):
    return list(values) + [0] * (size - len(values))

  return {
      'input_ids': padded(ids, max_seq_length),
      'input_mask': padded([1] * length, max_seq_length),
      'segment_ids': padded([0] * (length // 2 + 1) + [1] * (length - length // 2 - 1), max_seq_length),
      'masked_lm_positions': padded(positions, max_predictions),
      'masked_lm_ids': padded(ids[positions], max_predictions),
      'masked_lm_weights': padded([1.0] * len(positions), max_predictions),
      'next_sentence_labels': [int(random.randint(2))]}


def tensors(count=4):
  """A batch of records as constants: {feature name: tensor}."""
  records = [record(number) for number in range(count)]
  return {spec.name: tf.constant([values[spec.name] for values in records],
                                 tf.float32 if spec.kind == 'float32' else tf.int32)
          for spec in record_format.REFERENCE_FEATURES}


def serialize(values, features=record_format.REFERENCE_FEATURES):
  """The tf.train.Example of such a dict, as bytes."""
  def feature(spec):
    if spec.kind == 'float32':
      return tf.train.Feature(float_list=tf.train.FloatList(value=values[spec.name]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values[spec.name]))
  return tf.train.Example(features=tf.train.Features(
      feature={spec.name: feature(spec) for spec in features})).SerializeToString()


def write_shard(path, numbers, **shape):
  """Writes records of these numbers."""
  with tf.io.TFRecordWriter(path) as writer:
    for number in numbers:
      writer.write(serialize(record(number, **shape)))


def write_lengths(info):
  """Writes what the data tool writes for packing. Returns the DatasetInfo with it."""
  shards = []
  for shard, path in zip(info.shards[contract.TRAIN], info.paths(contract.TRAIN)):
    lengths = np.array([packed_rows.length_of(raw) for raw in tf.io.tf_record_iterator(path)], np.uint16)
    np.save(contract.lengths_file(path), lengths)
    rows = packing.fill_rows(lengths[:, 0], lengths[:, 1], info.max_seq_length, info.max_predictions_per_seq)
    shards.append(shard._replace(packed_rows=len(rows)))
  info.shards[contract.TRAIN] = shards
  info.save()
  return info


def write_dataset(folder, train_counts=(7, 6, 8), heldout_count=11, max_seq_length=MAX_SEQ_LENGTH, longest=None):
  """Writes a data set folder. Returns its DatasetInfo. Each split and shard has another length."""
  os.makedirs(folder, exist_ok=True)
  shards, number = {contract.TRAIN: [], contract.HELDOUT: []}, 0
  for split, counts in ((contract.TRAIN, train_counts), (contract.HELDOUT, (heldout_count,))):
    for index, count in enumerate(counts):
      name = contract.shard_name(split, index, len(counts))
      path = os.path.join(folder, name)
      write_shard(path, range(number, number + count), max_seq_length=max_seq_length, longest=longest)
      shards[split].append(contract.Shard(name, count, files.file_sha256(path), os.path.getsize(path)))
      number += count
  vocab = os.path.join(folder, contract.VOCAB_FILE)
  with open(vocab, 'w', encoding='utf-8') as target:
    target.write(''.join(token + '\n' for token in VOCAB))
  with open(os.path.join(folder, contract.TOKEN_COUNTS_FILE), 'w') as target:
    target.write(''.join('{}\n'.format(i % 7) for i in range(len(VOCAB))))
  info = contract.DatasetInfo(folder, max_seq_length, MAX_PREDICTIONS, len(VOCAB), files.file_sha256(vocab), shards)
  info.save()
  return info
