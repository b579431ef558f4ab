"""Two ranks of this machine through Horovod. Skipped where it is not built: `make test-horovod` builds it."""

import glob
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import RANKS_LOST_EXIT_CODE
from albert.common.files import ROOT
from albert.training import stopping

import synthetic_data

pytestmark = [pytest.mark.integration, pytest.mark.skipif(
    importlib.util.find_spec('horovod') is None, reason='Horovod is not built: make env-horovod')]

SMALL = {'AlbertConfig.embedding_size': 6, 'AlbertConfig.hidden_size': 8, 'AlbertConfig.num_hidden_layers': 2,
         'AlbertConfig.num_attention_heads': 2, 'AlbertConfig.intermediate_size': 12,
         'OptimizerOptions.learning_rate': 0.01, 'OptimizerOptions.num_warmup_steps': 2,
         'pretrain.train_batch_size': 8, 'pretrain.eval_batch_size': 3, 'pretrain.log_every_steps': 1}
SECONDS = 600.0


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  return synthetic_data.write_lengths(synthetic_data.write_dataset(
      str(tmp_path_factory.mktemp('data')), (50, 31), max_seq_length=48, longest=24)).folder


def start(data, out, ranks, **bindings):
  """Starts training on that number of ranks; bindings: of gin, and flags_of_rank_1. Returns the subprocess.Popen."""
  other = bindings.pop('flags_of_rank_1', None)
  program = 'another_rank' if other else 'albert.run_pretraining'
  values = dict(SMALL, **{name.replace('__', '.'): value for name, value in bindings.items()})
  words = [program, '--input_file=' + data, '--output_dir=' + str(out), '--gin_param=' + ';'.join(
      '{}={!r}'.format(*item) for item in sorted(values.items()))]
  words = words if ranks == 1 else ['tools.launch', '--ranks={}'.format(ranks), '--'] + words
  path = os.pathsep.join([ROOT, os.path.join(ROOT, 'test', 'support')])
  return subprocess.Popen([sys.executable, '-W', 'ignore', '-m'] + words, cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True,
                          env=dict(os.environ, PYTHONPATH=path, FLAGS_OF_RANK_1=other or ''))


def run(*arguments, code=0, **bindings):
  """Trains to the end. Returns the lines that it printed."""
  process = start(*arguments, **bindings)
  output, _ = process.communicate(timeout=SECONDS)
  assert process.returncode == code, output
  return output.splitlines()


def wait_for(process, text):
  """Reads lines until one holds the text. Returns the lines."""
  lines = []
  for line in process.stdout:
    lines.append(line)
    if text in line:
      return lines
  raise AssertionError(''.join(lines))


def errors_of(lines):
  assert not any('Traceback' in line for line in lines), lines
  return [line for line in lines if line.startswith('error: ')]


def check_equal(folder, other, step):
  """Two runs have the same figures and weights, within rounding, and are at the same place in the data."""
  for name in ('loss_history.tsv', 'heldout_history.tsv'):
    one, two = [np.loadtxt(str(run / name), skiprows=1) for run in (folder, other)]
    np.testing.assert_allclose(one, two, rtol=2e-6, err_msg=name)
  one, two = [tf.train.load_checkpoint(str(run / 'model.ckpt-{}'.format(step))) for run in (folder, other)]
  for name in one.get_variable_to_shape_map():
    np.testing.assert_allclose(one.get_tensor(name), two.get_tensor(name), rtol=1e-3, atol=1e-6, err_msg=name)
  manifests = [json.load(open(glob.glob(str(run / 'model.ckpt-{}*json'.format(step)))[0])) for run in (folder, other)]
  assert manifests[0]['data_position'] == manifests[1]['data_position']


def test_two_ranks_equal_one_and_one_goes_on_exactly_where_two_were(data, tmp_path):
  """With packed rows, and on two ranks in micro-batches."""
  same = dict(InputOptions__packing=True, pretrain__num_train_steps=6, pretrain__save_checkpoints_steps=3)
  run(data, tmp_path / 'one', 1, SessionOptions__cpu_towers=1, **same)
  lines = run(data, tmp_path / 'two', 2, pretrain__micro_batch_size=2, **same)
  assert any('rank=0/2 (Horovod)' in line for line in lines)
  assert any('step = 2 ranks x 4 sequences x 48 tokens = 384 tokens' in line for line in lines)
  check_equal(tmp_path / 'one', tmp_path / 'two', 6)

  for path in glob.glob(str(tmp_path / 'two' / 'model.ckpt-6.*')):
    os.remove(path)
  lines = run(data, tmp_path / 'two', 1, pretrain__allow_changes=['ranks'], **same)
  assert any('from step 3 on ranks is 1, it was 2' in line for line in lines)
  check_equal(tmp_path / 'one', tmp_path / 'two', 6)


def test_two_ranks_go_through_phases_as_one(data, tmp_path):
  """Fewer layers, then another batch and packed rows; each phase ends between two checkpoints."""
  same = dict(pretrain__num_train_steps=8, pretrain__save_checkpoints_steps=3, pretrain__phases=[
      {'share': 0.5, 'num_hidden_layers': 1}, {'share': 0.5, 'train_batch_size': 4, 'packing': True}])
  run(data, tmp_path / 'one', 1, SessionOptions__cpu_towers=1, **same)
  lines = run(data, tmp_path / 'two', 2, **same)
  assert any('phase 2 of 2' in line for line in lines)
  check_equal(tmp_path / 'one', tmp_path / 'two', 8)
  assert [int(step) for step in np.loadtxt(str(tmp_path / 'two' / 'heldout_history.tsv'), skiprows=1)[:, 0]] == [
      3, 4, 6, 8]


def test_a_rank_that_dies_ends_all_and_another_number_of_ranks_goes_on(data, tmp_path):
  endless = dict(pretrain__num_train_steps=10**6, pretrain__save_checkpoints_steps=5, pretrain__log_every_steps=5)
  process = start(data, tmp_path, 2, **endless)
  wait_for(process, 'held-out at step 5:')
  rank = next(int(pid) for pid in os.listdir('/proc') if pid.isdigit() and _is_rank(pid, process.pid, 1))
  killed = time.time()
  os.kill(rank, signal.SIGKILL)
  rest, _ = process.communicate(timeout=60)
  assert process.returncode == RANKS_LOST_EXIT_CODE and time.time() - killed < 60
  errors = [line for line in rest.splitlines() if line.startswith('error: ')]
  assert errors[-1].startswith('error: expected ranks that run to their end, found rank 1 ended by SIGKILL'), rest
  assert 'Traceback' not in rest and len(errors) <= 2, rest

  line, = [line for line in run(data, tmp_path, 1, code=1, **endless) if line.startswith('error: ')]
  assert 'found ranks 2 (here: 1)' in line and "pretrain.allow_changes=['ranks']" in line

  process = start(data, tmp_path, 1, pretrain__allow_changes=['ranks'], **endless)
  lines = wait_for(process, ' sequences x ')
  assert 'step = 1 rank x 8 sequences' in lines[-1] and 'from step 0 to' not in lines[-1]
  process.send_signal(signal.SIGTERM)
  process.communicate(timeout=SECONDS)
  assert process.returncode == stopping.EXIT_CODE


def _is_rank(pid, launcher, number):
  """Whether a process is that rank of a launcher."""
  try:
    with open('/proc/{}/stat'.format(pid)) as source:
      parent = int(source.read().rsplit(')', 1)[1].split()[1])
    with open('/proc/{}/environ'.format(pid)) as source:
      return parent == launcher and 'HOROVOD_RANK={}'.format(number) in source.read().split('\0')
  except OSError:  # it has ended
    return False


def test_a_signal_stops_both_after_the_same_step_and_is_answered_with_the_code_of_one(data, tmp_path):
  endless = dict(pretrain__num_train_steps=10**6, pretrain__save_checkpoints_steps=10**6)
  process = start(data, tmp_path, 2, **endless)
  wait_for(process, 'step 3/')
  process.send_signal(signal.SIGTERM)
  rest, _ = process.communicate(timeout=SECONDS)
  assert process.returncode == stopping.EXIT_CODE, rest
  assert 'Traceback' not in rest and 'the same command goes on from there' in rest


def test_a_batch_that_ranks_do_not_divide_is_one_line(data, tmp_path):
  lines = run(data, tmp_path / 'out', 2, code=1, pretrain__train_batch_size=9)
  assert errors_of(lines) == [
      'error: pretrain.train_batch_size: expected a multiple of 2 ranks, which divide each batch, found 9; change it '
      'or the number of ranks']
  assert not (tmp_path / 'out').exists()


def test_fewer_records_than_ranks_is_one_line(tmp_path):
  small = synthetic_data.write_dataset(str(tmp_path / 'data'), (1,))
  error, = errors_of(run(small.folder, tmp_path / 'out', 2, code=1))
  assert 'expected at least one training record for each of 2 ranks, found 1; use more text' in error


@pytest.mark.parametrize('what', ['options', 'data'])
def test_ranks_with_other_options_or_data_are_told_which(data, tmp_path, what):
  other, names = '--learning_rate=0.5', 'OptimizerOptions.learning_rate (here '
  if what == 'data':
    other = '--input_file=' + synthetic_data.write_dataset(
        str(tmp_path / 'other'), (50, 30), max_seq_length=48, longest=24).folder
    names = 'data_set (here '
  lines = run(data, tmp_path / 'out', 2, code=1, pretrain__num_train_steps=4, flags_of_rank_1=other)
  errors = errors_of(lines)
  assert errors and all('expected the same data and options on all 2 ranks, found others for ' in line
                        and names in line for line in errors), lines
  assert not glob.glob(str(tmp_path / 'out' / 'model.ckpt*'))


def test_two_launchers_at_once_are_one_line_and_the_first_one_goes_on(data, tmp_path):
  endless = dict(pretrain__num_train_steps=10**6, pretrain__save_checkpoints_steps=10**6)
  first = start(data, tmp_path, 2, **endless)
  wait_for(first, 'step 1/')
  error, = errors_of(run(data, tmp_path, 2, code=1, **endless))
  assert 'expected a folder that no other run writes, found that process ' in error
  first.send_signal(signal.SIGTERM)
  first.communicate(timeout=SECONDS)
  assert first.returncode == stopping.EXIT_CODE
