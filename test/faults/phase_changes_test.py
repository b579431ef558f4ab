"""A run that is killed at a change of phase goes on to the same bits, and one phase is a run without phases."""

import pytest

import fault_client
import fault_runs
import hurry
import synthetic_data
from albert.run import checkpoints
from npu_stub import installed

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

TWO_LAYERS = 'AlbertConfig.num_hidden_layers = 2'
# `make test-faults` has as many as there are cores, in each phase.
TOWERS = () if hurry.THOROUGH else ('SessionOptions.cpu_towers = 1',)
# 1 layer to step 5, shorter records in larger batches to step 8, then packed rows of the first data set, which goes on
# where it was left.
ENDS = (5, 8, 12)
PHASES = ("pretrain.phases = [{{'share': 5, 'num_hidden_layers': 1}}, "
          "{{'share': 3, 'data': {!r}, 'train_batch_size': 6}}, {{'share': 4, 'packing': True}}]")
# Kills of one run, one after the other. `make test-faults` tries each of them in a run of its own, and more.
CHAINS = [[('kill_at_call', 'building', 2), ('kill_after_step', 6), ('kill_before_heldout_history', 8)],
          [('kill_before_retaining', 5)]]
if hurry.THOROUGH:
  CHAINS = [[kill] for kill in sum(CHAINS, []) + [
      ('kill_after_step', 5), ('kill_before_heldout_history', 5), ('kill_at_call', 'ending', 1),
      ('kill_at_call', 'going back', 2), ('kill_at_call', 'restoring', 3), ('kill_after_step', 11)]]


@pytest.fixture(scope='module')
def bindings(tmp_path_factory):
  short = synthetic_data.write_dataset(str(tmp_path_factory.mktemp('short') / 'data'), (60, 50), 3, max_seq_length=16)
  return (TWO_LAYERS, PHASES.format(short.folder)) + TOWERS


@pytest.fixture(scope='module')
def whole(fault_server, fault_data, bindings, tmp_path_factory):
  """(what is left of a run that nothing happened to, fault_client.Answer, its folder)."""
  out = tmp_path_factory.mktemp('phases') / 'out'
  answer = fault_server.run(fault_data, out, *bindings)
  assert answer.code == 0, answer.log
  return fault_runs.snapshot(out), answer, out


def test_each_phase_says_what_it_is_and_ends_in_an_evaluation_of_all_layers(whole):
  snapshot, answer, _ = whole
  said = [line for line in answer.log.split('\n') if line.startswith('phase ') and ' of ' in line.split(':')[0]]
  assert [line.split(':')[0] for line in said] == [
      'phase {} of 3, to step {}'.format(number, end) for number, end in enumerate(ENDS, 1)]
  assert '1 layers, batch 4, S=24' in said[0] and '2 layers, batch 6, S=16' in said[1] and said[2].endswith('packed')
  evaluated = [int(line.split('\t')[0]) for line in snapshot['held-out history'].split('\n')[1:-1]]
  assert evaluated == [4, 5, 8, 12]


def test_the_cpu_time_of_all_phases_adds_up(whole):
  _, _, out = whole
  seconds = [checkpoints.read_manifest(checkpoints.prefix_of(str(out), step))['train']['train']['cpu_seconds']
             for step in checkpoints.steps_in(str(out))]
  assert seconds == sorted(set(seconds)) and seconds[0] > 0


def test_the_data_of_an_earlier_phase_goes_on_where_it_was_left(whole):
  """Five batches of 4 of 2,000 records were used; then four batches of 4 of the rows that pack them."""
  _, _, out = whole
  positions = {step: checkpoints.read_manifest(checkpoints.prefix_of(str(out), step))['data_position']
               for step in checkpoints.steps_in(str(out))}
  assert positions[8]['record'] == 3 * 6
  elsewhere, = positions[8]['elsewhere'].values()
  assert elsewhere['record'] == 5 * 4 and elsewhere['epoch_length'] == 2000
  last = positions[12]
  assert last['record'] == 20 * last['epoch_length'] // 2000 + 4 * 4 and last['epoch_length'] < 2000


@pytest.mark.parametrize('kills', CHAINS, ids=str)
def test_a_run_that_is_killed_at_a_change_of_phase_goes_on_to_the_same_bits(
    fault_server, fault_data, bindings, whole, tmp_path, kills):
  expected, out = whole[0], tmp_path / 'out'
  for fault in kills:
    assert fault_server.run(fault_data, out, *bindings, faults=[fault]).code == -9, fault
  resumed = fault_server.run(fault_data, out, *bindings)
  assert resumed.code == 0, resumed.log
  assert fault_client.start_of(resumed) is not None and not fault_runs.leftovers(out)
  assert fault_runs.different(expected, fault_runs.snapshot(out)) == [], resumed.log


def test_a_run_that_is_told_to_stop_at_the_end_of_a_phase_stops_there(
    fault_server, fault_data, bindings, whole, tmp_path):
  out = tmp_path / 'out'
  stopped = fault_server.run(fault_data, out, *bindings, faults=[('signal_after_step', 5, 'SIGTERM')])
  assert stopped.code == 75 and checkpoints.steps_in(str(out))[-1] == 5
  assert fault_server.run(fault_data, out, *bindings).code == 0
  assert fault_runs.different(whole[0], fault_runs.snapshot(out)) == []


def test_one_phase_is_the_run_without_phases(fault_server, fault_data, uninterrupted, tmp_path):
  answer = fault_server.run(fault_data, tmp_path / 'out', "pretrain.phases = [{'share': 1.0}]")
  assert answer.code == 0, answer.log
  assert fault_runs.different(uninterrupted[0], fault_runs.snapshot(tmp_path / 'out')) == []
  assert 'phase 1 of' not in answer.log


def test_other_phases_are_refused_in_the_middle_of_a_run(fault_server, fault_data, bindings, tmp_path):
  out = tmp_path / 'out'
  assert fault_server.run(fault_data, out, *bindings, faults=[('kill_after_step', 6)]).code == -9
  other = bindings[1].replace("'train_batch_size': 6", "'train_batch_size': 12")
  refused = fault_server.run(fault_data, out, TWO_LAYERS, other)
  assert refused.code == 1 and 'phase_2.train_batch_size 6 (here: 12)' in refused.log
  without = fault_server.run(fault_data, out, TWO_LAYERS)
  assert without.code == 1 and 'found phases 3 (here: 1)' in without.log


@pytest.mark.parametrize('name', [installed.OLDEST, installed.NEWEST])
def test_phases_go_through_the_loops_of_an_npu(name, fault_data, bindings, tmp_path):
  """Loops of two: phases end at multiples of two, or beyond where an update was skipped."""
  out = tmp_path / 'out'
  with installed.npu_bridge(name):
    assert fault_runs.train(fault_data, out, "SessionOptions.device = 'npu'", 'SessionOptions.iterations_per_loop = 2',
                            *bindings) is None
  evaluated = [int(line.split('\t')[0]) for line in fault_runs.read(out, 'heldout_history.tsv').splitlines()[1:]]
  assert len(evaluated) == len(set(evaluated)) >= 3 and evaluated[-1] in (12, 13), evaluated
