"""tools.checkpoints as a program: its verbs, their help, and what they refuse in one line."""

import json
import os
import resource
import subprocess
import sys
import types

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
import named_variables
import random_models
from tools import checkpoints
from tools.conversion import verbs

FIXTURE = os.path.join(ROOT, 'test', 'support', 'parity', 'shared_group')
OPTIONS = types.SimpleNamespace(
    json=False, output=None, outputs=False, last=None, best=None, probe=False, map=None, task=None, ignore=None,
    dedupe=False, hidden_act=None, drop_segment_row=None, ln_type=None)


def run(*arguments, **more):
  return subprocess.run([sys.executable, '-W', 'ignore', '-m', 'tools.checkpoints'] + list(map(str, arguments)),
                        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, **more)


def carry_out(name, *arguments, **options):
  return verbs.carry_out(name, list(map(str, arguments)), types.SimpleNamespace(**dict(vars(OPTIONS), **options)),
                         list(options))


@pytest.mark.integration
@pytest.mark.parametrize('command', ['strip', 'average'])
@pytest.mark.parametrize('folder', ['run', 'run/best'])
def test_architecture_and_vocabulary_go_along(tmp_path, command, folder):
  prefix = named_variables.save(tmp_path, folder, named_variables.small_model())
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


@pytest.mark.integration
def test_a_checkpoint_goes_to_transformers_and_back(tmp_path):
  config = random_models.config()
  random_models.save(tmp_path / 'run', config, random_models.weights(config), slots=True)
  there = run('to-hf', tmp_path / 'run', tmp_path / 'theirs')
  assert there.returncode == 0, there.stderr
  assert 'left out     64 variables of the optimizer: not weights' in there.stdout
  assert 'wrote {}: 32 tensors (AlbertForPreTraining)'.format(tmp_path / 'theirs') in there.stdout
  back = run('from-hf', tmp_path / 'theirs', tmp_path / 'back', '--json')
  assert json.loads(back.stdout)['class'] == 'AlbertForPreTraining'
  compared = run('diff', tmp_path / 'run', tmp_path / 'back', '--outputs')
  assert 'output masked_lm_logits       differs by 0, relative 0' in compared.stdout
  assert '32 variables are equal, 1 have other values' in compared.stdout  # of global_step
  verified = run('verify', tmp_path / 'back')
  assert verified.returncode == 0 and verified.stdout.endswith('good\n')
  (tmp_path / 'back' / 'vocab.txt').unlink()
  verified = run('verify', tmp_path / 'back')
  assert verified.returncode == 1 and 'PROBLEM      vocab.txt: not beside the checkpoint' in verified.stdout


@pytest.mark.integration
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path):
  config = random_models.config(hidden_size=210, intermediate_size=340)
  random_models.save(tmp_path / 'run', config, random_models.weights(config))

  def limit():
    # As a full disk, but for this process only: files end after 100 KB.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100 << 10, 100 << 10))
  done = run('to-hf', tmp_path / 'run', tmp_path / 'theirs', preexec_fn=limit)
  assert done.returncode == 1
  assert done.stderr.startswith('error: {}: expected a place that can be written'.format(tmp_path / 'theirs'))
  assert done.stderr.count('\n') == 1
  assert os.listdir(str(tmp_path)) == ['run']


@pytest.mark.parametrize('arguments', [
    ['x'], ['inspect', FIXTURE, FIXTURE], ['diff', FIXTURE], ['to-hf', FIXTURE], ['from-hf', FIXTURE],
    ['from-albert-zh', FIXTURE], ['verify', FIXTURE, FIXTURE]])
def test_wrong_arguments_are_one_line(arguments):
  with pytest.raises(UserError, match='expected .*{}'.format(arguments[0])) as caught:
    checkpoints.main(['checkpoints'] + arguments)
  assert '\n' not in str(caught.value)


def test_a_verb_alone_prints_its_own_help(capsys):
  for name in verbs.VERBS:
    assert checkpoints.main(['checkpoints', name]) == 0
    said = capsys.readouterr().out
    assert said.startswith('python -m tools.checkpoints {} '.format(name))
    assert all('--' + flag in said for flag in verbs.VERBS[name].flags)
  assert checkpoints.main(['checkpoints']) == 0
  assert len(capsys.readouterr().out.split('\n')) == len(verbs.VERBS) + 1


def test_every_verb_is_in_the_programs_docstring():
  for name in verbs.VERBS:
    assert 'python -m tools.checkpoints {} '.format(name) in checkpoints.__doc__


def test_a_flag_that_means_nothing_to_a_verb_is_refused():
  with pytest.raises(UserError, match='expected flags of inspect .--json., found --output'):
    carry_out('inspect', FIXTURE, output='x')


@pytest.mark.parametrize('name, options', [
    ('to-hf', {'task': 'x'}), ('from-hf', {'hidden_act': 'gelu_new'}), ('from-albert-zh', {'ln_type': 'x'})])
def test_a_choice_that_is_none_is_refused(tmp_path, name, options):
  with pytest.raises(UserError, match='--{}: expected one of'.format(list(options)[0])):
    carry_out(name, FIXTURE, tmp_path / 'x', **options)


def test_absent_checkpoint(tmp_path):
  with pytest.raises(UserError, match='expected a TensorFlow checkpoint'):
    checkpoints.main(['checkpoints', 'inspect', str(tmp_path / 'none')])


@pytest.mark.parametrize('options', [{'last': 2, 'best': 2}, {'last': 1}, {'best': 0}, {'last': 2}])
def test_average_of_a_run_needs_one_number_of_checkpoints_that_are_there(tmp_path, options):
  with pytest.raises(UserError, match='expected'):
    carry_out('average', tmp_path, output=str(tmp_path / 'x'), **options)


def test_average_needs_two():
  with pytest.raises(UserError, match='expected at least two checkpoints'):
    carry_out('average', FIXTURE, output='x')


def test_diff_of_outputs(tmp_path):
  config = random_models.config()
  tensors = random_models.weights(config)
  random_models.save(tmp_path / 'a', config, tensors)
  changed = dict(tensors, **{'cls/seq_relationship/output_bias': np.float32([100, 200])})
  random_models.save(tmp_path / 'b', config, changed)
  largest = {entry['name']: entry['largest']
           for entry in carry_out('diff', tmp_path / 'a', tmp_path / 'b', outputs=True).value['outputs']}
  assert sorted(largest) == ['masked_lm_logits', 'pooled_output', 'sentence_order_logits', 'sequence_output']
  assert largest.pop('sentence_order_logits') > 100 and set(largest.values()) == {0}
