"""The smoke run learns from context: its bar is passed, and not any more when each record's input ids are shuffled."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from albert.common import files
from albert.common.files import ROOT
from albert.dataset import contract

REQUIRED_NATS = 0.2


def _run(module, **flags):
  arguments = ['--{}={}'.format(name, value) for name, value in flags.items()]
  done = subprocess.run([sys.executable, '-m', module] + arguments, cwd=ROOT, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT, universal_newlines=True,
                        env={name: value for name, value in os.environ.items() if name != 'XLA_FLAGS'})
  assert done.returncode == 0, done.stdout


def _make_data(folder):
  """The data set of `make smoke`. Returns its DatasetInfo."""
  corpus, vocab = os.path.join(ROOT, 'data', 'sample_zh.txt'), os.path.join(folder, 'vocab.txt')
  data = os.path.join(folder, 'records')
  _run('tools.build_vocab', input_files=corpus, output_file=vocab)
  _run('tools.create_pretraining_data', input_files=corpus, vocab_file=vocab, output_dir=data, max_seq_length=128,
       max_predictions_per_seq=20)
  return contract.DatasetInfo.load(data)


def _heldout_figures(output_dir):
  with open(os.path.join(output_dir, 'results.json'), encoding='utf-8') as source:
    return json.load(source)['heldout']


def _shuffled(record, random):
  """A serialized record whose real tokens stand in a random order; labels and everything else stay."""
  example = tf.train.Example.FromString(record)
  ids = example.features.feature['input_ids'].int64_list.value
  length = sum(example.features.feature['input_mask'].int64_list.value)
  ids[:length] = [int(number) for number in random.permutation(ids[:length])]
  return example.SerializeToString()


def _with_shuffled_heldout(info, folder):
  """A copy of the data set in `folder` with the held-out input ids shuffled."""
  shutil.copytree(info.folder, folder)
  copy = contract.DatasetInfo.load(folder)
  random = np.random.RandomState(1)
  for number, (shard, path) in enumerate(zip(copy.shards[contract.HELDOUT], copy.paths(contract.HELDOUT))):
    read = list(tf.compat.v1.io.tf_record_iterator(path))
    with tf.io.TFRecordWriter(path) as writer:
      for record in read:
        writer.write(_shuffled(record, random))
    copy.shards[contract.HELDOUT][number] = shard._replace(
        sha256=files.file_sha256(path), bytes=os.path.getsize(path))
  copy.save()


@pytest.mark.integration
def test_the_smoke_run_learns_and_it_learns_from_context(tmp_path):
  info = _make_data(str(tmp_path))
  out = str(tmp_path / 'out')
  _run('albert.run_pretraining', input_file=info.folder, output_dir=out, gin_file='gin/smoke.gin')
  trained = _heldout_figures(out)
  bar = trained['unigram_cross_entropy'] - REQUIRED_NATS
  assert trained['masked_lm_loss'] <= bar

  shuffled, evaluated = str(tmp_path / 'shuffled'), str(tmp_path / 'evaluated')
  _with_shuffled_heldout(info, shuffled)
  _run('albert.run_pretraining', input_file=info.folder, eval_input_file=shuffled, output_dir=evaluated,
       gin_file='gin/smoke.gin', do_train='false', init_checkpoint=os.path.join(out, 'model.ckpt-600'))
  figures = _heldout_figures(evaluated)
  # The labels are the same, so their unigram cross-entropy is.
  assert figures['unigram_cross_entropy'] == pytest.approx(trained['unigram_cross_entropy'], abs=1e-5)
  assert figures['masked_lm_loss'] > bar, (figures, trained)
