"""Numbers that go wrong: updates are skipped, a run without hope stops, a loss spike is left out, NaN is not saved."""

import json
import shutil
import types

import numpy as np
import pytest
import tensorflow as tf

import fault_client
import fault_runs
from albert.common import errors
from albert.dataset import contract
from albert.dataset import data_order
from albert.run import checkpoints
from albert.training.stability import finite_updates
from albert.training.stability import guard
from albert.training.stability import spikes


def _steps(losses, gradients):
  """(the variables before and after each update, whether it was made) of Adam with these losses and gradients."""
  with tf.Graph().as_default(), tf.Session() as session:
    step = tf.train.get_or_create_global_step()
    weight, loss, gradient = tf.get_variable('w', [2]), tf.placeholder(tf.float32), tf.placeholder(tf.float32, [2])
    optimizer = tf.train.AdamOptimizer(0.1)
    train_op, finite = finite_updates.apply_if_finite(loss, tf.norm(gradient), lambda: optimizer.apply_gradients(
        [(gradient, weight)]), step, tf.constant(0.1))
    session.run(tf.global_variables_initializer())
    variables, steps = tf.global_variables(), []
    for fed in zip(losses, gradients):
      before = session.run(variables)
      made, _ = session.run([finite, train_op], dict(zip((loss, gradient), fed)))
      steps.append((made, [(v.op.name, old.tobytes(), new.tobytes())
                           for v, old, new in zip(variables, before, session.run(variables))]))
    return steps


@pytest.mark.parametrize('loss,gradient', [
    (np.nan, [1.0, 1.0]), (np.inf, [1.0, 1.0]), (1.0, [1.0, np.nan]), (1.0, [np.inf, 1.0]), (1.0, [3e38, 3e38])])
@pytest.mark.fault('loss or gradient not finite')
def test_an_update_that_is_not_finite_changes_no_bit_but_the_step(loss, gradient):
  for (made, variables), wanted in zip(_steps([2.0, loss, 2.0], [[1.0, 2.0], gradient, [2.0, 1.0]]), (1, 0, 1)):
    assert made == wanted
    assert len(variables) == 6  # weight, two slots, two powers, global_step
    for name, before, after in variables:
      assert (before != after) == (bool(wanted) or name == 'global_step'), name


def _hook(folder, most=3, names=('w',)):
  info = types.SimpleNamespace(fingerprint=lambda: '', records=lambda split: 100)
  position = data_order.Position(types.SimpleNamespace(
      info=info, ranks=1, epoch_length=100, units_in=lambda batch_size: batch_size), batch_size=4)
  run = types.SimpleNamespace(counters=guard.Guard(most, None), position=position, start=0, folder=str(folder),
                              is_chief=True)
  return guard.GuardHook(
      run, None, None, finite_updates.TrainStep(None, None, None, tf.constant(True), None, names),
      lambda used, count: [('shard', used + number) for number in range(count)], 1, 1)


def _after(hook, finite):
  step = hook._step + 1
  hook.after_run(None, types.SimpleNamespace(results={
      'step': step, 'loss': np.float32(1.0 if finite else np.nan), 'finite': finite,
      'norms': np.array([[0.0 if finite else np.inf], [2.5]], np.float32)}))


def test_skipped_updates_are_counted_logged_and_shown(tmp_path, caplog):
  hook = _hook(tmp_path)
  for finite in (True, False, False, True, False):
    _after(hook, finite)
  assert hook._guard.state()['skipped'] == 3 and hook._guard.in_a_row == 1 and hook._position.used == 20
  assert 'step 3: loss nan or a gradient is not finite; update skipped (2 in all, 2 in a row)' in caplog.text
  tf.summary.FileWriterCache.clear()
  shown = [(step, value) for tag, step, value in fault_runs.scalars(str(tmp_path)) if tag == 'skipped_updates/total']
  assert shown == [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3)]


@pytest.mark.fault('loss or gradient not finite, K in a row')
def test_after_too_many_in_a_row_the_run_stops_and_leaves_what_to_look_at(tmp_path):
  hook = _hook(tmp_path)
  for finite in (False, False, True, False, False):
    _after(hook, finite)
  with pytest.raises(errors.Diverged, match='found 3 steps in a row without, the last one step 6.*bad_step-6.json'):
    _after(hook, False)
  report = json.loads((tmp_path / 'bad_step-6.json').read_text())
  assert report == {
      'step': 6, 'loss': 'nan', 'skipped_in_a_row': 3, 'gradient_norms': {'w': 'inf'}, 'weight_norms': {'w': '2.5'},
      'records': [{'file': 'shard', 'index': index} for index in range(20, 24)]}


@pytest.mark.integration
@pytest.mark.fault('loss or gradient not finite, K in a row')
def test_a_run_that_was_killed_between_them_stops_at_the_same_step(fault_server, fault_data, tmp_path):
  """Steps 8 and 9 are bad; the checkpoint of step 8 knows of the first."""
  info, binding = contract.DatasetInfo.load(fault_data), 'pretrain.max_bad_steps = 2'
  killed = fault_server.run(fault_data, tmp_path / 'out', binding, do_eval=False, faults=[('kill_after_step', 9)])
  assert killed.code == -9
  answer = fault_server.run(fault_data, tmp_path / 'out', binding, do_eval=False)
  assert answer.code == errors.DIVERGED_EXIT_CODE and fault_client.start_of(answer) == 8
  assert 'found 2 steps in a row without, the last one step 9' in answer.log
  report = json.loads(fault_runs.read(tmp_path / 'out', 'bad_step-9.json'))
  assert report['step'] == 9 and 'nan' in report['gradient_norms'].values()
  assert [(record['file'], record['index']) for record in report['records']] == fault_runs.records_of_step(info, 9)
  assert all(np.isfinite(float(norm)) for norm in report['weight_norms'].values())
  assert checkpoints.newest_good(str(tmp_path / 'out')) == str(tmp_path / 'out' / 'model.ckpt-8')


@pytest.mark.integration
@pytest.mark.fault('weight not finite')
def test_a_weight_that_is_not_finite_is_never_saved(fault_server, fault_data, uninterrupted, tmp_path, lost):
  answer = fault_server.run(fault_data, tmp_path / 'out', faults=[('bad_weight_before_saving', 8)])
  assert answer.code == errors.DIVERGED_EXIT_CODE and 'expected finite weights at step 8' in answer.log
  assert checkpoints.steps_in(str(tmp_path / 'out')) == [0, 4]
  assert fault_server.run(fault_data, tmp_path / 'out').code == 0
  assert fault_runs.different(uninterrupted[0], fault_runs.snapshot(tmp_path / 'out')) == []
  lost(steps=4)


def test_a_spike_is_a_multiple_of_the_running_mean():
  detector = spikes.SpikeDetector(3.0)
  assert not any(detector.is_spike(2.0) for _ in range(detector.LEAST_SEEN - 1))
  assert not detector.is_spike(50.0)  # too early to know
  mean = detector.mean
  assert not detector.is_spike(3.0 * mean - 0.01) and not detector.is_spike(float('nan'))
  copy = spikes.SpikeDetector(3.0)
  copy.restore(json.loads(json.dumps(detector.state())))
  assert copy.mean == detector.mean and copy.is_spike(3.1 * detector.mean) and detector.is_spike(3.1 * detector.mean)
  assert copy.mean == detector.mean  # a spike is no part of it
  assert not any(spikes.SpikeDetector(None).is_spike(loss) for loss in [1.0] * 200 + [1e9])


@pytest.mark.integration
@pytest.mark.fault('loss spike')
def test_a_spike_is_left_out_also_when_the_run_is_killed_around_it(fault_server, fault_data, tmp_path, lost):
  """The loss jumps at step 6: back to step 4, on behind the records of steps 5 and 6. Killed when it was found, and
  again after the window."""
  expected = fault_server.run(fault_data, tmp_path / 'a', faults=[('spike_at', 20)])
  assert expected.code == 0 and 'LOSS SPIKE at step 6' in expected.log, expected.log
  assert 'going back to step 4 and leaving out records 16 to 24' in expected.log
  left = fault_runs.snapshot(tmp_path / 'a')
  assert [window['to_record'] for window in left['settings']['skipped_windows']] == [24]
  assert left['position and counters'][12][0]['record'] == 48 + 8
  out = tmp_path / 'b'
  assert fault_server.run(fault_data, out, faults=[('spike_at', 20), ('kill_before_skipping',)]).code == -9
  assert fault_server.run(fault_data, out, faults=[('spike_at', 20), ('kill_after_step', 7)]).code == -9
  shutil.copytree(str(out), str(tmp_path / 'c'))
  assert fault_server.run(fault_data, out).code == 0
  assert fault_runs.different(left, fault_runs.snapshot(out)) == []
  # Proof that the comparison sees a window that is not restored.
  assert fault_server.run(fault_data, tmp_path / 'c', faults=[('few_seen',), ('forget_skipped_windows',)]).code == 0
  assert 'weights' in fault_runs.different(left, fault_runs.snapshot(tmp_path / 'c'))
  lost(records=8, steps=2)
