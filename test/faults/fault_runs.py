"""Tiny trainings for fault injection: a data set, a run that can be broken anywhere, and what two runs must share."""

import glob
import json
import os

import numpy as np
import tensorflow as tf

import small_runs
import synthetic_data
from albert.dataset import contract
from albert.dataset import data_order
from albert.dataset import examples
from albert.dataset import lost_records
from albert.dataset import tfrecord
from albert.run.best import Best
from albert.run import checkpoints
from albert.run import names
from albert.run import results
from albert.tasks.pretraining import Pretraining

# 0.1% of 2,000 records are 2. Batches of 4: a run of 12 steps uses 48 of them.
TRAIN_COUNTS = (1100, 900)
BATCH_SIZE, STEPS, SAVE_STEPS = 4, 12, 4
# The update of these steps is not finite, two in a row around a checkpoint; a record of ROTTEN_STEP is damaged.
BAD_STEPS, ROTTEN_STEP = (3, 8, 9), 10
SEED = 12345
BINDINGS = [
    'AlbertConfig.embedding_size = 6', 'AlbertConfig.hidden_size = 8', 'AlbertConfig.num_hidden_layers = 1',
    'AlbertConfig.num_attention_heads = 2', 'AlbertConfig.intermediate_size = 12',
    'AlbertConfig.hidden_dropout_prob = 0.1', 'OptimizerOptions.learning_rate = 0.05',
    'OptimizerOptions.num_warmup_steps = 2', "SessionOptions.device = 'cpu'",
    'pretrain.train_batch_size = {}'.format(BATCH_SIZE), 'pretrain.eval_batch_size = 8',
    'pretrain.num_train_steps = {}'.format(STEPS),
    'pretrain.save_checkpoints_steps = {}'.format(SAVE_STEPS), 'pretrain.keep_checkpoint_max = 2',
    'pretrain.log_every_steps = 1', 'pretrain.random_seed = {}'.format(SEED), 'pretrain.spike_factor = 50.0']
# Figures that are wall-clock time.
_CLOCK = ('examples_per_second', 'seconds', 'cpu_seconds', 'median_step_seconds', 'input_wait_fraction')


def write_data(folder):
  """A data set of which some records have infinite label weights, and one has a flipped bit."""
  shards = [contract.Shard(contract.shard_name(contract.TRAIN, number, len(TRAIN_COUNTS)), count, None)
            for number, count in enumerate(TRAIN_COUNTS)]
  info = contract.DatasetInfo(folder, None, None, None, None, {contract.TRAIN: shards})
  bad = {_number(*records_of_step(info, step)[1]) for step in BAD_STEPS}
  write = synthetic_data.record

  def record(number, **shape):
    values = write(number, **shape)
    if number in bad:
      values['masked_lm_weights'][0] = float('inf')
    return values

  synthetic_data.record = record
  try:
    info = synthetic_data.write_dataset(folder, TRAIN_COUNTS, heldout_count=24)
  finally:
    synthetic_data.record = write
  flip_bit(os.path.join(folder, rotten_record(info)[0]), rotten_record(info)[1])
  return info


def records_of_step(info, step):
  """The (file, index) of the records that a step of an undisturbed run uses, a list."""
  return data_order.RecordOrder(info, SEED).records_at((step - 1) * BATCH_SIZE, BATCH_SIZE)


def rotten_record(info):
  """(file, index) of the damaged record."""
  return records_of_step(info, ROTTEN_STEP)[2]


def _number(file, index):
  """The number of a record, counted through the shards."""
  return sum(TRAIN_COUNTS[:int(file.split('-')[1])]) + index


def flip_bit(path, index):
  """Damages the content of a record."""
  with open(path, 'r+b') as target:
    place = tfrecord.find_frames(path)[0][index] + 40
    target.seek(place)
    byte = target.read(1)
    target.seek(place)
    target.write(bytes([byte[0] ^ 1]))


def train(data, out, *bindings, **arguments):
  """One start of the program, in this process. Returns its exit code.

  The infinite weights of write_data() cost their steps, not their records, as in a run whose gradients overflow.
  """
  problem = examples.Form._problem
  examples.Form._problem = lambda form, columns: problem(form, {
      name: np.nan_to_num(values) if getattr(values, 'dtype', None) == np.float32 else values
      for name, values in columns.items()})
  try:
    return small_runs.pretrain(data, out, BINDINGS + list(bindings), **arguments)
  finally:
    examples.Form._problem = problem


def weights(prefix):
  """{name: array} of a checkpoint: weights, slots and step."""
  reader = tf.train.load_checkpoint(prefix)
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def scalars(folder):
  """[(tag, step, value)] of the event files of a folder, as often as they are there, sorted; no wall-clock figures."""
  values = []
  for path in sorted(glob.glob(os.path.join(folder, 'events.out.tfevents.*'))):
    offsets, gaps = tfrecord.find_frames(path)
    assert not gaps, 'not whole: ' + path
    file = tfrecord.ShardFile(path, len(offsets))
    for index in range(len(offsets)):
      content, problem = file.read(index)
      assert not problem, path
      event = tf.Event.FromString(content)
      values += [(value.tag, event.step, value.simple_value) for value in event.summary.value
                if value.HasField('simple_value') and not value.tag.startswith('throughput/')]
    file.close()
  return sorted(values)


def read(out, name):
  """The text of a file of a run, or None."""
  path = os.path.join(str(out), name)
  if not os.path.exists(path):
    return None
  with open(path, encoding='utf-8') as source:
    return source.read()


def _without_clock(figures):
  return {name: _without_clock(value) if isinstance(value, dict) else value
          for name, value in figures.items() if name not in _CLOCK}


def snapshot(out, criterion=Pretraining.criterion):
  """Everything of a run that does not depend on the clock: {name of the part: value}."""
  out = str(out)
  best, figures = Best(out, criterion).read()
  manifests = {step: checkpoints.read_manifest(checkpoints.prefix_of(out, step))
               for step in checkpoints.steps_in(out)}
  latest = tf.train.latest_checkpoint(out)
  return {
      'weights': {step: weights(checkpoints.prefix_of(out, step)) for step in manifests},
      'newest': latest and os.path.basename(latest),
      'position and counters': {step: (manifest['guard'], manifest['data_position'], manifest['config_hash'],
                                       _without_clock(manifest['train'])) for step, manifest in manifests.items()},
      'best': (best and os.path.basename(best), figures, best and weights(best)),
      'loss history': read(out, names.LOSS_HISTORY_FILE),
      'held-out history': read(out, names.HELDOUT_HISTORY_FILE),
      'results': _without_clock(results.read(out)),
      'settings': json.loads(read(out, 'run_state.json')),
      'training events': scalars(out),
      'held-out events': scalars(os.path.join(out, 'eval_heldout')),
      'lost records': [line.split('\t')[:2] for line in (read(out, lost_records.LOST_RECORDS_FILE) or '').split('\n')]}


def different(first, second):
  """The parts in which two snapshots differ, as a list of names."""
  return [name for name in first if not _same(first[name], second[name])]


def _same(first, second):
  if isinstance(first, dict) and isinstance(second, dict):
    return sorted(first) == sorted(second) and all(_same(first[key], second[key]) for key in first)
  if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
    return len(first) == len(second) and all(map(_same, first, second))
  if isinstance(first, np.ndarray):
    return first.dtype == second.dtype and first.tobytes() == second.tobytes()
  return first == second or (first != first and second != second)


def leftovers(out):
  """Files that are no part of a run: what a killed process left."""
  return [path for path in glob.glob(os.path.join(str(out), '**'), recursive=True) if path.endswith('.tmp')]
