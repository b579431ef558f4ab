"""Compares this library with numbers that the reference ALBERT computed.

    python -m tools.parity [FIXTURE_DIR] [--json] [--recompute] [--towers=N]

FIXTURE_DIR holds albert_config.json, a checkpoint, inputs.npz (a batch), optimizer.json, and expected.npz: outputs,
losses, grad/<variable> before clipping, and after each of several optimizer steps on that batch step_<n>/<variable>,
loss_after_step_<n>, learning_rate_<n>. Without it each folder of test/support/parity is compared. One line is printed
for each key of expected.npz: the largest deviation, relative to the largest magnitude in that tensor. The exit code is
0 only if all are within their tolerance: 1e-5, for weights after optimizer steps 1e-4. The model, the losses and the
train op are those that training uses, except that sequence_output is also computed at the positions that training
leaves out.
"""

import collections
import functools
import glob
import json
import os
import zipfile

from absl import flags
import numpy as np

from albert.tasks import pretraining
from albert.common import cli  # before TensorFlow: silences the warnings of its import
from albert.common.errors import UserError
from albert.common import files
from albert.device import session_options
from albert import input_pipeline
from albert import lamb
from albert.model.config import AlbertConfig
from albert import npu_session
from albert.run import loading
from albert.training import micro_batches
from albert.training import training_step
import tensorflow.compat.v1 as tf

OUTPUT_TOLERANCE = 1e-5
STEP_TOLERANCE = 1e-4
# Softmax does not change when the same number is added to all scores of a query, so the gradient of the key's bias
# is mathematically zero: what is computed is rounding, to which nothing can be relative.
ZERO_GRADIENT = 'attention_1/self/key/bias'
ZERO_GRADIENT_TOLERANCE = 1e-7

_FILES = ('albert_config.json', 'inputs.npz', 'expected.npz', 'optimizer.json')

# config: AlbertConfig. batch: input_pipeline.Batch of arrays. expected: {key: array}. options: lamb.OptimizerOptions.
# num_train_steps: int, where the schedule ends. steps_run: int. checkpoint: prefix.
Fixture = collections.namedtuple('Fixture', [
    'config', 'batch', 'expected', 'options', 'num_train_steps', 'steps_run', 'checkpoint'])

# Tensors of a tower; the losses, its share of those of the batch, are [1].
_LOSSES = ('masked_lm_loss', 'sentence_order_loss', 'total_loss')
_Outputs = collections.namedtuple('_Outputs', (
    'embedding_output', 'sequence_output', 'pooled_output', 'masked_lm_log_probs', 'masked_lm_example_loss',
    'sentence_order_log_probs') + _LOSSES)

# deviation: float or None without a counterpart of that shape; relative: bool; note: what is wrong, or ''.
Comparison = collections.namedtuple('Comparison', ['key', 'ok', 'deviation', 'tolerance', 'relative', 'note'])


def load_fixture(folder):
  """Reads a folder of numbers into a Fixture. Raises UserError if a file is missing or cannot be read."""
  indexes = glob.glob(os.path.join(glob.escape(folder), '*.index'))
  missing = [name for name in _FILES if not os.path.exists(os.path.join(folder, name))]
  if missing or len(indexes) != 1:
    raise UserError('{}: expected a folder with {} and one checkpoint, found {} of the files and {} checkpoints; '
                    'see test/support/parity'.format(folder, ', '.join(_FILES), len(_FILES) - len(missing),
                                                     len(indexes)))
  try:
    with open(os.path.join(folder, 'optimizer.json'), encoding='utf-8') as source:
      optimizer = json.load(source)
    inputs, expected = [dict(np.load(os.path.join(folder, name))) for name in ('inputs.npz', 'expected.npz')]
    return Fixture(AlbertConfig.from_json_file(os.path.join(folder, 'albert_config.json')),
                   input_pipeline.Batch(**inputs), expected, _optimizer_options(optimizer),
                   optimizer['num_train_steps'], optimizer['global_steps_run'], indexes[0][:-len('.index')])
  except (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile) as error:
    raise UserError('{}: expected a parity fixture, found one that cannot be read ({!r}); copy it again'.format(
        folder, error))


def _optimizer_options(values):
  return lamb.OptimizerOptions(
      optimizer=values['optimizer'], learning_rate=values['learning_rate'],
      num_warmup_steps=values['num_warmup_steps'], poly_power=values['poly_power'],
      weight_decay_rate=values['weight_decay'], clip_norm=values['clip_norm'])


def library_outputs(batch, config, whole_last_layer=False, recompute=False, fused_ops=True, towers=1):
  """This library's model, as it is trained on a CPU, on a Batch of tensors: {key of expected.npz: tensor}."""
  device = npu_session.start(session_options.SessionOptions(device='cpu', fused_ops=fused_ops), environ={})
  divide_by = pretraining.denominators(batch)

  def build(part):
    model = pretraining.model(part, config, is_training=True, ops=training_step.model_ops(device),
                                         divide_by=divide_by, whole_last_layer=whole_last_layer, recompute=recompute)
    return _Outputs(model.encoder.embedding_output, model.encoder.sequence_output, model.encoder.pooled_output,
                    tf.nn.log_softmax(model.masked_lm.logits), model.masked_lm.example_loss,
                    tf.nn.log_softmax(model.sentence_order.logits),
                    *[tf.reshape(loss, [1]) for loss in (
                        model.masked_lm.loss, model.sentence_order.loss, model.total_loss)])

  return {name: tf.reduce_sum(value) if name in _LOSSES else value
          for name, value in micro_batches.side_by_side(batch, towers, build)._asdict().items()}


def compute(fixture, outputs=library_outputs):
  """Computes what a Fixture expects: {key: array}.

  Args:
    fixture: Fixture.
    outputs: function (Batch of tensors, AlbertConfig, whole_last_layer) -> {key: tensor}, `total_loss` among them.
      The third argument is given, as True, if the first call has no sequence_output of all positions.

  Raises:
    UserError: the checkpoint does not have exactly the graph's variables.
  """
  with tf.Graph().as_default():
    tensors = outputs(input_pipeline.Batch(*[tf.constant(value) for value in fixture.batch]), fixture.config)
    weights = {variable.op.name: variable for variable in tf.trainable_variables()}
    device = npu_session.start(session_options.SessionOptions(device='cpu'), environ={})
    optimizer = training_step.Update(fixture.options, fixture.num_train_steps, device)
    gradients = optimizer.gradients(tensors['total_loss'], list(weights.values()))
    tensors.update({'grad/' + name: gradient for name, gradient in zip(weights, gradients)})
    update = optimizer.apply(list(zip(gradients, weights.values())), tensors['total_loss'])
    loading.check_compatible(fixture.checkpoint, tf.global_variables())
    with tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as session:
      tf.train.Saver().restore(session, fixture.checkpoint)
      values = session.run(tensors)
      read_output = values['sequence_output']
      for step in range(1, fixture.steps_run + 1):
        values['learning_rate_{}'.format(step)], _ = session.run([update.rate, update.train_op])
        after = session.run(dict(weights, total_loss=tensors['total_loss']))
        values['loss_after_step_{}'.format(step)] = after.pop('total_loss')
        values.update({'step_{}/{}'.format(step, name): value for name, value in after.items()})
  if read_output.shape != fixture.expected['sequence_output'].shape:
    values['sequence_output'] = _whole_output(fixture, outputs, read_output)
  return values


def _whole_output(fixture, outputs, read_output):
  """sequence_output [B, S, H] of a last layer that computes all positions.

  Where the training graph computes it too, read_output [B, 1 + P, H], the value that deviates more from the expected.
  """
  with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as session:
    batch = input_pipeline.Batch(*[tf.constant(value) for value in fixture.batch])
    tensor = outputs(batch, fixture.config, whole_last_layer=True)['sequence_output']
    tf.train.Saver().restore(session, fixture.checkpoint)
    whole = session.run(tensor)
  expected = fixture.expected['sequence_output']
  for example, positions in enumerate(fixture.batch.masked_lm_positions):
    for slot, position in enumerate([0] + list(positions)):
      row, other = whole[example, position], read_output[example, slot]
      farther = np.abs(other - expected[example, position]) > np.abs(row - expected[example, position])
      whole[example, position] = np.where(farther, other, row)
  return whole


def compare(expected, computed):
  """A Comparison for each key of `expected`, in its order. Both: {key: array}."""
  return [_compare(key, np.asarray(value), computed.get(key)) for key, value in expected.items()]


def _compare(key, expected, value):
  tolerance, relative = _tolerance(key)
  if value is None:
    return Comparison(key, False, None, tolerance, relative, 'no counterpart')
  value = np.asarray(value)
  if value.shape != expected.shape:
    return Comparison(key, False, None, tolerance, relative, 'expected shape {}, found {}'.format(
        list(expected.shape), list(value.shape)))
  expected = expected.astype(np.float64)
  deviation = float(np.max(np.abs(value - expected)))
  if relative:
    deviation /= float(np.max(np.abs(expected))) or 1.0
  # A NaN is in no tolerance.
  return Comparison(key, bool(deviation <= tolerance), deviation, tolerance, relative, '')


def _tolerance(key):
  """(tolerance, whether it is relative to the largest magnitude) of a key of expected.npz."""
  is_step = key.startswith('step_')
  if key.endswith(ZERO_GRADIENT):
    return (STEP_TOLERANCE if is_step else ZERO_GRADIENT_TOLERANCE), False
  return (STEP_TOLERANCE if is_step else OUTPUT_TOLERANCE), True


def print_comparisons(comparisons):
  """One line for each Comparison, then a summary."""
  for c in comparisons:
    print('{}  {:>9} (at most {:.0e} {})  {}{}'.format(
        'ok  ' if c.ok else 'FAIL', '-' if c.deviation is None else '{:.2e}'.format(c.deviation), c.tolerance,
        'relative' if c.relative else 'absolute', c.key, ': ' + c.note if c.note else ''))
  failed = sum(not c.ok for c in comparisons)
  print('{} of {} keys are within their tolerance{}'.format(
      len(comparisons) - failed, len(comparisons), '' if not failed else ', {} are not'.format(failed)))


def print_json(comparisons):
  """The same as one JSON object; a deviation that is not a number is null."""
  rows = [c._asdict() for c in comparisons]
  for row in rows:
    if row['deviation'] is not None and not np.isfinite(row['deviation']):
      row['deviation'] = None
  print(json.dumps({'ok': all(c.ok for c in comparisons), 'comparisons': rows}, indent=1))


def fixtures():
  """The folders of fixtures that are in this repository, sorted."""
  return sorted(os.path.dirname(path) for path in glob.glob(
      os.path.join(files.ROOT, 'test', 'support', 'parity', '*', 'expected.npz')))


def check(folder, as_json=False, recompute=False, towers=1):
  """Compares with the fixture in `folder` and prints the result. Returns the exit code: 0 if all are equal enough."""
  fixture = load_fixture(folder)
  if towers < 1 or len(fixture.batch.input_ids) % towers:
    raise UserError('--towers: expected a divisor of the {} sequences of the fixture, found {}'.format(
        len(fixture.batch.input_ids), towers))
  outputs = functools.partial(library_outputs, recompute=recompute, towers=towers)
  comparisons = compare(fixture.expected, compute(fixture, outputs))
  (print_json if as_json else print_comparisons)(comparisons)
  return 0 if comparisons and all(c.ok for c in comparisons) else 1


def main(argv):
  if len(argv) > 2 or flags.FLAGS.json and len(argv) != 2:
    raise UserError('expected one argument, the folder of a fixture such as test/support/parity/shared_group, '
                    'found {}; name one'.format(len(argv) - 1))
  codes = []
  for folder in argv[1:] or fixtures():
    if not flags.FLAGS.json:
      print(os.path.relpath(folder))
    codes.append(check(folder, flags.FLAGS.json, flags.FLAGS.recompute, flags.FLAGS.towers))
  return max(codes)


if __name__ == '__main__':
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # what is wrong is raised and reported in one line
  tf.logging.set_verbosity(tf.logging.ERROR)
  # Here: other tools have a --json too, and tests import several of them.
  flags.DEFINE_bool('json', False, 'Print JSON instead of text.')
  flags.DEFINE_bool('recompute', False, 'As pretrain.recompute: layers are computed again in the backward pass.')
  flags.DEFINE_integer('towers', 1, 'As SessionOptions.cpu_towers: in how many parts the batch is computed.')
  cli.run(main)
