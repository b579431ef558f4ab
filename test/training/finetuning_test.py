"""Fine-tuning as a whole: tags are learned by heart; a run stops and goes on, or is refused."""

import json
import os
import shutil
import subprocess
import sys
import time
import types

import gin
import numpy as np
import pytest
import tensorflow as tf

import labelled_text
from albert.answers import closing
from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.common import gin_settings
from albert import finetuning
from albert.labelled import preparing
from albert.run import results

# Each kind is a run with its graphs.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

SETTINGS = [
    'AlbertConfig.embedding_size = 16', 'AlbertConfig.hidden_size = 32', 'AlbertConfig.num_hidden_layers = 1',
    'AlbertConfig.num_attention_heads = 2', 'AlbertConfig.intermediate_size = 64',
    'AlbertConfig.initializer_range = 0.1', "SessionOptions.device = 'cpu'", 'SessionOptions.cpu_towers = 1',
    'finetune.train_batch_size = 16', 'finetune.epochs = 60', 'finetune.eval_every_steps = 60',
    'finetune.head_dropout = 0.0', 'OptimizerOptions.learning_rate = 0.01', 'FinetuneData.max_seq_length = 32',
    'FinetuneData.doc_stride = 8']


def _finetune(kind, data, out, *bindings, init=None, vocab_file=None):
  tf.reset_default_graph()
  gin.clear_config()
  gin_settings.parse([os.path.join(ROOT, 'gin', 'finetune', kind + '.gin')], SETTINGS + list(bindings))
  code = finetuning.finetune(str(data), str(out), init and str(init), vocab_file and str(vocab_file))
  assert code is None
  return results.read(str(out))


@pytest.fixture(scope='module')
def vocabulary(tmp_path_factory):
  return labelled_text.write_vocabulary(tmp_path_factory.mktemp('vocabulary'))


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  return labelled_text.write(tmp_path_factory.mktemp('data'), 'classify')


SHORT = ('finetune.epochs = 4', 'finetune.eval_every_steps = 2', 'finetune.log_every_steps = 1',
         'AlbertConfig.hidden_dropout_prob = 0.1', 'finetune.head_dropout = 0.1')


@pytest.fixture(scope='module')
def whole(data, vocabulary, tmp_path_factory):
  """The folder of a run of 8 steps."""
  out = tmp_path_factory.mktemp('whole') / 'out'
  _finetune('classify', data, out, *SHORT, vocab_file=vocabulary)
  return out


def test_tags_are_learned_by_heart_without_a_crf(vocabulary, tmp_path):
  """With one, and the other kinds: test/answers/answering_test.py."""
  folder = labelled_text.write(tmp_path / 'data', 'tag')
  figures = _finetune('tag', folder, tmp_path / 'out', vocab_file=vocabulary)
  assert json.loads((tmp_path / 'out' / 'best' / 'best.json').read_text())['f1'] == 1.0, figures['heldout']


def test_a_crf_learns_with_adversarial_steps_and_rates_of_its_own(vocabulary, tmp_path):
  folder = labelled_text.write(tmp_path / 'data', 'tag')
  figures = _finetune('tag', folder, tmp_path / 'out', 'finetune.crf = True', 'finetune.fgm_epsilon = 0.1',
                      "OptimizerOptions.rate_multipliers = {'head': 3}", 'finetune.epochs = 8',
                      'finetune.eval_every_steps = 8', 'finetune.log_every_steps = 1', vocab_file=vocabulary)
  losses = [float(line.split('\t')[1]) for line in (tmp_path / 'out' / 'loss_history.tsv').read_text().splitlines()[1:]]
  assert figures['trained_steps'] == 16 and losses[-1] < 0.7 * losses[0], losses


def _weights(folder, step):
  reader = tf.train.load_checkpoint(os.path.join(str(folder), 'model.ckpt-{}'.format(step)))
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def _stopped_at_6(whole, out):
  """Copies a run of 8 steps to another folder, as one that was stopped after step 6."""
  shutil.copytree(str(whole), str(out))
  for path in out.glob('model.ckpt-8*'):
    path.unlink()
  tf.train.update_checkpoint_state(str(out), 'model.ckpt-6')
  return out


def test_a_stopped_run_goes_on_to_the_same_weights_and_figures(data, whole, vocabulary, tmp_path):
  out = _stopped_at_6(whole, tmp_path / 'out')
  _finetune('classify', data, out, *SHORT, vocab_file=vocabulary)
  for name, value in _weights(whole, 8).items():
    np.testing.assert_array_equal(_weights(out, 8)[name], value, name)
  for name in ('loss_history.tsv', 'heldout_history.tsv'):
    assert (out / name).read_text() == (whole / name).read_text()
  assert (out / 'best' / 'best.json').read_text() == (whole / 'best' / 'best.json').read_text()


def test_a_finished_run_is_left_alone(data, whole, vocabulary, capsys):
  before = (whole / 'results.json').read_text()
  _finetune('classify', data, whole, *SHORT, vocab_file=vocabulary)
  assert 'nothing to do' in capsys.readouterr().out and (whole / 'results.json').read_text() == before


def test_other_text_in_a_begun_run_is_refused_and_in_a_new_one_made_again(data, whole, vocabulary, tmp_path):
  other = labelled_text.write(tmp_path / 'data', 'classify', seed=1)
  key = json.loads((whole / 'records' / 'dataset.json').read_text())['settings']['key']
  with pytest.raises(UserError, match='expected the text, labels, vocabulary and FinetuneData options'):
    _finetune('classify', other, whole, *SHORT, vocab_file=vocabulary)
  with pytest.raises(UserError, match='expected the text, labels, vocabulary and FinetuneData options'):
    _finetune('classify', data, whole, 'FinetuneData.max_seq_length = 24', *SHORT, vocab_file=vocabulary)
  assert json.loads((whole / 'records' / 'dataset.json').read_text())['settings']['key'] == key
  begun = tmp_path / 'out'
  shutil.copytree(str(whole / 'records'), str(begun / 'records'))
  _finetune('classify', other, begun, 'finetune.epochs = 1', vocab_file=vocabulary)
  assert json.loads((begun / 'records' / 'dataset.json').read_text())['settings']['key'] != key


def test_a_refused_call_changes_nothing_in_the_folder(data, whole, vocabulary, tmp_path):
  """Neither in that of a run with another head, nor where none is yet."""
  out = _stopped_at_6(whole, tmp_path / 'out')
  before = {path.name: path.read_bytes() for path in out.iterdir() if path.suffix == '.json'}
  with pytest.raises(UserError, match='head_label_smoothing'):
    _finetune('classify', data, out, 'finetune.label_smoothing = 0.1', *SHORT, vocab_file=vocabulary)
  assert {path.name: path.read_bytes() for path in out.iterdir() if path.suffix == '.json'} == before
  tokens = open(vocabulary, encoding='utf-8').read().split()
  (tmp_path / 'other.txt').write_text('\n'.join(tokens[:5] + tokens[5:][::-1]), encoding='utf-8')
  for other, expected in (('other.txt', 'expected the vocabulary of the weights'), ('absent.txt', 'none that can be')):
    with pytest.raises(UserError, match=expected):
      _finetune('classify', data, tmp_path / 'new', init=whole, vocab_file=tmp_path / other)
    assert not (tmp_path / 'new').exists()
  # The last word of planning, after the records were made.
  with pytest.raises(UserError, match='OptimizerOptions.optimizer: expected'):
    _finetune('classify', data, tmp_path / 'new', "OptimizerOptions.optimizer = 'sgd'", vocab_file=vocabulary)
  assert not (tmp_path / 'new').exists()


def test_another_kind_in_the_same_folder_is_refused(whole, vocabulary, tmp_path):
  folder = labelled_text.write(tmp_path / 'data', 'tag')
  with pytest.raises(UserError, match='expected an empty folder or a run of the task tag, found one of classify'):
    _finetune('tag', folder, whole, vocab_file=vocabulary)


def test_it_starts_from_weights_with_what_lies_beside_them(data, whole, tmp_path, caplog):
  """Their architecture and vocabulary, whatever gin says; encoder and pooler are theirs, the head is new."""
  out = tmp_path / 'out'
  with caplog.at_level('INFO', 'albert'):
    _finetune('classify', data, out, 'finetune.epochs = 1', 'AlbertConfig.hidden_size = 64', init=whole)
  assert 'encoder 23 of 23 variables, pooler 2 of 2, head new' in caplog.text
  assert 'RANDOM WEIGHTS' not in caplog.text
  best = json.loads((whole / 'best' / 'best.json').read_text())['global_step']
  assert 'from {} (the best of {})'.format(whole / 'best' / 'model.ckpt-{}'.format(best), whole) in caplog.text
  begun, taken = _weights(out, 0), _weights(whole / 'best', best)
  for name in ('bert/pooler/dense/kernel', 'bert/embeddings/word_embeddings'):
    np.testing.assert_array_equal(begun[name], taken[name])
  assert not (begun['output_weights'] == taken['output_weights']).all()


def test_it_ends_when_it_gets_no_better(data, vocabulary, tmp_path):
  out = tmp_path / 'out'
  options = ('finetune.early_stopping_evals = 2', 'finetune.epochs = 10', 'finetune.eval_every_steps = 2',
             'OptimizerOptions.learning_rate = 0.0')
  figures = _finetune('classify', data, out, *options, vocab_file=vocabulary)
  assert figures['trained_steps'] == 6 and figures['global_step'] == 6
  again = _finetune('classify', data, out, *options, vocab_file=vocabulary)
  assert again == figures


def test_several_ranks_are_refused(data, vocabulary, tmp_path, monkeypatch):
  for name in ('HOROVOD_RANK', 'HOROVOD_LOCAL_RANK'):
    monkeypatch.setenv(name, '0')
  for name in ('HOROVOD_SIZE', 'HOROVOD_LOCAL_SIZE'):
    monkeypatch.setenv(name, '2')
  monkeypatch.setattr('albert.device.horovod.check_device', lambda *unused: None)  # as if Horovod were installed
  with pytest.raises(UserError, match='expected one rank in fine-tuning, found HOROVOD_SIZE=2: its batches are'):
    _finetune('classify', data, tmp_path / 'out', vocab_file=vocabulary)
  assert not (tmp_path / 'out').exists()


def _start(data, out, vocabulary):
  """A process of its own that makes the run `whole`."""
  arguments = ['--task=classify', '--data_dir=' + data, '--output_dir=' + str(out), '--vocab_file=' + vocabulary]
  arguments += ['--gin_param=' + binding for binding in SETTINGS + list(SHORT)]
  return subprocess.Popen([sys.executable, '-W', 'ignore', '-m', 'albert.run_finetuning'] + arguments, cwd=ROOT,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_a_killed_run_goes_on_to_the_same_results(data, vocabulary, tmp_path):
  """Whenever the kill comes: after the first checkpoint that it has made."""
  outs = [tmp_path / 'killed', tmp_path / 'whole']
  process = _start(data, outs[0], vocabulary)
  while process.poll() is None and not (outs[0] / 'model.ckpt-4.manifest.json').exists():
    time.sleep(0.01)
  process.kill()
  process.wait()
  codes = [_start(data, out, vocabulary).wait() for out in outs]
  assert codes == [0, 0]
  killed, whole = [_weights(out, 8) for out in outs]
  for name, value in whole.items():
    np.testing.assert_array_equal(killed[name], value, name)
  for name in ('loss_history.tsv', 'heldout_history.tsv', 'best/best.json', 'labels.json', 'task.json'):
    assert (outs[0] / name).read_text() == (outs[1] / name).read_text()
  first, second = [json.loads((out / 'results.json').read_text()) for out in outs]
  assert [first[name] for name in ('heldout', 'counts', 'trained_steps')] == [
      second[name] for name in ('heldout', 'counts', 'trained_steps')]


def test_a_run_goes_on_without_the_weights_that_it_began_from(data, whole, tmp_path):
  source, out = tmp_path / 'source', tmp_path / 'out'
  shutil.copytree(str(whole / 'best'), str(source))
  _finetune('classify', data, out, 'finetune.epochs = 1', init=source)
  shutil.rmtree(str(source))
  assert _finetune('classify', data, out, 'finetune.epochs = 2', init=source)['trained_steps'] == 4


def test_the_best_is_evaluated_once_on_test_if_that_has_labels(data, whole, vocabulary, tmp_path, capsys, monkeypatch):
  assert 'test' not in results.read(str(whole))
  folder, out = str(tmp_path / 'data'), tmp_path / 'out'
  shutil.copytree(data, folder)
  shutil.copy(os.path.join(folder, 'dev.json'), os.path.join(folder, 'test.json'))
  figures = _finetune('classify', folder, out, *SHORT, vocab_file=vocabulary)
  best = json.loads((out / 'best' / 'best.json').read_text())
  # The same text as dev, so the same figures.
  assert figures['test']['accuracy'] == pytest.approx(best['accuracy'], rel=1e-5) and figures['test']['labelled'] == 32
  printed = capsys.readouterr().out
  monkeypatch.setattr(closing, '_answer', lambda *unused: pytest.fail('looked at twice'))
  _finetune('classify', folder, out, *SHORT, vocab_file=vocabulary)
  told = printed[printed.index('dev   accuracy'):]
  assert 'test  accuracy' in told and told in capsys.readouterr().out


def test_scores_on_a_test_without_labels_are_not_invented(data, vocabulary, tmp_path):
  folder = str(tmp_path / 'data')
  shutil.copytree(data, folder)
  with open(os.path.join(folder, 'test.json'), 'w', encoding='utf-8') as target:
    target.write('{"sentence": "一丁"}\n')
  written = _finetune('classify', folder, tmp_path / 'out', 'finetune.epochs = 1', vocab_file=vocabulary)
  assert written['test'] == {'examples': 1, 'labelled': 0}


def test_the_share_of_texts_that_were_cut_is_kept():
  counts = {'train_examples': 8, 'train_cut': 1, 'dev_examples': 3, 'dev_cut': 0, 'test_examples': 2}
  assert finetuning._cut_percent(counts) == {'train_cut_percent': 12.5, 'dev_cut_percent': 0.0}
  assert finetuning._cut_percent({}) == {}


def test_questions_that_are_left_out_are_told():
  options = finetuning.Options(kind='read', epochs=1.0, train_batch_size=2).with_steps(4)
  info = types.SimpleNamespace(folder='out/records', max_seq_length=64)
  prepared = preparing.Prepared(info, [], {'train_unusable': 3, 'train_examples': 4}, True)
  said = finetuning._notes(options, 4, prepared)
  assert said[1] == '4 training examples / 2 = 2 steps an epoch; 1 epoch = 2 steps; evaluated every 2'
  assert said[2].startswith('train: 3 of 7 questions are left out') and 'a window of 64 tokens' in said[2]
