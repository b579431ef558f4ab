"""Runs that are not what was asked for, or not any more: diverged, changed on the way, evaluated, damaged."""

import json
import math
import os
import shutil

import pytest

import fault_runs
import small_runs
import synthetic_data
from albert.common import errors
from albert.run import checkpoints
from albert.run.logs import event_files
from albert.run import names
from albert.run import results
from albert.training.telling import progress

# Starts many sessions: a minute or two in all.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

SMALL = list(small_runs.BINDINGS) + [
    'AlbertConfig.num_hidden_layers = 1', 'OptimizerOptions.learning_rate = 0.01',
    'OptimizerOptions.num_warmup_steps = 2', 'SessionOptions.fused_ops = False', 'pretrain.train_batch_size = 4',
    'pretrain.eval_batch_size = 4', 'pretrain.num_train_steps = 4', 'pretrain.save_checkpoints_steps = 2',
    'pretrain.log_every_steps = 1']
HUGE = ['OptimizerOptions.learning_rate = 1e30', 'pretrain.num_train_steps = 10']


def _pretrain(data, out, *bindings, **arguments):
  return small_runs.pretrain(data, out, SMALL + list(bindings), **arguments)


@pytest.fixture(scope='module')
def trained(info, tmp_path_factory):
  out = tmp_path_factory.mktemp('runs') / 'trained'
  _pretrain(info.folder, out)
  return out


@pytest.fixture
def run(trained, tmp_path):
  shutil.copytree(str(trained), str(tmp_path / 'run'))
  return tmp_path / 'run'


def _json_files(folder):
  """{path: value} of every JSON file of a run, read as strictly as other languages do."""
  def refuse(word):
    raise AssertionError('found ' + word)
  values = {}
  for place, _, files in os.walk(str(folder)):
    for name in files:
      if name.endswith('.json'):
        with open(os.path.join(place, name)) as source:
          values[name] = json.loads(source.read(), parse_constant=refuse)
  return values


def _state(run):
  return json.loads((run / names.STATE_FILE).read_text())


def test_a_run_that_diverges_keeps_its_best_says_so_and_can_be_mended(run, info, caplog):
  best, history = fault_runs.read(run, 'best/best.json'), fault_runs.read(run, 'heldout_history.tsv')
  for _ in range(2):  # the same command does not help
    with pytest.raises(errors.Diverged, match='expected finite held-out figures at step 6, found NaN or infinity in '
                       '.*masked_lm_loss.*model.ckpt-. stays the best; .* remove the checkpoints after step 4 from'):
      _pretrain(info.folder, run, *HUGE)
  assert 'learning rate 0.01 -> 1e+30 from step 4' in caplog.text
  assert fault_runs.read(run, 'best/best.json') == best and fault_runs.read(run, 'heldout_history.tsv') == history
  files = _json_files(run)
  assert files['results.json']['diverged']['figures']['masked_lm_loss'] is None
  assert files['results.json']['global_step'] == 4 and 'model.ckpt-6.manifest.json' in files
  assert not [value for points in event_files.series(str(run / 'eval_heldout')).values() for _, value in points
              if not math.isfinite(value)]
  for path in run.glob('model.ckpt-6*'):
    path.unlink()
  assert _pretrain(info.folder, run, 'pretrain.num_train_steps = 6') is None
  assert results.read(str(run))['global_step'] == 6 and 'diverged' not in results.read(str(run))
  assert [change['to'] for change in _state(run)['changes'] if change['name'] == 'learning_rate'] == [1e30, 0.01]


def test_a_run_that_diverges_without_evaluation_is_not_finished_either(run, info):
  for _ in range(2):
    with pytest.raises(errors.Diverged, match='expected finite losses at step 10'):
      _pretrain(info.folder, run, *HUGE, do_eval=False)
  assert _json_files(run)['results.json']['train']['total_loss'] is None


def test_the_evaluation_of_weights_that_give_no_numbers_is_told_in_json(run, info):
  with pytest.raises(errors.Diverged):
    _pretrain(info.folder, run, *HUGE)
  with pytest.raises(errors.Diverged, match='model.ckpt-6: expected finite held-out figures'):
    _pretrain(info.folder, run, do_train=False, init_checkpoint=str(run / 'model.ckpt-6'))
  assert _json_files(run)['evaluation.json']['heldout']['masked_lm_loss'] is None


def test_evaluation_leaves_the_curve_of_the_run_alone_and_names_what_it_did(run, info, capsys):
  before = fault_runs.snapshot(run)
  files = sorted(os.listdir(str(run / 'eval_heldout')))
  capsys.readouterr()
  _pretrain(info.folder, run, do_train=False, init_checkpoint=str(run / 'model.ckpt-2'))
  out = capsys.readouterr().out
  assert 'evaluated:        {}'.format(run / 'model.ckpt-2') in out and 'held-out at step 2' in out
  assert 'written:          {}'.format(run / 'evaluation.json') in out
  assert info.folder in out and 'results.json' not in out and 'model.ckpt-4' not in out
  assert fault_runs.different(before, fault_runs.snapshot(run)) == []
  assert sorted(os.listdir(str(run / 'eval_heldout'))) == files
  assert json.loads((run / 'evaluation.json').read_text())['global_step'] == 2


def test_evaluation_is_no_result_of_a_run_that_was_killed(run, info, capsys):
  """It has evaluated a checkpoint and has not come to its end: results.json says nothing of training."""
  written = json.loads((run / 'results.json').read_text())
  (run / 'results.json').write_text(json.dumps({
      name: written[name] for name in ('heldout', 'global_step', 'checkpoint')}))
  before = fault_runs.snapshot(run)
  _pretrain(info.folder, run, 'pretrain.max_eval_steps = 1', do_train=False,
            init_checkpoint=str(run / 'model.ckpt-2'))
  assert fault_runs.different(before, fault_runs.snapshot(run)) == []
  assert 'results.json' not in capsys.readouterr().out


def test_the_best_is_not_compared_across_evaluation_sets(run, info, caplog):
  before = json.loads(fault_runs.read(run, 'best/best.json'))
  _pretrain(info.folder, run, 'pretrain.num_train_steps = 5', 'pretrain.max_eval_steps = 1')
  after = json.loads(fault_runs.read(run, 'best/best.json'))
  assert 'the evaluation set is another: the best checkpoint, of step {}, was evaluated again'.format(
      before['global_step']) in caplog.text
  assert after['evaluated_on'] != before['evaluated_on'] and after['evaluated_on'].endswith(' 4 records')
  assert 'max eval steps None -> 1 from step 4' in caplog.text
  history = {line.split('\t')[0] for line in fault_runs.read(run, 'heldout_history.tsv').split('\n')}
  assert history == {'step', '2', '4', '5', ''}


def test_weights_to_begin_from_have_no_effect_in_a_run_and_that_is_said(run, trained, info, tmp_path, caplog):
  weights = str(trained / 'model.ckpt-2')
  for steps in (2, 3):
    _pretrain(info.folder, tmp_path / 'new', 'pretrain.num_train_steps = {}'.format(steps), init_checkpoint=weights)
  assert 'no effect' not in caplog.text
  _pretrain(info.folder, run, 'pretrain.num_train_steps = 5', init_checkpoint=weights)
  assert 'has no effect: the run in {} began otherwise and goes on from step 4'.format(run) in caplog.text
  assert {'step': 4, 'name': 'init_checkpoint', 'from': None, 'to': weights, 'effect': False} in _state(run)['changes']


def test_a_change_that_comes_too_late_is_said(run, info, caplog, capsys):
  _pretrain(info.folder, run, 'OptimizerOptions.learning_rate = 0.02')
  assert 'nothing to do' in capsys.readouterr().out
  assert 'learning rate 0.01 -> 0.02 has no effect: all steps were made' in caplog.text
  _pretrain(info.folder, run, 'pretrain.train_batch_size = 2', 'pretrain.random_seed = 7')
  assert 'train batch size 4 -> 2 has no effect: all steps were made' in caplog.text
  assert 'random seed 12345 -> 7 has no effect: all steps were made' in caplog.text
  assert 'micro batch' not in caplog.text and 'threads' not in caplog.text


def test_other_data_that_comes_too_late_is_named_by_its_folder(run, info, tmp_path, caplog):
  other = synthetic_data.write_dataset(str(tmp_path / 'other'), train_counts=(9, 9))
  _pretrain(other.folder, run)
  assert '{}, another data set than that of the run, has no effect: all steps were made'.format(
      other.folder) in caplog.text and caplog.text.count('no effect') == 1


def test_from_the_best_where_the_last_good_checkpoint_was_only_made_to_stop_there(run, info):
  """That of step 4 was the last one of the first command; with a checkpoint every 6 steps it goes when there is one."""
  best = os.path.basename(checkpoints.find(str(run / 'best')))
  with pytest.raises(errors.Diverged, match='put .*best/{}.* in place of the checkpoints in'.format(best)):
    _pretrain(info.folder, run, 'pretrain.save_checkpoints_steps = 6', *HUGE)
  for path in run.glob('model.ckpt-*'):
    path.unlink()
  for path in (run / 'best').glob(best + '.*'):
    shutil.copy(str(path), str(run))
  assert _pretrain(info.folder, run, 'pretrain.num_train_steps = 6') is None
  assert results.read(str(run))['global_step'] == 6


DAMAGE = {'results.json': b'[]', 'run_state.json': b'\xff{', 'loss_history.tsv': b'x\ny\n', 'best/best.json': b'',
          'heldout_history.tsv': b'step\tx\n2\n4\tnone\n', 'checkpoint': b'\x80\xff', 'run.lock': b'[3]',
          'best/checkpoint': b''}


@pytest.mark.fault('damaged small file')
def test_no_damaged_small_file_stops_a_run_whose_checkpoint_is_good(run, info, trained, caplog):
  before = fault_runs.snapshot(trained)
  for name, content in DAMAGE.items():
    (run / name).write_bytes(content)
  assert _pretrain(info.folder, run) is None
  for name in ('results.json', 'run_state.json', 'loss_history.tsv', 'heldout_history.tsv', 'best.json'):
    assert name in caplog.text
  after = fault_runs.snapshot(run)
  assert set(fault_runs.different(before, after)) <= {
      'weights', 'position and counters', 'loss history', 'held-out history', 'best', 'held-out events'}
  assert results.read(str(run))['heldout'] == results.read(str(trained))['heldout']
  assert checkpoints.newest_good(str(run)) == str(run / 'model.ckpt-4')
  assert json.loads((run / 'best' / 'best.json').read_text())['global_step'] == 4


def test_a_run_of_an_earlier_version_goes_on(run, info, caplog):
  """Without what manifests, run_state.json, best.json and best/ have been given since."""
  for path in run.glob('*.manifest.json'):
    said = json.loads(path.read_text())
    for name in ('sha256', 'run_state', 'belongs_to'):
      said.pop(name)
    path.write_text(json.dumps(dict(said, sha256=checkpoints._checksum(said))))
    if (run / 'best' / path.name).exists():
      shutil.copy(str(path), str(run / 'best'))
  for name, dropped in ((names.STATE_FILE, ('schedule', 'origin', 'sha256')), ('best/best.json', ('evaluated_on',))):
    said = json.loads((run / name).read_text())
    (run / name).write_text(json.dumps({key: value for key, value in said.items() if key not in dropped}))
  for name in names.DESCRIPTION:
    (run / 'best' / name).unlink()
  _pretrain(info.folder, run, 'pretrain.num_train_steps = 5', 'OptimizerOptions.learning_rate = 0.02')
  assert results.read(str(run))['global_step'] == 5 and (run / 'best' / 'vocab.txt').exists()
  assert 'DAMAGED' not in caplog.text and _state(run)['changes'] == []


def test_a_copied_run_whose_pointer_names_another_machine_goes_on(run, info):
  (run / 'checkpoint').write_text('model_checkpoint_path: "/elsewhere/model.ckpt-4"\n')
  _pretrain(info.folder, run, 'pretrain.num_train_steps = 5')
  assert results.read(str(run))['global_step'] == 5


def test_a_run_whose_lock_is_removed_stops_at_the_next_save(run, info, monkeypatch):
  before = fault_runs.snapshot(run)
  announce = progress.announce

  def announce_and_remove(*arguments):
    announce(*arguments)
    (run / names.LOCK_FILE).unlink()
  monkeypatch.setattr(progress, 'announce', announce_and_remove)
  with pytest.raises(errors.UserError, match='found that it was removed'):
    _pretrain(info.folder, run, 'pretrain.num_train_steps = 6')
  after = fault_runs.snapshot(run)
  assert set(fault_runs.different(before, after)) <= {'settings', 'training events'}
