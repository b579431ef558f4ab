"""Time of an epoch of fine-tuning: packed rows, as training has them, against a row of S tokens for each example.

  python -m tools.benchmarks.finetuning --data_dir=tnews --vocab_file=vocab.txt [--models=tiny,base --steps=9]

Both learn from the same batches of 32 examples, with random weights of both sizes; their steps take turns in one
process, and the medians count. The work of a step does not depend on what the tokens are, only on its shape.
"""

import collections
import os
import statistics
import tempfile
import time

from absl import flags

from albert.device import allocator
if __name__ == '__main__':
  allocator.start_again_with_settings()  # before TensorFlow is imported

import tensorflow as tf

from albert.common import cli
from albert.common.errors import UserError
from albert.dataset import batch_order
from albert.dataset import contract
from albert.dataset import protobuf
from albert.dataset import tfrecord
from albert.device.session_options import SessionOptions
from albert.input.formats import packed_windows
from albert.labelled import options as labelled
from albert.labelled import preparing
from albert.labelled import sources
from albert import lamb
from albert import npu_session
from albert.tasks import labelled_tasks
from albert.training import training_step
from tools.benchmarks import step_times

FLAGS = flags.FLAGS

_SEED = 12345
_WARMUP = 2
_TOWERS = 2

# arrays: {field: array}. rows: of a step.
Form = collections.namedtuple('Form', ['arrays', 'rows'])


def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_string('data_dir', None, 'Folder of labelled text: train, dev, test.')
  flags.DEFINE_string('vocab_file', None, 'Vocabulary.')
  flags.DEFINE_list('models', ['tiny', 'base'], 'Sizes of albert/albert_config.')
  flags.DEFINE_integer('max_seq_length', 128, 'S.')
  flags.DEFINE_integer('batch_size', 32, 'Examples of a step.')
  flags.DEFINE_integer('steps', 9, 'Steps of each that count.', lower_bound=1)


def main(argv):
  """Prints a line for each size."""
  cli.no_positional_arguments(argv)
  for name, variable in (('data_dir', 'DATA'), ('vocab_file', 'VOCAB')):
    if not FLAGS[name].value:
      raise UserError('expected --{}=... ({}=...), found none; name it'.format(name, variable))
  with tempfile.TemporaryDirectory(prefix='bench-finetune-') as folder:
    options = labelled.LabelledOptions(max_seq_length=FLAGS.max_seq_length)
    splits = sources.open_splits(FLAGS.data_dir, labelled.CLASSIFY, options)
    info = preparing.prepare(splits, labelled.CLASSIFY, options, FLAGS.vocab_file, folder, False).info
    order = batch_order.BatchOrder(info, _SEED, FLAGS.batch_size)
    head = labelled_tasks.HeadOptions(len(splits.labels), bool(splits.labels.multi_label))
    forms = forms_of(info, order, labelled_tasks.KINDS[labelled.CLASSIFY](None, None, head).features)
    print('{}: {:,} examples, {:,} steps an epoch; a step of {} examples is {} rows packed, {} padded'.format(
        FLAGS.data_dir, order.examples, order.epoch_length, FLAGS.batch_size, *(form.rows for form in forms.values())))
    for model in FLAGS.models:
      config = step_times.load_config(step_times.Shape(model, FLAGS.batch_size, FLAGS.max_seq_length, 1))
      config = config.with_vocab_size(info.vocab_size, info.folder) if config.vocab_size is None else config
      seconds = measure(labelled_tasks.KINDS[labelled.CLASSIFY](config, info, head), forms, FLAGS.steps)
      print(describe(model, seconds, order.epoch_length))


def forms_of(info, order, features):
  """OrderedDict of 'packed' and 'padded' to the Form of the first batch of an epoch.

  Args:
    info: contract.DatasetInfo. order: batch_order.BatchOrder of it. features: FeatureSpecs of the task.
  """
  layout = order.plan_layout(order.epoch_length, _TOWERS)
  paths = info.paths(contract.TRAIN)
  records = {shard: list(tfrecord.read_records(path)) for shard, path in enumerate(paths)}
  rows = [[protobuf.parse(records[shard][index]) for shard, index in row] for row in order.rows(0, 0)]
  examples = [[example] for row in rows for example in row]
  forms = collections.OrderedDict()
  for name, parts, shape in (('packed', rows, layout), ('padded', examples, batch_order.Layout(len(examples), 1))):
    arrays = packed_windows.pack(parts, features, shape, info.max_seq_length)
    if name == 'padded':
      # What is not packed needs no positions of its own and no other mask.
      for field in ('position_ids', 'example_ids', 'cls_positions'):
        del arrays[field]
    forms[name] = Form(arrays, shape.rows)
  return forms


def measure(task, forms, steps):
  """{name: list of (seconds, CPU seconds) of its steps}, of steps that took turns."""
  device = npu_session.start(SessionOptions(device='cpu'))
  graphs = collections.OrderedDict((name, _graph(task, form, device)) for name, form in forms.items())
  seconds = collections.OrderedDict((name, []) for name in forms)
  for number in range(_WARMUP + steps):
    for name, (session, step) in graphs.items():
      began, cpu_began = time.perf_counter(), time.process_time()
      session.run(step)
      if number >= _WARMUP:
        seconds[name].append((time.perf_counter() - began, time.process_time() - cpu_began))
  for session, _ in graphs.values():
    session.close()
  return seconds


def _graph(task, form, device):
  """(session, op of a step) that learns from one batch again and again."""
  with tf.Graph().as_default():
    tf.compat.v1.set_random_seed(_SEED)
    batch = task.batch({name: tf.constant(value) for name, value in form.arrays.items()})
    towers = _TOWERS if form.rows % _TOWERS == 0 else 1
    update, _ = training_step.make(task, batch, lamb.OptimizerOptions(optimizer='adamw'), 1000, device, _SEED,
                                   towers=towers)
    session = tf.compat.v1.Session(config=device.session_config())
    session.run(tf.compat.v1.global_variables_initializer())
    return session, update.train_op


def describe(model, seconds, steps):
  """A line: seconds of an epoch of each, their ratio with the spread of the pairs, and that of the CPU time."""
  wall, cpu = ({name: statistics.median(value[place] for value in values) * steps for name, values in seconds.items()}
               for place in (0, 1))
  ratios = sorted(packed[0] / padded[0] for packed, padded in zip(seconds['packed'], seconds['padded']))
  return ('{:<5} packed {:8.2f} s an epoch, padded {:8.2f} s: {:.2f} of it (pairs {:.2f} to {:.2f}; by CPU time '
          '{:.2f}), {} cores'.format(model, wall['packed'], wall['padded'], wall['packed'] / wall['padded'], ratios[0],
                            ratios[-1], cpu['packed'] / cpu['padded'], os.cpu_count()))


if __name__ == '__main__':
  define_flags()
  cli.run(main)
