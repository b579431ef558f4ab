"""The command line of fine-tuning: what is missing or mistyped is one line, and nothing is written."""

import subprocess
import sys

import pytest

import labelled_text
from albert.common.files import ROOT

pytestmark = pytest.mark.integration


def _run(*arguments):
  done = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'albert.run_finetuning'] + list(arguments), cwd=ROOT,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
  return done.returncode, [line for line in done.stderr.splitlines() if line.startswith('error: ')]


def test_what_cannot_be_meant_is_one_line_and_writes_nothing(tmp_path):
  data = labelled_text.write(tmp_path / 'data', 'classify')
  vocabulary = labelled_text.write_vocabulary(tmp_path)
  out = str(tmp_path / 'out')
  where = ['--data_dir=' + data, '--output_dir=' + out]
  for arguments, expected in (
      (['--task=clasify'] + where, '--task (TASK): expected one of chnsenticorp, classify, cmrc2018, msra_ner,'),
      (['--task=classify', '--output_dir=' + out], 'expected --data_dir=FOLDER (DATA=...), found none'),
      (['--task=classify', '--data_dir=' + data], 'expected --output_dir=FOLDER (OUT=...), found none'),
      (['--task=classify'] + where, 'expected weights with their vocabulary (INIT=...)'),
      (['--task=classify', '--init=' + str(tmp_path / 'absent')] + where, 'absent'),
      (['--task=classify', '--vocab_file=' + vocabulary, '--gin_param=FinetuneData.label="topic"'] + where, 'topic'),
      (['--task=classify', '--vocab_file=' + vocabulary, '--gin_param=finetune.metric="f1"'] + where,
       'finetune.metric: expected one of loss, accuracy, macro_f1'),
      (['--task=classify', '--vocab_file=' + vocabulary, '--gin_param=FinetuneData.max_seq_length=600'] + where,
       'FinetuneData.max_seq_length: expected at most 512')):
    code, errors = _run(*arguments)
    assert code == 1 and len(errors) == 1 and expected in errors[0], errors
    assert not (tmp_path / 'out' / 'records').exists() and not (tmp_path / 'out' / 'task.json').exists()
