"""Every shipped gin file builds its graph, leaves no binding unused, and says the published numbers."""

import dataclasses
import glob
import os

import gin
import pytest
import tensorflow as tf

import labelled_text
from albert.common.files import ROOT
from albert.common import gin_settings
from albert import finetuning
from albert import input_pipeline
from albert import lamb
from albert.modeling import AlbertConfig
from albert import npu_session
from albert import pretraining
from albert.tasks.pretraining import Pretraining
from albert.training import training_step

EXPERIMENTS = sorted(os.path.relpath(path, os.path.join(ROOT, 'gin')) for folder in ('', 'study')
                     for path in glob.glob(os.path.join(ROOT, 'gin', folder, '*.gin')))
FINETUNING = sorted(os.path.basename(path) for path in glob.glob(os.path.join(ROOT, 'gin', 'finetune', '*.gin')))
MODELS = sorted(os.path.basename(path) for path in glob.glob(os.path.join(ROOT, 'gin', 'model', '*.gin')))
B, S, P = 2, 16, 3


def _bindings(text):
  """'name = value' lines of a gin config string, continuation lines joined."""
  lines = [line for line in text.replace('\\\n', ' ').split('\n') if line.strip() and not line.startswith('#')]
  joined = []
  for line in lines:
    if line[0].isspace() and joined:
      joined[-1] += line
    else:
      joined.append(line)
  return {' '.join(line.split()) for line in joined}


@pytest.fixture(scope='module')
def trained():
  """{(AlbertConfig, optimizer): names of the variables that a step trains}, of the graphs that were built so far."""
  return {}


def _variables_of_training(trained):
  """What pretrain() builds from the bindings, on a tiny batch, without running it: the names of what is trained."""
  config = AlbertConfig().with_vocab_size(40, 'the test')
  optimizer, device = lamb.OptimizerOptions(), npu_session.start(npu_session.SessionOptions(device='cpu'))
  input_pipeline.InputOptions()
  # Experiments differ in their rates more than in their models, and a rate is a number in a graph.
  lamb.learning_rate_at(tf.train.get_or_create_global_step(), optimizer, 10)
  graph = config, optimizer.optimizer
  if graph not in trained:
    # Layers share their code and their variables: a second one of a group would show nothing new, and 24 take seconds.
    config = dataclasses.replace(config, num_hidden_layers=config.num_hidden_groups)
    specs = dict(input_ids=[B, S], input_mask=[B, S], segment_ids=[B, S], masked_lm_positions=[B, P],
                 masked_lm_ids=[B, P], masked_lm_weights=[B, P], next_sentence_labels=[B, 1])
    batch = input_pipeline.Batch(**{
        name: tf.placeholder(tf.float32 if name == 'masked_lm_weights' else tf.int32, shape)
        for name, shape in specs.items()})
    trained[graph] = training_step.make(Pretraining(config), batch, optimizer, 10, device)[0].variables
  return trained[graph]


@pytest.mark.parametrize('name', EXPERIMENTS + ['model/' + name for name in MODELS])
def test_builds_a_graph_and_leaves_no_binding_unused(name, trained, monkeypatch):
  gin_settings.parse([os.path.join(ROOT, 'gin', name)], [])
  # The root's own arguments are bindings too: call it with its work left out.
  monkeypatch.setattr(input_pipeline, 'open_dataset', _stop)
  with pytest.raises(_Stopped):
    pretraining.pretrain('data', 'out')
  assert 'bert/embeddings/word_embeddings' in _variables_of_training(trained)
  unused = _bindings(gin.config_str()) - _bindings(gin.operative_config_str())
  assert not unused


@pytest.mark.parametrize('name', FINETUNING)
def test_a_file_of_fine_tuning_leaves_no_binding_unused(name, monkeypatch, tmp_path):
  gin_settings.parse([os.path.join(ROOT, 'gin', 'finetune', name)], [])
  monkeypatch.setattr(finetuning.sources, 'open_splits', lambda *unused: _stop(None))
  with pytest.raises(_Stopped):
    finetuning.finetune('data', str(tmp_path / 'out'), vocab_file=labelled_text.write_vocabulary(tmp_path))
  assert finetuning.Options().adapt(lamb.OptimizerOptions()).bias_correction
  assert not _bindings(gin.config_str()) - _bindings(gin.operative_config_str())
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('size, bound, rate', [
    (128, [], 1e-3), (312, [], 1e-4), (768, [], 5e-5), (1024, [], 2e-5), (4096, [], 1e-5),
    (768, ['OptimizerOptions.learning_rate = 3e-5'], 3e-5)])
def test_the_rate_of_fine_tuning_is_that_of_the_size_unless_one_is_given(size, bound, rate, monkeypatch, tmp_path):
  gin_settings.parse([os.path.join(ROOT, 'gin', 'finetune', 'tnews.gin')],
                     ['AlbertConfig.hidden_size = {}'.format(size), 'AlbertConfig.num_attention_heads = 4'] + bound)
  monkeypatch.setattr(finetuning.sources, 'open_splits', lambda *unused: _stop(None))
  with pytest.raises(_Stopped):
    finetuning.finetune('data', str(tmp_path / 'out'), vocab_file=labelled_text.write_vocabulary(tmp_path))
  assert lamb.OptimizerOptions().learning_rate == rate


@pytest.mark.parametrize('name, kind, length', [
    ('tnews.gin', 'classify', 128), ('ocnli.gin', 'classify', 128), ('chnsenticorp.gin', 'classify', 256),
    ('msra_ner.gin', 'tag', 128), ('cmrc2018.gin', 'read', 512), ('regress.gin', 'regress', 128)])
def test_a_shipped_task_is_of_its_kind(name, kind, length):
  gin_settings.parse([os.path.join(ROOT, 'gin', 'finetune', name)], [])
  options, data = finetuning.Options(), finetuning.DataOptions()
  assert (options.kind, data.max_seq_length) == (kind, length)
  assert (options.head_dropout, options.warmup_proportion, options.train_batch_size) == (0.1, 0.1, 32)


class _Stopped(Exception):
  pass


def _stop(*unused):
  raise _Stopped()


def _query(name, binding):
  gin.clear_config()
  gin_settings.parse([os.path.join(ROOT, 'gin', name)], [])
  return gin.query_parameter(binding)


def test_the_check_for_unused_bindings_can_fail():
  gin.parse_config('UNUSED_MACRO = 3\nAlbertConfig.hidden_size = 64')
  AlbertConfig()
  assert _bindings(gin.config_str()) - _bindings(gin.operative_config_str()) == {'UNUSED_MACRO = 3'}


@pytest.mark.parametrize('name,batch_size,steps,rate,warmup', [
    ('1p.gin', 32, 125000, 1.375e-5, 3125), ('8p.gin', 8 * 32, 15625, 1.1e-4, 390)])
def test_published_hyperparameters_of_the_flagship(name, batch_size, steps, rate, warmup):
  expected = {
      'pretrain.num_train_steps': steps, 'pretrain.train_batch_size': batch_size, 'pretrain.eval_batch_size': 8,
      'pretrain.save_checkpoints_steps': 5000, 'OptimizerOptions.optimizer': 'lamb',
      'OptimizerOptions.learning_rate': rate, 'OptimizerOptions.num_warmup_steps': warmup,
      'OptimizerOptions.poly_power': 1.0, 'OptimizerOptions.weight_decay_rate': 0.01,
      'OptimizerOptions.clip_norm': 1.0, 'AlbertConfig.hidden_size': 768, 'AlbertConfig.num_hidden_layers': 12,
      'AlbertConfig.num_attention_heads': 12, 'AlbertConfig.intermediate_size': 3072,
      'AlbertConfig.embedding_size': 128, 'AlbertConfig.hidden_dropout_prob': 0.0,
      'AlbertConfig.attention_probs_dropout_prob': 0.0}
  for binding, value in expected.items():
    assert _query(name, binding) == value, binding


@pytest.mark.parametrize('name', [name for name in EXPERIMENTS if name != '8p.gin'])
def test_the_warm_up_is_part_of_the_run_and_phases_add_up_to_all_layers(name):
  gin.clear_config()
  gin_settings.parse([os.path.join(ROOT, 'gin', name)], [])
  options, layers = pretraining.Options(), AlbertConfig().num_hidden_layers
  assert options.performance or lamb.OptimizerOptions().num_warmup_steps <= options.num_train_steps // 8
  depths = [phase.get('num_hidden_layers', layers) for phase in options.phases]
  assert depths == sorted(depths) and (depths or [layers])[-1] == layers


def test_a_performance_run_prints_figures_within_its_steps():
  assert _query('perf_1p.gin', 'pretrain.performance') is True
  assert _query('perf_1p.gin', 'pretrain.num_train_steps') > 3
