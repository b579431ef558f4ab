"""dataset.json is the contract between the data tool and the reader."""

import json
import os
import subprocess
import sys

import pytest

from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import record_format


def _info(folder):
  shards = {contract.TRAIN: [contract.Shard('train-00000-of-00002.tfrecord', 5, 'ab'),
                             contract.Shard('train-00001-of-00002.tfrecord', 3, 'cd')],
            contract.HELDOUT: [contract.Shard('heldout-00000-of-00001.tfrecord', 2, 'ef')]}
  return contract.DatasetInfo(str(folder), 37, 6, 211, 'ff', shards, {'dupe_factor': 10}, {'documents': 4})


def test_dataset_json_round_trip(tmp_path):
  written = _info(tmp_path)
  written.save()
  read = contract.DatasetInfo.load(str(tmp_path))
  assert vars(read) == vars(written)
  assert read.records(contract.TRAIN) == 8
  assert read.records(contract.HELDOUT) == 2
  assert read.paths(contract.TRAIN)[1] == str(tmp_path / 'train-00001-of-00002.tfrecord')
  assert os.listdir(str(tmp_path)) == ['dataset.json']


def test_absent_or_damaged_dataset_json_is_one_error(tmp_path):
  with pytest.raises(UserError, match='make data'):
    contract.DatasetInfo.load(str(tmp_path))
  _info(tmp_path).save()
  path = tmp_path / 'dataset.json'
  text = path.read_text()
  path.write_text(text[:len(text) // 2])
  with pytest.raises(UserError, match='make the data set again'):
    contract.DatasetInfo.load(str(tmp_path))
  values = json.loads(text)
  for broken in (dict(values, format_version=99), {k: v for k, v in values.items() if k != 'vocab_size'}):
    path.write_text(json.dumps(broken))
    with pytest.raises(UserError):
      contract.DatasetInfo.load(str(tmp_path))


def test_feature_lengths():
  lengths = {spec.name: record_format.feature_length(spec, 37, 6) for spec in record_format.REFERENCE_FEATURES}
  assert lengths == {'input_ids': 37, 'input_mask': 37, 'segment_ids': 37, 'masked_lm_positions': 6,
                     'masked_lm_ids': 6, 'masked_lm_weights': 6, 'next_sentence_labels': 1}


def test_needs_no_tensorflow():
  code = ('import sys, albert.dataset.contract, albert.model.config, albert.device.memory\n'
          'sys.exit("tensorflow" in sys.modules)')
  assert subprocess.call([sys.executable, '-c', code]) == 0
