"""TFRecord files in the reference format without a dataset.json, as the original release makes them."""

import os

from albert.common.errors import UserError
from albert.common import files
from albert.dataset import contract
from albert.dataset import protobuf
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert.input import checking


def describe(paths, features=record_format.REFERENCE_FEATURES):
  """The contract.DatasetInfo of TFRecord files, all of them for training.

  Args:
    paths: list of paths; the folder of the first one is that of the data set.
    features: tuple of record_format.FeatureSpec, of a record.

  Raises:
    UserError: a file that cannot be read or is no TFRecord file in the reference format, or another vocabulary beside
      them than the data set was made with.
  """
  folder = os.path.dirname(paths[0]) or '.'
  # First, for TensorFlow takes a file that is cut off in its first record for an empty one.
  shards = [contract.Shard(os.path.relpath(path, folder), _count_records(path), None) for path in paths]
  max_seq_length, max_predictions = _shapes_of_first_record(paths[0], features)
  vocab_size, vocab_sha256 = None, None
  if os.path.exists(os.path.join(folder, contract.DATASET_FILE)):
    beside = contract.DatasetInfo.load(folder)
    checking.check_vocabulary(beside)
    vocab_size, vocab_sha256 = beside.vocab_size, beside.vocab_sha256
  return contract.DatasetInfo(folder, max_seq_length, max_predictions, vocab_size, vocab_sha256,
                              {contract.TRAIN: shards, contract.HELDOUT: []})


def _count_records(path):
  """The number of records in a TFRecord file, from its framing alone."""
  try:
    offsets, gaps = tfrecord.find_frames(path)
  except OSError as error:
    raise UserError('{}: expected a TFRecord file, found that it cannot be read ({}); correct the path'.format(
        files.shown(path), error.strerror))
  if gaps:
    raise UserError('{}: expected a TFRecord file, found one that is truncated or corrupt after record {}; restore it '
                    'or make the data set again'.format(files.shown(path), len(offsets)))
  return len(offsets)


def _shapes_of_first_record(path, features):
  """(S, P) of the first record of a TFRecord file; P is 0 where no feature has it."""
  file = tfrecord.ShardFile(path, 1)
  record, problem = file.read(0)
  file.close()
  if record is None and not os.path.getsize(path):
    raise UserError('{}: expected TFRecords, found an empty file; make the data set again'.format(files.shown(path)))
  try:
    if record is None:
      raise ValueError(problem)
    values = protobuf.parse(record)
  except ValueError as error:
    raise UserError('{}: expected TFRecords in the reference format, found bytes that cannot be read ({}); '
                    'check that it is the right file'.format(files.shown(path), error))
  missing = [spec.name for spec in features if spec.name not in values]
  if missing:
    raise UserError('{}: expected the features of the reference format, found none named {}; '
                    'make the data set with tools.create_pretraining_data'.format(
                        files.shown(path), ', '.join(missing)))
  lengths = {spec.length: len(values[spec.name]) for spec in features}
  return lengths['S'], lengths.get('P', 0)
