"""What does not go with a device is refused before anything is written or built; deciding has no effects."""

import logging
import os
import shutil

import gin
import numpy as np
import pytest
import tensorflow as tf

import synthetic_data
from albert.common.errors import UserError
from albert.common import files
from albert.dataset import contract
from albert.dataset import lost_records
from albert.device import session_options
from albert.model.config import AlbertConfig
from albert import npu_session
from albert.pretraining import Options
from albert.run import checkpoints
from albert.run import run_state
from albert.tasks.pretraining import Pretraining
from albert.training import planning
from albert.training import resources
from albert.training import schedule
from albert.training.run_options import RunOptions

DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1)


def _check(monkeypatch, dropout, config, recompute=True):
  options = session_options.SessionOptions(device='cpu', fused_ops=False)
  device = npu_session.start(options, environ={})
  device.dropout = dropout
  monkeypatch.setattr(npu_session, 'Device', lambda *unused: device)
  planning._check_device(planning.Where('data', 'out'), Options(recompute=recompute), config, options,
                         npu_session.choose(options, {}))


@pytest.mark.parametrize('rates', [DROPOUT] + [{name: rate} for name, rate in DROPOUT.items()])
def test_recomputation_with_the_dropout_of_the_npu_is_refused(monkeypatch, rates):
  none = dict.fromkeys(DROPOUT, 0.0)
  with pytest.raises(UserError, match='expected SessionOptions.fused_ops=False'):
    _check(monkeypatch, lambda x, rate: x, AlbertConfig(**dict(none, **rates)))
  _check(monkeypatch, None, AlbertConfig(**dict(none, **rates)))
  _check(monkeypatch, lambda x, rate: x, AlbertConfig(**none))
  _check(monkeypatch, lambda x, rate: x, AlbertConfig(**dict(none, **rates)), recompute=False)


@pytest.fixture
def info(tmp_path):
  gin.parse_config(["SessionOptions.device = 'cpu'", 'AlbertConfig.hidden_size = 8', 'AlbertConfig.embedding_size = 6',
                    'AlbertConfig.num_attention_heads = 2', 'AlbertConfig.intermediate_size = 12'])
  return synthetic_data.write_dataset(str(tmp_path / 'data'))


def test_deciding_writes_nothing_and_says_nothing(info, tmp_path, caplog):
  caplog.set_level(logging.INFO, logger='albert')
  where = planning.Where(os.path.join(info.folder, 'train-*'), str(tmp_path / 'out'))
  plan = planning.decide(where, Options(train_batch_size=4, eval_batch_size=2), Pretraining)
  assert os.listdir(str(tmp_path)) == ['data']
  assert not [record for record in caplog.records if record.name == 'albert']
  assert plan.heldout is None and plan.placement.kind == 'cpu'
  planning.log(plan)
  assert 'nothing is held out' in caplog.text


@pytest.mark.parametrize('do_train, advice', [
    (True, 'an empty folder or a run of the task pretraining, found one of classify; use another output folder'),
    (False, 'a run of the task pretraining, found one of classify; name another .*make evaluate-task INIT=.*out DATA')])
def test_a_folder_of_another_task_is_refused_with_what_there_is_for_it(tmp_path, do_train, advice):
  out = str(tmp_path / 'out')
  os.mkdir(out)
  run_state.RunState(out).agree({'task': 'classify'}, (), 0)
  with pytest.raises(UserError, match='out: expected ' + advice):
    planning._check_task(planning.Where('data', out, do_train=do_train), Options(), Pretraining)


def test_the_plan_holds_what_is_recorded_with_the_run(info, tmp_path):
  where = planning.Where(info.folder, str(tmp_path / 'out'))
  plan = planning.decide(where, Options(train_batch_size=6, micro_batch_size=3, eval_batch_size=2), Pretraining)
  assert plan.micro_batch_size == 3 and plan.cores.cpu_towers in (1, 3)
  assert plan.settings == dict(
      plan.cores._asdict(), task='pretraining', train_batch_size=6, micro_batch_size=3, ranks=1,
      data_set=info.fingerprint(), random_seed=12345, shuffle_buffer_records=16384, packing=False, phases=1,
      sentence_order_weight=1.0)


@pytest.mark.parametrize('name', ['options', 'session_options', 'input_options', 'optimizer', 'config'])
def test_nothing_that_gin_bound_can_be_changed_afterwards(info, tmp_path, name):
  plan = planning.decide(planning.Where(info.folder, str(tmp_path / 'out')), Options(), Pretraining)
  options = getattr(plan, name)
  for attribute in vars(options):
    with pytest.raises(AttributeError):
      setattr(options, attribute, None)
    with pytest.raises(AttributeError):
      delattr(options, attribute)


def _decide(info, tmp_path, options=None, out='out', **where):
  return planning.decide(planning.Where(info.folder, str(tmp_path / out), **where),
                         options or Options(train_batch_size=4, eval_batch_size=2), Pretraining)


def _begun(tmp_path, plan, step=4):
  """A run with a checkpoint of a step that was planned so."""
  state = run_state.RunState(plan.where.output_dir)
  os.makedirs(plan.where.output_dir, exist_ok=True)
  state.agree(plan.settings, (), 0)
  temporary = checkpoints.temporary_prefix(plan.where.output_dir, step)
  with open(temporary + '.index', 'w'):
    checkpoints.commit(plan.where.output_dir, temporary, step, {})
  return state


@pytest.mark.parametrize('batch_size,allowed,micro_batch_size', [
    (6, ('train_batch_size',), 6), (8, ('train_batch_size',), 8), (4, (), 2), (4, ('train_batch_size',), 2)])
def test_what_was_chosen_for_another_batch_is_chosen_again(info, tmp_path, monkeypatch, batch_size, allowed,
                                                           micro_batch_size):
  monkeypatch.setattr(resources.memory, 'choose_micro_batch_size', lambda config, size, *unused, **also: size)
  plan = _decide(info, tmp_path, Options(train_batch_size=4, micro_batch_size=2))
  _begun(tmp_path, plan)
  plan = _decide(info, tmp_path, Options(train_batch_size=batch_size, allow_changes=allowed))
  assert plan.micro_batch_size == micro_batch_size and plan.micro_batch_size % plan.cores.cpu_towers == 0
  assert ('micro_batch_size' in plan.chosen_again) == (batch_size != 4)
  run_state.RunState(str(tmp_path / 'out')).agree(plan.settings, allowed, 4, plan.chosen_again)


@pytest.mark.parametrize('name', ['data_set', 'packing'])
def test_other_data_or_packing_is_a_reason_to_choose_again(info, tmp_path, monkeypatch, name):
  monkeypatch.setattr(resources.memory, 'choose_micro_batch_size', lambda config, size, *unused, **also: size)
  plan = _decide(info, tmp_path, Options(train_batch_size=4, micro_batch_size=2))
  state = _begun(tmp_path, plan)
  state.agree(dict(plan.settings, **{name: 'another'}), (name,), 4)
  assert _decide(info, tmp_path, Options(train_batch_size=4)).micro_batch_size == 2  # refused by name later
  plan = _decide(info, tmp_path, Options(train_batch_size=4, allow_changes=[name]))
  assert plan.micro_batch_size == 4 and 'micro_batch_size' in plan.chosen_again


def test_towers_follow_a_micro_batch_size_that_was_changed_on_purpose(info, tmp_path, monkeypatch):
  monkeypatch.setattr(resources.cores, 'available', lambda *_: 4)
  plan = _decide(info, tmp_path, Options(train_batch_size=8, micro_batch_size=4))
  assert plan.cores.cpu_towers == 4
  _begun(tmp_path, plan)
  options = Options(train_batch_size=8, micro_batch_size=2, allow_changes=['micro_batch_size'])
  plan = _decide(info, tmp_path, options)
  assert plan.cores.cpu_towers == 2
  run_state.RunState(str(tmp_path / 'out')).agree(plan.settings, options.allow_changes, 4, plan.chosen_again)


@pytest.mark.parametrize('phase', ['', 'phase_1.'])
def test_a_change_that_was_not_allowed_is_refused_by_its_own_name(info, tmp_path, phase):
  """Not by that of a micro-batch size that was chosen for the former value, and does not divide the new one."""
  def options(size, **changes):
    if phase:
      changes.update(phases=[{'share': 1, 'train_batch_size': size}, {'share': 1}])
    return Options(train_batch_size=4 if phase else size, eval_batch_size=2, **changes)
  _begun(tmp_path, _decide(info, tmp_path, options(8)))
  for allowed in ((), (phase + 'train_batch_size',)):
    plan = _decide(info, tmp_path, options(6, allow_changes=allowed))
    state = run_state.RunState(str(tmp_path / 'out'))
    if allowed:
      state.agree(plan.settings, allowed, 4, plan.chosen_again)
      continue
    said = "found {0}train_batch_size 8 .here: 6.; .*=.'{0}train_batch_size'".format(phase)
    with pytest.raises(UserError, match=said):
      state.agree(plan.settings, allowed, 4, plan.chosen_again)


@pytest.mark.parametrize('steps,warm_up,said', [
    (100, 3125, 'the warm-up of 3,125 steps is longer than the run of 100: the rate only reaches 0.032'),
    (10, 10, 'the warm-up of 10 steps is as long as the run of 10: the rate only reaches 0.9 of'),
    (100, 99, None), (100, 0, None)])
def test_a_warm_up_that_is_longer_than_the_run(info, tmp_path, steps, warm_up, said):
  gin.parse_config('OptimizerOptions.num_warmup_steps = {}'.format(warm_up))
  for is_performance in (False, True):
    plan = _decide(info, tmp_path, Options(num_train_steps=steps, performance=is_performance))
    notes = [text for _, text in plan.notes if 'warm-up' in text]
    assert bool(notes) == bool(said and not is_performance)
    assert not notes or said in notes[0]


@pytest.mark.parametrize('options,where,said', [
    (dict(init_optimizer_slots=True), {}, 'pretrain.init_optimizer_slots=True has no effect'),
    (dict(init_partial=True), {}, 'pretrain.init_partial=True has no effect'),
    (dict(vocab_init='mean'), {}, "pretrain.vocab_init='mean' has no effect"),
    (dict(position_init='repeat'), {}, "pretrain.position_init='repeat' has no effect"),
    ({}, dict(do_eval=False, eval_input_file='data'), '--eval_input_file has no effect')])
def test_what_was_given_without_effect_is_said(info, tmp_path, options, where, said):
  where = {name: info.folder if value == 'data' else value for name, value in where.items()}
  plan = _decide(info, tmp_path, Options(**options), **where)
  assert [text for _, text in plan.notes if said in text]


@pytest.mark.parametrize('binding, options, name', [
    ('SessionOptions.fused_ops = False', {}, 'fused_ops'), ('OptimizerOptions.beta_1 = 0.8', {}, 'beta_1'),
    ('OptimizerOptions.epsilon = 1e-3', {}, 'epsilon'), ('OptimizerOptions.clip_norm = 3.0', {}, 'clip_norm'),
    ('', dict(max_eval_steps=2, eval_batch_size=1), 'eval_batch_size')])
def test_what_a_run_may_change_is_recorded(info, tmp_path, binding, options, name):
  before = _decide(info, tmp_path, Options(max_eval_steps=2, eval_batch_size=2)).schedule
  gin.parse_config(binding)
  after = _decide(info, tmp_path, Options(**dict(dict(max_eval_steps=2, eval_batch_size=2), **options))).schedule
  assert [key for key in after if after[key] != before[key]] == [name]


def test_a_loss_scale_that_a_cpu_does_not_read_is_said():
  for scale, is_said in ((8.0, True), ('dynamic', False), (None, False)):
    options = session_options.SessionOptions(device='cpu', loss_scale=scale)
    assert is_said == ('ignored off the NPU: loss_scale' in npu_session.start(options, environ={}).describe())


@pytest.mark.parametrize('value', ['x', -1, 0.5, True, float('nan')])
def test_a_spike_factor_that_is_none_is_refused(value):
  with pytest.raises(UserError, match='pretrain.spike_factor: expected a number of at least 1, found'):
    Options(spike_factor=value)


@pytest.mark.parametrize('value', ['train_batch_size', None, [3]])
def test_changes_are_allowed_as_a_list_of_names(value):
  with pytest.raises(UserError, match='pretrain.allow_changes: expected a list of names'):
    Options(allow_changes=value)


@pytest.mark.parametrize('name', ['run[1]', 'run*', 'run?', 'a\\b'])
def test_paths_that_tensorflow_takes_for_a_pattern_are_refused(info, tmp_path, name):
  with pytest.raises(UserError, match='--output_dir .OUT.: expected a path without'):
    _decide(info, tmp_path, out=name)
  (tmp_path / name).mkdir()
  (tmp_path / name / 'model.ckpt-3.index').write_text('')
  for path in (tmp_path / name, tmp_path / name / 'model.ckpt-3'):
    with pytest.raises(UserError, match='checkpoint: expected a path without'):
      _decide(info, tmp_path, init_checkpoint=str(path))
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('path', ['hdfs://host/run', 'file:///tmp/run'])
def test_paths_that_tensorflow_takes_for_another_file_system_are_refused(info, tmp_path, path):
  with pytest.raises(UserError, match='--output_dir .OUT.: expected a path of a file system that is mounted here'):
    planning.decide(planning.Where(info.folder, path), Options(train_batch_size=4, eval_batch_size=2), Pretraining)
  with pytest.raises(UserError, match='checkpoint: expected a path of a file system that is mounted here'):
    _decide(info, tmp_path, init_checkpoint=path)


@pytest.mark.parametrize('name', ['data[1]', 'data (1)', 'data{a,b}'])
def test_record_files_are_taken_by_their_name_before_it_is_taken_for_a_pattern(info, tmp_path, name):
  folder = str(tmp_path / name)
  shutil.copytree(info.folder, folder)
  os.rename(info.paths(contract.TRAIN)[0], os.path.join(folder, 'train[0].tfrecord'))
  os.rename(info.paths(contract.TRAIN)[1], os.path.join(folder, 'train(1).tfrecord'))
  for file in ('', 'train[0].tfrecord', 'train(1).tfrecord', 'train-*', 'train[[]0].tfrecord'):
    source = os.path.join(folder, file)
    if '[1]' in name and '*' in file or ',' in name and file or '[1]' in name and '[[]' in file:
      continue  # half a name, half a pattern
    plan = planning.decide(planning.Where(source, str(tmp_path / 'out')), Options(eval_batch_size=2), Pretraining)
    assert plan.info.records(contract.TRAIN) > 0


WEIGHT = 'bert/encoder/transformer/group_0/w'


def _save(prefix, value=1.0):
  with tf.Graph().as_default(), tf.Session() as session:
    tf.get_variable(WEIGHT, initializer=np.array([1.0, value], np.float32))
    tf.get_variable(WEIGHT + '/adam_m', initializer=np.array([1.0, np.nan], np.float32))
    session.run(tf.global_variables_initializer())
    return tf.train.Saver().save(session, prefix)


def test_weights_that_are_not_finite_are_refused_before_the_graph(info, tmp_path):
  prefix = _save(str(tmp_path / 'model.ckpt'), np.inf)
  for do_train in (True, False):
    with pytest.raises(UserError, match='expected finite weights, found NaN or infinity in 1 of 2 variables: .*/w;'):
      _decide(info, tmp_path, init_checkpoint=prefix, do_train=do_train)
  prefix = _save(str(tmp_path / 'model.ckpt'))
  _decide(info, tmp_path, init_checkpoint=prefix)
  with pytest.raises(UserError, match='in 1 of 2 variables: bert/.*/w/adam_m;'):
    _decide(info, tmp_path, Options(init_optimizer_slots=True), init_checkpoint=prefix)


def test_weights_with_another_vocabulary_of_the_same_size_are_not_evaluated(info, tmp_path):
  """Training from them is another thing: there the rows follow their tokens, see remapping."""
  prefix = _save(str(tmp_path / 'model.ckpt'))
  files.copy_atomically(info.vocab_file, str(tmp_path / 'vocab.txt'))
  _decide(info, tmp_path, init_checkpoint=prefix, do_train=False)
  tokens = synthetic_data.VOCAB[:7] + synthetic_data.VOCAB[7:9][::-1] + synthetic_data.VOCAB[9:]
  (tmp_path / 'vocab.txt').write_text(''.join(token + '\n' for token in tokens), encoding='utf-8')
  with pytest.raises(UserError, match='2 tokens differ, the first in line 8'):
    _decide(info, tmp_path, init_checkpoint=prefix, do_train=False)


def test_figures_of_different_data_have_different_names(info, tmp_path):
  other = synthetic_data.write_dataset(str(tmp_path / 'other'), heldout_count=9)
  named = [_decide(info, tmp_path, options, eval_input_file=source).evaluated_on for options, source in [
      (Options(), None), (Options(eval_batch_size=2, max_eval_steps=3), None), (Options(), other.folder)]]
  assert len(set(named)) == 3
  # All of it is all of it; where it lies and what it is called does not matter.
  assert _decide(info, tmp_path, Options(max_eval_steps=100)).evaluated_on == named[0]
  moved = str(tmp_path / 'moved')
  shutil.copytree(info.folder, moved)
  assert _decide(info, tmp_path, eval_input_file=moved).evaluated_on == named[0]


def test_how_the_data_of_two_evaluations_differs_is_said_in_words(info, tmp_path):
  other = synthetic_data.write_dataset(str(tmp_path / 'other'), heldout_count=9)
  part = Options(eval_batch_size=2, max_eval_steps=2)
  named = schedule.evaluated_on(part, info)
  assert schedule.evaluated_elsewhere(named, part, info) is None is schedule.evaluated_elsewhere(None, part, info)
  assert schedule.evaluated_elsewhere(named, Options(), info) == (
      '{} held-out records are read here, not the 4 (pretrain.max_eval_steps)'.format(
          schedule.evaluated_records(Options(), info)))
  assert schedule.evaluated_elsewhere(named, Options(), other) == 'its 9 held-out records are not those'


def test_before_the_first_step_everything_is_chosen_as_for_a_new_run(info, tmp_path, monkeypatch):
  monkeypatch.setattr(resources.memory, 'choose_micro_batch_size', lambda config, size, *unused, **also: size)
  _begun(tmp_path, _decide(info, tmp_path, Options(train_batch_size=4, micro_batch_size=4)), step=0)
  plan = _decide(info, tmp_path, Options(train_batch_size=6))
  assert plan.micro_batch_size == 6
  run_state.RunState(str(tmp_path / 'out')).agree(plan.settings, (), 0)
  assert _decide(info, tmp_path, Options(train_batch_size=6)).micro_batch_size == 6


def test_a_run_goes_on_where_the_weights_that_it_began_from_are_gone(info, tmp_path):
  with pytest.raises(UserError, match='absent/model.ckpt-3'):
    _decide(info, tmp_path, init_checkpoint='absent/model.ckpt-3')
  _begun(tmp_path, _decide(info, tmp_path))
  plan = _decide(info, tmp_path, init_checkpoint='absent/model.ckpt-3')
  assert plan.init_checkpoint is None
  assert [text for _, text in plan.notes if '--init_checkpoint has no effect' in text and 'absent' in text]


def test_what_is_lost_or_damaged_is_part_of_the_plan(info, tmp_path, caplog, monkeypatch):
  monkeypatch.setattr(lost_records, 'MOST_LOST', 0.5)
  monkeypatch.setattr(planning.loading, 'check_finite', lambda *unused: None)
  path = info.paths(contract.TRAIN)[0]
  os.truncate(path, os.path.getsize(path) - 1)
  for step in (4, 8):
    _begun(tmp_path, _decide(info, tmp_path), step)
  os.remove(str(tmp_path / 'out' / 'model.ckpt-8.index'))
  caplog.clear()
  plan = _decide(info, tmp_path, do_train=False)
  assert caplog.text == ''
  assert plan.checkpoint.endswith('model.ckpt-4')
  said = [text for level, text in plan.notes if level == logging.WARNING]
  assert said[0].startswith('lost: record ') and said[1].startswith('DAMAGED CHECKPOINT ')


def test_how_rows_follow_their_tokens_is_decided_once(info, tmp_path):
  prefix = _save(str(tmp_path / 'weights' / 'model.ckpt'))
  plan = _decide(info, tmp_path, init_checkpoint=prefix)
  assert plan.remapping.lines and not plan.remapping.has_other_rows(WEIGHT)
  assert _decide(info, tmp_path).remapping is None
  _begun(tmp_path, plan)
  assert _decide(info, tmp_path, init_checkpoint=prefix).remapping is None


def test_ranks_compare_the_same_names_whatever_their_phases(info, tmp_path):
  """Hashes of other numbers of values would leave ranks in a collective."""
  whole, parts = [planning.same_on_ranks(_decide(info, tmp_path, RunOptions(train_batch_size=4, phases=phases)))
                  for phases in ((), [{'share': 1, 'train_batch_size': 2}, {'share': 1}])]
  assert list(whole) == list(parts)
  assert whole['settings of phases'] == [] != parts['settings of phases'] and whole['evaluation_set']
  assert not any('cpu_towers' in name or 'micro_batch' in name for name, _ in parts['settings of phases'])


def test_errors_have_the_name_under_which_a_root_is_bound(info, tmp_path):
  class Finetuning(RunOptions):
    root = 'finetune'

  with pytest.raises(UserError, match='^finetune.eval_batch_size: expected'):
    Finetuning(eval_batch_size=0)
  with pytest.raises(UserError, match='^finetune.micro_batch_size: expected a divisor of finetune.train_batch_size=4'):
    _decide(info, tmp_path, Finetuning(train_batch_size=4, micro_batch_size=3))
  plan = _decide(info, tmp_path, Finetuning(train_batch_size=4, init_partial=True))
  assert any(text.startswith('finetune.init_partial=True has no effect') for _, text in plan.notes)
  assert planning.same_on_ranks(plan)['finetune.train_batch_size'] == 4
  assert Options.named('recompute') == 'pretrain.recompute'
