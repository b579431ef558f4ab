"""The command line of fine-tuning: what is missing or mistyped is one line, and nothing is written."""

import subprocess
import sys

import pytest

import labelled_text
import random_models
from albert.common.files import ROOT
from tools.conversion.hugging_face import folder
from tools.conversion import reading

pytestmark = pytest.mark.integration


def _run(*arguments):
  return _call(*arguments)[:2]


def _call(*arguments):
  """(exit code, lines of errors, all that was said)."""
  done = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'albert.run_finetuning'] + list(arguments), cwd=ROOT,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
  return done.returncode, [line for line in done.stderr.splitlines() if line.startswith('error: ')], done.stderr


def test_what_cannot_be_meant_is_one_line_and_writes_nothing(tmp_path):
  data = labelled_text.write(tmp_path / 'data', 'classify')
  vocabulary = labelled_text.write_vocabulary(tmp_path)
  out = str(tmp_path / 'out')
  where = ['--data_dir=' + data, '--output_dir=' + out]
  for arguments, expected in (
      (['--task=clasify'] + where, "tnews, topics, found 'clasify'; did you mean classify?"),
      (where, 'tnews, topics, found none; name one'),
      (['--task=classify', '--output_dir=' + out], 'expected --data_dir=FOLDER (DATA=...), found none'),
      (['--task=classify', '--data_dir=' + data], 'expected --output_dir=FOLDER (OUT=...), found none'),
      (['--task=classify'] + where, 'expected weights with their vocabulary (INIT=...)'),
      (['--task=classify', '--seeds=1，2'] + where, 'found 1，2; write , instead of the full-width ，'),
      (['--task=classify', '--init=' + str(tmp_path / 'absent')] + where, 'absent'),
      (['--task=classify', '--vocab_file=' + vocabulary, '--gin_param=FinetuneData.label="topic"'] + where, 'topic'),
      (['--task=classify', '--vocab_file=' + vocabulary, '--gin_param=finetune.metric="f1"'] + where,
       'finetune.metric: expected one of loss, accuracy, macro_f1'),
      (['--task=classify', '--vocab_file=' + vocabulary, '--gin_param=FinetuneData.max_seq_length=600'] + where,
       'FinetuneData.max_seq_length: expected at most 512')):
    code, errors = _run(*arguments)
    assert code == 1 and len(errors) == 1 and expected in errors[0], errors
    assert not (tmp_path / 'out').exists()


def test_a_folder_of_transformers_is_made_ready_and_taken_back_where_planning_refuses(tmp_path):
  """The last thing that is planned is what is wrong: weights were converted by then, and records made."""
  config = random_models.config(vocab_size=60, max_position_embeddings=32)
  (tmp_path / 'run').mkdir()
  random_models.save(tmp_path / 'run', config, random_models.weights(config))
  folder.write(reading.Checkpoint(str(tmp_path / 'run')), str(tmp_path / 'theirs'))
  code, errors, said = _call(
      '--task=classify', '--data_dir=' + labelled_text.write(tmp_path / 'data', 'classify'),
      '--output_dir={}'.format(tmp_path / 'out'), '--init={}'.format(tmp_path / 'theirs'),
      '--gin_param=FinetuneData.max_seq_length=32; OptimizerOptions.optimizer="sgd"; AlbertConfig.num_hidden_layers=7')
  assert 'AlbertConfig.num_hidden_layers=7: no effect, the architecture is that of --init (INIT)' in said
  assert code == 1 and len(errors) == 1 and 'OptimizerOptions.optimizer: expected one of' in errors[0], errors
  assert not (tmp_path / 'out').exists()
