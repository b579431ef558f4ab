"""What a run was started with is kept: a change is refused by name, or made because it was said."""

import json
import os
import re

import pytest

from albert.common.errors import UserError
from albert.run import checkpoints
from albert.run import names
from albert.run import run_state

SETTINGS = {'train_batch_size': 4, 'data_set': 'a' * 64, 'random_seed': 1, 'micro_batch_size': 2, 'ranks': 1,
            'intra_op_parallelism_threads': 2, 'cpu_towers': 2}
CHANGES = [('train_batch_size', 8), ('data_set', 'b' * 64), ('random_seed', 2), ('micro_batch_size', 4), ('ranks', 2),
           ('intra_op_parallelism_threads', 3), ('cpu_towers', 1)]


@pytest.fixture
def begun(tmp_path):
  run_state.RunState(str(tmp_path)).agree(SETTINGS, (), 0)
  return tmp_path


@pytest.mark.parametrize('name,value', CHANGES)
@pytest.mark.fault('changed setting')
def test_a_change_is_refused_by_name_and_changes_nothing(begun, name, value):
  before = (begun / names.STATE_FILE).read_text()
  with pytest.raises(UserError) as caught:
    run_state.RunState(str(begun)).agree(dict(SETTINGS, **{name: value}), (), 4, (), 'pretrain.allow_changes')
  said = '{} {} (here: {})'.format(name, str(SETTINGS[name])[:12], str(value)[:12])
  assert said in str(caught.value) and str(begun) in str(caught.value)
  assert "pretrain.allow_changes=['{}']".format(name) in str(caught.value)
  assert not any(other in str(caught.value) for other in SETTINGS if other != name)
  assert (begun / names.STATE_FILE).read_text() == before


@pytest.mark.parametrize('name,value', CHANGES)
def test_a_change_that_was_said_is_made_kept_and_logged(begun, caplog, name, value):
  state = run_state.RunState(str(begun))
  assert state.agree(dict(SETTINGS, **{name: value}), (name,), 4) == [name]
  assert 'from step 4 on {} is'.format(name) in caplog.text
  kept = json.loads((begun / names.STATE_FILE).read_text())
  assert kept['settings'][name] == value
  assert kept['changes'] == [{'step': 4, 'name': name, 'from': SETTINGS[name], 'to': value}]
  assert run_state.RunState(str(begun)).agree(dict(SETTINGS, **{name: value}), (), 4) == []


def test_allowing_one_change_allows_no_other(begun):
  with pytest.raises(UserError, match='random_seed 1'):
    run_state.RunState(str(begun)).agree(dict(SETTINGS, random_seed=2, train_batch_size=8), ('train_batch_size',), 4)


def test_a_name_that_nothing_has_is_told(begun):
  with pytest.raises(UserError, match='found batch_size'):
    run_state.RunState(str(begun)).agree(SETTINGS, ('batch_size',), 4)


def test_before_the_first_checkpoint_nothing_is_refused(begun):
  assert run_state.RunState(str(begun)).agree(dict(SETTINGS, random_seed=2), (), 0) == []


DAMAGED = ['', '{"settings"', '[]', '{"settings": [], "skipped_windows": [], "changes": []}', '[' * 100000,
           '{"settings": {}, "skipped_windows": [{"to_record": "4"}], "changes": []}', '\ud800', 'NaN']


@pytest.mark.parametrize('content', DAMAGED)
@pytest.mark.fault('damaged small file')
def test_a_damaged_file_is_written_again_as_the_newest_checkpoint_has_it(begun, content):
  state = run_state.RunState(str(begun))
  temporary = checkpoints.temporary_prefix(str(begun), 4)
  with open(temporary + '.index', 'w'):
    checkpoints.commit(str(begun), temporary, 4, {'run_state': state.entries()})
  (begun / names.STATE_FILE).write_bytes(content.encode('utf-8', errors='surrogatepass'))
  again = run_state.RunState(str(begun))
  assert again.entries() == state.entries()
  assert names.STATE_FILE in again.problem and 'as the checkpoint of step 4 has it' in again.problem
  assert '\n' not in again.problem


@pytest.mark.fault('damaged small file')
def test_a_number_that_was_changed_is_damage_and_a_file_of_an_earlier_version_is_not(begun):
  content = json.loads((begun / names.STATE_FILE).read_text())
  changed = dict(content, settings=dict(content['settings'], random_seed=7))
  (begun / names.STATE_FILE).write_text(json.dumps(changed))
  assert 'it is not what was written' in run_state.RunState(str(begun)).problem
  renamed = dict(changed, sha257=changed['sha256'])
  del renamed['sha256']
  (begun / names.STATE_FILE).write_text(json.dumps(renamed))
  assert 'it is not what was written' in run_state.RunState(str(begun)).problem
  del changed['sha256']
  (begun / names.STATE_FILE).write_text(json.dumps(changed))
  assert run_state.RunState(str(begun)).settings['random_seed'] == 7


@pytest.mark.fault('damaged small file')
def test_a_damaged_file_that_nothing_has_a_copy_of_does_not_stop_the_run(begun):
  (begun / names.STATE_FILE).write_text('{"settings"')
  state = run_state.RunState(str(begun))
  assert state.settings == {} and 'those of this start are taken' in state.problem
  assert state.agree(SETTINGS, (), 4) == []
  assert run_state.RunState(str(begun)).settings == SETTINGS


def test_a_pipe_in_its_place_is_not_waited_for(begun):
  os.remove(str(begun / names.STATE_FILE))
  os.mkfifo(str(begun / names.STATE_FILE))
  assert 'it is a pipe' in run_state.RunState(str(begun)).problem


SCHEDULE = {'optimizer': 'lamb', 'learning_rate': 1.375e-5, 'num_warmup_steps': 3125, 'num_train_steps': 125000,
            'max_eval_steps': None, 'evaluation_set': 'a' * 64}


@pytest.mark.parametrize('name,value,said', [
    ('optimizer', 'adamw', 'optimizer lamb -> adamw from step 40'),
    ('learning_rate', 1e-4, 'learning rate 1.375e-5 -> 1e-4 from step 40'),
    ('num_warmup_steps', 10, 'num warmup steps 3125 -> 10 from step 40'),
    ('num_train_steps', 100, 'num train steps 125000 -> 100 from step 40'),
    ('max_eval_steps', 3, 'max eval steps None -> 3 from step 40'),
    ('evaluation_set', 'b' * 64, 'evaluation set aaaaaaaaaaaa -> bbbbbbbbbbbb from step 40')])
def test_a_change_of_the_schedule_is_one_line_and_kept(begun, caplog, name, value, said):
  run_state.RunState(str(begun)).follow(SCHEDULE, 0)
  state = run_state.RunState(str(begun))
  state.follow(dict(SCHEDULE, **{name: value}), 40)
  assert [record.getMessage() for record in caplog.records] == [said]
  kept = json.loads((begun / names.STATE_FILE).read_text())
  assert kept['changes'] == [{'step': 40, 'name': name, 'from': SCHEDULE[name], 'to': value}]
  run_state.RunState(str(begun)).follow(dict(SCHEDULE, **{name: value}), 41)
  assert len(caplog.records) == 1


def test_the_schedule_of_a_run_from_before_it_was_recorded_is_taken_as_it_is(begun, caplog):
  state = json.loads((begun / names.STATE_FILE).read_text())
  (begun / names.STATE_FILE).write_text(json.dumps({name: state[name] for name in (
      'settings', 'skipped_windows', 'changes')}))
  again = run_state.RunState(str(begun))
  assert again.problem is None and again.settings == SETTINGS
  again.follow(SCHEDULE, 40)
  assert not caplog.records and run_state.RunState(str(begun)).schedule == SCHEDULE


def _weights(folder, name, content):
  (folder / (name + '.index')).write_text(content)
  return str(folder / name)


@pytest.mark.parametrize('began,given,said', [
    ('a', 'a', None), ('a', 'copy of a', None), ('a', None, None), (None, None, None),
    ('a', 'b', 'init_checkpoint=.*b has no effect: the run in .* began from .*a and goes on from step 40'),
    (None, 'a', 'init_checkpoint=.*a has no effect: the run in .* began otherwise and goes on from step 40')])
def test_weights_to_begin_from_are_told_where_the_run_is_there_already(begun, caplog, began, given, said):
  contents = {'a': 'a', 'copy of a': 'a', 'b': 'b'}
  prefixes = {name: _weights(begun, name, content) for name, content in contents.items()}
  run_state.RunState(str(begun)).begin_from(prefixes.get(began), None)
  for _ in range(2):
    run_state.RunState(str(begun)).begin_from(prefixes.get(given), 40)
  changes = json.loads((begun / names.STATE_FILE).read_text())['changes']
  if said:
    assert re.search(said, caplog.text)
    assert changes == [{'step': 40, 'name': 'init_checkpoint', 'from': prefixes.get(began), 'to': prefixes[given],
                        'effect': False}]
  else:
    assert not caplog.records and not changes


def test_what_was_chosen_again_is_no_refusal_and_said(begun, caplog):
  changed = dict(SETTINGS, train_batch_size=6, micro_batch_size=3, cpu_towers=1)
  with pytest.raises(UserError, match='cpu_towers 2 .here: 1., micro_batch_size 2 .here: 3.; .*'
                                      r"\['cpu_towers', 'micro_batch_size', 'train_batch_size'\]"):
    run_state.RunState(str(begun)).agree(changed, ('train_batch_size',), 4)
  run_state.RunState(str(begun)).agree(changed, ('train_batch_size',), 4, ('micro_batch_size', 'cpu_towers'))
  assert 'micro_batch_size is 3, it was 2' in caplog.text and '(chosen again)' in caplog.text
  assert run_state.RunState(str(begun)).settings == changed


def test_windows_that_are_left_out_are_kept(begun):
  window = {'checkpoint_step': 4, 'spike_step': 6, 'loss': 9.0, 'mean': 3.0, 'from_record': 16, 'to_record': 24}
  state = run_state.RunState(str(begun))
  state.skip_window(window)
  state.skip_window(window)  # found again after a kill
  again = run_state.RunState(str(begun))
  assert again.skipped_windows == [window] and again.settings == SETTINGS
  assert (again.position_after(4, 16), again.position_after(8, 40)) == (24, 40)


def test_a_run_does_not_go_back_for_ever(begun):
  state = run_state.RunState(str(begun))
  for number in range(run_state.MOST_RETURNS):
    state.skip_window({'checkpoint_step': 4, 'to_record': number})
  with pytest.raises(UserError, match='lower OptimizerOptions.learning_rate'):
    state.skip_window({'checkpoint_step': 4, 'to_record': 99})
