"""What a run was started with is kept: a change is refused by name, or made because it was said."""

import json

import pytest

from albert.common.errors import UserError
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
    run_state.RunState(str(begun)).agree(dict(SETTINGS, **{name: value}), (), 4)
  said = '{} {} (asked: {})'.format(name, str(SETTINGS[name])[:12], str(value)[:12])
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


def test_a_file_that_cannot_be_read_is_told(begun):
  (begun / names.STATE_FILE).write_text('{"settings"')
  with pytest.raises(UserError, match='run_state.json'):
    run_state.RunState(str(begun))


def test_windows_that_are_left_out_are_kept(begun):
  window = {'checkpoint_step': 4, 'spike_step': 6, 'loss': 9.0, 'mean': 3.0, 'from_record': 16, 'to_record': 24}
  state = run_state.RunState(str(begun))
  state.skip_window(window)
  state.skip_window(window)  # found again after a kill
  found = run_state.RunState(str(begun))
  assert found.skipped_windows == [window] and found.settings == SETTINGS
  assert (found.position_after(4, 16), found.position_after(8, 40)) == (24, 40)


def test_a_run_does_not_go_back_for_ever(begun):
  state = run_state.RunState(str(begun))
  for number in range(run_state.MOST_RETURNS):
    state.skip_window({'checkpoint_step': 4, 'to_record': number})
  with pytest.raises(UserError, match='lower OptimizerOptions.learning_rate'):
    state.skip_window({'checkpoint_step': 4, 'to_record': 99})
