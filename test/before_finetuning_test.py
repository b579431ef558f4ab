"""What fine-tuning decides of its weights before text is read: the rate of their size, the spelling of their text."""

import os

import gin
import pytest

from albert.common.files import ROOT
from albert.common import gin_settings
from albert import finetuning
from albert import lamb
import random_models

CONFIG = random_models.config(max_position_embeddings=128)


class _Opened(Exception):
  pass


@pytest.fixture
def opened(monkeypatch, tmp_path):
  """A function of an INIT and bindings that gives the FinetuneData options with which text would be opened."""
  def open_splits(folder, kind, data):
    raise _Opened(data)
  monkeypatch.setattr(finetuning.sources, 'open_splits', open_splits)

  def begin(init, *bindings):
    gin.clear_config()
    gin_settings.parse([os.path.join(ROOT, 'gin', 'finetune', 'tnews.gin')], list(bindings))
    with pytest.raises(_Opened) as raised:
      finetuning.finetune('data', str(tmp_path / 'out'), init=str(init))
    return raised.value.args[0]
  return begin


@pytest.fixture
def run(tmp_path):
  path = tmp_path / 'run'
  path.mkdir()
  random_models.save(path, CONFIG, random_models.weights(CONFIG))
  return path


def test_letters_are_as_with_the_weights_unless_one_says(opened, run):
  """As fill-mask and predict read them: beside the weights, else by the vocabulary."""
  assert opened(run).do_lower_case is True
  vocabulary = run / 'vocab.txt'
  vocabulary.write_text(vocabulary.read_text(encoding='utf-8').replace(chr(0x4E00 + 9), 'A'), encoding='utf-8')
  assert opened(run).do_lower_case is False
  assert opened(run, 'FinetuneData.do_lower_case = True').do_lower_case is True
  (run / 'source.json').write_text('{"do_lower_case": true}')
  assert opened(run).do_lower_case is True


@pytest.mark.parametrize('bound, rate', [([], 1e-3), (['OptimizerOptions.learning_rate = 3e-5'], 3e-5)])
def test_the_rate_is_that_of_the_size_of_the_weights_unless_one_says(opened, run, bound, rate):
  opened(run, *bound)
  assert lamb.OptimizerOptions().learning_rate == rate


@pytest.mark.parametrize('bound, said', [
    ([], []), (['finetune.num_train_steps = 100'], [
        'finetune.num_train_steps=100 has no effect: finetune.epochs decides, which is 3.0; say finetune.epochs=None']),
    (['finetune.num_train_steps = 100', 'finetune.epochs = None'], []),
    (['OptimizerOptions.num_warmup_steps = 7'], [
        'OptimizerOptions.num_warmup_steps=7 has no effect: finetune.warmup_proportion decides, which is 0.1; say '
        'finetune.warmup_proportion=None']),
    (['finetune.save_checkpoints_steps = 5'], [
        'finetune.save_checkpoints_steps=5 has no effect: finetune.eval_every_steps decides, which is an epoch'])])
def test_what_is_given_and_decided_by_another_setting_is_said(bound, said):
  gin.clear_config()
  gin_settings.parse([os.path.join(ROOT, 'gin', 'finetune', 'tnews.gin')], bound)
  assert finetuning._without_effect(finetuning.Options()) == said
