"""Variables of make: a value reaches the program as it was written, and a name that nothing reads is told."""

import os
import re
import subprocess

import pytest

from make_checkout import Checkout
from make_checkout import makefile
from make_checkout import targets
from make_checkout import user_variables

# The variables whose value is one word, with a target that uses them.
ONE_WORD = [('CORPUS', 'vocab'), ('VOCAB', 'vocab'), ('DATA', 'train-full'), ('OUT', 'train-full'),
            ('GIN', 'train-perf'), ('CKPT', 'eval'), ('PORT', 'tb'), ('INIT', 'fill-mask'), ('TEXT', 'fill-mask'),
            ('CANDIDATES', 'fill-mask'), ('INPUT', 'embed'), ('OUTPUT', 'embed'), ('DATA', 'report')]
HOSTILE = '$(shell touch pwned)`touch pwned`; touch pwned #a$b $$ ${HOME}* ~ a\\b "'
# Several words, their quotes, and what the program is to get.
WORDS = ("--first  '--second=a $(shell touch pwned)`touch pwned`*' \"--third=b's; touch pwned\" "
         '--last=$(touch${IFS}pwned)*;~',
         ['--first', '--second=a $(shell touch pwned)`touch pwned`*', "--third=b's; touch pwned",
          '--last=$(touch${IFS}pwned)*;~'])


@pytest.fixture
def checkout(tmp_path):
  return Checkout(tmp_path / 'checkout')


def test_no_value_reaches_a_recipe_unquoted():
  listed = re.search(r'^variables := (.*)$', makefile(), re.MULTILINE).group(1).split()
  assert sorted(listed) == user_variables()
  for line in makefile().splitlines():
    if line.startswith(('\t', '@', '  -', '$(call say')) and not line.startswith('\t  '):
      bare = re.sub(r'\$\(call (quote|with),([^()]|\([^()]*\))*\)', '', line).replace('$(filter-out 0,$(FORCE))', '')
      assert not [name for name in listed if '$({})'.format(name) in bare], line


@pytest.mark.parametrize('bindings', [
    "pretrain.num_train_steps=100; SessionOptions.device='cpu'",
    'a.b = "double \'and\' single"; c.d = [1, 2, 3]',
    "a.b = {'k': (1, 'x;y')}; c.d = @e.f()",
    'a.b = %MACRO # not a comment; $HOME $(HOME) $$ `date` \\n * ~ & | < > ! 中文',
])
@pytest.mark.parametrize('given', ['command line', 'environment'])
def test_bindings_pass_through_make_unharmed(checkout, bindings, given):
  checkout.write('data/records/dataset.json', '')
  if given == 'command line':
    checkout.make('train-full', 'SET=' + bindings)
  else:
    checkout.make('train-full', SET=bindings)
  with open(checkout.calls_file, encoding='utf-8') as source:
    assert '<--gin_param= {}>'.format(bindings) in source.read()


def test_lines_of_bindings_are_separated(checkout):
  checkout.write('data/records/dataset.json', '')
  checkout.make('train-full', 'SET=a.b=1\nc.d=2')
  assert '--gin_param= a.b=1;c.d=2' in checkout.calls()[0]


def test_a_path_with_quotes_and_spaces_is_one_word(checkout):
  checkout.make('data', "CORPUS=my 'own' text.txt", 'VOCAB=my vocab.txt', 'DATA=my data')
  vocab, data = checkout.calls()
  assert vocab == ['tools.build_vocab', "--input_files=my 'own' text.txt", '--output_file=my vocab.txt']
  assert data == ['tools.create_pretraining_data', "--input_files=my 'own' text.txt", '--output_dir=my data',
                  '--vocab_file=my vocab.txt']


@pytest.mark.parametrize('name', ['CORUPS', 'corpus', 'NUM_TRAIN_STEPS', 'CUDA_VISIBLE_DEVICES'])
def test_a_variable_that_nothing_reads_is_refused_on_the_command_line(checkout, name):
  said = checkout.make('data', name + '=0', 'OUT=run', code=2)
  assert 'CORPUS' in said and 'found {}; correct the name'.format(name) in said and name + '=... make' in said
  assert said.count('\n') == 1 and checkout.calls() == []
  checkout.make('data', **{name: '0'})


@pytest.mark.parametrize('words', [['export', 'INIT=out'], ['train-full', 'CKPT=out'], ['data', 'OUT=run'],
                                   ['train-full', 'DATA=there', 'CORPUS=mine.txt'], ['train-full', 'FORCE=1'],
                                   ['predict', 'TASK=pair'], ['tb', 'RANKS=2', 'PORT=1']])
def test_a_variable_that_the_target_does_not_read_is_told_on_the_command_line(checkout, words):
  said = checkout.make(*words)
  name = words[-1 if words[0] != 'tb' else 1].split('=')[0]
  assert 'warning: make {} does not read {}, but '.format(words[0], name) in said
  assert checkout.calls()


def test_the_table_of_who_reads_what_is_that_of_the_recipes(checkout):
  marked = {name: '{0}=<{0}>'.format(name) for name in user_variables() if name not in ('FORCE', 'LABELLED')}
  table = checkout.make('-f', 'Makefile', '-f', checkout.write('table.mk', '$(foreach name,$(variables),$(info '
                        '$(name) $(readers_$(name))))\nnothing: ;@:\n'), 'nothing', MAKELEVEL='1')
  readers = {line.split()[0]: set(line.split()[1:]) for line in table.splitlines()}
  checkout.write('<VOCAB>', '')  # bench-data takes one that is there
  for target in targets():
    # Again without DATA, as CORPUS makes what no DATA names, and without INIT, as OUT is then what answers.
    recipes = ''.join(checkout.make('-n', target, *[
        text for name, text in marked.items() if name != left_out and (target, name) != ('finetune', 'RANKS')],
                                    MAKELEVEL='1') for left_out in ('', 'DATA', 'INIT'))
    read = {name for name in marked if '<{}>'.format(name) in recipes}
    assert read - {'PYTHON'} == {name for name in marked if target in readers[name]} - {'PYTHON'}, target


def test_what_another_make_hands_down_is_not_refused(checkout):
  checkout.write('outer.mk', 'all:\n\t$(MAKE) -f Makefile data\n')
  checkout.make('-f', 'outer.mk', 'PREFIX=/usr')
  assert 'tools.create_pretraining_data' in [call[0] for call in checkout.calls()]
  checkout.make('env', 'CONDA=0')


def make_with(checkout, given, name, value, target):
  """Gives make a variable, on its command line or in its environment."""
  if given == 'command line':
    checkout.make(target, '{}={}'.format(name, value))
  else:
    checkout.make(target, **{name: value})
  assert not os.path.exists(os.path.join(checkout.folder, 'pwned'))


@pytest.mark.parametrize('name, target', ONE_WORD)
@pytest.mark.parametrize('given', ['command line', 'environment'])
@pytest.mark.parametrize('value', [HOSTILE, HOSTILE + "'; touch pwned; '"])
def test_a_value_reaches_the_program_as_it_was_written(checkout, given, name, target, value):
  make_with(checkout, given, name, value, target)
  assert any(word.split('=', 1)[-1] == value for call in checkout.calls() for word in call)


@pytest.mark.parametrize('name, target', [('DATA_ARGS', 'data'), ('ARGS', 'train-full'), ('BENCH_ARGS', 'bench-input'),
                                          ('TEST_ARGS', 'test-unit'), ('ARGS', 'bench')])
@pytest.mark.parametrize('given', ['command line', 'environment'])
def test_words_are_divided_at_blanks_outside_quotes_and_nothing_else_happens(checkout, given, name, target):
  make_with(checkout, given, name, WORDS[0], target)
  assert checkout.calls()[-1][-4:] == WORDS[1]


def test_an_open_quote_and_a_value_of_several_lines_are_one_line(checkout):
  assert "error: ARGS: expected every quote to be closed, found one that is not in: --x='a" in checkout.make(
      'train-full', "ARGS=--x='a", 'DATA=elsewhere', code=2)
  assert 'CORPUS: expected one line, found several' in checkout.make('data', 'CORPUS=a\nb', code=2)
  assert checkout.calls() == []


def test_what_make_says_may_go_unread(checkout):
  closed, end = os.pipe()
  os.close(closed)
  done = subprocess.run(['make', '--no-print-directory', 'data'], cwd=checkout.folder, env=checkout.environment({}),
                        stdout=end, stderr=subprocess.PIPE)
  os.close(end)
  assert done.returncode == 0, done.stderr
  with open('/dev/full', 'w') as full:
    done = subprocess.run(['make', '--no-print-directory', 'data', 'FORCE=1'], cwd=checkout.folder, stdout=full,
                          env=checkout.environment({}), stderr=subprocess.PIPE)
  assert done.returncode == 0, done.stderr
  assert len(checkout.calls()) == 3
