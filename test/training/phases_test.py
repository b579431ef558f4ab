"""Phases: what may be said of them, where they end, and the plans that they are."""

import gin
import pytest

import synthetic_data
from albert.common.errors import UserError
from albert.dataset import record_format
from albert import input_pipeline
from albert.tasks.pretraining import Pretraining
from albert.training import phases
from albert.training import planning
from albert.training.run_options import RunOptions

MADE = {'random_seed': 1, 'heldout_fraction': 0.05, 'inputs': [{'file': 'text.txt', 'sha256': 'a'}],
        'masked_lm_prob': 0.1}
GROWING = [{'share': 1, 'num_hidden_layers': 2}, {'share': 3}]


@pytest.mark.parametrize('value, found', [
    (3, 'expected a list such as'), ([3], 'expected a list such as'), ([{}], 'phases 1: .*found no share'),
    ([{'share': 1, 'layers': 2}], 'phases 1: .*found layers'), ([{'share': 0}], 'phases 1: share: .*found 0'),
    ([{'share': 1}, {'share': 1, 'num_hidden_layers': 0}], 'phases 2: num_hidden_layers: '),
    ([{'share': 1, 'max_seq_length': 128}], r'found max_seq_length; .* \(the length comes with the data\)'),
    ([{'share': 1, 'packing': 1}], 'packing: expected True or False'),
    ([{'share': 1, 'data': ''}], 'expected the folder'),
    ([{'share': 1, 'masked_lm_prob': 1.0}], 'masked_lm_prob: expected a number')])
def test_what_is_no_list_of_phases_is_refused(value, found):
  with pytest.raises(UserError, match=found):
    RunOptions(phases=value)


def test_a_single_phase_that_says_nothing_is_none():
  assert RunOptions(phases=[{'share': 2}]).phases == () == RunOptions().phases
  assert RunOptions(phases=GROWING).phases == tuple(GROWING)


def test_phases_end_by_their_shares_at_multiples_of_a_loop():
  assert phases.ends('phases', GROWING, 10, 1) == [2, 10]
  assert phases.ends('phases', GROWING, 12, 4) == [4, 12]
  assert phases.ends('phases', 3 * [{'share': 0.1}], 100, 1) == [33, 67, 100]
  with pytest.raises(UserError, match='phases 1: expected a share of at least 8 of the 8 steps, found 1 of 4'):
    phases.ends('phases', GROWING, 8, 8)


def test_the_phase_of_a_step_is_the_one_that_makes_the_next_update():
  made = [phases.Phase(number, 2, first, end, None) for number, first, end in ((1, 0, 3), (2, 3, 5))]
  assert [phases.at(made, step).number for step in range(7)] == [1, 1, 1, 2, 2, 2, 2]


def test_a_data_set_lies_beside_that_of_the_run_unless_it_is_a_path():
  assert phases.data_path('short', 'data/records/') == 'data/short' and phases.data_path('short', 'records') == 'short'
  assert phases.data_path('else/short', 'data/records') == 'else/short'
  assert phases.data_path('short/', 'data/records') == 'data/short'  # as a shell completes it


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  folder = tmp_path_factory.mktemp('phases')
  return [synthetic_data.write_dataset(str(folder / name), max_seq_length=length)
          for name, length in (('long', 24), ('short', 16))]


def decide(data, out, described, **more):
  gin.parse_config(["SessionOptions.device = 'cpu'", 'AlbertConfig.hidden_size = 8', 'AlbertConfig.embedding_size = 6',
                    'AlbertConfig.num_hidden_layers = 4', 'AlbertConfig.num_attention_heads = 2',
                    'AlbertConfig.intermediate_size = 12'])
  options = RunOptions(train_batch_size=4, eval_batch_size=2, num_train_steps=8, phases=described, **more)
  return planning.decide(planning.Where(data[0].folder, str(out)), options, Pretraining)


def test_a_phase_is_the_plan_of_the_run_with_what_is_other(data, tmp_path):
  plan = decide(data, tmp_path, [
      {'share': 1, 'num_hidden_layers': 2}, {'share': 2, 'data': 'short', 'train_batch_size': 6},
      {'share': 1, 'packing': True}])
  first, second, third = [phase.plan for phase in plan.phases]
  assert [(phase.first, phase.end) for phase in plan.phases] == [(0, 2), (2, 6), (6, 8)]
  assert [own.config.num_hidden_layers for own in (plan, first, second, third)] == [4, 2, 4, 4]
  assert [own.info.max_seq_length for own in (first, second, third)] == [24, 16, 24]
  assert [own.options.train_batch_size for own in (first, second, third)] == [4, 6, 4]
  assert [own.input_options.packing for own in (first, second, third)] == [False, False, True]
  # Tokens in all layers: 4 x 24 in 2, 6 x 16 and 4 x 24 in 4.
  assert [phases.work(phase) / phases.work(plan.phases[0]) for phase in plan.phases] == [1.0, 2.0, 2.0]
  assert plan.settings['phases'] == 3 and plan.settings['phase_2.data_set'] == data[1].fingerprint()
  assert plan.settings['phase_2.micro_batch_size'] == second.micro_batch_size
  assert first.optimizer == plan.optimizer and first.options.num_train_steps == 8  # one schedule over all phases


def test_a_run_without_phases_is_one_of_which_nothing_is_other(data, tmp_path):
  plan = decide(data, tmp_path, ())
  phase, = plan.phases
  assert (phase.first, phase.end) == (0, 8) and phase.plan == plan._replace(
      settings=phase.plan.settings, phases=phase.plan.phases)
  assert plan.settings == dict(phase.plan.settings, phases=1)
  assert len(decide(data, tmp_path, GROWING, performance=True).phases) == 1


@pytest.mark.parametrize('described, found', [
    ([{'share': 1}, {'share': 1, 'num_hidden_layers': 2}], 'expected all 4 layers in the last phase, .*found 2'),
    ([{'share': 1, 'num_hidden_layers': 5}, {'share': 1}], 'phases 1: num_hidden_layers: expected 1 .* to 4 .*found 5'),
    ([{'share': 1, 'masked_lm_prob': 0.4}, {'share': 1}], 'phases 1: expected compact records'),
    ([{'share': 1, 'data': 'absent'}, {'share': 1}], "phases 1: .*found nothing at '.*absent'"),
    ([{'share': 1}, {'share': 1, 'train_batch_size': 3, 'micro_batch_size': 2}],
     'phases 2: .*expected a divisor of .*train_batch_size=3, found 2')])
def test_what_does_not_go_with_the_run_is_refused(data, tmp_path, described, found):
  with pytest.raises(UserError, match=found):
    decide(data, tmp_path, described)


@pytest.mark.parametrize('here, there, is_noted', [
    ({}, {}, False), (MADE, dict(MADE, masked_lm_prob=0.4), False), (MADE, dict(MADE, random_seed=2), True),
    (MADE, dict(MADE, inputs=[{'file': 'text.txt', 'sha256': 'b'}]), True), (MADE, {}, False)])
def test_data_that_holds_other_documents_out_than_the_evaluation_reads_is_noted(
    data, tmp_path, monkeypatch, here, there, is_noted):
  opened = input_pipeline.open_dataset

  def open_dataset(path, *arguments):
    info = opened(path, *arguments)
    info.settings.update(there if path.endswith('short') else here)
    return info
  monkeypatch.setattr(input_pipeline, 'open_dataset', open_dataset)
  notes = [line for _, line in decide(data, tmp_path, [{'share': 1, 'data': 'short'}, {'share': 1}]).notes]
  found = [line for line in notes if 'holds other documents out' in line]
  assert len(found) == is_noted and all('phases 1: {} was not'.format(data[1].folder) in line for line in found)


def test_what_is_lost_of_the_data_of_a_phase_is_among_its_notes(data, tmp_path, monkeypatch):
  opened = input_pipeline.open_dataset

  def open_dataset(path, features, warn):
    if path.endswith('short'):
      warn('lost: record 3')
    return opened(path, features, warn)
  monkeypatch.setattr(input_pipeline, 'open_dataset', open_dataset)
  notes = [line for _, line in decide(data, tmp_path, [{'share': 1}, {'share': 1, 'data': 'short'}]).notes]
  assert [line for line in notes if 'lost' in line] == ['RunOptions.phases 2: lost: record 3']


def test_data_of_another_vocabulary_is_refused(data, tmp_path, monkeypatch):
  opened = input_pipeline.open_dataset

  def open_dataset(path, *arguments):
    info = opened(path, *arguments)
    info.vocab_sha256 = path.endswith('short') and digest or info.vocab_sha256
    return info
  monkeypatch.setattr(input_pipeline, 'open_dataset', open_dataset)
  digest = 'another'
  with pytest.raises(UserError, match='phases 1: expected the vocabulary of .*long in .*short, found another'):
    decide(data, tmp_path, [{'share': 1, 'data': 'short'}, {'share': 1}])


def test_compact_records_are_masked_otherwise_with_room_for_the_labels(data):
  data[0].settings['record_format'] = record_format.COMPACT
  try:
    other = data[0].read_otherwise({'masked_lm_prob': 0.5})
  finally:
    del data[0].settings['record_format']
  assert (other.settings['masked_lm_prob'], other.max_predictions_per_seq) == (0.5, 12)
  assert 'masked_lm_prob' not in data[0].settings and other.fingerprint() == data[0].fingerprint()
