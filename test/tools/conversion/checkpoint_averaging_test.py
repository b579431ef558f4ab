"""Weights without slots, and means of them."""

import os

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.run import checkpoints
import named_variables
from tools.conversion import averaging
from tools.conversion.reading import Checkpoint
from tools.conversion import writing


def test_strip_keeps_weights_and_step(tmp_path):
  model = named_variables.small_model()
  stripped = averaging.strip(Checkpoint(named_variables.save(tmp_path, 'a', model)))
  assert sorted(stripped) == sorted(n for n in model if not n.endswith(('adam_m', 'adam_v', 'beta1_power')))
  for name in stripped:
    np.testing.assert_array_equal(stripped[name], model[name])


def test_average(tmp_path):
  saved = [Checkpoint(named_variables.save(tmp_path, str(step), named_variables.small_model(kernel, step)))
           for kernel, step in ((1.0, 10), (2.0, 30), (6.0, 20))]
  mean = averaging.average(saved)
  kernel = mean[named_variables.LAYER + 'ffn_1/intermediate/dense/kernel']
  np.testing.assert_array_equal(kernel, np.full([3, 7], 3.0, np.float32))
  assert kernel.dtype == np.float32
  assert mean['global_step'] == 30 and mean['global_step'].dtype == np.int64
  assert not [name for name in mean if 'adam' in name]


def test_average_refuses_another_architecture(tmp_path):
  other = named_variables.small_model()
  other['cls/predictions/output_bias'] = np.zeros([6], np.float32)
  saved = [Checkpoint(named_variables.save(tmp_path, name, model))
           for name, model in (('a', named_variables.small_model()), ('b', other))]
  with pytest.raises(UserError, match=r'output_bias: float32 \[6\] instead of float32 \[5\]'):
    averaging.average(saved)


def test_average_refuses_non_finite_values(tmp_path):
  saved = [Checkpoint(named_variables.save(tmp_path, str(kernel), named_variables.small_model(kernel)))
           for kernel in (1.0, np.inf)]
  with pytest.raises(UserError, match='21 NaN or infinite'):
    averaging.average(saved)


@pytest.fixture
def run(tmp_path):
  """A run with checkpoints of steps 10, 20, 30, of which best/ has 20; 40 is damaged."""
  for step in (10, 20, 30, 40):
    _commit(tmp_path, step)
  (tmp_path / 'best').mkdir()
  _commit(tmp_path / 'best', 20)
  with open(str(tmp_path / 'model.ckpt-40.data-00000-of-00001'), 'ab') as target:
    target.write(b'x')
  (tmp_path / 'heldout_history.tsv').write_text(
      'step\tmasked_lm_loss\tmasked_lm_accuracy\n10\t5.0\t0.1\n20\t4.0\t0.2\n30\t4.5\t0.3\n40\t3.0\t0.4\n50\t1.0\t0.5\n')
  return str(tmp_path)


def _commit(folder, step):
  temporary = checkpoints.temporary_prefix(str(folder), step)
  writing.write_checkpoint(temporary, named_variables.small_model(float(step), step))
  os.remove(os.path.join(os.path.dirname(temporary), 'checkpoint'))
  checkpoints.commit(str(folder), temporary, step, {})


def _steps(prefixes):
  return [int(prefix.rsplit('-', 1)[1]) for prefix in prefixes]


def test_newest_checkpoints_of_a_run_are_good_ones(run):
  assert _steps(averaging.newest(run, 2)) == [20, 30]
  mean = averaging.average([Checkpoint(prefix) for prefix in averaging.newest(run, 3)])
  assert mean[named_variables.LAYER + 'ffn_1/intermediate/dense/kernel'][0, 0] == 20 and mean['global_step'] == 30
  with pytest.raises(UserError, match=r'with at least 4 checkpoints, found 3 \(steps 10, 20, 30\)'):
    averaging.newest(run, 4)


def test_best_checkpoints_of_a_run(run):
  prefixes, by = averaging.best(run, 2)
  assert _steps(prefixes) == [20, 30]
  assert by == 'masked_lm_loss: 4.0000 at step 20, 4.5000 at step 30'


def test_best_by_a_figure_that_is_high_and_finite(run):
  path = os.path.join(run, 'heldout_history.tsv')
  with open(path, 'w') as target:
    target.write('step\taccuracy\n10\t0.9\n20\tnan\n30\t0.8\n')
  assert _steps(averaging.best(run, 2)[0]) == [10, 30]
  os.remove(path)
  with pytest.raises(UserError, match='expected the held-out figures of a run'):
    averaging.best(run, 2)


@pytest.mark.parametrize('name, said', [
    ('vocab.txt', ('一\n二\n', '二\n一\n')), ('albert_config.json', ('{"a": 1}', '{"a": 2}'))])
def test_what_describes_a_checkpoint_may_describe_what_is_made_of_it(tmp_path, name, said):
  paths = [str(tmp_path / folder / 'model.ckpt') for folder in ('one', 'other', 'new')]
  for path in paths:
    os.makedirs(os.path.dirname(path))
  (tmp_path / 'one' / name).write_text(said[0])
  writing.check_description(paths[:2], paths[2])
  (tmp_path / 'other' / name).write_text(said[1])
  writing.check_description(paths[:1], paths[2])
  with pytest.raises(UserError, match='other/{}: expected the same as .*one/{}, .*; name check'.format(
      name, name)):
    writing.check_description(paths[:2], paths[2])
  (tmp_path / 'new' / name).write_text(said[1])
  with pytest.raises(UserError, match='new/{}: expected the same as .*; name another folder'.format(name)):
    writing.check_description(paths[:1], paths[2])
