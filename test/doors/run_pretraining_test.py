"""The command line: bindings, precedence, one-line errors."""

import json
import os
import shutil
import subprocess
import sys

import gin
import pytest
from absl import flags
from absl.testing import flagsaver

import random_models
import synthetic_data
from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.common import gin_settings
from albert import run_pretraining
from tools.conversion.hugging_face import folder
from tools.conversion.reading import Checkpoint



@pytest.fixture
def parsed():
  """Parses flags, then gin, as main() does; returns gin.query_parameter."""
  def parse(*arguments):
    flags.FLAGS.unparse_flags()
    for name in list(run_pretraining._BINDINGS) + ['gin_param', 'gin_file', 'albert_config_file']:
      flags.FLAGS[name].unparse()
    flags.FLAGS(('program',) + arguments)
    gin_settings.parse(flags.FLAGS.gin_file or ['gin/1p.gin'], run_pretraining.bindings_from_flags())
    return gin.query_parameter
  return parse


def test_split_bindings():
  split = gin_settings.split
  assert split("a.b=1; c.d='x'") == ['a.b=1', "c.d='x'"]
  assert split('a = "x;y" ;; b = [1, 2];') == ['a = "x;y"', 'b = [1, 2]']
  assert split("a = 'it\"s; here'") == ["a = 'it\"s; here'"]
  assert split('') == []
  with pytest.raises(UserError, match='open quote'):
    split("a = 'x")


def test_split_bindings_respects_escapes_in_quotes():
  split = gin_settings.split
  assert split(r"a.b='it\'s; x'; c.d=1") == [r"a.b='it\'s; x'", 'c.d=1']
  assert split(r"a.b='x\\'; c.d=1") == [r"a.b='x\\'", 'c.d=1']
  with pytest.raises(UserError, match='open quote'):
    split(r"a = 'x\'")


def test_precedence_is_gin_file_then_gin_param_then_named_flag(parsed, tmp_path):
  path = tmp_path / 'own.gin'
  path.write_text("include 'gin/1p.gin'\npretrain.num_train_steps = 11\nOptimizerOptions.poly_power = 2.0\n"
                  'pretrain.eval_batch_size = 5\n')
  query = parsed('--gin_file={}'.format(path), '--num_train_steps=13',
                 '--gin_param=pretrain.num_train_steps=12; OptimizerOptions.poly_power=3.0')
  assert query('pretrain.num_train_steps') == 13
  assert query('OptimizerOptions.poly_power') == 3.0
  assert query('pretrain.eval_batch_size') == 5
  assert query('pretrain.train_batch_size') == 32


def test_without_a_gin_file_the_flagship_applies(parsed):
  assert parsed()('OptimizerOptions.learning_rate') == 1.375e-5


@pytest.mark.parametrize('flag,value,binding', [
    ('train_batch_size', 3, 'pretrain.train_batch_size'),
    ('eval_batch_size', 4, 'pretrain.eval_batch_size'),
    ('num_train_steps', 5, 'pretrain.num_train_steps'),
    ('save_checkpoints_steps', 6, 'pretrain.save_checkpoints_steps'),
    ('keep_checkpoint_max', 7, 'pretrain.keep_checkpoint_max'),
    ('learning_rate', 0.5, 'OptimizerOptions.learning_rate'),
    ('num_warmup_steps', 8, 'OptimizerOptions.num_warmup_steps'),
    ('warm_up_steps', 9, 'OptimizerOptions.num_warmup_steps'),
    ('poly_power', 0.25, 'OptimizerOptions.poly_power'),
    ('optimizer', 'adamw', 'OptimizerOptions.optimizer')])
def test_flags_of_the_original_release(parsed, flag, value, binding):
  assert parsed('--{}={}'.format(flag, value))(binding) == value


def test_albert_config_file_replaces_every_binding(parsed, tmp_path):
  path = tmp_path / 'config.json'
  path.write_text(json.dumps({'vocab_size': 60, 'hidden_size': 8, 'num_attention_heads': 2, 'hidden_act': 'relu'}))
  query = parsed('--albert_config_file={}'.format(path), '--gin_param=AlbertConfig.num_hidden_layers=3')
  assert query('AlbertConfig.hidden_size') == 8
  assert query('AlbertConfig.vocab_size') == 60
  assert query('AlbertConfig.hidden_act') == 'relu'
  assert query('AlbertConfig.num_hidden_layers') == 12


@pytest.mark.parametrize('files,bindings,message', [
    ([], ['pretrain.num_train_stps = 3'], r"'pretrain.num_train_stps'; did you mean pretrain.num_train_steps\?"),
    ([], ['OptimizerOptions.lr = 3'], r"found 'OptimizerOptions.lr'; OptimizerOptions has .*learning_rate, .*clip"),
    ([], ['pretran.num_train_steps = 3'], r'did you mean pretrain.num_train_steps\?'),
    ([], ['pretrain.learning_rate = 3'], r'did you mean OptimizerOptions.learning_rate\?'),
    ([], ['Optimizer.lerning_rate = 3'], r'did you mean OptimizerOptions.learning_rate\?'),
    ([], ['num_train_steps = 3'], r"found 'num_train_steps'; did you mean pretrain.num_train_steps\?"),
    ([], ['pretrain.zzz = 3'], 'pretrain has .*num_train_steps'),
    ([], ['qqq.zzz = 3'], 'see "Configuration" in the README'),
    ([], ['STEPS = 3', 'pretrain.num_train_steps = %STEP'], r'found none; did you mean %STEPS\?'),
    ([], ['pretrain.num_train_steps = %UNDEFINED'], 'add UNDEFINED = '),
    ([], ['pretrain.num_train_steps = @nothing()'], "found 'nothing'"),
    ([], ['pretrain.num_train_steps ='], 'found none after "="'),
    ([], ['pretrain.num_train_steps = abc'], "found abc; put text into quotes: 'abc'"),
    ([], ['pretrain.allow_changes = [packing]'], "found packing; put text into quotes: 'packing'"),
    ([], ['InputOptions.packing = true'], r'found true; did you mean True\?'),
    ([], ['pretrain.num_train_steps = 3 4'], 'Expected newline'),
    ([], ['pretrain.num_train_steps=3；pretrain.random_seed=1'], 'write ; instead of the full-width ；'),
    ([], ['SessionOptions.device=‘cpu’'], "write ' instead of the full-width ‘"),
    ([], ["SessionOptions.device='cpu’"], "write ' instead of the full-width ’"),
    ([], ['pretrain.num_train_steps = [3'], 'close the bracket or the quote'),
    ([], ['just words'], 'expected bindings such as'),
    ([], ["include 'absent.gin'"], 'absent.gin: expected a gin file, found none; name one, such as gin/1p.gin'),
    (['absent.gin'], [], '^absent.gin: expected a gin file, found none; name one'),
    (['gin/model'], [], 'gin/model: expected a gin file, found one that cannot be read .Is a directory.')])
def test_a_mistake_in_gin_is_one_line(files, bindings, message):
  with pytest.raises(UserError, match=message) as caught:
    gin_settings.parse(files, bindings)
  assert '\n' not in str(caught.value) and '_ast' not in str(caught.value) and 'a mistake' not in str(caught.value)


def test_a_mistake_in_a_gin_file_is_said_with_its_line(tmp_path):
  (tmp_path / 'inner.gin').write_text('# A note.\n\npretrain.num_train_steps = abc\n')
  (tmp_path / 'outer.gin').write_text("include '{}'\n".format(tmp_path / 'inner.gin'))
  with pytest.raises(UserError, match='inner.gin line 3: expected a value'):
    gin_settings.parse([str(tmp_path / 'outer.gin')], [])
  (tmp_path / 'inner.gin').write_text('# A note.\npretrain.num_train_stps = 3\n')
  with pytest.raises(UserError, match='inner.gin line 2: .* did you mean pretrain.num_train_steps'):
    gin_settings.parse([str(tmp_path / 'outer.gin')], [])


@pytest.mark.parametrize('binding,message', [
    ('unused/pretrain.num_train_steps = 3', 'without scopes.*unused/pretrain.num_train_steps'),
    ('unused/MACRO = 3', 'without scopes.*unused/MACRO'), ('NOTHING = 3', "found 'NOTHING'"),
    ('num_train_steps = 3', "found 'num_train_steps'")])
@pytest.mark.parametrize('in_a_file', [False, True])
def test_scopes_and_macros_without_effect_are_refused(binding, message, in_a_file, tmp_path):
  (tmp_path / 'inner.gin').write_text(binding + '\n')
  (tmp_path / 'outer.gin').write_text("include '{}'\n".format(tmp_path / 'inner.gin'))
  with pytest.raises(UserError, match=message) as caught:
    gin_settings.parse([str(tmp_path / 'outer.gin')] if in_a_file else ['gin/1p.gin'],
                              [] if in_a_file else [binding])
  assert '\n' not in str(caught.value)


def test_a_macro_that_is_referred_to_is_good_even_if_a_flag_replaces_it(parsed, tmp_path):
  path = tmp_path / 'own.gin'
  path.write_text("include 'gin/smoke.gin'\nSTEPS = 7\npretrain.num_train_steps = %STEPS\n")
  assert parsed('--gin_file={}'.format(path), '--num_train_steps=9', '--gin_param=STEPS=8')(
      'pretrain.num_train_steps') == 9


def test_neither_training_nor_evaluation_is_an_error():
  flags.FLAGS(('program',))
  with flagsaver.flagsaver(input_file='data', do_train=False, do_eval=False):
    with pytest.raises(UserError, match='found neither'):
      run_pretraining.main(['program'])


def _run(tmp_path, *arguments):
  process = subprocess.run([sys.executable, '-m', 'albert.run_pretraining'] + list(arguments), cwd=str(tmp_path),
                           env=dict(os.environ, PYTHONPATH=ROOT), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           universal_newlines=True)
  return process.returncode, process.stdout, process.stderr


@pytest.mark.integration
def test_the_program_from_another_directory_and_its_errors(tmp_path):
  synthetic_data.write_dataset(str(tmp_path / 'data'))
  code, out, err = _run(
      tmp_path, '--input_file=data', '--gin_file=gin/smoke.gin', '--num_train_steps=3', '--train_batch_size=2',
      '--gin_param=AlbertConfig.hidden_size=8; AlbertConfig.intermediate_size=12', '--init_checkpoint=')
  assert code == 0, err
  assert 'device=cpu' in err and 'results.json' in out
  assert (tmp_path / 'out' / 'results.json').exists()
  for arguments, message in ((['--input_file=data', 'leftover'], 'leftover'), (['--nput_file=data'], 'nput_file'),
                             ([], '--input_file'), (['--input_file=absent'], 'absent')):
    code, out, err = _run(tmp_path, *arguments)
    assert code == 1
    assert err.count('\n') == 1 and err.startswith('error: ') and message in err, err


@pytest.mark.integration
def test_a_folder_of_transformers_is_trained_on_and_the_same_command_goes_on(tmp_path):
  synthetic_data.write_dataset(str(tmp_path / 'data'))
  config = random_models.config(vocab_size=len(synthetic_data.VOCAB), max_position_embeddings=24)
  random_models.save(tmp_path / 'published', config, random_models.weights(config))
  (tmp_path / 'published' / 'vocab.txt').write_text('\n'.join(synthetic_data.VOCAB) + '\n', encoding='utf-8')
  folder.write(Checkpoint(str(tmp_path / 'published')), str(tmp_path / 'theirs'))
  words = ['--input_file=data', '--gin_file={}/gin/smoke.gin'.format(ROOT), '--init_checkpoint=theirs',
           '--albert_config_file=published/albert_config.json', '--num_train_steps=2', '--train_batch_size=2']
  code, _, err = _run(tmp_path, *words)
  assert code == 0 and 'theirs: a folder of transformers (AlbertForPreTraining), converted into ./out/init' in err, err
  assert 'variables from ./out/init/model.ckpt-0; not in it, so initialised at random: 0' in err
  shutil.rmtree(str(tmp_path / 'theirs'))
  code, out, err = _run(tmp_path, *words[:-2] + ['--num_train_steps=3'] + words[-1:])
  assert code == 0 and 'from step 2 to 3' in err and 'converted' not in err, err
