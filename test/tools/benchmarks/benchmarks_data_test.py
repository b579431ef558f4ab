"""tools.benchmarks.data, tools.benchmarks.input and tools.benchmarks.stopwatch: that they measure; not what."""

import os
import subprocess
import sys

import pytest

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


@pytest.mark.integration
def test_copies_of_the_text_are_no_other_text_to_the_vocabulary_that_the_bench_builds(tmp_path):
  text_file, _ = small_corpus.write(tmp_path)
  path = data.build_vocabulary([text_file], str(tmp_path))
  assert os.path.exists(path) and not os.path.exists(path + origin.SUFFIX)


def test_repeated_text(tmp_path):
  (tmp_path / 'a').write_text('一。\n二。\n', encoding='utf-8')
  path = data.repeated([str(tmp_path / 'a')], str(tmp_path), 40)
  content = open(path, encoding='utf-8').read()
  assert os.path.getsize(path) >= 40 and content == '一。\n二。\n\n\n' * content.count('二')


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
