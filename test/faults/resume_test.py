"""A run goes on with everything that it had; and the comparison that says so sees each thing that it has not.

Where a run is said to go on from: FAR was killed after step 11, with the event file written that far, its checkpoint is
of step 8. EVALUATED was killed when the last evaluation was finished but not noted, SAVED when the last checkpoint
was there and those that are too old not yet removed.
"""

import os
import shutil

import pytest

import fault_client
import fault_runs
import hurry
from albert.dataset import contract
from albert.run import checkpoints
from albert.run import run_lock

pytestmark = pytest.mark.integration

KILLED = {'far': [('flush_events',), ('kill_after_step', 11)], 'evaluated': [('kill_before_heldout_history', 12)],
          'saved': [('kill_before_retaining', 12)]}
# As in `make test-faults`. Else, as in `make test`, there is one of each kind.
THOROUGH = hurry.THOROUGH
# A machine on which towers, threads and micro-batches would be chosen otherwise; what was recorded holds.
ELSEWHERE = ('machine', 4, 2)


@pytest.fixture(scope='module')
def killed(fault_server, fault_data, tmp_path_factory):
  """{name: folder of a run that has been killed}."""
  folders = {name: tmp_path_factory.mktemp(name) / 'out' for name in KILLED}
  for name, faults in KILLED.items():
    assert fault_server.run(fault_data, folders[name], faults=faults).code == -9
  return folders


def _go_on(fault_server, fault_data, killed, name, out, *bindings, faults=(), **arguments):
  shutil.copytree(str(killed[name]), str(out))
  answer = fault_server.run(fault_data, out, *bindings, faults=[
      [fault[0]] + [str(word).replace('OUT', str(out)) if isinstance(word, str) else word for word in fault[1:]]
      for fault in faults], **arguments)
  return answer, fault_runs.snapshot(out)


@pytest.mark.parametrize('name,start', [('far', 8), ('evaluated', None), ('saved', None)])
@pytest.mark.fault('SIGKILL, then another machine')
def test_it_goes_on_with_everything(fault_server, fault_data, killed, uninterrupted, tmp_path, lost, name, start):
  answer, left = _go_on(fault_server, fault_data, killed, name, tmp_path / 'out', faults=[ELSEWHERE])
  assert answer.code == 0 and fault_client.start_of(answer) == start, answer.log
  assert fault_runs.different(uninterrupted[0], left) == []
  lost(steps=3 if start else 0)


DAMAGED = [('far', 8, 4, 'truncated data'), ('finished', 12, 8, 'missing index'),
           ('finished', 12, 8, 'truncated data'), ('finished', 12, 8, 'damaged manifest')]


@pytest.mark.parametrize('name,step,start,damage', DAMAGED if THOROUGH else DAMAGED[:2])
@pytest.mark.fault('damaged newest checkpoint')
def test_from_the_checkpoint_before_a_damaged_one(fault_server, fault_data, killed, uninterrupted, tmp_path, lost, name,
                                                  step, start, damage):
  folder = tmp_path / 'damaged'
  shutil.copytree(str(dict(killed, finished=uninterrupted[2])[name]), str(folder))
  prefix = str(folder / 'model.ckpt-{}'.format(step))
  if damage == 'missing index':
    os.remove(prefix + '.index')
  else:
    path = prefix + {'truncated data': '.data-00000-of-00001', 'damaged manifest': checkpoints.MANIFEST}[damage]
    os.truncate(path, os.path.getsize(path) // 2)
  answer, left = _go_on(fault_server, fault_data, {name: folder}, name, tmp_path / 'out')
  assert answer.code == 0 and fault_client.start_of(answer) == start, answer.log
  assert 'DAMAGED CHECKPOINT' in answer.log and 'model.ckpt-{}'.format(step) in answer.log
  assert fault_runs.different(uninterrupted[0], left) == []
  lost(steps=(11 if name == 'far' else 12) - start)


# What is restored: where to go on from, how to break it, the part of the comparison that must see it; None: it refuses.
BROKEN = {
    'weights': ('far', ('forget_variables', 'word_embeddings'), 'weights'),
    'first moments': ('far', ('forget_variables', '/adam_m'), 'weights'),
    'second moments': ('far', ('forget_variables', '/adam_v'), 'weights'),
    'global step': ('far', ('forget_variables', 'global_step'), None),
    'position in the data': ('far', ('forget_position',), 'weights'),
    'step of dropout': ('far', ('forget_dropout_step', 8), 'weights'),
    'skipped updates': ('far', ('forget_of_guard', 'skipped'), 'position and counters'),
    'skipped updates in a row': ('far', ('forget_of_guard', 'in_a_row'), 'training events'),
    'mean loss': ('far', ('forget_of_guard', 'mean'), 'position and counters'),
    'number of losses seen': ('far', ('forget_of_guard', 'seen'), 'position and counters'),
    'end of the loss history': ('far', ('forget_to_rewind', 'loss_history.tsv'), 'loss history'),
    'loss history': ('far', ('forget_file', 'OUT/loss_history.tsv'), 'loss history'),
    'held-out history': ('far', ('forget_file', 'OUT/heldout_history.tsv'), 'held-out history'),
    'best': ('far', ('forget_file', 'OUT/best/best.json'), 'best'),
    'end of the training events': ('far', ('forget_to_rewind', 'OUT'), 'training events'),
    'lost records': ('far', ('forget_lost_records',), 'lost records'),
    'towers': ('far', ('forget_recorded', 'cpu_towers'), None),
    'threads': ('far', ('forget_recorded', 'intra_op_parallelism_threads', 'inter_op_parallelism_threads'), None),
    'micro-batch size': ('far', ('forget_recorded', 'micro_batch_size'), None),
    'figures of training': ('evaluated', ('forget_figures_of_training',), 'results'),
    'end of the held-out events': ('evaluated', ('forget_to_rewind', 'OUT/eval_heldout'), 'held-out events')}


BROKEN_HERE = BROKEN if THOROUGH else (
    'second moments', 'position in the data', 'end of the training events', 'towers', 'micro-batch size',
    'figures of training')


@pytest.mark.parametrize('item', BROKEN_HERE)
@pytest.mark.fault('(proof) restore broken: seen')
def test_the_comparison_sees_what_is_not_restored(fault_server, fault_data, killed, uninterrupted, tmp_path, item):
  name, fault, part = BROKEN[item]
  answer, left = _go_on(fault_server, fault_data, killed, name, tmp_path / 'out', faults=[ELSEWHERE, fault])
  if part:
    assert answer.code == 0, answer.log
    assert part in fault_runs.different(uninterrupted[0], left)
  else:
    assert answer.code == 1 and 'expected' in answer.log


@pytest.mark.parametrize('binding,message', [
    ('pretrain.train_batch_size = 8', 'train_batch_size 4 (here: 8)'),
    ('pretrain.random_seed = 1', 'random_seed 12345 (here: 1)'),
    ('SessionOptions.intra_op_parallelism_threads = 3', 'intra_op_parallelism_threads'),
    ('SessionOptions.cpu_towers = 1', 'cpu_towers'),
    ('pretrain.micro_batch_size = 2', 'micro_batch_size 4 (here: 2)'),
    ('AlbertConfig.hidden_size = 12', 'hidden_size 8 (here: 12)')])
@pytest.mark.fault('changed setting')
def test_a_change_that_was_not_said_is_refused(fault_server, fault_data, killed, tmp_path, binding, message):
  before = fault_runs.snapshot(killed['far'])
  answer, left = _go_on(fault_server, fault_data, killed, 'far', tmp_path / 'out', binding)
  assert answer.code == 1 and message in answer.log and 'Traceback' not in answer.log
  assert fault_runs.different(before, left) == []


@pytest.mark.fault('changed setting')
def test_another_data_set_is_refused_and_taken_where_it_is_said(fault_server, fault_data, killed, tmp_path):
  other = tmp_path / 'data'
  shutil.copytree(fault_data, str(other))
  info = contract.DatasetInfo.load(str(other))
  info.shards[contract.TRAIN].reverse()
  info.save()
  answer, _ = _go_on(fault_server, other, killed, 'far', tmp_path / 'a')
  assert answer.code == 1 and 'data_set ' in answer.log and "allow_changes=['data_set']" in answer.log
  answer, left = _go_on(fault_server, other, killed, 'far', tmp_path / 'b', "pretrain.allow_changes = ['data_set']",
                         'pretrain.num_train_steps = 9')
  assert answer.code == 0 and 'from step 8 on data_set is' in answer.log
  assert left['position and counters'][9][0]['record'] == fault_runs.BATCH_SIZE  # the new data from its beginning


@pytest.mark.fault('two runs on one folder')
def test_a_second_run_changes_nothing(fault_server, fault_data, killed, tmp_path):
  before = fault_runs.snapshot(killed['far'])
  with run_lock.hold(str(killed['far'])):
    answer = fault_server.run(fault_data, killed['far'])
  assert answer.code == 1 and 'expected a folder that no other run writes' in answer.log
  assert fault_runs.different(before, fault_runs.snapshot(killed['far'])) == []
