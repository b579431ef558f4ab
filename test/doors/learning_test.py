"""The smoke run learns from context: its bar is passed, and not any more when each record's input ids are shuffled."""

import glob
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
from albert.dataset.tokenization import Vocabulary
from tools.conversion import probing
from tools.conversion.reading import Checkpoint

REQUIRED_NATS = 0.3


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


@pytest.fixture(scope='module')
def smoke_run(tmp_path_factory):
  """(DatasetInfo, folder of the run)."""
  folder = tmp_path_factory.mktemp('smoke')
  info, out = _make_data(str(folder)), str(folder / 'out')
  _run('albert.run_pretraining', input_file=info.folder, output_dir=out, gin_file='gin/smoke.gin')
  return info, out


@pytest.fixture(scope='module')
def attentive_run(smoke_run, tmp_path_factory):
  """Folder of a run on the smoke run's records, of one layer and few heads, which learns to attend sooner."""
  info, _ = smoke_run
  out = str(tmp_path_factory.mktemp('attentive') / 'out')
  _run('albert.run_pretraining', input_file=info.folder, output_dir=out, gin_file='gin/smoke.gin', gin_param='; '.join([
      'AlbertConfig.num_hidden_layers=1', 'AlbertConfig.num_attention_heads=2', 'AlbertConfig.hidden_dropout_prob=0.0',
      'pretrain.train_batch_size=32', 'pretrain.num_train_steps=600', 'OptimizerOptions.learning_rate=0.01',
      'OptimizerOptions.num_warmup_steps=60']))
  return out


def _copy_of_weights(out, folder, tokens, **changes):
  """Checkpoint of a run in a new folder, with these tokens as vocabulary and a changed configuration beside it."""
  folder.mkdir()
  for path in glob.glob(os.path.join(out, 'best', 'model.ckpt-*')):
    if not path.endswith('.json'):  # a manifest says what the weights belong to
      shutil.copy(path, str(folder))
  with open(os.path.join(out, 'albert_config.json')) as source:
    config = json.load(source)
  (folder / 'albert_config.json').write_text(json.dumps(dict(config, **changes)))
  (folder / 'vocab.txt').write_text(''.join(token + '\n' for token in tokens), encoding='utf-8')
  return Checkpoint(str(folder))


@pytest.mark.integration
def test_the_probe_finds_what_no_shape_shows_of_a_run(attentive_run, tmp_path, monkeypatch):
  """Heads 2 -> 8, gelu -> relu, tokens exchanged in bulk: each is found or told, though the run has learned little."""
  monkeypatch.setattr(probing, '_WORK', 2e10)
  out = attentive_run
  tokens = list(Vocabulary.load(os.path.join(out, 'vocab.txt')).tokens)
  verdict = probing.probe(_copy_of_weights(out, tmp_path / 'a', tokens, num_attention_heads=8, hidden_act='relu'))
  said = verdict['problems'] + verdict['notes']
  assert 'num_attention_heads to 2' in said[0]
  assert 'hidden_act to gelu (tanh form)' in said[0] or 'gelu and relu cannot be told apart' in said[-1]
  plain = [number for number, token in enumerate(tokens) if not token.startswith('[')]
  for one, other in zip(plain[::2], plain[1::2]):
    tokens[one], tokens[other] = tokens[other], tokens[one]
  verdict = probing.probe(_copy_of_weights(out, tmp_path / 'b', tokens))
  assert len(verdict['problems']) == 1 and verdict['problems'][0].startswith('vocabulary or weights: no form is better')


@pytest.mark.integration
def test_the_smoke_run_learns_and_it_learns_from_context(smoke_run, tmp_path):
  info, out = smoke_run
  trained = _heldout_figures(out)
  bar = trained['unigram_cross_entropy'] - REQUIRED_NATS
  assert trained['masked_lm_loss'] <= bar

  shuffled, evaluated = str(tmp_path / 'shuffled'), str(tmp_path / 'evaluated')
  _with_shuffled_heldout(info, shuffled)
  _run('albert.run_pretraining', input_file=info.folder, eval_input_file=shuffled, output_dir=evaluated,
       gin_file='gin/smoke.gin', do_train='false', init_checkpoint=os.path.join(out, 'model.ckpt-1600'))
  figures = _heldout_figures(evaluated)
  # The labels are the same, so their unigram cross-entropy is.
  assert figures['unigram_cross_entropy'] == pytest.approx(trained['unigram_cross_entropy'], abs=1e-5)
  assert figures['masked_lm_loss'] > bar, (figures, trained)
