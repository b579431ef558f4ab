"""A task is one file: one that the library does not know trains, is killed, goes on, and keeps its best."""

import shutil

import pytest

import fault_client
import fault_runs
from label_count import LabelCount

pytestmark = pytest.mark.integration

TASK = ('other_task',)


def _heldout_history(out):
  lines = [line.split('\t') for line in fault_runs.read(out, 'heldout_history.tsv').splitlines()]
  assert lines[0] == ['step', 'accuracy', 'largest_error']
  return {int(step): (float(accuracy), float(error)) for step, accuracy, error in lines[1:]}


@pytest.fixture(scope='module')
def whole(fault_server, fault_data, tmp_path_factory):
  """The folder of an undisturbed run of the task."""
  out = tmp_path_factory.mktemp('whole') / 'out'
  answer = fault_server.run(fault_data, out, faults=[TASK])
  assert answer.code == 0, answer.log
  return out


def test_it_is_killed_and_goes_on_to_the_same_bits(fault_server, fault_data, whole, tmp_path):
  out = tmp_path / 'out'
  assert fault_server.run(fault_data, out, faults=[TASK, ('flush_events',), ('kill_after_step', 11)]).code == -9
  answer = fault_server.run(fault_data, out, faults=[TASK])
  assert answer.code == 0 and fault_client.start_of(answer) == 8, answer.log
  first, second = [fault_runs.snapshot(folder, LabelCount.criterion) for folder in (whole, out)]
  assert fault_runs.different(first, second) == []
  assert {'label_count/accuracy', 'label_count/total_loss'} <= {tag for tag, _, _ in first['training events']}
  assert {'label_count/accuracy', 'label_count/largest_error'} == {tag for tag, _, _ in first['held-out events']}


def test_the_best_checkpoint_has_the_highest_accuracy(whole):
  history = _heldout_history(whole)
  assert sorted(history) == [4, 8, 12]
  best = max(history, key=lambda step: (history[step][0], -step))  # the first of equals
  prefix, figures, _ = fault_runs.snapshot(whole, LabelCount.criterion)['best']
  assert prefix == 'model.ckpt-{}'.format(best) and figures['global_step'] == best
  assert figures['accuracy'] == pytest.approx(history[best][0], abs=1e-6)


def test_what_is_no_mean_over_batches_is_scored_on_the_host(whole):
  for accuracy, largest_error in _heldout_history(whole).values():
    assert largest_error == int(largest_error) and (largest_error == 0) == (accuracy == 1.0)


def test_it_can_be_evaluated_alone(fault_server, fault_data, whole):
  answer = fault_server.run(fault_data, whole, faults=[TASK], do_train=False)
  assert answer.code == 0 and 'held-out at step' in answer.log, answer.log


@pytest.mark.parametrize('steps', [12, 16])
def test_two_tasks_do_not_share_a_folder(fault_server, fault_data, whole, uninterrupted, tmp_path, steps):
  for name, source, faults in (('a', whole, ()), ('b', uninterrupted[2], [TASK])):
    out = tmp_path / name
    shutil.copytree(str(source), str(out))
    before = fault_runs.snapshot(out, LabelCount.criterion if name == 'a' else fault_runs.Pretraining.criterion)
    answer = fault_server.run(fault_data, out, 'pretrain.num_train_steps = {}'.format(steps), faults=faults)
    assert answer.code == 1 and 'expected an empty folder or a run of the task' in answer.log, answer.log
    after = fault_runs.snapshot(out, LabelCount.criterion if name == 'a' else fault_runs.Pretraining.criterion)
    assert fault_runs.different(before, after) == []
