"""Training end to end on synthetic records: evaluation, the best checkpoint, going on, starting from weights."""

import glob
import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

import small_runs
import synthetic_data
from albert.common.errors import UserError
from albert.run.best import Best
from albert.run.names import MANIFEST
from albert.run import results
from albert.tasks.pretraining import Pretraining
from npu_stub import installed

# Starts many sessions: some minutes in all.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

SMALL = list(small_runs.BINDINGS) + [
    'AlbertConfig.hidden_dropout_prob = 0.1', 'OptimizerOptions.learning_rate = 0.01',
    'OptimizerOptions.num_warmup_steps = 2', 'pretrain.train_batch_size = 4', 'pretrain.eval_batch_size = 3',
    'pretrain.num_train_steps = 6', 'pretrain.save_checkpoints_steps = 2', 'pretrain.log_every_steps = 2']


def _pretrain(data, out, *bindings, **arguments):
  small_runs.pretrain(data, out, SMALL + list(bindings), **arguments)
  return results.read(str(out))


def _assert_same_weights(first, second):
  assert sorted(first) == sorted(second)
  for name in first:
    np.testing.assert_array_equal(first[name], second[name], name)


@pytest.fixture(scope='module')
def trained(info, tmp_path_factory):
  out = tmp_path_factory.mktemp('out')
  _pretrain(info.folder, out)
  return out


def test_run_directory_is_self_contained(trained, info):
  files = os.listdir(str(trained))
  for name in ('albert_config.json', 'vocab.txt', 'command_line.txt', 'results.json', 'model.ckpt-6.index',
               'loss_history.tsv', 'heldout_history.tsv', 'best', 'eval_heldout'):
    assert name in files
  assert any(name.startswith('operative_config') for name in files)
  assert (trained / 'vocab.txt').read_bytes() == open(info.vocab_file, 'rb').read()
  assert json.loads((trained / 'albert_config.json').read_text())['vocab_size'] == len(synthetic_data.VOCAB)
  figures = results.read(str(trained))
  assert figures['global_step'] == 6
  assert figures['examples_per_second'] > 0 and 0 <= figures['input_wait_fraction'] < 1
  assert sorted(figures['heldout']) == ['masked_lm_accuracy', 'masked_lm_loss', 'sentence_order_accuracy',
                                        'sentence_order_loss', 'total_loss', 'unigram_cross_entropy']
  assert figures['train']['total_loss'] > 0
  lines = (trained / 'loss_history.tsv').read_text().splitlines()
  assert [line.split('\t')[0] for line in lines] == ['step', '2', '4', '6']


def _graphs(folder):
  """Of each graph and each meta graph in the event files of a folder that has nodes, their names: a list of lists."""
  path, = glob.glob(str(folder / 'events.out.tfevents.*'))
  events = list(tf.compat.v1.train.summary_iterator(path))
  graphs = [tf.GraphDef.FromString(event.graph_def) for event in events if event.graph_def] + [
      tf.MetaGraphDef.FromString(event.meta_graph_def).graph_def for event in events if event.meta_graph_def]
  return [[node.name for node in graph.node] for graph in graphs if graph.node]


def test_tensorboard_shows_each_graph_where_it_belongs(trained):
  training, = _graphs(trained)  # not another that was half built
  assert {'heldout/IteratorV2', 'gradients/Shape', 'save/restore_all'} & set(training) == {
      'gradients/Shape', 'save/restore_all'}
  graph, meta_graph = _graphs(trained / 'eval_heldout')
  assert graph == meta_graph and 'heldout/IteratorV2' in graph and 'gradients/Shape' not in graph


def test_event_files_hold_what_a_person_looks_for(trained):
  def tags(folder):
    seen = set()
    for name in os.listdir(str(folder)):
      if 'tfevents' in name:
        for event in tf.train.summary_iterator(str(folder / name)):
          seen |= {value.tag for value in event.summary.value}
    return seen
  train = tags(trained)
  shared = {'pretraining/' + name for name in ('total_loss', 'masked_lm_loss', 'sentence_order_loss',
                                               'masked_lm_accuracy', 'sentence_order_accuracy')}
  assert shared | {'pretraining/learning_rate', 'pretraining/gradient_norm', 'throughput/examples_per_second',
                   'throughput/tokens_per_second', 'throughput/input_wait_fraction'} <= train
  assert any('gin' in tag for tag in train)
  assert shared <= tags(trained / 'eval_heldout')


@pytest.mark.parametrize('batch_size', [1, 8])
def test_evaluation_does_not_depend_on_its_batch_size(trained, info, tmp_path, batch_size):
  figures = _pretrain(info.folder, tmp_path, 'pretrain.eval_batch_size = {}'.format(batch_size), do_train=False,
                      init_checkpoint=str(trained / 'model.ckpt-6'))
  for name, value in results.read(str(trained))['heldout'].items():
    assert figures['heldout'][name] == pytest.approx(value, rel=1e-5), name


def test_best_checkpoint_has_the_lowest_heldout_loss_and_can_be_evaluated(trained, info, caplog):
  history = [line.split('\t') for line in (trained / 'heldout_history.tsv').read_text().splitlines()[1:]]
  assert [line[0] for line in history] == ['2', '4', '6']
  step, loss = min(((int(line[0]), float(line[1])) for line in history), key=lambda pair: pair[1])
  prefix, best = Best(str(trained), Pretraining.criterion).read()
  assert best['global_step'] == step
  assert best['masked_lm_loss'] == pytest.approx(loss, abs=1e-5)
  _assert_same_weights(small_runs.weights(os.path.dirname(prefix), step), small_runs.weights(trained, step))
  assert tf.train.latest_checkpoint(str(trained / 'best')) == prefix
  copy = str(trained) + '-copy'
  shutil.copytree(str(trained), copy)
  before = results.read(copy)
  assert _pretrain(info.folder, copy, do_train=False) == before
  with open(os.path.join(copy, 'evaluation.json')) as source:
    written = json.load(source)
  assert written['global_step'] == step
  assert written['heldout']['masked_lm_loss'] == pytest.approx(loss, abs=1e-5)
  assert 'do not compare' not in caplog.text
  _pretrain(info.folder, copy, 'pretrain.max_eval_steps = 1', do_train=False)
  said = [record.getMessage() for record in caplog.records if 'do not compare' in record.getMessage()]
  assert len(said) == 1 and '3 held-out records are read here, not ' in said[0]
  assert said[0].endswith('by which {} chose its best: these figures do not compare with its own'.format(copy))


def test_the_best_is_kept_across_restarts(tmp_path):
  figures = dict(masked_lm_loss=3.0, masked_lm_accuracy=0.0, sentence_order_loss=0.0, sentence_order_accuracy=0.0)

  def checkpoint(step):
    prefix = str(tmp_path / 'model.ckpt-{}'.format(step))
    for ending in ('.index', '.meta', '.data-00000-of-00001'):
      open(prefix + ending, 'w').write(str(step))
    return prefix

  best = Best(str(tmp_path), Pretraining.criterion)
  assert best.keep_if_best(checkpoint(2), 2, figures)
  assert not best.keep_if_best(checkpoint(4), 4, dict(figures, masked_lm_loss=3.5))
  assert best.read()[1]['global_step'] == 2
  assert best.keep_if_best(checkpoint(6), 6, dict(figures, masked_lm_loss=2.5))
  assert sorted(os.listdir(str(tmp_path / 'best'))) == [
      'best.json', 'checkpoint', 'model.ckpt-6.data-00000-of-00001', 'model.ckpt-6.index', 'model.ckpt-6.meta']


def test_a_stopped_run_goes_on_to_the_same_weights(trained, info, tmp_path):
  """With dropout on: order of the data and dropout are functions of seed and step."""
  out = tmp_path / 'out'
  shutil.copytree(str(trained), str(out))
  # As if killed during step 5: the checkpoint of step 4 is the newest, the history is ahead of it.
  for path in out.glob('model.ckpt-6*'):
    path.unlink()
  shutil.rmtree(str(out / 'best'))
  tf.train.update_checkpoint_state(str(out), 'model.ckpt-4')
  _pretrain(info.folder, out)
  _assert_same_weights(small_runs.weights(out, 6), small_runs.weights(trained, 6))
  for name in ('loss_history.tsv', 'heldout_history.tsv'):
    assert (out / name).read_text() == (trained / name).read_text()


def test_a_finished_run_is_recognised(trained, info, capsys):
  before = {path: path.stat().st_mtime for path in trained.glob('*')}
  _pretrain(info.folder, trained)
  out = capsys.readouterr().out
  assert 'nothing to do' in out and 'step 6 of 6' in out and 'results.json' in out
  assert {path: path.stat().st_mtime for path in trained.glob('*')} == before


def test_more_steps_continue_a_finished_run(trained, info, tmp_path):
  copy = tmp_path / 'copy'
  shutil.copytree(str(trained), str(copy))
  assert _pretrain(info.folder, copy, 'pretrain.num_train_steps = 7')['global_step'] == 7


@pytest.mark.parametrize('with_slots', [False, True])
def test_starting_from_published_weights(trained, info, tmp_path, caplog, with_slots):
  caplog.set_level('DEBUG', logger='albert')
  _pretrain(info.folder, tmp_path, 'pretrain.num_train_steps = 1', 'OptimizerOptions.num_warmup_steps = 1',
            'pretrain.init_optimizer_slots = {}'.format(with_slots), init_checkpoint=str(trained / 'model.ckpt-6'))
  start, source = small_runs.weights(tmp_path, 0), small_runs.weights(trained, 6)
  for name in source:
    if name.endswith(('/adam_m', '/adam_v')):
      assert (start[name] == source[name]).all() == (with_slots or not source[name].any()), name
    elif name != 'global_step':
      np.testing.assert_array_equal(start[name], source[name], name)
  assert start['global_step'] == 0
  assert 'loaded' in caplog.text and 'not in the checkpoint' in caplog.text


def test_missing_heads_are_initialised_and_named(trained, info, tmp_path, caplog):
  source = {name: value for name, value in small_runs.weights(trained, 6).items() if name.startswith('bert/')}
  with tf.Graph().as_default(), tf.Session() as session:
    for name, value in source.items():
      tf.get_variable(name, initializer=value)
    session.run(tf.global_variables_initializer())
    prefix = tf.train.Saver().save(session, str(tmp_path / 'published' / 'model.ckpt'))
  caplog.set_level('DEBUG', logger='albert')
  _pretrain(info.folder, tmp_path / 'out', 'pretrain.num_train_steps = 1', init_checkpoint=prefix)
  log = (tmp_path / 'out' / 'train.log').read_text().splitlines()
  line = next(line for line in log if 'not in the checkpoint' in line)
  assert 'cls/predictions/output_bias' in line and 'bert/' not in line


@pytest.mark.parametrize('arguments,bindings,message', [
    (dict(max_seq_length=512), [], '--max_seq_length: expected 512'),
    (dict(), ['AlbertConfig.max_position_embeddings = 23'], 'at most 23 tokens'),
    (dict(), ['AlbertConfig.vocab_size = 61'], 'vocabulary of 61 tokens'),
    (dict(), ['pretrain.train_batch_size = 0'], 'train_batch_size'),
    (dict(), ["AlbertConfig.hidden_size = 'a'"], 'AlbertConfig.hidden_size: expected a whole number'),
    (dict(), ['InputOptions.prefetch_batches = 0'], 'InputOptions.prefetch_batches: expected a whole number'),
    (dict(), ["pretrain.num_train_steps = '6'"], 'num_train_steps'),
    (dict(), ["pretrain.recompute = 'no'"], 'pretrain.recompute: expected True or False'),
    (dict(), ['pretrain.performance = True', 'pretrain.num_train_steps = 2'], 'at least 3'),
    (dict(), ["SessionOptions.device = 'npu'"], 'npu_bridge'),
    (dict(), ['pretrain.train_batch_size = 10000000000'], 'set pretrain.train_batch_size='),
    (dict(), ['pretrain.micro_batch_size = 3'], 'divisor of pretrain.train_batch_size=4'),
    (dict(init_checkpoint='absent/model.ckpt-3'), [], 'absent/model.ckpt-3'),
    (dict(do_train=False), [], 'found nothing of this name')])
def test_what_does_not_fit_together_is_one_line_and_leaves_nothing(info, tmp_path, arguments, bindings, message):
  with pytest.raises(UserError, match=message) as caught:
    _pretrain(info.folder, tmp_path / 'out', *bindings, **arguments)
  assert not (tmp_path / 'out').exists()
  assert '\n' not in str(caught.value).split('\n  In call')[0]


def test_recomputation_with_the_dropout_of_the_npu_leaves_nothing(info, tmp_path):
  bindings = ["SessionOptions.device = 'npu'", 'pretrain.recompute = True']
  with installed.npu_bridge(installed.NEWEST), \
      pytest.raises(UserError, match='expected SessionOptions.fused_ops=False'):
    _pretrain(info.folder, tmp_path / 'out', *bindings)
  assert not (tmp_path / 'out').exists()


def test_other_architecture_in_the_output_folder(trained, info):
  with pytest.raises(UserError, match=r'hidden_size 8 \(here: 10\)'):
    _pretrain(info.folder, trained, 'AlbertConfig.hidden_size = 10', 'pretrain.num_train_steps = 9')


@pytest.mark.parametrize('bindings,message', [
    (['AlbertConfig.hidden_size = 10'], 'hidden_size 8'), (["SessionOptions.device = 'npu'"], 'npu_bridge'),
    (['OptimizerOptions.optimizer = "sgd"'], 'sgd')])
def test_a_finished_run_hides_no_mismatch(trained, info, bindings, message):
  with pytest.raises(UserError, match=message):
    _pretrain(info.folder, trained, *bindings)


def test_an_architecture_that_was_asked_for_must_be_that_of_the_evaluated_checkpoint(trained, info, tmp_path):
  arguments = dict(do_train=False, init_checkpoint=str(trained / 'model.ckpt-6'))
  with pytest.raises(UserError, match=r'num_hidden_layers 2 \(here: 7\)'):
    _pretrain(info.folder, tmp_path, 'AlbertConfig.num_hidden_layers = 7', architecture_given=True, **arguments)
  assert _pretrain(info.folder, tmp_path, 'AlbertConfig.num_hidden_layers = 7', **arguments)['heldout']


def test_micro_batches_train_alike_and_are_kept_on_resume(info, tmp_path):
  _pretrain(info.folder, tmp_path / 'a', 'pretrain.micro_batch_size = 2', 'AlbertConfig.hidden_dropout_prob = 0.0')
  _pretrain(info.folder, tmp_path / 'b', 'AlbertConfig.hidden_dropout_prob = 0.0')
  a, b = small_runs.weights(tmp_path / 'a', 6), small_runs.weights(tmp_path / 'b', 6)
  for name in b:
    if 'key/bias' not in name:
      np.testing.assert_allclose(a[name], b[name], rtol=5e-3, atol=1e-4, err_msg=name)
  _pretrain(info.folder, tmp_path / 'a', 'pretrain.num_train_steps = 7', 'AlbertConfig.hidden_dropout_prob = 0.0')
  assert json.loads((tmp_path / 'a' / 'run_state.json').read_text())['settings']['micro_batch_size'] == 2
  with pytest.raises(UserError, match=r'micro_batch_size 2 \(here: 4\)'):
    _pretrain(info.folder, tmp_path / 'a', 'pretrain.num_train_steps = 8', 'pretrain.micro_batch_size = 4',
              'AlbertConfig.hidden_dropout_prob = 0.0')


def test_checkpoint_of_another_architecture(trained, info, tmp_path):
  with pytest.raises(UserError, match=r'intermediate_size 12 \(here: 13\)'):
    _pretrain(info.folder, tmp_path / 'y', 'AlbertConfig.intermediate_size = 13',
              init_checkpoint=str(trained / 'model.ckpt-6'))
  assert not (tmp_path / 'y').exists()
  os.makedirs(str(tmp_path / 'moved'))
  for path in trained.glob('model.ckpt-6*'):
    shutil.copy(str(path), str(tmp_path / 'moved'))
  with pytest.raises(UserError, match=r'intermediate/dense/kernel \[8, 12\] \(here: \[8, 13\]\)'):
    _pretrain(info.folder, tmp_path / 'z', 'AlbertConfig.intermediate_size = 13',
              init_checkpoint=str(tmp_path / 'moved' / 'model.ckpt-6'))
  os.remove(str(tmp_path / 'moved' / ('model.ckpt-6' + MANIFEST)))  # it tells the architecture to an evaluation
  with pytest.raises(UserError, match='here:'):
    _pretrain(info.folder, tmp_path / 'x', 'AlbertConfig.hidden_size = 10', do_train=False,
              init_checkpoint=str(tmp_path / 'moved' / 'model.ckpt-6'))


def test_a_corrupt_record_stops_with_its_file_and_an_older_checkpoint_stays(tmp_path):
  info = synthetic_data.write_dataset(str(tmp_path / 'data'), (9,), 2)
  path = info.paths('train')[0]
  data = bytearray(open(path, 'rb').read())
  data[len(data) // 2] ^= 1
  open(path, 'wb').write(data)
  with pytest.raises(UserError, match='train-00000-of-00001.*record 4'):
    _pretrain(info.folder, tmp_path / 'out')
  assert not (tmp_path / 'out' / 'results.json').exists()


def test_ids_beyond_the_vocabulary_stop_a_run_on_bare_records_with_their_file(tmp_path):
  path = str(tmp_path / 'a.tfrecord')
  synthetic_data.write_shard(path, range(9))  # ids below 60
  with pytest.raises(UserError, match=r'a.tfrecord: .*input_ids holds \d\d, expected 0 to 29 .vocab_size=30'):
    _pretrain(path, tmp_path / 'out', 'AlbertConfig.vocab_size = 30')


def test_heldout_data_of_another_length_is_told_as_such(info, tmp_path):
  path = str(tmp_path / 'a.tfrecord')
  synthetic_data.write_shard(path, range(3), max_seq_length=30)
  with pytest.raises(UserError, match='--eval_input_file: expected max_seq_length=24 as in the training data'):
    _pretrain(info.folder, tmp_path / 'out', eval_input_file=path)


def test_nothing_held_out_trains_without_evaluation_and_says_so(info, tmp_path, caplog):
  source = os.path.join(info.folder, 'train-*')
  figures = _pretrain(source, tmp_path / 'out', 'pretrain.num_train_steps = 2')
  assert 'nothing is held out' in caplog.text
  assert 'heldout' not in figures and figures['global_step'] == 2
  with pytest.raises(UserError, match='eval_input_file'):
    _pretrain(source, tmp_path / 'out', do_train=False)
  figures = _pretrain(source, tmp_path / 'out', do_train=False,
                      eval_input_file=os.path.join(info.folder, 'heldout-*'))
  assert figures['heldout']['masked_lm_loss'] > 0


def test_performance_runs_start_afresh_and_never_touch_a_full_run(trained, info, tmp_path, capsys):
  bindings = ['pretrain.performance = True', 'pretrain.num_train_steps = 3']
  for _ in range(2):
    _pretrain(info.folder, tmp_path / 'perf', *bindings)
    out = capsys.readouterr().out
    assert 'performance of 1 step after 2 of warm-up: on average ' in out
    for word in ('the median step takes', 'examples/s', 'real tokens/s', 'padded tokens/s', 'waiting for input'):
      assert word in out
  figures = json.loads((tmp_path / 'perf' / 'performance.json').read_text())
  assert 0 < figures['real_tokens_per_second'] < figures['tokens_per_second']
  assert 0 <= figures['input_wait_fraction'] < 1
  with pytest.raises(UserError, match='full run'):
    _pretrain(info.folder, trained, *bindings)
  assert (trained / 'model.ckpt-6.index').exists()
  with pytest.raises(UserError, match='found the checkpoints of a performance run'):
    _pretrain(info.folder, tmp_path / 'perf')
