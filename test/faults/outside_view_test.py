"""A training command that is killed from outside, in every configuration: the same command ends in the same bytes.

FAULT_KILLS says how often: once in `make test`, 50 times in `make test-faults`, where each run is killed twice, the
second time while it goes on from the first, and then finished. Of two ranks the launcher is killed, one of them, or
all; without Horovod they are skipped.
"""

import collections
import importlib.util
import json
import os
import random
import re
import signal

import pytest
import tensorflow.compat.v1 as tf

import labelled_text
import outside
import small_corpus
from albert.common.files import ROOT

KILLS = int(os.environ.get('FAULT_KILLS', '1'))
SEED = int(os.environ.get('FAULT_SEED', '20261123'))

# program: module, with the words before it. data: a record format. bindings: of gin, besides those of every run. says:
# what its log has and others have not, if anything.
Configuration = collections.namedtuple('Configuration', ['name', 'program', 'data', 'bindings', 'says'])
CONFIGURATIONS = [
    Configuration('plain', 'albert.run_pretraining', 'reference', [], ''),
    Configuration('packing', 'albert.run_pretraining', 'reference', ['InputOptions.packing=True'],
                  'packing: an epoch has'),
    Configuration('compact', 'albert.run_pretraining', 'compact', [], ''),
    Configuration('micro-batches', 'albert.run_pretraining', 'reference', ['pretrain.micro_batch_size=2'],
                  '2 sequences at a time'),
    Configuration('recompute', 'albert.run_pretraining', 'reference', ['pretrain.recompute=True'], ''),
    # Spikes are known from step 101 on.
    Configuration('spike', 'albert.run_pretraining', 'reference',
                  ['pretrain.spike_factor=1.04', 'pretrain.num_train_steps=112'], 'LOSS SPIKE'),
    Configuration('phases', 'albert.run_pretraining', 'reference',
                  ["pretrain.phases=[{'share': 1, 'num_hidden_layers': 1}, {'share': 1}]"], 'phase 2 of 2'),
    Configuration('fine-tuning', 'albert.run_finetuning', 'labelled', [], 'an epoch'),
    Configuration('ranks', 'tools.launch --ranks=2 -- albert.run_pretraining', 'reference', [], 'rank=0/2')]
BINDINGS = [
    'AlbertConfig.embedding_size=6', 'AlbertConfig.hidden_size=8', 'AlbertConfig.num_hidden_layers=2',
    'AlbertConfig.num_attention_heads=2', 'AlbertConfig.intermediate_size=12', 'AlbertConfig.hidden_dropout_prob=0.1',
    'OptimizerOptions.learning_rate=0.01', "SessionOptions.device='cpu'"]
PRETRAINING = [
    'OptimizerOptions.num_warmup_steps=2', 'pretrain.train_batch_size=4', 'pretrain.eval_batch_size=8',
    'pretrain.num_train_steps=24', 'pretrain.save_checkpoints_steps=4', 'pretrain.keep_checkpoint_max=2',
    'pretrain.log_every_steps=1']
FINETUNING = [
    'FinetuneData.max_seq_length=32', 'finetune.train_batch_size=16', 'finetune.eval_batch_size=16',
    'finetune.epochs=10', 'finetune.eval_every_steps=4', 'finetune.keep_checkpoint_max=2', 'finetune.log_every_steps=1']
# Of an undisturbed run. The first part of its time is the same for all: Python, no file written.
PARTS = {'changes': (0.02, 0.99), 'time': (0.4, 0.98)}
# 75: stopped by a signal; or the end came before the signal, or the signal before it was caught.
AFTER = {signal.SIGKILL: (-9, 0), signal.SIGTERM: (75, 0, -15)}
# What is killed of several ranks. 69: a rank was lost.
WHOM = (0, outside.ALL, 1, outside.ITSELF)
AFTER_A_RANK = {signal.SIGKILL: (69, 0), signal.SIGTERM: (75, 0, 69)}
SECONDS_OF_RANKS = 60.0


def configuration_of(number):
  return CONFIGURATIONS[number % len(CONFIGURATIONS)]


def words(configuration, data, out):
  if configuration.data == 'labelled':
    of_program = ['--task=classify', '--data_dir=' + data, '--vocab_file=' + os.path.join(data, 'vocab.txt')]
    bindings = BINDINGS + FINETUNING
  else:
    of_program, bindings = ['--input_file=' + data], BINDINGS + PRETRAINING
  return configuration.program.split() + [
      '--output_dir=' + str(out), '--gin_param=' + '; '.join(bindings + configuration.bindings)] + of_program


class Undisturbed:
  """Runs that nothing happened to."""

  def __init__(self, folder):
    self._folder, self._data, self._runs = folder, {}, {}
    self._text = small_corpus.write(folder, small_corpus.text(60))

  def data(self, record_format):
    """A folder of records, or of labelled text."""
    if record_format not in self._data:
      self._data[record_format] = str(self._folder / record_format)
      if record_format == 'labelled':
        labelled_text.write_vocabulary(labelled_text.write(self._data[record_format], 'classify'))
        return self._data[record_format]
      small_corpus.create(self._data[record_format], self._text, record_format=record_format)
    return self._data[record_format]

  def run(self, configuration):
    """(outside.contents(), outside.Ended)."""
    if configuration.name not in self._runs:
      out = self._folder / ('out-' + configuration.name)
      ended = outside.run(words(configuration, self.data(configuration.data), out), out)
      assert ended.code == 0 and configuration.says in ended.said, ended.said
      self._runs[configuration.name] = outside.contents(out), ended
    return self._runs[configuration.name]


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
  return Undisturbed(tmp_path_factory.mktemp('undisturbed'))


def kills(number):
  """The outside.Kill of a try: at a change of a file and at a time, in either order."""
  chosen = random.Random(SEED + number)
  times = [outside.Kill(chosen.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)), of, chosen.uniform(*part),
                        chosen.choice((0.0, chosen.uniform(0.0, 0.01))), outside.ITSELF) for of, part in PARTS.items()]
  chosen.shuffle(times)
  if configuration_of(number).name == 'ranks':
    first = 2 * (number // len(CONFIGURATIONS))
    times = [kill._replace(whom=WHOM[(first + place) % len(WHOM)]) for place, kill in enumerate(times)]
  return times[:KILLS]


def check_end(kill, ended):
  of_rank = kill.whom not in (outside.ITSELF, outside.ALL)
  assert ended.code in (AFTER_A_RANK if of_rank else AFTER)[kill.signal], (kill, ended)
  assert 'Traceback' not in ended.said, (kill, ended)
  if ended.code == 69:  # others have noticed that a rank is gone
    assert ended.after_kill < SECONDS_OF_RANKS, (kill, ended)


@pytest.mark.integration
@pytest.mark.parametrize('number', [
    pytest.param(number, marks=pytest.mark.fault('killed from outside: ' + configuration_of(number).name))
    for number in range((KILLS + 1) // 2)])
def test_it_ends_in_the_same_bytes(undisturbed, tmp_path, lost, number):
  configuration, out = configuration_of(number), tmp_path / 'out'
  if configuration.name == 'ranks' and importlib.util.find_spec('horovod') is None:
    pytest.skip('Horovod is not built: make env-horovod')
  expected, whole = undisturbed.run(configuration)
  command = words(configuration, undisturbed.data(configuration.data), out)
  most = 0
  for kill in kills(number):
    ended = outside.run(command, out, kill, whole)
    check_end(kill, ended)
    most = max(most, outside.steps_lost(out))
  ended = outside.run(command, out)
  assert ended.code == 0 and 'Traceback' not in ended.said, ended
  assert outside.different(expected, outside.contents(out)) == []
  lost(steps=most)


def test_make_test_faults_reaches_every_configuration():
  with open(os.path.join(ROOT, 'Makefile'), encoding='utf-8') as source:
    count = int(re.search(r'FAULT_KILLS:-(\d+)', source.read()).group(1))
  reached = [configuration_of(number).name for number in range((count + 1) // 2)]
  assert min(reached.count(one.name) for one in CONFIGURATIONS) >= 2
  whom = [WHOM[(2 * (number // len(CONFIGURATIONS)) + place) % len(WHOM)]
          for number, name in enumerate(reached) if name == 'ranks' for place in range(2)]
  assert set(whom) == set(WHOM)


def test_what_the_comparison_sees(tmp_path):
  """It is what the test above rests on: each of these is a difference, and what the clock decides is none."""
  def write(name, loss=1.5, seconds=2.0, weights=b'abc', step=4):
    folder = tmp_path / name
    folder.mkdir()
    (folder / 'model.ckpt-4.data-00000-of-00001').write_bytes(weights)
    (folder / 'model.ckpt-4.manifest.json').write_text(json.dumps(
        {'sha256': name, 'step': step, 'files': {'model.ckpt-4.meta': name}, 'train': {'seconds': seconds}}))
    (folder / 'train.log').write_text(name)
    with tf.io.TFRecordWriter(str(folder / ('events.out.tfevents.1.' + name))) as writer:
      for tag, value in (('loss', loss), ('throughput/x', seconds)):
        writer.write(tf.Event(step=4, summary=tf.Summary(value=[
            tf.Summary.Value(tag=tag, simple_value=value)])).SerializeToString())
    return folder
  first = outside.contents(write('a'))
  assert len(first) == 3 and outside.different(first, outside.contents(write('b', seconds=3.0))) == []
  for change, part in ((dict(loss=1.25), 'events'), (dict(weights=b'abd'), 'model.ckpt-4.data-00000-of-00001'),
                       (dict(step=5), 'model.ckpt-4.manifest.json')):
    assert outside.different(first, outside.contents(write(part, **change))) == [part]
  os.remove(str(write('c') / 'model.ckpt-4.manifest.json'))
  assert outside.different(first, outside.contents(tmp_path / 'c')) == ['model.ckpt-4.manifest.json']
  (write('d') / 'left.tmp').write_text('')
  assert outside.different(first, outside.contents(tmp_path / 'd')) == ['left.tmp']


def test_changes_are_counted_below_a_folder_too(tmp_path):
  changes = outside.Changes(str(tmp_path))
  (tmp_path / 'inner').mkdir()
  changes.wait(1)
  before = changes.count
  (tmp_path / 'inner' / 'a').write_text('a')
  os.rename(str(tmp_path / 'inner' / 'a'), str(tmp_path / 'inner' / 'b'))
  changes.wait(1)
  changes.close()
  assert before == 1 and changes.count == 1 + 4  # made, written to, closed, renamed
