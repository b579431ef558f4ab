"""tools.parity: both fixtures agree with this library, and every kind of disagreement is found."""

import functools
import json
import os
import shutil
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from tools import parity

FIXTURES = {name: os.path.join(ROOT, 'test', 'support', 'parity', name)
            for name in ('shared_group', 'unfactored_relu_adamw')}
LAYER = 'bert/encoder/transformer/group_0/inner_group_0/'
# A key of each group of expected.npz.
GROUPS = [
    'sequence_output', 'pooled_output', 'embedding_output', 'masked_lm_loss', 'masked_lm_example_loss',
    'masked_lm_log_probs', 'sentence_order_loss', 'sentence_order_log_probs', 'total_loss',
    'grad/' + LAYER + 'attention_1/self/query/kernel', 'grad/' + LAYER + 'attention_1/self/key/bias',
    'learning_rate_3', 'step_2/bert/embeddings/word_embeddings', 'step_4/bert/embeddings/LayerNorm/gamma',
    'step_4/' + LAYER + 'attention_1/self/key/bias', 'loss_after_step_2']


@pytest.fixture(scope='module', params=sorted(FIXTURES))
def fixture(request):
  return parity.load_fixture(FIXTURES[request.param])


@pytest.fixture(scope='module')
def computed(fixture):
  return parity.compute(fixture)


@pytest.fixture
def broken(tmp_path):
  """A copy of the first fixture's folder, to be damaged."""
  return shutil.copytree(FIXTURES['shared_group'], str(tmp_path / 'fixture'))


def change_expected(folder, change):
  path = os.path.join(folder, 'expected.npz')
  values = dict(np.load(path))
  change(values)
  np.savez(path, **values)


def changed_by(value, amount):
  value = np.array(value)
  value.reshape(-1)[value.size // 2] += amount
  return value


def test_library_agrees_with_the_reference(fixture, computed):
  comparisons = parity.compare(fixture.expected, computed)
  assert [c.key for c in comparisons] == list(fixture.expected)
  assert not [c for c in comparisons if not c.ok]


@pytest.mark.integration
@pytest.mark.parametrize('fused_ops', [True, False])
@pytest.mark.parametrize('whole', [True, False])
def test_with_recomputation_it_agrees_with_the_reference_too(fixture, fused_ops, whole):
  def outputs(batch, config, whole_last_layer=whole):
    return parity.library_outputs(batch, config, whole_last_layer, recompute=True, fused_ops=fused_ops)
  assert not [c for c in parity.compare(fixture.expected, parity.compute(fixture, outputs)) if not c.ok]


@pytest.mark.integration
def test_in_towers_with_recomputation_it_agrees_with_the_reference_too(fixture):
  outputs = functools.partial(parity.library_outputs, recompute=True, towers=len(fixture.batch.input_ids))
  assert not [c for c in parity.compare(fixture.expected, parity.compute(fixture, outputs)) if not c.ok]


def test_towers_that_do_not_divide_the_fixture():
  with pytest.raises(UserError, match='--towers: expected a divisor of the 5 sequences .*, found 2'):
    parity.check(FIXTURES['shared_group'], towers=2)


def test_a_change_of_any_key_is_found(fixture, computed):
  for key, value in fixture.expected.items():
    changed = parity.compare({key: changed_by(value, 1e-3)}, computed)
    assert not changed[0].ok, changed
    assert changed[0].deviation > changed[0].tolerance


@pytest.mark.parametrize('key', GROUPS)
def test_one_changed_number_of_each_group_is_exit_code_1(broken, key, monkeypatch, capsys):
  original = parity.load_fixture(broken).expected
  monkeypatch.setattr(parity, 'compute', lambda *arguments: original)
  assert parity.check(broken) == 0
  change_expected(broken, lambda values: values.update({key: changed_by(values[key], 1e-3)}))
  capsys.readouterr()
  assert parity.check(broken) == 1
  failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith('FAIL')]
  assert len(failed) == 1 and key in failed[0]


def test_a_key_without_a_counterpart_fails(broken, monkeypatch, capsys):
  original = parity.load_fixture(broken).expected
  monkeypatch.setattr(parity, 'compute', lambda *arguments: original)
  change_expected(broken, lambda values: values.update(next_sentence_loss=np.float32(0)))
  assert parity.check(broken) == 1
  assert 'next_sentence_loss: no counterpart' in capsys.readouterr().out


def test_another_shape_or_a_nan_fails():
  shape, nan = parity.compare({'a': np.zeros([2, 3]), 'b': np.ones([2])},
                              {'a': np.zeros([3, 2]), 'b': np.array([1, np.nan])})
  assert not shape.ok and shape.note == 'expected shape [2, 3], found [3, 2]'
  assert not nan.ok


@pytest.mark.parametrize('key, tolerance, relative', [
    ('total_loss', 1e-5, True), ('grad/a/attention_1/self/query/bias', 1e-5, True), ('step_1/a/kernel', 1e-4, True),
    ('loss_after_step_1', 1e-5, True), ('grad/a/attention_1/self/key/bias', 1e-7, False),
    ('step_1/a/attention_1/self/key/bias', 1e-4, False)])
def test_tolerances(key, tolerance, relative):
  comparison, = parity.compare({key: np.array([4.0, -8.0])}, {key: np.array([4.0, -8.0 * (1.0 + tolerance / 2)])})
  assert (comparison.tolerance, comparison.relative) == (tolerance, relative)
  assert comparison.deviation == pytest.approx(tolerance / 2 if relative else 4 * tolerance, rel=0.1)
  assert comparison.ok == relative


@pytest.mark.integration
def test_another_input_is_found(broken):
  fixture = parity.load_fixture(broken)
  inputs = fixture.batch._asdict()
  inputs['masked_lm_ids'] = changed_by(inputs['masked_lm_ids'], -1)
  changed = fixture._replace(batch=type(fixture.batch)(**inputs), steps_run=0)
  failed = {c.key for c in parity.compare(fixture.expected, parity.compute(changed)) if not c.ok}
  assert {'masked_lm_loss', 'total_loss', 'grad/cls/predictions/output_bias'} <= failed
  assert 'sequence_output' not in failed


def test_checkpoint_of_another_architecture_is_refused(broken):
  fixture = parity.load_fixture(broken)
  other = fixture._replace(checkpoint=parity.load_fixture(FIXTURES['unfactored_relu_adamw']).checkpoint)
  with pytest.raises(UserError, match='of this architecture'):
    parity.compute(other)


def test_incomplete_or_damaged_fixture_is_one_line(broken, tmp_path):
  with pytest.raises(UserError, match='expected a folder'):
    parity.load_fixture(str(tmp_path / 'none'))
  with open(os.path.join(broken, 'expected.npz'), 'wb') as target:
    target.write(b'PK\x03\x04 not a zip file')
  with pytest.raises(UserError, match='cannot be read') as caught:
    parity.load_fixture(broken)
  assert '\n' not in str(caught.value)


def test_without_a_folder_every_fixture_is_compared(monkeypatch, capsys):
  compared = []
  monkeypatch.setattr(parity, 'check', lambda folder, *options: compared.append(folder) or len(compared) - 1)
  monkeypatch.setattr(parity.flags, 'FLAGS', mock.Mock(json=False, recompute=False, towers=1))
  assert parity.main(['parity']) == 1 and compared == [FIXTURES[name] for name in sorted(FIXTURES)]
  assert [line.split('/')[-1] for line in capsys.readouterr().out.splitlines()] == sorted(FIXTURES)
  parity.flags.FLAGS.json = True
  with pytest.raises(UserError, match='expected one argument, the folder of a fixture .*, found 0; name one'):
    parity.main(['parity'])


@pytest.mark.integration
def test_command_line(broken):
  command = [sys.executable, '-m', 'tools.parity', broken, '--json', '--recompute']
  run = dict(cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
             env={name: value for name, value in os.environ.items() if name != 'XLA_FLAGS'})
  passed = subprocess.run(command, **run)
  assert passed.returncode == 0, passed.stderr
  result = json.loads(passed.stdout)
  assert result['ok'] and len(result['comparisons']) == 177
  change_expected(broken, lambda values: values.update(total_loss=values['total_loss'] + np.float32(1e-3)))
  failed = subprocess.run(command, **run)
  assert failed.returncode == 1
  assert [c['key'] for c in json.loads(failed.stdout)['comparisons'] if not c['ok']] == ['total_loss']
