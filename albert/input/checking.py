"""Does a data set hold what it says: vocabulary and shapes before training, each record once training has failed."""

import contextlib
import os

from albert.common.errors import UserError
from albert.common import files
from albert.dataset import contract
from albert.dataset import examples
from albert.dataset import lost_records
from albert.dataset import record_format
from albert.input.formats import packed_rows


def check_vocabulary(info):
  """Raises UserError unless vocab.txt is the one that the ids of the data set refer to. info: contract.DatasetInfo."""
  try:
    digest = files.file_sha256(info.vocab_file)
  except OSError as error:
    raise UserError('{}: expected the vocabulary that the data set was made with, found none ({}); restore it or make '
                    'the data set again'.format(info.vocab_file, error.strerror))
  if digest != info.vocab_sha256:
    raise UserError('{}: expected the vocabulary that the data set was made with (SHA-256 {:.12}...), found another '
                    '({:.12}...); restore it or make the data set again'.format(
                        info.vocab_file, info.vocab_sha256, digest))


def check_shapes(info, max_seq_length=None, max_predictions_per_seq=None, training_folder=None):
  """Raises UserError if the data set has another S or P than the ones given.

  Args:
    info: contract.DatasetInfo.
    max_seq_length, max_predictions_per_seq: int, or None for any.
    training_folder: the data set whose S and P they are; None: they were given by flags.
  """
  for name, expected in (('max_seq_length', max_seq_length), ('max_predictions_per_seq', max_predictions_per_seq)):
    actual = getattr(info, name)
    if expected in (None, actual):
      continue
    if training_folder is not None:
      raise UserError('--eval_input_file: expected {}={} as in the training data {}, found {} in {}; make both with '
                      'the same lengths'.format(name, expected, training_folder, actual, info.folder))
    raise UserError('--{}: expected {} in the data set {}, found {}; leave the flag out or make the data with '
                    'it'.format(name, expected, info.folder, actual))


def check_readable(info, vocab_size=None, features=record_format.REFERENCE_FEATURES):
  """Raises UserError that names the first file and record of a data set whose content does not parse or fit.

  Args:
    info: contract.DatasetInfo.
    vocab_size: V; ids must be below it. None: that of the data set, or any if it does not say.
    features: tuple of record_format.FeatureSpec, of a record that is not compact.
  """
  lost = lost_records.LostRecords(info)
  for split in (contract.TRAIN, contract.HELDOUT):
    form = examples.Form.of(info, split, features, vocab_size)
    with contextlib.closing(lost_records.Reader(info, split, lost)) as reader:
      for number, (shard, path) in enumerate(zip(info.shards[split], info.paths(split))):
        packed_as = info.lengths(number) if split == contract.TRAIN else None
        for index in range(shard.records):
          record = reader.read(number, index)
          if record is None:
            continue
          problem = form.problem_with(record)
          if problem is not None:
            raise UserError('{}: expected the features, lengths and vocabulary of the data set in record {}, found {}; '
                            'restore the file or make the data set again'.format(path, index, problem))
          if packed_as is not None:
            _check_length(record, packed_as[index].tolist(), path, index)


def _check_length(record, expected, path, index):
  length = list(packed_rows.length_of(record))
  if length != expected:
    raise UserError('{}: expected {} tokens and {} labels in record {}, as {} says, found {} and {}; remove that file, '
                    'and they are counted, or make the data set again'.format(
                        path, *expected, index, os.path.basename(contract.lengths_file(path)), *length))
