"""Whole runs on the stand-in for npu_bridge, in this process: loops, and a loss scale that comes and goes."""

import json

import pytest

import fault_runs
from albert.run import checkpoints
from albert.training import evaluation
from npu_stub import installed

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

NPU = "SessionOptions.device = 'npu'"
SCALE = ('bad_steps', 'good_steps', 'loss_scale')


def scale_of(out):
  """{name: value} of the loss scale in the newest checkpoint."""
  weights = fault_runs.weights(checkpoints.latest(str(out)))
  return {name: weights[name].item() for name in SCALE if name in weights}


@pytest.mark.parametrize('name', [installed.OLDEST, installed.NEWEST])
def test_a_loop_that_a_skipped_update_shortens_is_saved_evaluated_and_kept(name, fault_data, tmp_path, monkeypatch):
  """Loops of four; the batches of steps 3, 8 and 9 overflow. So loops end at 3, 6, 9 and 13, beyond 4, 8 and 12."""
  out, closed = tmp_path / 'out', []
  close = evaluation.Evaluator.close
  monkeypatch.setattr(evaluation.Evaluator, 'close', lambda evaluator: closed.append(evaluator) or close(evaluator))
  with installed.npu_bridge(name):
    assert fault_runs.train(fault_data, out, NPU, 'SessionOptions.iterations_per_loop = 4') is None
    assert not installed.taken_sessions and len(closed) == 1
  assert checkpoints.steps_in(str(out)) == [9, 13]
  evaluated = [line.split('\t')[0] for line in fault_runs.read(out, 'heldout_history.tsv').splitlines()]
  assert evaluated == ['step', '6', '9', '13']
  written = json.loads(fault_runs.read(out, 'results.json'))
  assert written['trained_steps'] == written['global_step'] == 13
  with installed.npu_bridge(name):  # and there is nothing left to do
    assert fault_runs.train(fault_data, out, NPU, 'SessionOptions.iterations_per_loop = 4') is None
  assert checkpoints.steps_in(str(out)) == [9, 13]


@pytest.mark.parametrize('name', [installed.OLDEST, installed.NEWEST])
def test_loss_scaling_comes_and_goes(name, fault_data, tmp_path):
  """A run begun on a CPU goes on with a dynamic scale, then with a fixed one, then on the CPU again."""
  out = tmp_path / 'out'

  def train(steps, *bindings):
    assert fault_runs.train(fault_data, out, 'pretrain.num_train_steps = {}'.format(steps), *bindings) is None
    return scale_of(out)

  assert train(4) == {}
  with installed.npu_bridge(name):
    # The batches of steps 8 and 9 overflow; each halves the scale and counts no step.
    assert train(8, NPU, 'SessionOptions.fused_ops = False') == {'loss_scale': 2.0 ** 30, 'good_steps': 1,
                                                                 'bad_steps': 0}
    assert train(10, NPU, 'SessionOptions.loss_scale = 1024', 'SessionOptions.fused_ops = False') == {}
  assert train(12) == {}
  shown = {step: value for tag, step, value in fault_runs.scalars(str(out)) if tag == 'pretraining/loss_scale'}
  assert sorted(shown) == [5, 6, 7, 8, 9, 10] and shown[5] == 2.0 ** 32 and shown[10] == 1024
