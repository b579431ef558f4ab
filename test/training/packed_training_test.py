"""Training with InputOptions.packing: going on, the same loss as the same examples apart, figures that count right."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

import small_runs
import synthetic_data
from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import packing
from albert import input_pipeline
from albert.model.config import AlbertConfig
from albert.run.best import Best
from albert.run import results
from albert.tasks.pretraining import model as model_of
from albert.tasks.pretraining import head_size
from albert.tasks.pretraining import Pretraining
from albert.training import resources
from albert.training import running

# Starts many sessions: some minutes in all.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

ROWS, SEED, S = 4, 12345, 48
SMALL = dict(embedding_size=6, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12)
BINDINGS = ['AlbertConfig.{} = {}'.format(*item) for item in sorted(SMALL.items())] + [
    'OptimizerOptions.learning_rate = 0.01', 'OptimizerOptions.num_warmup_steps = 2', "SessionOptions.device = 'cpu'",
    'pretrain.train_batch_size = {}'.format(ROWS), 'pretrain.eval_batch_size = 3', 'pretrain.num_train_steps = 6',
    'pretrain.save_checkpoints_steps = 2', 'pretrain.log_every_steps = 1', 'pretrain.keep_checkpoint_max = 10']
DROPOUT = 'AlbertConfig.hidden_dropout_prob = 0.1'
PACKING = 'InputOptions.packing = True'


@pytest.fixture(scope='module')
def info(tmp_path_factory):
  return synthetic_data.write_lengths(synthetic_data.write_dataset(
      str(tmp_path_factory.mktemp('data')), (30, 21), max_seq_length=S, longest=24))


def _pretrain(info, out, *bindings):
  small_runs.pretrain(info.folder, out, BINDINGS + list(bindings))
  return results.read(str(out))


@pytest.fixture(scope='module')
def trained(info, tmp_path_factory):
  out = tmp_path_factory.mktemp('out')
  _pretrain(info, out, PACKING, DROPOUT)
  return out


def _batches(info, count):
  with tf.Graph().as_default(), tf.Session() as session:
    order = input_pipeline.training_order(info, input_pipeline.InputOptions(packing=True), SEED)
    batch = tf.data.make_one_shot_iterator(input_pipeline.training_batches(order, ROWS)).get_next()
    return [session.run(batch) for _ in range(count)]


def _figures(folder, step, *columns):
  """Columns of the line of a step in the loss history."""
  lines = [line.split('\t') for line in (folder / 'loss_history.tsv').read_text().splitlines()]
  line = next(line for line in lines if line[0] == str(step))
  return [float(line[lines[0].index(name)]) for name in columns]


def test_the_first_loss_is_that_of_the_same_examples_unpacked(info, tmp_path):
  _pretrain(info, tmp_path, PACKING, 'pretrain.num_train_steps = 3')
  packed, = _batches(info, 1)
  numbers = [int((ids[start + 1] - 5) * 50 + ids[start + 2] - 5)
             for ids, starts, weights in zip(packed['input_ids'], packed['cls_positions'], packed['example_weights'])
             for start in starts[weights > 0]]
  assert len(numbers) > ROWS + 2
  records = [synthetic_data.record(number, max_seq_length=S, longest=24) for number in numbers]
  with tf.Graph().as_default(), tf.Session() as session:
    batch = input_pipeline.Batch(**{
        name: tf.constant(np.array([record[name] for record in records]),
                          tf.float32 if name == 'masked_lm_weights' else tf.int32)
        for name in input_pipeline.Batch._fields})
    config = AlbertConfig(vocab_size=info.vocab_size, **SMALL)
    loss = model_of(batch, config, is_training=False).total_loss
    tf.train.Saver().restore(session, str(tmp_path / 'model.ckpt-0'))
    assert _figures(tmp_path, 1, 'total_loss') == [pytest.approx(session.run(loss), rel=1e-5)]


def test_a_stopped_run_goes_on_to_the_same_weights(info, trained, tmp_path):
  """With dropout on."""
  _pretrain(info, tmp_path, PACKING, DROPOUT)
  for path in list(tmp_path.glob('model.ckpt-6*')) + list(tmp_path.glob('model.ckpt-4*')):
    path.unlink()
  shutil.rmtree(str(tmp_path / 'best'))
  tf.train.update_checkpoint_state(str(tmp_path), 'model.ckpt-2')
  _pretrain(info, tmp_path, PACKING, DROPOUT)
  expected = small_runs.weights(trained, 6)
  assert sorted(small_runs.weights(tmp_path, 6)) == sorted(expected)
  for name, value in small_runs.weights(tmp_path, 6).items():
    np.testing.assert_array_equal(value, expected[name], name)
  for name in ('loss_history.tsv', 'heldout_history.tsv'):
    assert (tmp_path / name).read_text() == (trained / name).read_text()


def test_it_learns_and_is_evaluated_unpacked(info, trained):
  assert _figures(trained, 6, 'total_loss') < _figures(trained, 1, 'total_loss')
  heldout = results.read(str(trained))['heldout']
  copy = str(trained) + '-copy'
  shutil.copytree(str(trained), copy)
  best, _ = Best(copy, Pretraining.criterion).read()
  small_runs.pretrain(info.folder, copy, BINDINGS + [DROPOUT], do_train=False,
                      init_checkpoint=str(trained / 'model.ckpt-6'))
  again = results.read(copy)['heldout']
  assert best and again == pytest.approx(heldout, rel=1e-6)


def test_examples_and_tokens_are_counted_as_they_are(info, tmp_path):
  results = _pretrain(info, tmp_path, PACKING, 'pretrain.performance = True', 'pretrain.num_train_steps = 5')
  figures = json.loads((tmp_path / 'performance.json').read_text())
  timed = _batches(info, 5)[2:]
  examples = sum(batch['example_weights'].sum() for batch in timed)
  real = sum(batch['input_mask'].sum() for batch in timed)
  assert examples > 3 * ROWS
  assert figures['real_tokens_per_second'] / figures['tokens_per_second'] == pytest.approx(real / (3 * ROWS * S))
  assert figures['examples_per_second'] / figures['tokens_per_second'] == pytest.approx(examples / (3 * ROWS * S))
  assert results['examples_per_second'] == pytest.approx(figures['examples_per_second'])


def test_the_position_counts_rows(info, trained):
  manifest = json.loads((trained / 'model.ckpt-4.manifest.json').read_text())
  assert manifest['data_position']['record'] == 4 * ROWS
  assert manifest['data_position']['epoch_length'] == sum(shard.packed_rows for shard in info.shards[contract.TRAIN])


def test_packing_is_a_setting_that_a_run_keeps(info, trained, tmp_path):
  copy = tmp_path / 'run'
  shutil.copytree(str(trained), str(copy))
  more = 'pretrain.num_train_steps = 8'
  with pytest.raises(UserError, match=r"packing True \(here: False\).*allow_changes=\['packing'\]"):
    _pretrain(info, copy, DROPOUT, more)
  _pretrain(info, copy, DROPOUT, more, "pretrain.allow_changes = ['packing']")
  rows = sum(shard.packed_rows for shard in info.shards[contract.TRAIN])
  manifest = json.loads((copy / 'model.ckpt-8.manifest.json').read_text())
  # The same part of the epoch, then two batches of records.
  assert manifest['data_position']['record'] == 6 * ROWS * 51 // rows + 2 * ROWS


def test_a_run_from_before_there_was_packing_was_unpacked(info, tmp_path):
  _pretrain(info, tmp_path, 'pretrain.num_train_steps = 3')
  state = json.loads((tmp_path / 'run_state.json').read_text())
  del state['settings']['packing'], state['sha256']
  (tmp_path / 'run_state.json').write_text(json.dumps(state))
  with pytest.raises(UserError, match=r'packing False \(here: True\)'):
    _pretrain(info, tmp_path, PACKING)
  assert _pretrain(info, tmp_path)['global_step'] == 6


def test_bad_steps_name_the_records_of_their_rows(tmp_path, monkeypatch):
  record = synthetic_data.record
  monkeypatch.setattr(synthetic_data, 'record', lambda *given, **shape: dict(
      record(*given, **shape), masked_lm_weights=[3e38] + [0.0] * (synthetic_data.MAX_PREDICTIONS - 1)))
  bad = synthetic_data.write_dataset(str(tmp_path / 'data'), (30, 21), max_seq_length=S, longest=24)
  with pytest.raises(UserError, match='bad_step-2.json'):
    _pretrain(bad, tmp_path / 'out', PACKING, 'pretrain.max_bad_steps = 2')
  report = json.loads((tmp_path / 'out' / 'bad_step-2.json').read_text())
  examples = int(_batches(bad, 2)[1]['example_weights'].sum())
  assert len(report['records']) == examples > ROWS


def test_data_without_lengths_trains_the_same(info, trained, tmp_path):
  bare = synthetic_data.write_dataset(str(tmp_path / 'data'), (30, 21), max_seq_length=S, longest=24)
  _pretrain(bare, tmp_path / 'out', PACKING, DROPOUT)
  assert (tmp_path / 'out' / 'loss_history.tsv').read_text() == (trained / 'loss_history.tsv').read_text()
  assert len(list((tmp_path / 'out').glob('record_lengths-*.npz'))) == 1


def test_the_memory_estimate_knows_the_labels_of_a_row(info, tmp_path, monkeypatch):
  asked = []
  monkeypatch.setattr(resources.memory, 'check_fits', lambda *arguments, **_: asked.append(arguments) or (1, 2))
  monkeypatch.setattr(running, '_train', lambda *unused: None)
  _pretrain(info, tmp_path, PACKING)
  labels = packing.max_predictions(synthetic_data.MAX_PREDICTIONS)
  assert asked[0][1:] == (ROWS, ROWS, S, head_size(asked[0][0], labels))
