"""albert/create_pretrain_data.sh: which files it reads and which command it runs, from another directory."""

import os
import shutil
import subprocess
import sys

import pytest

from albert.common.files import ROOT



@pytest.fixture
def checkout(tmp_path):
  """A copy of the script beside a tools/run.sh that only says how it was called."""
  root = tmp_path / 'my checkout'
  (root / 'albert' / 'data').mkdir(parents=True)
  (root / 'albert' / 'albert_config').mkdir()
  (root / 'tools').mkdir()
  (root / 'data').mkdir()
  (root / 'data' / 'sample_zh.txt').write_text('x')
  shutil.copy(os.path.join(ROOT, 'albert', 'create_pretrain_data.sh'), str(root / 'albert'))
  shutil.copy(os.path.join(ROOT, 'tools', 'vocabulary.sh'), str(root / 'tools'))
  (root / 'tools' / 'run.sh').write_text('printf "<%s>" "$@"; echo\n')
  return root


def calls(checkout, *arguments, **variables):
  """What was run: a list of argument lists; relative to the checkout."""
  output = subprocess.check_output(
      ['bash', str(checkout / 'albert' / 'create_pretrain_data.sh')] + list(arguments), cwd=str(checkout.parent),
      universal_newlines=True, env=dict(PATH=os.environ['PATH'], **variables))
  lines = [line for line in output.split('\n') if line.startswith('<')]
  return [line[1:-1].replace(str(checkout) + '/', '').split('><') for line in lines]


def test_the_original_places_come_first(checkout):
  (checkout / 'albert' / 'data' / 'news_zh_1.txt').write_text('x')
  (checkout / 'albert' / 'albert_config' / 'vocab.txt').write_text('x')
  assert calls(checkout, CORPUS='other', VOCAB='other') == [[
      'tools.create_pretraining_data', '--input_files=albert/data/news_zh_1.txt',
      '--vocab_file=albert/albert_config/vocab.txt',
      '--output_file=albert/data/tf_news_2016_zh_raw_news2016zh_1.tfrecord']]


def test_else_the_variables(checkout):
  (checkout / 'v.txt').write_text('x')
  call, = calls(checkout, '--dupe_factor=2', '--x=a b', CORPUS='my text.txt', VOCAB=str(checkout / 'v.txt'), DATA='d d')
  assert call[1:] == ['--input_files=my text.txt', '--vocab_file=v.txt',
                      '--output_file=d d/tf_news_2016_zh_raw_news2016zh_1.tfrecord', '--dupe_factor=2', '--x=a b']


def test_else_the_defaults_of_make_and_a_vocabulary_is_built(checkout):
  build, create = calls(checkout)
  assert build == ['tools.build_vocab', '--input_files=data/sample_zh.txt', '--output_file=data/vocab.txt']
  assert create[1:3] == ['--input_files=data/sample_zh.txt', '--vocab_file=data/vocab.txt']
  (checkout / 'data' / 'news_zh_1.txt').write_text('x')
  (checkout / 'data' / 'vocab.txt').write_text('x')
  create, = calls(checkout)
  assert create[1:3] == ['--input_files=data/news_zh_1.txt', '--vocab_file=data/vocab.txt']


@pytest.mark.parametrize('given,passed', [
    (['--encoding=gb18030', '--dupe_factor=2', '--errors', 'skip'], ['--encoding=gb18030', '--errors=skip']),
    (['--encoding', 'gb18030', '--nodo_lower_case'], ['--encoding=gb18030', '--nodo_lower_case']),
    (['-do_lower_case=false', '-errors=skip'], ['-do_lower_case=false', '-errors=skip']),
    (['--do_lower_case', '--do_whole_word_mask'], ['--do_lower_case']),
    (['--text_field=title,content', '--normalization', 'nfkc', '--dupe_factor', '3', '-documents', 'line'],
     ['--text_field=title,content', '--normalization=nfkc', '-documents=line']),
    (['--duplicates=near', '--near_duplicate_threshold', '0.7', '--random_seed=1'],
     ['--duplicates=near', '--near_duplicate_threshold=0.7']),
    (['--split_sentences', '--nodrop_control_characters', '--min_characters=3', '--min_han_share', '0.5'],
     ['--split_sentences', '--nodrop_control_characters', '--min_characters=3', '--min_han_share=0.5'])])
def test_what_the_text_is_concerns_the_vocabulary_too(checkout, given, passed):
  check, build, create = calls(checkout, *given)
  assert check == ['tools.create_pretraining_data'] + given + ['--check_flags']
  assert build[0] == 'tools.build_vocab' and build[3:] == passed
  assert create[-len(given):] == given


@pytest.mark.parametrize('flag', ['--dupe_facter=2', '--errors=never', '--max_seq_length=x', 'leftover'])
def test_a_mistake_in_a_flag_is_found_before_a_vocabulary_is_built(checkout, flag):
  (checkout / 'tools' / 'run.sh').write_text('cd {!r} && exec {!r} -m "$@"\n'.format(ROOT, sys.executable))
  result = subprocess.run(['bash', str(checkout / 'albert' / 'create_pretrain_data.sh'), flag], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True)
  assert result.returncode == 1
  assert result.stderr.startswith('error: ') and result.stderr.count('\n') == 1
  assert flag.lstrip('-').split('=')[0] in result.stderr
  assert os.listdir(str(checkout / 'data')) == ['sample_zh.txt'] and 'building' not in result.stdout


@pytest.mark.parametrize('flag', ['--output_dir=x', '--output_file=y'])
def test_another_output(checkout, flag):
  create = calls(checkout, flag)[-1]
  assert [argument for argument in create if 'output' in argument] == [flag]


def test_a_failure_is_passed_on(checkout):
  (checkout / 'tools' / 'run.sh').write_text('exit 1\n')
  result = subprocess.run(['bash', str(checkout / 'albert' / 'create_pretrain_data.sh')], stdout=subprocess.DEVNULL)
  assert result.returncode == 1


@pytest.mark.parametrize('given', [['--input_file=mine.txt', '--vocab_file=v.txt'],
                                   ['-input_files', 'mine.txt', '--vocab_file', 'v.txt']])
def test_the_vocabulary_is_that_of_the_text_that_a_flag_names(checkout, given):
  _, build, _ = calls(checkout, *given)
  assert build == ['tools.build_vocab', '--input_files=mine.txt', '--output_file=v.txt']


def test_flags_in_a_file_would_not_reach_the_vocabulary(checkout):
  result = subprocess.run(['bash', str(checkout / 'albert' / 'create_pretrain_data.sh'), '--flagfile=flags.txt'],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
  assert result.returncode == 1 and result.stderr.count('\n') == 1
  assert result.stderr.startswith('error: expected the flags themselves') and '--flagfile=flags.txt' in result.stderr


def test_a_folder_in_the_place_of_the_vocabulary_is_said(checkout):
  (checkout / 'v').mkdir()
  result = subprocess.run(['bash', str(checkout / 'albert' / 'create_pretrain_data.sh')], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True,
                          env=dict(PATH=os.environ['PATH'], VOCAB=str(checkout / 'v')))
  assert result.returncode == 1 and result.stderr.startswith('error: {}: expected a vocabulary'.format(checkout / 'v'))
