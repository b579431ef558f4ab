"""What inspect and verify say."""

import os

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.dataset.tokenization import Vocabulary
from albert.model import names
import named_variables
import random_models
from tools.conversion import inspection
from tools.conversion.reading import Checkpoint
from tools.conversion import writing

FIXTURE = os.path.join(ROOT, 'test', 'support', 'parity', 'shared_group')


def test_inspect_fixture():
  summary = inspection.inspect(Checkpoint(FIXTURE))
  assert summary['family'] == names.ALBERT
  assert summary['global_step'] == 0 and summary['non_finite'] == 0
  assert summary['parameters'] == 11045
  assert summary['parts']['optimizer'] == {'variables': 64, 'parameters': 22090}
  assert summary['parts']['bert/embeddings'] == {'variables': 5, 'parameters': (211 + 2 + 40 + 2) * 16}


def test_inspect_counts_non_finite_values(tmp_path):
  model = named_variables.small_model()
  model['bert/embeddings/word_embeddings'][1] = [np.nan, -np.inf]
  summary = inspection.inspect(Checkpoint(named_variables.save(tmp_path, 'a', model)))
  assert summary['non_finite'] == 2
  assert [v['name'] for v in summary['variables'] if v['non_finite']] == ['bert/embeddings/word_embeddings']


def test_damaged_checkpoint_is_one_line(tmp_path):
  prefix = named_variables.save(tmp_path, 'a', named_variables.small_model())
  data = prefix + '.data-00000-of-00001'
  with open(data, 'r+b') as target:
    target.truncate(os.path.getsize(data) // 2)
  with pytest.raises(UserError, match='damaged') as caught:
    inspection.inspect(Checkpoint(prefix))
  assert '\n' not in str(caught.value)


def _model(tmp_path, **changes):
  config = random_models.config()
  tensors = dict(random_models.weights(config), **changes)
  return Checkpoint(random_models.save(tmp_path, config, {n: v for n, v in tensors.items() if v is not None}))


def test_inspect_says_family_heads_norms_and_what_lies_beside(tmp_path):
  checkpoint = _model(tmp_path)
  summary = inspection.inspect(checkpoint)
  assert summary['family_reason'].startswith('there is bert/encoder/transformer/group_0/')
  assert summary['model_parts'] == [names.ENCODER, names.POOLER, names.MASKED_LM, names.SENTENCE_ORDER]
  norms = {v['name']: v['norm'] for v in summary['variables']}
  for name in checkpoint.model_weights():
    assert norms[name] == pytest.approx(float(np.sqrt(np.sum(np.square(checkpoint.tensor(name), dtype=np.float64)))))
  assert [(os.path.basename(entry['path']), entry['problems']) for entry in summary['beside']] == [
      ('albert_config.json', []), ('vocab.txt', [])]
  (tmp_path / 'vocab.txt').write_text(''.join(t + '\n' for t in random_models.tokens(52)), encoding='utf-8')
  assert inspection.inspect(checkpoint)['beside'][1]['problems'] == [
      'vocab.txt: 52 tokens for 53 rows of the word embeddings']


def test_verify_finds_nothing_in_a_good_one(tmp_path):
  assert inspection.verify(_model(tmp_path))['problems'] == []


@pytest.mark.parametrize('changes, problem', [
    ({'bert/pooler/dense/bias': np.full(21, np.nan, np.float32)}, 'bert/pooler/dense/bias: 21 values are not finite'),
    ({'bert/pooler/dense/bias': None}, 'bert/pooler/dense/bias: missing'),
    ({'bert/embeddings/LayerNorm/beta': np.zeros(11, np.float32)},
     'bert/embeddings/LayerNorm/beta: [11] instead of [10]'),
    ({'bert/new': np.zeros(1, np.float32)}, 'bert/new: not of this configuration'),
    ({'bert/encoder/transformer/group_1/inner_group_0/LayerNorm/beta': np.zeros(21, np.float32)},
     'bert/encoder/transformer/group_1/inner_group_0/LayerNorm/beta: not of this configuration')])
def test_verify_lists_what_does_not_fit(tmp_path, changes, problem):
  assert inspection.verify(_model(tmp_path, **changes))['problems'] == [problem]


def test_verify_reads_what_lies_beside(tmp_path):
  checkpoint = _model(tmp_path)
  tokens = random_models.tokens(53)
  tokens[40] = tokens[20]
  (tmp_path / 'vocab.txt').write_text(''.join(token + '\n' for token in tokens), encoding='utf-8')
  problem, = inspection.verify(checkpoint)['problems']
  assert 'found line 41 the same as line 21' in problem
  (tmp_path / 'vocab.txt').unlink()
  (tmp_path / 'albert_config.json').unlink()
  assert inspection.verify(checkpoint)['problems'] == [
      'albert_config.json: not beside the checkpoint', 'vocab.txt: not beside the checkpoint']


def test_verify_compares_checksums(tmp_path):
  config = random_models.config()
  writing.write_run(str(tmp_path / 'run'), random_models.weights(config), config,
                    Vocabulary(random_models.tokens(53)), {})
  checkpoint = Checkpoint(str(tmp_path / 'run'))
  assert inspection.verify(checkpoint)['problems'] == []
  with open(checkpoint.path + '.data-00000-of-00001', 'r+b') as target:
    target.seek(200)
    target.write(b'\x11')
  problems = inspection.verify(Checkpoint(checkpoint.path))['problems']
  assert problems[0] == 'manifest: model.ckpt-0.data-00000-of-00001 has another checksum'


def test_verify_tells_another_family(tmp_path):
  checkpoint = _model(tmp_path, **{'bert/encoder/layer_shared/attention/self/key/bias': np.zeros(1, np.float32)})
  assert inspection.verify(checkpoint)['problems'] == [
      'family: {} (there is bert/encoder/layer_shared/attention/self/key/bias)'.format(names.EARLY_CHINESE)]
