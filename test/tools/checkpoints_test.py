"""tools.checkpoints: inspect, diff, strip, average, and what they refuse."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.model import names
from albert.run.checkpoints import find
from tools import checkpoints

FIXTURE = os.path.join(ROOT, 'test', 'support', 'parity', 'shared_group')
LAYER = 'bert/encoder/transformer/group_0/inner_group_0/'


def small_model(kernel=1.0, step=7):
  """The names of a small ALBERT, all dimensions unequal, with slots of both kinds."""
  weights = {
      'bert/embeddings/word_embeddings': np.full([5, 2], 0.5, np.float32),
      'bert/embeddings/position_embeddings': np.full([4, 2], 0.25, np.float32),
      LAYER + 'ffn_1/intermediate/dense/kernel': np.full([3, 7], kernel, np.float32),
      'cls/predictions/output_bias': np.zeros([5], np.float32),
  }
  slots = {name + '/adam_' + kind: np.full_like(value, 9) for name, value in weights.items() for kind in 'mv'}
  return dict(weights, global_step=np.int64(step), beta1_power=np.float32(0.9), **slots)


def save(tmp_path, name, tensors):
  prefix = str(tmp_path / name / 'model.ckpt')
  checkpoints.write_checkpoint(prefix, tensors)
  return prefix


def run(*arguments):
  return subprocess.run([sys.executable, '-m', 'tools.checkpoints'] + list(arguments), cwd=ROOT,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


def test_written_checkpoint_is_restored_by_a_saver(tmp_path):
  prefix = save(tmp_path, 'a', small_model())
  with tf.Graph().as_default(), tf.Session() as session:
    bias = tf.get_variable('cls/predictions/output_bias', [5], initializer=tf.ones_initializer())
    step = tf.train.create_global_step()
    tf.train.Saver().restore(session, prefix)
    np.testing.assert_array_equal(session.run(bias), np.zeros([5]))
    assert session.run(step) == 7
  assert sorted(os.listdir(os.path.dirname(prefix))) == [
      'checkpoint', 'model.ckpt.data-00000-of-00001', 'model.ckpt.index']


def test_writing_leaves_the_checkpoint_file_of_a_run_alone(tmp_path):
  save(tmp_path, 'a', small_model())
  before = (tmp_path / 'a' / 'checkpoint').read_text()
  checkpoints.write_checkpoint(str(tmp_path / 'a' / 'average'), small_model())
  assert (tmp_path / 'a' / 'checkpoint').read_text() == before


def test_failed_write_leaves_nothing(tmp_path, monkeypatch):
  real_replace = os.replace

  def fail_at_the_index(source, target):
    if target.endswith('.index'):
      raise OSError('disk full')
    real_replace(source, target)
  monkeypatch.setattr(os, 'replace', fail_at_the_index)
  with pytest.raises(OSError):
    save(tmp_path, 'a', small_model())
  # Data without an index is no checkpoint to any reader.
  assert os.listdir(str(tmp_path / 'a')) == ['model.ckpt.data-00000-of-00001']


@pytest.mark.parametrize('suffix', ['', '.index', '.data-00000-of-00001', '.meta'])
def test_find_by_prefix_or_one_of_its_files(tmp_path, suffix):
  prefix = save(tmp_path, 'a', small_model())
  assert find(prefix + suffix) == prefix


def test_find_by_folder(tmp_path):
  prefix = save(tmp_path, 'a', small_model())
  assert find(os.path.dirname(prefix)) == prefix
  os.remove(str(tmp_path / 'a' / 'checkpoint'))  # a single checkpoint is unmistakable
  assert find(os.path.dirname(prefix)) == prefix
  checkpoints.write_checkpoint(str(tmp_path / 'a' / 'other'), small_model())
  os.remove(str(tmp_path / 'a' / 'checkpoint'))
  with pytest.raises(UserError, match='expected a TensorFlow checkpoint at'):
    find(os.path.dirname(prefix))


def test_copied_folder_means_its_own_checkpoint(tmp_path):
  prefix = save(tmp_path, 'a', small_model())
  with tf.Graph().as_default():
    tf.train.update_checkpoint_state(str(tmp_path / 'a'), prefix)  # absolute, as some programs write it
  shutil.copytree(str(tmp_path / 'a'), str(tmp_path / 'b'))
  assert find(str(tmp_path / 'b')) == str(tmp_path / 'b' / 'model.ckpt')


def test_inspect_fixture():
  summary = checkpoints.inspect(checkpoints.Checkpoint(FIXTURE))
  assert summary['family'] == names.ALBERT
  assert summary['global_step'] == 0 and summary['non_finite'] == 0
  assert summary['parameters'] == 11045
  assert summary['parts']['optimizer'] == {'variables': 64, 'parameters': 22090}
  assert summary['parts']['bert/embeddings'] == {'variables': 5, 'parameters': (211 + 2 + 40 + 2) * 16}


def test_inspect_counts_non_finite_values(tmp_path):
  model = small_model()
  model['bert/embeddings/word_embeddings'][1] = [np.nan, -np.inf]
  summary = checkpoints.inspect(checkpoints.Checkpoint(save(tmp_path, 'a', model)))
  assert summary['non_finite'] == 2
  assert [v['name'] for v in summary['variables'] if v['non_finite']] == ['bert/embeddings/word_embeddings']


@pytest.mark.parametrize('name, part', [
    ('a/kernel', 'a/kernel'), ('a/kernel/adam_m', 'optimizer'), ('a/kernel/lamb_v', 'optimizer'),
    ('a/kernel/AnyOptimizer_1', 'optimizer'), ('orphan/adam_v', 'optimizer'), ('beta2_power', 'optimizer'),
    ('a/kernel/ExponentialMovingAverage', 'a/kernel'), ('bert/encoder/x/LayerNorm/beta', 'bert/encoder'),
    ('global_step', 'global_step')])
def test_parts(name, part):
  assert checkpoints.part_of(name, {'a/kernel', name}) == part


def test_diff_of_equal_checkpoints(tmp_path):
  model = small_model()
  model['cls/predictions/output_bias'][0] = np.nan  # the same NaN on both sides is no difference
  first, second = [checkpoints.Checkpoint(save(tmp_path, name, model)) for name in 'ab']
  result = checkpoints.diff(first, second)
  assert result['identical'] and not result['changed'] and result['equal'] == len(model)


def test_diff_finds_every_kind_of_difference(tmp_path):
  first, second = small_model(), small_model(step=8)
  del second['cls/predictions/output_bias']
  second['new'] = np.zeros([1], np.float32)
  second['bert/embeddings/position_embeddings'] = np.zeros([4, 3], np.float32)
  second[LAYER + 'ffn_1/intermediate/dense/kernel'][0, 1] = 1.5
  second['bert/embeddings/word_embeddings'][0, 0] = np.nan
  result = checkpoints.diff(*[checkpoints.Checkpoint(save(tmp_path, name, model))
                              for name, model in (('a', first), ('b', second))])
  assert not result['identical']
  assert result['only_in_first'] == ['cls/predictions/output_bias'] and result['only_in_second'] == ['new']
  assert result['other_form'] == [{'name': 'bert/embeddings/position_embeddings', 'first': 'float32 [4, 2]',
                                   'second': 'float32 [4, 3]'}]
  # The NaN comes first: it is the worst difference.
  assert [change['name'] for change in result['changed']] == [
      'bert/embeddings/word_embeddings', LAYER + 'ffn_1/intermediate/dense/kernel', 'global_step']
  assert result['changed'][1]['values'] == 1 and result['changed'][1]['largest'] == 0.5
  assert result['changed'][1]['relative'] == 0.5


def test_strip_keeps_weights_and_step(tmp_path):
  model = small_model()
  stripped = checkpoints.strip(checkpoints.Checkpoint(save(tmp_path, 'a', model)))
  assert sorted(stripped) == sorted(n for n in model if not n.endswith(('adam_m', 'adam_v', 'beta1_power')))
  for name in stripped:
    np.testing.assert_array_equal(stripped[name], model[name])


def test_average(tmp_path):
  saved = [checkpoints.Checkpoint(save(tmp_path, str(step), small_model(kernel, step)))
           for kernel, step in ((1.0, 10), (2.0, 30), (6.0, 20))]
  mean = checkpoints.average(saved)
  kernel = mean[LAYER + 'ffn_1/intermediate/dense/kernel']
  np.testing.assert_array_equal(kernel, np.full([3, 7], 3.0, np.float32))
  assert kernel.dtype == np.float32
  assert mean['global_step'] == 30 and mean['global_step'].dtype == np.int64
  assert not [name for name in mean if 'adam' in name]


def test_average_refuses_another_architecture(tmp_path):
  other = small_model()
  other['cls/predictions/output_bias'] = np.zeros([6], np.float32)
  saved = [checkpoints.Checkpoint(save(tmp_path, name, model)) for name, model in (('a', small_model()), ('b', other))]
  with pytest.raises(UserError, match=r'output_bias: float32 \[6\] instead of float32 \[5\]'):
    checkpoints.average(saved)


def test_average_refuses_non_finite_values(tmp_path):
  saved = [checkpoints.Checkpoint(save(tmp_path, str(kernel), small_model(kernel))) for kernel in (1.0, np.inf)]
  with pytest.raises(UserError, match='21 NaN or infinite'):
    checkpoints.average(saved)


def test_damaged_checkpoint_is_one_line(tmp_path):
  prefix = save(tmp_path, 'a', small_model())
  data = prefix + '.data-00000-of-00001'
  with open(data, 'r+b') as target:
    target.truncate(os.path.getsize(data) // 2)
  with pytest.raises(UserError, match='damaged') as caught:
    checkpoints.inspect(checkpoints.Checkpoint(prefix))
  assert '\n' not in str(caught.value)


@pytest.mark.integration
@pytest.mark.parametrize('command', ['strip', 'average'])
@pytest.mark.parametrize('folder', ['run', 'run/best'])
def test_architecture_and_vocabulary_go_along(tmp_path, command, folder):
  prefix = save(tmp_path, folder, small_model())
  for name in ('albert_config.json', 'vocab.txt'):
    (tmp_path / 'run' / name).write_text(name)
  output = tmp_path / 'release' / 'model.ckpt'
  arguments = [prefix] if command == 'strip' else [prefix, prefix]
  done = run(command, *(arguments + ['--output={}'.format(output)]))
  assert done.returncode == 0, done.stderr
  for name in ('albert_config.json', 'vocab.txt'):
    assert (output.parent / name).read_text() == name
    assert str(tmp_path / 'run' / name) in done.stdout
  assert sorted(os.listdir(str(output.parent))) == [
      'albert_config.json', 'checkpoint', 'model.ckpt.data-00000-of-00001', 'model.ckpt.index', 'vocab.txt']


def test_a_description_that_is_there_stays_and_none_is_made_up(tmp_path):
  source, target = save(tmp_path, 'run', small_model()), save(tmp_path, 'release', small_model())
  assert checkpoints.copy_description(source, target) == []
  (tmp_path / 'vocab.txt').write_text('of something else')  # above a folder that is not best/
  (tmp_path / 'run' / 'albert_config.json').write_text('new')
  (tmp_path / 'release' / 'albert_config.json').write_text('old')
  assert checkpoints.copy_description(source, target) == []
  assert (tmp_path / 'release' / 'albert_config.json').read_text() == 'old'
  assert not (tmp_path / 'release' / 'vocab.txt').exists()


def test_output_must_be_new(tmp_path):
  prefix = save(tmp_path, 'a', small_model())
  for bad, message in ((prefix, 'a new name'), (str(tmp_path), 'a prefix'), (str(tmp_path) + '/x/', 'a prefix'),
                       (None, '--output=PREFIX')):
    with pytest.raises(UserError, match=message):
      checkpoints.check_output(bad)


@pytest.mark.integration
def test_command_line(tmp_path):
  output = str(tmp_path / 'release' / 'model.ckpt')
  written = run('strip', FIXTURE, '--output=' + output)
  assert written.returncode == 0, written.stderr
  assert '33 variables, 64 of the optimizer left out, global step 0' in written.stdout
  inspected = run('inspect', os.path.dirname(output), '--json')
  assert json.loads(inspected.stdout)['parameters'] == 11045
  compared = run('diff', FIXTURE, output)
  assert 'only in A  bert/pooler/dense/bias/adam_m' in compared.stdout
  assert '33 variables are equal, 0 have other values' in compared.stdout
  failed = run('strip', FIXTURE)
  assert failed.returncode == 1
  assert failed.stderr.startswith('error: expected --output=PREFIX') and failed.stderr.count('\n') == 1


@pytest.mark.parametrize('arguments', [
    [], ['x'], ['inspect'], ['inspect', FIXTURE, FIXTURE], ['diff', FIXTURE], ['strip'], ['average', FIXTURE]])
def test_wrong_arguments_show_the_usage(arguments):
  with pytest.raises(UserError, match='expected inspect CHECKPOINT'):
    checkpoints.main(['checkpoints'] + arguments)


def test_absent_checkpoint(tmp_path):
  with pytest.raises(UserError, match='expected a TensorFlow checkpoint'):
    checkpoints.main(['checkpoints', 'inspect', str(tmp_path / 'none')])
