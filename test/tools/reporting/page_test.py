"""The report of a run: of a finished one, one in progress, one without evaluation, one that is damaged."""

import json
import os
import re
import subprocess
import sys

import pytest
import tensorflow.compat.v1 as tf

import labelled_text
import random_models
import small_corpus
from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.dataset import tokenization
from albert.labelled import options as labelled
from albert.labelled import preparing
from albert.labelled import sources
from albert.run.logs import event_files
from tools.prediction import heldout
from tools.reporting import material
from tools.reporting import page

CONFIG = random_models.config(vocab_size=len(small_corpus.vocabulary_tokens()), max_position_embeddings=48)
STATE = {'settings': {'task': 'pretraining', 'train_batch_size': 32, 'random_seed': 12345}, 'skipped_windows': [],
         'schedule': {'num_train_steps': 600, 'learning_rate': 0.01}, 'origin': None, 'changes': []}
FIGURES = {'masked_lm_loss': 6.2081, 'masked_lm_accuracy': 0.132, 'sentence_order_loss': 0.69,
           'sentence_order_accuracy': 0.526, 'unigram_cross_entropy': 6.51}


@pytest.fixture(scope='module')
def info(tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  return small_corpus.create(folder / 'd', small_corpus.write(folder, small_corpus.text(200))).info


def write(folder, name, content):
  path = os.path.join(str(folder), name)
  os.makedirs(os.path.dirname(path), exist_ok=True)
  with open(path, 'w', encoding='utf-8') as target:
    target.write(content if isinstance(content, str) else json.dumps(content))


def write_events(folder, steps, **more):
  writer = tf.summary.FileWriter(str(folder))
  for step in steps:
    values = dict({'pretraining/masked_lm_loss': 7 - step / 600, 'pretraining/learning_rate': 0.01,
                   'throughput/real_tokens_per_second': 18000, 'skipped_updates/total': 0}, **more)
    writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag=tag, simple_value=value)
                                         for tag, value in values.items()]), step)
  writer.close()


@pytest.fixture
def run(tmp_path, info):
  """A run that has ended."""
  folder = tmp_path / 'my <run>'
  write(folder, 'run_state.json', dict(STATE, settings=dict(STATE['settings'], data_set=info.fingerprint())))
  write(folder, 'results.json', {'heldout': FIGURES, 'global_step': 600, 'trained_steps': 600,
                                 'train': {'seconds': 100.0, 'median_step_seconds': 0.147}})
  write(folder, 'best/best.json', dict(FIGURES, checkpoint='model.ckpt-600', global_step=600))
  write(folder, 'heldout_history.tsv', 'step\tmasked_lm_loss\n300\t6.5\n600\t6.2081\n')
  write(folder, 'command_line.txt', '2026-11-26 09:06:41 python run_pretraining.py\n  git commit: abc\n'
        '  data: {} ({:,} training and 5 held-out records, vocabulary x 012)\n'.format(
            info.folder, info.records('train')))
  write_events(folder, [50, 300, 600])
  return folder


def text_of(folder, guesses=(), problem=None, data=None):
  return page.make(material.read(str(folder), data), list(guesses), problem)


def test_a_finished_run(run):
  text = text_of(run)
  assert 'Finished: all 600 steps were made.' in text and 'my &lt;run&gt;' in text
  assert '<b>497</b>' in text and '0.30 nats' in text and 'better than a unigram model' in text
  assert 'choose among 497 tokens' in text and 'what is gained comes from the context' in text
  assert text.count('<figure') == 3  # what there is no curve of has no chart
  assert '18,000 tokens a second' in text and 'Training took 2 min' in text
  assert '<th>Documents</th><td>200</td>' in text, 'the data set is found by itself'
  assert 'Nothing: no update was skipped' in text


def test_it_loads_nothing_from_elsewhere(run):
  text = text_of(run)
  assert not re.findall('(?:src|href)=|url\\(|@import|<script|https?:', text)
  assert text.startswith('<!DOCTYPE html>') and text.count('<section>') == text.count('</section>')


def test_a_run_in_progress_without_evaluation(tmp_path):
  write(tmp_path, 'run_state.json', STATE)
  write(tmp_path, 'train.log', '2026-11-26 09:07:29 step 250/600  loss 7.0 (masked LM 6.3)  171 examples/s  '
        '1 tokens/s (1 real)  0:01:06 left\n2026-11-26 09:07:30 saved step 250 in 0.39 s\n')
  write_events(tmp_path, [50, 250])
  text = text_of(tmp_path)
  assert 'Not finished: step 250 of 600, 0:01:06 left; last heard of at 2026-11-26 09:07:30.' in text
  assert 'Not evaluated so far' in text and 'The data set was not found from here; DATA=... names it.' in text


@pytest.fixture
def fine_tuned(tmp_path):
  """A run of fine-tuning that has ended, in another place than where it was made."""
  folder = tmp_path / 'topics'
  options = labelled.LabelledOptions(max_seq_length=32)
  splits = sources.open_splits(labelled_text.write(tmp_path / 'data', 'classify'), labelled.CLASSIFY, options)
  prepared = preparing.prepare(splits, labelled.CLASSIFY, options, labelled_text.write_vocabulary(tmp_path),
                               str(folder), False).info
  write(folder, 'run_state.json', dict(STATE, settings=dict(STATE['settings'], task='classify',
                                                            data_set=prepared.fingerprint())))
  figures = {'examples': 40, 'labelled': 40, 'accuracy': 0.675, 'loss': 0.9,
             'classes': {'<天气>': {'precision': 1.0, 'recall': 0.5, 'f1': 0.6667, 'support': 4}}}
  write(folder, 'results.json', {'dev': figures, 'test': dict(figures, accuracy=0.25), 'trained_steps': 600})
  write(folder, 'heldout_history.tsv', 'step\tloss\taccuracy\n300\t1.2\t0.3\n600\t0.9\t0.675\n')
  write(folder, 'command_line.txt', '2026-11-26 09:06:41 python run_finetuning.py\n'
        '  data: elsewhere/records (8 training and 5 held-out records, vocabulary x 012)\n')
  return folder


def test_a_run_of_fine_tuning(fine_tuned):
  text = text_of(fine_tuned)
  assert '<b>0.6750</b><span>accuracy, dev</span><small>40 examples' in text
  assert '<b>0.2500</b><span>accuracy, test</span>' in text and '<th>&lt;天气&gt;</th><td>0.6667</td>' in text
  assert 'What it puts under a mask' not in text and text.count('<figure') == 2
  assert '<th>Training examples</th><td>' in text and 'was not found' not in text
  write(fine_tuned, 'results.json', {'dev': {'accuracy': 0.5, 'labelled': 4}, 'not_learned': 'NOT LEARNED: why'})
  assert 'NOT LEARNED: why' in text_of(fine_tuned)


def test_a_run_of_fine_tuning_in_progress(fine_tuned):
  write(fine_tuned, 'results.json', {})
  assert 'Not evaluated so far: figures on dev come with each checkpoint.' in text_of(fine_tuned)
  write(fine_tuned, 'best/best.json', {'accuracy': 0.3, 'checkpoint': 'model.ckpt-300', 'global_step': 300})
  assert '<b>0.3000</b><span>accuracy, dev</span>' in text_of(fine_tuned)


def test_several_runs_are_no_run(tmp_path):
  write(tmp_path, 'results.json', {'best_run': 'seed-2', 'seeds': {'seed-1': {}, 'seed-2': {}}})
  with pytest.raises(UserError, match=r'found that of several \(seed-1, seed-2\), whose means are in report.md; name'):
    material.read(str(tmp_path))


def test_a_run_that_has_just_begun(tmp_path):
  write(tmp_path, 'run_state.json', STATE)
  assert 'No step was logged so far.' in text_of(tmp_path)


def test_the_history_stands_in_for_event_files(tmp_path):
  write(tmp_path, 'run_state.json', STATE)
  write(tmp_path, 'loss_history.tsv', 'step\ttotal_loss\n50\t7.3\n100\t7.1\nrubbish\n150\t')
  text = text_of(tmp_path)
  assert 'Training loss, nats' in text and text.count('<figure') == 1


def test_what_was_skipped_lost_and_changed_is_told(run):
  write(run, 'run_state.json', dict(
      STATE, skipped_windows=[{'checkpoint_step': 200, 'to_record': 9, 'spike_step': 250}],
      changes=[{'step': 40, 'name': 'learning_rate', 'from': 0.01, 'to': 0.001}]))
  write(run, 'lost_records.tsv', 'shard\trecord\tsize-mtime\treason\ntrain-0\t17\t1-2\tbad\n')
  write(run, 'results.json', {'diverged': {'global_step': 500, 'what': 'losses'}})
  write_events(run, [700], **{'skipped_updates/total': 3})
  text = text_of(run)
  for told in ('Updates that were skipped, their gradients not being finite: 3.', 'loss spike at step 250', 'step 200',
               'Records that could not be read: 1 (17 of train-0).',
               'From step 40: learning rate 0.001 instead of 0.01.', 'The run has diverged at step 500.'):
    assert told in text, told


@pytest.mark.parametrize('name', ['run_state.json', 'results.json', 'best/best.json', 'heldout_history.tsv',
                                  'command_line.txt', 'loss_history.tsv', 'train.log'])
def test_a_damaged_file_is_left_out(run, name):
  write(run, name, '{"half of it')
  assert '<h1>' in text_of(run)


def test_figures_that_are_not_finite_are_none(run):
  write(run, 'best/best.json', dict(FIGURES, masked_lm_loss=None, checkpoint='model.ckpt-1', global_step=1))
  assert 'Not evaluated so far' in text_of(run)


def test_figures_of_a_run_that_was_stopped_are_of_its_last_evaluation(run):
  write(run, 'best/best.json', {})
  write(run, 'results.json', {'heldout': FIGURES, 'global_step': 650, 'trained_steps': 650})
  assert 'with the weights of step 600.' in text_of(run)
  write(run, 'heldout_history.tsv', '')
  assert 'with the weights of step 650.' in text_of(run)


def test_another_data_set_is_not_taken_for_that_of_the_run(run, tmp_path):
  paths = small_corpus.write(tmp_path, small_corpus.text(50))
  other = small_corpus.create(tmp_path / 'other', paths).info
  assert 'is another than the one of this run' in text_of(run, data=other.folder)
  with pytest.raises(UserError, match='expected the data set of the run, found none'):
    text_of(run, data=str(tmp_path / 'nowhere'))


@pytest.mark.parametrize('name', ['none', 'empty'])
def test_no_run(tmp_path, name):
  (tmp_path / 'empty').mkdir()
  with pytest.raises(UserError, match='expected the folder of a run, found none'):
    material.read(str(tmp_path / name))


def test_samples_show_what_was_right(run):
  guess = heldout.Guessed(['长', '江', '<', '##s'], [1], [('江', 0.25, 2, [('河', 0.5), ('江', 0.25)])])
  text = text_of(run, [guess])
  assert '<div lang="zh-CN" class="sample">' in text  # of the forms of a character those of Chinese
  assert '长<mark class="miss">江</mark>&lt;s' in text and 'class="chip right"' in text
  assert 'no sentence' in text_of(run, problem='no sentence')


def test_series_of_several_starts_and_of_a_file_that_is_cut_off(tmp_path):
  write_events(tmp_path, [1, 2, 3])
  path = event_files._paths(str(tmp_path))[0]
  os.rename(path, path + '.1')
  with open(path + '.1', 'r+b') as file:
    file.truncate(os.path.getsize(path + '.1') - 5)
  write_events(tmp_path, [3, 4], **{'pretraining/masked_lm_loss': 9})
  series = event_files.series(str(tmp_path))['pretraining/masked_lm_loss']
  assert [step for step, _ in series] == [1, 2, 3, 4] and [value for _, value in series][2:] == [9, 9]


@pytest.mark.integration
def test_the_program_tries_the_best_checkpoint(run, info):
  weights = random_models.weights(CONFIG)
  random_models.save(run / 'best', CONFIG, weights, step=600)
  vocabulary = tokenization.Vocabulary.load(info.vocab_file)
  write(run / 'best', 'vocab.txt', ''.join(token + '\n' for token in vocabulary.tokens))
  done = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'tools.report', '--output_dir={}'.format(run)], cwd=ROOT,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT))
  assert done.returncode == 0, done.stderr.decode('utf-8')
  assert done.stdout.decode('utf-8') == 'wrote {}\n'.format(run / 'report.html')
  text = (run / 'report.html').read_text(encoding='utf-8')
  assert text.count('class="sample"') == 8 and 'report.html.tmp' not in os.listdir(str(run))
