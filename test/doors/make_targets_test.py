"""The targets of the Makefile: which programs they run, in which order, with which arguments."""

import os
import re
import shutil

import pytest

from albert.common.files import ROOT
from make_checkout import Checkout
from make_checkout import targets
from make_checkout import user_variables


@pytest.fixture
def checkout(tmp_path):
  return Checkout(tmp_path / 'checkout')


def test_help_is_the_default_and_lists_every_target_and_variable(checkout):
  text = checkout.make()
  assert text == checkout.make('help')
  assert sorted(re.findall(r'^  make ([a-z-]+) +\S', text, re.MULTILINE)) == sorted(targets())
  assert sorted(re.findall(r'^  ([A-Z_]+) +\S', text, re.MULTILINE)) == user_variables()


def test_every_documented_target_and_variable_is_there():
  assert set(targets()) >= {'help', 'env', 'data', 'vocab', 'train-full', 'train-perf', 'eval', 'tb', 'smoke', 'test',
                            'check', 'clean'}
  assert set(user_variables()) >= {'CORPUS', 'VOCAB', 'DATA', 'OUT', 'GIN', 'SET', 'DATA_ARGS', 'CKPT', 'PORT',
                                   'PYTHON'}


def test_data_builds_the_vocabulary_once_and_says_which_corpus(checkout):
  text = checkout.make('data')
  assert 'data: corpus data/sample_zh.txt (the bundled sample;' in text
  assert [call[0] for call in checkout.calls()] == ['tools.build_vocab', 'tools.create_pretraining_data']
  assert '--input_files=data/sample_zh.txt' in checkout.calls()[1]
  assert '--output_dir=data/records' in checkout.calls()[1]
  assert 'vocab: found data/vocab.txt, 2 entries' in checkout.make('data')
  assert [call[0] for call in checkout.calls()][2:] == ['tools.create_pretraining_data']


def test_data_takes_the_news_if_they_are_there(checkout):
  checkout.write('data/news_zh_1.txt', '')
  assert 'data: corpus data/news_zh_1.txt\n' in checkout.make('data')
  assert '--input_files=data/news_zh_1.txt' in checkout.calls()[0]


def test_data_arguments_and_force_reach_the_tool(checkout):
  checkout.make('data', 'DATA_ARGS=--max_seq_length=128 --dupe_factor=5')
  assert checkout.calls()[-1][-2:] == ['--max_seq_length=128', '--dupe_factor=5']
  assert '--force' not in checkout.calls()[-1]
  checkout.make('data', 'FORCE=1')
  assert '--force' in checkout.calls()[-1]


def test_the_encoding_concerns_the_vocabulary_too(checkout):
  checkout.make('data', 'DATA_ARGS=--encoding gb18030 --max_seq_length=128 --errors=skip')
  check, vocab, data = checkout.calls()
  assert check[0] == 'tools.create_pretraining_data' and check[-1] == '--check_flags'
  assert vocab[0] == 'tools.build_vocab' and vocab[-2:] == ['--encoding=gb18030', '--errors=skip']
  assert data[-4:] == ['--encoding', 'gb18030', '--max_seq_length=128', '--errors=skip']


def test_the_default_data_set_is_made_for_training_but_a_named_one_is_not(checkout):
  checkout.make('train-full', 'DATA=elsewhere')
  assert [call[0] for call in checkout.calls()] == ['albert.run_pretraining']
  checkout.make('train-full')
  assert [call[0] for call in checkout.calls()][1:] == [
      'tools.build_vocab', 'tools.create_pretraining_data', 'albert.run_pretraining']
  checkout.write('data/records/dataset.json', '')
  checkout.make('train-perf')
  assert [call[0] for call in checkout.calls()][4:] == ['albert.run_pretraining']


def test_train_full_and_train_perf_have_their_own_folders(checkout):
  checkout.write('data/records/dataset.json', '')
  checkout.make('train-full', 'GIN=gin/1p.gin')
  checkout.make('train-perf')
  checkout.make('train-perf', 'OUT=there', 'GIN=gin/1p.gin', 'SET=a.b=1', 'ARGS=--train_batch_size=2')
  full, perf, given = checkout.calls()
  assert full == ['albert.run_pretraining', '--input_file=data/records', '--output_dir=out', '--gin_file=gin/1p.gin',
                  '--gin_param= ']
  assert perf[2:] == ['--output_dir=out/perf', '--gin_file=gin/perf_1p.gin', '--gin_param=pretrain.performance=True; ']
  assert given[2:] == ['--output_dir=there', '--gin_file=gin/1p.gin', '--gin_param=pretrain.performance=True; a.b=1',
                       '--train_batch_size=2']


def test_eval_takes_the_best_checkpoint_or_the_one_given(checkout):
  checkout.make('eval', 'OUT=run')
  checkout.make('eval', 'CKPT=weights/model.ckpt')
  best, given = checkout.calls()
  assert best[:5] == ['albert.run_pretraining', '--nodo_train', '--do_eval', '--input_file=data/records',
                      '--output_dir=run']
  assert '--init_checkpoint=' in best
  assert '--init_checkpoint=weights/model.ckpt' in given


def test_weights_to_start_from_are_for_full_training_only(checkout):
  checkout.write('data/records/dataset.json', '')
  checkout.make('train-full', "INIT=my 'own' weights", 'ARGS=--train_batch_size=2')
  checkout.make('smoke', INIT='weights')
  full, smoke = [call for call in checkout.calls() if call[0] == 'albert.run_pretraining']
  assert full[-2:] == ["--init_checkpoint=my 'own' weights", '--train_batch_size=2']
  assert not [word for word in smoke if 'init_checkpoint' in word]


def test_finetuning_takes_what_was_given_and_no_default_of_pretraining(checkout):
  checkout.make('finetune', 'TASK=tnews')
  checkout.make('finetune', 'TASK=tag', 'DATA=my data', 'INIT=run/best', 'OUT=tagged', 'VOCAB=vocab.txt', 'GIN=my.gin',
                'SET=finetune.crf=True', 'ARGS=--gin_file=more.gin')
  bare, full = checkout.calls()
  assert bare == ['albert.run_finetuning', '--task=tnews', '--data_dir=', '--init=', '--output_dir=', '--vocab_file=',
                  '--gin_param=']
  assert full == ['albert.run_finetuning', '--task=tag', '--data_dir=my data', '--init=run/best', '--output_dir=tagged',
                  '--vocab_file=vocab.txt', '--gin_file=my.gin', '--gin_param=finetune.crf=True',
                  '--gin_file=more.gin']


def test_export_takes_the_best_checkpoint_or_the_newest_or_the_one_given(checkout):
  checkout.make('export', 'OUT=run')
  checkout.write('run/best/best.json', '')
  checkout.make('export', 'OUT=run', 'ARGS=--format=pb --task=sentence_order')
  checkout.make('export', 'CKPT=my weights/model.ckpt', 'EXPORT=my export')
  newest, best, given = checkout.calls()
  assert newest == ['tools.checkpoints', 'export', 'run', 'run/export']
  assert best == ['tools.checkpoints', 'export', 'run/best', 'run/export', '--format=pb', '--task=sentence_order']
  assert given == ['tools.checkpoints', 'export', 'my weights/model.ckpt', 'my export']


def test_conversion_takes_the_best_checkpoint_or_the_one_given(checkout):
  checkout.make('to-hf', 'OUT=run')
  checkout.write("it's mine/best/best.json", '{}')
  checkout.make('to-hf', "OUT=it's mine", 'HF=my folder')
  checkout.make('to-hf', 'CKPT=weights/model.ckpt', 'ARGS=--task=tag --json')
  checkout.make('from-hf', 'HF=theirs', "OUT=it's mine", 'ARGS=--hidden_act=gelu')
  assert checkout.calls() == [
      ['tools.checkpoints', 'to-hf', 'run', 'out/hf'], ['tools.checkpoints', 'to-hf', "it's mine/best", 'my folder'],
      ['tools.checkpoints', 'to-hf', 'weights/model.ckpt', 'out/hf', '--task=tag', '--json'],
      ['tools.checkpoints', 'from-hf', 'theirs', "it's mine", '--hidden_act=gelu']]


def test_what_a_model_has_learned_is_seen_of_the_run_or_of_weights_that_are_named(checkout):
  checkout.make('fill-mask', 'OUT=run', 'TEXT=首都是[MASK]京', 'CANDIDATES=北,南', 'TOP=10', 'ARGS=--json')
  checkout.make('embed', 'INIT=weights/best', 'INPUT=a.txt', 'OUTPUT=v.npy', 'POOL=cls', "SET=a.b='c'")
  checkout.make('report', 'OUT=run')
  checkout.make('report', 'OUT=run', 'DATA=there')
  filled, vectors, own, given = checkout.calls()
  assert filled == ['tools.fill_mask', '--init=run', '--text=首都是[MASK]京', '--input_file=', '--candidates=北,南',
                    '--top=10', '--gin_param=', '--json']
  assert vectors == ['tools.embed', '--init=weights/best', '--input_file=a.txt', '--output_file=v.npy', '--pool=cls',
                     "--gin_param=a.b='c'"]
  assert own == ['tools.report', '--output_dir=run'] and given == own + ['--input_file=there']


def test_tensorboard_is_for_this_machine_unless_the_command_line_says_otherwise(checkout):
  checkout.make('tb', HOST='the name that a shell has set')
  checkout.make('tb', 'PORT=7007', 'OUT=run', 'HOST=0.0.0.0')
  assert checkout.calls() == [['tools.tensorboard', '--logdir=out', '--host=localhost', '--port=6006'],
                              ['tools.tensorboard', '--logdir=run', '--host=0.0.0.0', '--port=7007']]


@pytest.mark.parametrize('target, ranks', [
    ('train-full', ''), ('train-full', '1'), ('train-full', '4'), ('train-perf', '4'), ('eval', '4')])
def test_ranks_are_started_by_the_launcher(checkout, target, ranks):
  checkout.make(target, 'DATA=elsewhere', 'RANKS=' + ranks)
  call, = checkout.calls()
  launcher = ['tools.launch', '--ranks=4', '--'] if ranks == '4' else []
  assert call[:len(launcher) + 1] == launcher + ['albert.run_pretraining']


def test_fine_tuning_says_that_it_has_one_rank(checkout):
  said = checkout.make('finetune', 'TASK=topics', 'RANKS=2', code=2)
  assert 'RANKS=2: expected one process in fine-tuning' in said and not checkout.calls()


@pytest.mark.parametrize('missing', ['c++', 'make'])
def test_without_a_compiler_env_horovod_says_what_to_install(checkout, missing):
  for name in ('requirements-horovod.txt', 'tools/env_horovod.sh'):
    shutil.copy(os.path.join(ROOT, name), os.path.join(checkout.folder, name))
  checkout.write_program('.venv/bin/python', '#!/usr/bin/env bash\n[ "$1" = -S ]\n')
  for program in ('bash', 'dirname', 'sed', 'sha256sum', 'cut', 'cmake'):
    os.makedirs(os.path.join(checkout.folder, 'bin'), exist_ok=True)
    os.symlink(shutil.which(program) or '/bin/true', os.path.join(checkout.folder, 'bin', program))
  for program in {'c++', 'make'} - {missing}:
    checkout.write_program('bin/' + program, '#!/usr/bin/env bash\n')
  said = checkout.run(['bash', os.path.join(checkout.folder, 'tools/env_horovod.sh')], code=1,
                      PATH=os.path.join(checkout.folder, 'bin'))
  assert said.startswith('error: expected a C++ compiler and make, which build Horovod, found no {}'.format(missing))
  assert said.count('\n') == 1


def test_text_that_was_named_is_compared_with_the_data_set_that_is_there(checkout):
  checkout.write('data/records/dataset.json', '{}')
  checkout.make('train-full')
  assert [call[0] for call in checkout.calls()] == ['albert.run_pretraining']
  checkout.make('train-full', 'CORPUS=mine.txt')
  assert [call[0] for call in checkout.calls()[1:]] == ['tools.build_vocab', 'tools.create_pretraining_data',
                                                       'albert.run_pretraining']


def test_what_is_given_on_the_command_line_wins_for_smoke_too(checkout):
  checkout.make('smoke', 'OUT=there', 'DATA_ARGS=--max_seq_length=64')
  assert checkout.calls()[-2][-1] == '--output_dir=there' and '--max_seq_length=64' in checkout.calls()[2]
  assert checkout.calls()[-1][1] == '--init=there'


def test_smoke_has_its_own_folders_whatever_the_environment_says(checkout):
  checkout.write('data/news_zh_1.txt', '')
  checkout.make('smoke', OUT='elsewhere', CORPUS='other.txt', DATA_ARGS='--max_seq_length=512')
  _, vocab, data, train, learned, seen = checkout.calls()
  assert vocab == ['tools.build_vocab', '--input_files=data/sample_zh.txt', '--output_file=data/smoke/vocab.txt']
  assert data[1:4] == ['--input_files=data/sample_zh.txt', '--output_dir=data/smoke/records',
                       '--vocab_file=data/smoke/vocab.txt']
  assert '--max_seq_length=128' in data
  assert train[1:4] == ['--input_file=data/smoke/records', '--output_dir=out/smoke', '--gin_file=gin/smoke.gin']
  assert learned == ['tools.check_learning', '--output_dir=out/smoke']
  assert seen == ['tools.fill_mask', '--init=out/smoke', '--heldout=data/smoke/records']


def test_make_from_another_folder(checkout, tmp_path):
  checkout.make('-C', checkout.folder, 'data', cwd=str(tmp_path))
  assert '--output_dir=data/records' in checkout.calls()[1]
  checkout.make('-f', os.path.join(checkout.folder, 'Makefile'), 'data', 'CORPUS=mine.txt', cwd=str(tmp_path))
  assert '--input_files=mine.txt' in checkout.calls()[2]  # what is given is relative to where make runs
  assert '--output_dir={}/data/records'.format(checkout.folder) in checkout.calls()[2]
  assert '--vocab_file={}/data/vocab.txt'.format(checkout.folder) in checkout.calls()[2]


def test_the_environment_is_found_and_only_env_says_so(checkout):
  assert checkout.make('env') == 'env: found .venv: Python 3.7.16 of /prefix\n'
  assert 'env:' not in checkout.make('data')


def test_a_failing_program_fails_the_target(checkout):
  checkout.write_program('.venv/bin/python', '#!/usr/bin/env bash\n[ "$1" = -S ]\n')
  checkout.make('train-full', 'DATA=elsewhere', code=2)


def test_check_and_test_run_what_they_say(checkout):
  checkout.write_program('bin/shellcheck',
                         '#!/usr/bin/env bash\n{ printf "<%s>" shellcheck "$@"; echo; } >> "$CALLS"\n')
  checkout.make('check', PATH=os.path.join(checkout.folder, 'bin') + ':' + os.environ['PATH'])
  checkout.make('test')
  ruff, shellcheck, layering, unit, integration = checkout.calls()
  assert ruff[:2] == ['ruff', 'check']
  assert shellcheck == ['shellcheck', 'ci/run.sh', 'tools/run.sh', 'tools/setup_env.sh', 'tools/vocabulary.sh',
                        'tools/with_words.sh', '.ci/run']
  workers = ['pytest', '-n', '2', '--dist', 'loadfile']
  assert layering == workers + ['test/layering_test.py', 'test/configs_test.py', 'test/model/model_sizes_test.py']
  assert unit == workers + ['-m', 'not integration']
  assert integration == workers + ['-m', 'integration']


def test_fault_tests_kill_as_often_as_asked_and_fail_when_one_does(checkout):
  program = '#!/usr/bin/env bash\n[ "$1" = -S ] && exit\necho "kills=$FAULT_KILLS $*"\nexit {}\n'
  checkout.write_program('.venv/bin/python', program.format(0))
  said = checkout.make('test-faults', FAULT_KILLS='')
  assert 'kills=50 ' in said and '-m fault' in said
  assert 'kills=3 ' in checkout.make('test-faults', FAULT_KILLS='3')
  checkout.write_program('.venv/bin/python', program.format(1))
  checkout.make('test-faults', code=2)


def test_clean_keeps_data_runs_and_the_environment(checkout):
  for name in ('out/model.ckpt-1.index', 'out/smoke/x', 'out/perf/x', 'data/smoke/x', 'data/records/x',
               'albert/__pycache__/x.pyc', '.pytest_cache/x'):
    checkout.write(name, '')
  checkout.make('clean')
  left = sorted(os.path.relpath(os.path.join(folder, name), checkout.folder)
                for folder, _, names in os.walk(checkout.folder) for name in names)
  assert left == sorted(['Makefile', 'requirements.txt', 'tools/run.sh', 'tools/setup_env.sh', 'tools/vocabulary.sh',
                         'tools/with_words.sh', 'ci/run.sh', '.ci/run', '.venv/bin/python', '.venv/complete',
                         'data/sample_zh.txt', 'out/model.ckpt-1.index', 'data/records/x'])


@pytest.mark.parametrize('java, horovod', [(True, True), (False, True), (True, False)])
def test_continuous_integration_is_check_test_smoke_then_what_is_optional(checkout, tmp_path, java, horovod):
  checkout.write_program('bin/make', '#!/usr/bin/env bash\necho "$PWD $*" >> "$CALLS"\n'
                                     '[ "$*" != env-horovod ] || exit {}\n'.format(int(not horovod)))
  if java:
    checkout.write_program('bin/java', '#!/usr/bin/env bash\n')
  for program in ('bash', 'dirname'):  # all that it needs, and no Java of this machine
    os.symlink(shutil.which(program), os.path.join(checkout.folder, 'bin', program))
  said = checkout.run(['bash', os.path.join(checkout.folder, '.ci/run')], cwd=str(tmp_path),
               PATH=os.path.join(checkout.folder, 'bin'))
  with open(checkout.calls_file) as source:
    assert source.read().splitlines() == [
        checkout.folder + ' ' + name for name in ['check', 'test', 'smoke', 'env-horovod'] + ['test-horovod'] * horovod
        + ['test-spark'] * java]
  assert ('ci: skipped make test-horovod: ' in said) == (not horovod)
  assert ('ci: skipped make test-spark: ' in said) == (not java)


def test_a_path_that_begins_with_a_dash_is_no_flag(checkout):
  """Of those that no flag names; the others are what they are."""
  checkout.make('to-hf', 'OUT=-run', 'HF=-hf')
  checkout.make('from-hf', 'OUT=-run', 'HF=-hf')
  checkout.make('export', 'CKPT=-run/best', 'EXPORT=-e', 'ARGS=--format=pb')
  checkout.make('export', 'CKPT=run/-best', 'EXPORT=e')
  assert [call[1:] for call in checkout.calls()] == [
      ['to-hf', './-run', './-hf'], ['from-hf', './-hf', './-run'], ['export', './-run/best', './-e', '--format=pb'],
      ['export', 'run/-best', 'e']]
