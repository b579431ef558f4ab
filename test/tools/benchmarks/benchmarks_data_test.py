"""tools.benchmarks.data, tools.benchmarks.input and tools.benchmarks.stopwatch: that they measure; not what."""

import gzip
import os
import subprocess
import sys
from unittest import mock

import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from tools.benchmarks import data
from tools.benchmarks import stopwatch
from tools.text import origin

import small_corpus



def run(module, *arguments):
  return subprocess.check_output([sys.executable, '-m', module] + list(arguments), universal_newlines=True,
                                 env=dict(os.environ, PYTHONPATH=ROOT))


def test_time_counts_for_the_innermost_part():
  times = [1.0]
  watch = stopwatch.Stopwatch(lambda: times[-1])

  def spend(seconds):
    times.append(times[-1] + seconds)

  inner = watch.wrap('inner', spend)

  def work():
    spend(2.0)
    inner(5.0)
    spend(0.5)
  watch.wrap('outer', work)()
  spend(8.0)
  watch.stop()
  assert watch.seconds == {'start and rest': 9.0, 'outer': 2.5, 'inner': 5.0}


def test_what_a_part_raises_is_raised_and_ends_it():
  watch = stopwatch.Stopwatch()
  with pytest.raises(ZeroDivisionError):
    watch.wrap('x', lambda: 1 / 0)()
  watch.stop()
  assert watch._running == ['start and rest']


def test_repeated_text(tmp_path):
  (tmp_path / 'a').write_text('一。\n二。\n', encoding='utf-8')
  path = data.repeated([str(tmp_path / 'a')], str(tmp_path), 40)
  content = open(path, encoding='utf-8').read()
  assert os.path.getsize(path) >= 40 and content == '一。\n二。\n\n\n' * content.count('二')


def test_repeated_text_is_unpacked(tmp_path):
  (tmp_path / 'a.gz').write_bytes(gzip.compress('第一行。\n'.encode()))
  path = data.repeated([str(tmp_path / 'a.gz')], str(tmp_path), 20)
  assert open(path, encoding='utf-8').read() == '第一行。\n\n\n' * 2


@pytest.mark.integration
def test_the_vocabulary_is_of_the_text_as_the_flags_read_it(tmp_path, monkeypatch, capfd):
  (tmp_path / 'a.txt').write_text(''.join('“他推开门，外面下雪了。”她说。我们走吧！' * 2 + '\n' for _ in range(30)),
                                  encoding='utf-8')
  monkeypatch.setattr(data, 'FLAGS', mock.Mock(data_args=['--documents=line', '--max_seq_length=48']))
  path = data.build_vocabulary([str(tmp_path / 'a.txt')], str(tmp_path))
  assert os.path.exists(path)
  # Copies of the text are no other text.
  assert not os.path.exists(path + origin.SUFFIX)
  os.mkdir(str(tmp_path / 'other'))
  with pytest.raises(UserError, match='its message is above'):
    data.build_vocabulary([str(tmp_path / 'absent')], str(tmp_path / 'other'))
  assert 'expected text files' in capfd.readouterr().err


@pytest.mark.integration
def test_the_data_bench(tmp_path):
  text_file, vocab_file = small_corpus.write(tmp_path)
  output = run('tools.benchmarks.data', '--input_files=' + text_file, '--vocab_file=' + vocab_file, '--copies=2',
               '--data_args=--max_seq_length=48', '--data_args=--max_predictions_per_seq=7')
  for part in ('jieba, reference', 'jieba, compact', 'segmentation', 'tokenization', 'assembly', 'serialization',
               'write', 'two workers reach'):
    assert part in output


@pytest.mark.integration
def test_the_input_bench(tmp_path):
  text_file, vocab_file = small_corpus.write(tmp_path)
  output = run('tools.benchmarks.input', '--input_files=' + text_file, '--vocab_file=' + vocab_file, '--examples=512',
               '--data_args=--max_seq_length=48', '--data_args=--max_predictions_per_seq=7')
  assert output.count('\n') == 5 and 'compact, masked' in output
