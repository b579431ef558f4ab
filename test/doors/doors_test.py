"""The doors, as a person opens them: make and the original release's scripts, a few steps on the sample corpus."""

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from albert.common.files import ROOT

pytestmark = pytest.mark.integration

CASE = 'Albert_ID0632_for_TensorFlow_bs{}_1p_{}'
# A model that takes a second, on records that do.
TINY = ('AlbertConfig.hidden_size=32; AlbertConfig.num_hidden_layers=1; AlbertConfig.num_attention_heads=2; '
        'AlbertConfig.intermediate_size=64; AlbertConfig.embedding_size=16; pretrain.max_eval_steps=3')
DATA_ARGS = '--max_seq_length=64 --max_predictions_per_seq=8 --dupe_factor=1 --short_seq_prob=0.1'
# What a make around these tests would hand down to the make inside them.
HANDED_DOWN = ('MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'MAKEOVERRIDES', 'CORPUS', 'VOCAB', 'DATA', 'OUT', 'GIN', 'SET',
               'DATA_ARGS', 'ARGS', 'TEST_ARGS', 'CKPT', 'PORT', 'FORCE', 'PYTHON', 'ASCEND_DEVICE_ID', 'RANK_SIZE',
               'RANKS')


def run(words, cwd, code=0, **environment):
  """Runs a command. Returns the lines that it printed."""
  kept = {name: value for name, value in os.environ.items() if name not in HANDED_DOWN}
  done = subprocess.run(words, cwd=str(cwd), env=dict(kept, **environment), stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT)
  assert done.returncode == code, done.stdout.decode()
  return done.stdout.decode().splitlines()


def make(checkout, *words, **options):
  return run(['make', '--no-print-directory'] + list(words), cwd=checkout, **options)


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
  """Path of a copy of this repository with small records of the sample corpus in data/records."""
  folder = tmp_path_factory.mktemp('doors') / 'checkout'
  for name in ('albert', 'tools', 'gin'):
    # Text, vocabulary and records that someone put into albert/ stay where they are.
    shutil.copytree(os.path.join(ROOT, name), str(folder / name),
                    ignore=shutil.ignore_patterns('__pycache__', 'data', 'vocab.txt'))
  for name in ('data', 'test'):
    (folder / name).mkdir()
  for name in ('Makefile', 'requirements.txt', 'data/sample_zh.txt', 'test/train_on_cards.sh',
               'test/train_full_1p.sh', 'test/train_full_8p.sh', 'test/train_performance_1p.sh'):
    shutil.copy(os.path.join(ROOT, name), str(folder / name))
  _lend_environment(folder)
  make(folder, 'data', 'DATA_ARGS=' + DATA_ARGS)
  return folder


def _lend_environment(folder):
  """Gives the copy a .venv that runs the Python of this test."""
  (folder / '.venv' / 'bin').mkdir(parents=True)
  python = folder / '.venv' / 'bin' / 'python'
  python.write_text('#!/usr/bin/env bash\nexec {} "$@"\n'.format(sys.executable))
  python.chmod(0o755)
  digest = hashlib.sha256((folder / 'requirements.txt').read_bytes()).hexdigest()
  (folder / '.venv' / 'complete').write_text('{}\nplain\tpython\t/prefix\t3.7\nPython 3.7\n'.format(digest))


def _edit(script, **values):
  """Sets the variables at the top of a script, as a person would in an editor."""
  text = script.read_text()
  for name, value in values.items():
    text, count = re.subn(r'(?m)^{}=.*$'.format(name), '{}={}'.format(name, value), text)
    assert count == 1
  script.write_text(text)


def _figures(path):
  """The `Key = value` lines of a log, in order."""
  return dict(line.split(' = ') for line in path.read_text().splitlines())


def _check_output(folder, lines, case, steps, batch_size):
  figures = _figures(folder / (case + '.log'))
  assert list(figures) == ['Network', 'RankSize', 'BatchSize', 'DeviceType', 'CaseName', 'ActualFPS', 'TrainingTime',
                           'ActualLoss', 'E2ETrainingTime', 'TrainAccuracy']
  assert figures['Network'] == 'Albert_ID0632_for_TensorFlow'
  assert figures['RankSize'] == '1'
  assert figures['BatchSize'] == str(batch_size)
  assert figures['DeviceType'] == platform.machine()
  assert figures['CaseName'] == case
  results = json.loads((folder / case / 'results.json').read_text())
  assert results['global_step'] == steps
  assert float(figures['ActualFPS']) == pytest.approx(results['examples_per_second'], abs=1e-3)
  assert float(figures['TrainingTime']) == pytest.approx(batch_size / float(figures['ActualFPS']), rel=1e-3)
  losses = (folder / 'train_{}_loss.txt'.format(case)).read_text().splitlines()
  assert float(losses[-1]) == float(figures['ActualLoss']) == pytest.approx(results['train']['total_loss'], abs=1e-5)
  assert float(figures['TrainAccuracy']) == pytest.approx(results['heldout']['masked_lm_accuracy'], abs=1e-5)
  assert int(figures['E2ETrainingTime']) >= 1
  assert lines[-3:] == ['Final Training Duration sec : ' + figures['E2ETrainingTime'],
                        'Final Performance images/sec : ' + figures['ActualFPS'],
                        'Final Train Accuracy : ' + figures['TrainAccuracy']]


def test_train_full_with_edited_variables_from_another_folder(checkout, tmp_path):
  script = checkout / 'test' / 'edited.sh'
  shutil.copy(str(checkout / 'test' / 'train_full_1p.sh'), str(script))
  _edit(script, batch_size=4, train_steps=3, learning_rate='2e-3', data_path='"{}"'.format(checkout / 'data/records'))
  lines = run(['bash', str(script), '--gin_param=' + TINY, '--num_warmup_steps=1'], cwd=tmp_path, ASCEND_DEVICE_ID='5')
  output = checkout / 'test' / 'output' / '5'
  case = CASE.format(4, 'acc')
  _check_output(output, lines, case, steps=3, batch_size=4)
  assert any('step 3/3' in line for line in (output / 'train_5.log').read_text().splitlines())
  config, = (output / case).glob('operative_config*.gin')
  text = config.read_text()
  assert 'OptimizerOptions.learning_rate = 0.002' in text
  assert 'OptimizerOptions.num_warmup_steps = 1' in text
  assert 'pretrain.train_batch_size = 4' in text


def test_a_performance_run_of_ten_steps_prints_a_figure(checkout):
  # As published, except that the model and the batch fit a test. data_path is relative and has data/ in it.
  (checkout / 'given').mkdir()
  (checkout / 'given' / 'data').symlink_to(checkout / 'data' / 'records')
  lines = run(['bash', 'test/train_performance_1p.sh', '--data_path=given', '--train_batch_size=4',
               '--gin_param=' + TINY], cwd=checkout)
  _check_output(checkout / 'test' / 'output' / '0', lines, CASE.format(4, 'perf'), steps=10, batch_size=4)
  assert any(line.startswith('performance of 8 steps after 2 of warm-up') for line in lines)


def test_a_tfrecord_of_the_original_release_is_found_and_nothing_is_held_out(checkout, tmp_path):
  (tmp_path / 'data').mkdir()
  shard = sorted((checkout / 'data' / 'records').glob('train-*.tfrecord'))[0]
  shutil.copy(str(shard), str(tmp_path / 'data' / 'tf_news_2016_zh_raw_news2016zh_1.tfrecord'))
  lines = run(['bash', str(checkout / 'test' / 'train_full_1p.sh'), '--data_path=.', '--batch_size=2',
               '--train_steps=1', '--gin_param=' + TINY], cwd=tmp_path)
  assert lines[-1] == 'Final Train Accuracy : none'
  assert _figures(checkout / 'test/output/0' / (CASE.format(2, 'acc') + '.log'))['TrainAccuracy'] == 'none'


@pytest.mark.parametrize('script', ['train_full_1p.sh', 'train_performance_1p.sh'])
@pytest.mark.parametrize('words, message', [
    ([], 'error: expected --data_path=FOLDER'),
    (['--data_path=nowhere'], 'error: --data_path=nowhere: expected dataset.json'),
    (['--data_path', 'data/records'], 'error: expected --flag=value, found "data/records"'),
])
def test_bad_arguments_are_one_line(checkout, script, words, message):
  words = [word for word in words if word != '--data_path']
  line, = run(['bash', 'test/' + script] + words, cwd=checkout, code=1)
  assert line.startswith(message)


def test_a_failing_run_fails_the_script(checkout):
  output = checkout / 'test' / 'output' / '0'
  output.mkdir(parents=True, exist_ok=True)
  figures = [output / (CASE.format(32, 'acc') + '.log'), output / 'train_{}_loss.txt'.format(CASE.format(32, 'acc'))]
  for path in figures:
    path.write_text('of an earlier run')
  lines = run(['bash', 'test/train_full_1p.sh', '--data_path=data/records', '--no_such_flag=1'], cwd=checkout, code=1)
  assert lines[-1].startswith('error: ') and 'no_such_flag' in lines[-1]
  assert not any(path.exists() for path in figures)
  assert len(lines) == 1


@pytest.fixture
def two_cards(tmp_path):
  """The environment of a server with two cards and the stand-in for npu_bridge of the newest release."""
  support = os.path.join(ROOT, 'test', 'support')
  devices = [{'device_id': r, 'device_ip': '192.0.2.' + r, 'rank_id': r} for r in '01']
  table = {'status': 'completed', 'version': '1.0', 'server_count': '1',
           'server_list': [{'server_id': '192.0.2.100', 'device': devices}]}
  (tmp_path / 'rank_table.json').write_text(json.dumps(table))
  (tmp_path / 'world').mkdir()
  return {'RANKS': '2', 'RANK_TABLE_FILE': str(tmp_path / 'rank_table.json'),
          'NPU_STUB_RELEASE': 'r1.15.0', 'NPU_STUB_WORLD': str(tmp_path / 'world'),
          'PYTHONPATH': ':'.join([support] + [os.path.join(support, 'npu_stub', part)
                                              for part in ('cann_5_0', 'all_versions')])}


def _ranks(checkout, **values):
  """The script of eight cards with other variables at its top, and what a test adds to its command."""
  script = checkout / 'test' / 'edited_8p.sh'
  shutil.copy(str(checkout / 'test' / 'train_full_8p.sh'), str(script))
  _edit(script, data_path='data/records', **values)
  return ['bash', str(script), '--gin_param=' + TINY, '--num_warmup_steps=1']


def test_two_cards_train_one_model(checkout, two_cards):
  lines = run(_ranks(checkout, batch_size=4, train_steps=3), cwd=checkout, **two_cards)
  output, case = checkout / 'test' / 'output', 'Albert_ID0632_for_TensorFlow_bs4_2p_acc'
  figures = _figures(output / '0' / (case + '.log'))
  assert (figures['RankSize'], figures['BatchSize'], figures['CaseName']) == ('2', '4', case)
  assert float(figures['TrainingTime']) == pytest.approx(2 * 4 / float(figures['ActualFPS']), rel=1e-3)
  assert lines[-3:] == ['Final Training Duration sec : ' + figures['E2ETrainingTime'],
                        'Final Performance images/sec : ' + figures['ActualFPS'],
                        'Final Train Accuracy : ' + figures['TrainAccuracy']]
  assert any('step = 2 rank(s) x 4 sequences x 64 tokens' in line for line in lines)
  for rank in '01':
    log = (output / rank / 'train_{}.log'.format(rank)).read_text()
    assert 'rank={}/2'.format(rank) in log and 'step 3/3' in log
  assert json.loads((output / '0' / case / 'results.json').read_text())['global_step'] == 3
  assert not (output / '1' / case).exists()


def test_two_cards_that_are_told_to_stop_save_and_end_after_the_same_step(checkout, two_cards):
  words = _ranks(checkout, batch_size=2, train_steps=100000)
  environ = {name: value for name, value in os.environ.items() if name not in HANDED_DOWN}
  script = subprocess.Popen(words, cwd=str(checkout), env=dict(environ, **two_cards), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)
  for line in script.stdout:
    if b'step 1/' in line:
      script.send_signal(signal.SIGTERM)
      break
  rest = script.stdout.read().decode()
  assert script.wait() == 75, rest
  step, = re.findall(r'stopped at step ([0-9,]+) of 100,000', rest)
  run_dir = checkout / 'test' / 'output' / '0' / 'Albert_ID0632_for_TensorFlow_bs2_2p_acc'
  assert (run_dir / 'model.ckpt-{}.manifest.json'.format(step.replace(',', ''))).exists()


def test_two_cards_without_a_table_or_with_a_second_launcher_are_one_line(checkout, two_cards):
  words = _ranks(checkout, batch_size=4, train_steps=2)
  lines = run(words, cwd=checkout, code=1, **dict(two_cards, RANK_TABLE_FILE='none.json'))
  assert len(lines) == 1 and lines[0].startswith('error: RANK_TABLE_FILE=none.json: expected the path of a rank table')
  lines = run(words, cwd=checkout, code=1, **dict(two_cards, RANKS='two'))
  assert lines == ['error: RANKS=two: expected the number of cards; RANKS=8, say']
  lines = run(words, cwd=checkout, code=1, CM_CHIEF_IP='192.0.2.1', **two_cards)
  assert any(line.startswith('error: CM_CHIEF_IP=192.0.2.1: expected the ranks in RANK_TABLE_FILE') for line in lines)
  assert any(line.startswith('a rank ended with 1, the others are ended') for line in lines)


def test_make_trains_continues_evaluates_and_says_what_it_found(checkout):
  settings = 'SET={}; pretrain.train_batch_size=4; pretrain.num_train_steps=3'.format(TINY)
  trained = make(checkout, 'train-full', 'OUT=run', settings)
  assert any('held-out at step 3' in line for line in trained)
  again = make(checkout, 'train-full', 'OUT=run', settings)
  assert any('nothing to do' in line for line in again)
  evaluated = make(checkout, 'eval', 'OUT=run')  # the architecture is the run's own
  assert any('held-out at step 3' in line for line in evaluated)
  said = make(checkout, 'data', 'DATA_ARGS=' + DATA_ARGS)
  assert any('vocab: found' in line for line in said)
  assert any('nothing to do' in line for line in said)


def test_create_pretrain_data_reads_the_sample_or_what_lies_in_its_folders(checkout, tmp_path):
  script = ['bash', str(checkout / 'albert' / 'create_pretrain_data.sh')] + DATA_ARGS.split()
  lines = run(script, cwd=tmp_path, DATA=str(tmp_path / 'records'))
  assert any(line.endswith('data/sample_zh.txt') for line in lines)
  assert (tmp_path / 'records' / 'dataset.json').exists()

  (checkout / 'albert' / 'data').mkdir()
  documents = (checkout / 'data/sample_zh.txt').read_text(encoding='utf-8').split('\n\n')[:9]
  (checkout / 'albert/data/news_zh_1.txt').write_text('\n\n'.join(documents) + '\n', encoding='utf-8')
  characters = sorted(set(''.join(documents)) - set(' \n'))
  (checkout / 'albert/albert_config/vocab.txt').write_text(
      '\n'.join(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + characters) + '\n', encoding='utf-8')
  lines = run(script, cwd=tmp_path)
  assert any(line.endswith('albert/data/news_zh_1.txt') for line in lines)
  info = json.loads((checkout / 'albert/data/dataset.json').read_text())
  assert info['vocab_size'] == 5 + len(characters)
  assert (checkout / 'albert/data/tf_news_2016_zh_raw_news2016zh_1.tfrecord').exists()


def test_train_perf_leaves_full_runs_alone(checkout):
  settings = 'SET={}; pretrain.train_batch_size=4; pretrain.num_train_steps=3'.format(TINY)
  lines = make(checkout, 'train-perf', settings)
  assert any(line.startswith('performance of 1 step after 2 of warm-up') for line in lines)
  assert os.listdir(str(checkout / 'out')) == ['perf']
  assert json.loads((checkout / 'out/perf/performance.json').read_text())['examples_per_second'] > 0


def test_tensorboard_starts_and_answers(checkout):
  with socket.socket() as free:
    free.bind(('', 0))
    port = free.getsockname()[1]
  server = subprocess.Popen(['make', 'tb', 'PORT={}'.format(port)], cwd=str(checkout), stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, preexec_fn=os.setsid)
  try:
    assert b'TensorBoard' in _answer('http://localhost:{}/'.format(port))
  finally:
    os.killpg(server.pid, signal.SIGTERM)
    server.wait()


def _answer(address):
  """What a server that is just starting answers."""
  for _ in range(120):
    try:
      with urllib.request.urlopen(address) as page:
        return page.read()
    except OSError:
      time.sleep(0.5)
  raise AssertionError('no answer from ' + address)
