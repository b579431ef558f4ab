"""Measures how fast records become batches (read, parsed, masked), in examples per CPU-second of one thread.

  python -m tools.benchmarks.input [--input_files=news.txt --vocab_file=data/vocab.txt]

Makes both record formats of the text first, by default of the bundled sample. The settings of the memory allocator are
those of training (albert/device/allocator.py).
"""

import os
import resource
import subprocess
import sys
import tempfile

from absl import flags

from albert.common.files import ROOT
from albert.device import allocator
if __name__ == '__main__':
  allocator.start_again_with_settings()  # before TensorFlow is imported

import tensorflow as tf

from albert.common import cli
from albert.dataset import contract
from albert.dataset import record_format
from albert import input_pipeline

FLAGS = flags.FLAGS

_SAMPLE = os.path.join(ROOT, 'data', 'sample_zh.txt')
_BATCH, _BLOCK = 32, 256


def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_string('input_files', _SAMPLE, 'Text; by default the sample.')
  flags.DEFINE_string('vocab_file', None, 'Vocabulary; by default built from the text.')
  flags.DEFINE_integer('examples', 40000, 'How many are read for each figure.', lower_bound=_BLOCK)
  flags.DEFINE_multi_string('data_args', [], 'More flags for the data tool, such as --max_seq_length=128.')


def main(argv):
  """Makes data sets, reads them, prints."""
  cli.no_positional_arguments(argv)
  with tempfile.TemporaryDirectory(prefix='bench-input-') as folder:
    infos = {name: make(name, folder) for name in record_format.RECORD_FORMATS}
    reference, compact = infos[record_format.REFERENCE], infos[record_format.COMPACT]
    rows = (
        ('reference, parsed at {}'.format(_BATCH), lambda: parsed(reference, _BATCH)),
        ('reference, parsed at {}, delivered at {}'.format(_BLOCK, _BATCH), lambda: in_blocks(reference)),
        ('reference, as training reads them', lambda: training(reference)),
        ('compact, masked, as training reads them', lambda: training(compact)))
    print('S={}, P={}                          examples per CPU-second'.format(
        reference.max_seq_length, reference.max_predictions_per_seq))
    for name, dataset in rows:
      print('{:<42} {:>10,.0f}'.format(name, examples_per_cpu_second(dataset, FLAGS.examples)))


def make(record_format, folder):
  """A data set of the text: contract.DatasetInfo."""
  vocab_file = FLAGS.vocab_file or os.path.join(folder, 'vocab.txt')
  if not os.path.exists(vocab_file):
    _run('tools.build_vocab', '--input_files=' + FLAGS.input_files, '--output_file=' + vocab_file)
  output = os.path.join(folder, record_format)
  _run('tools.create_pretraining_data', '--input_files=' + FLAGS.input_files, '--vocab_file=' + vocab_file,
       '--output_dir=' + output, '--record_format=' + record_format, '--dupe_factor=5', *FLAGS.data_args)
  return input_pipeline.open_dataset(output)


def _run(module, *arguments):
  subprocess.check_call([sys.executable, '-m', module] + list(arguments), stdout=subprocess.DEVNULL,
                        env=dict(os.environ, PYTHONPATH=ROOT))


def _records(info):
  records = tf.data.TFRecordDataset(info.paths(contract.TRAIN)).repeat()
  return records.shuffle(1024, seed=1)


def parsed(info, size):
  """Batches of `size`, parsed as they are."""
  return _records(info).batch(size, drop_remainder=True).map(input_pipeline.parser(info)).prefetch(2)


def in_blocks(info):
  """Parsed in large blocks, delivered in batches."""
  parse = input_pipeline.parser(info)

  def split(serialized):
    return {name: tf.reshape(value, [_BLOCK // _BATCH, _BATCH] + value.shape.as_list()[1:])
            for name, value in parse(serialized).items()}

  blocks = _records(info).batch(_BLOCK, drop_remainder=True).map(split)
  return blocks.unbatch().prefetch(2)


def training(info):
  """The batches of the training loop."""
  options = input_pipeline.InputOptions(num_parallel_calls=1, prefetch_batches=2)
  return input_pipeline.training_batches(input_pipeline.training_order(info, options, seed=1), _BATCH, options=options)


def examples_per_cpu_second(dataset, examples):
  """float. dataset: function that makes a tf.data.Dataset of dicts with batches of _BATCH examples."""
  with tf.Graph().as_default():
    following = tf.compat.v1.data.make_one_shot_iterator(dataset()).get_next()
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    with tf.compat.v1.Session(config=config) as session:
      # The operations, not their values, which would be copied to Python.
      operations = [value.op for value in following.values()]
      for _ in range(_BLOCK // _BATCH):
        session.run(operations)
      begin = _cpu_seconds()
      for _ in range(examples // _BATCH):
        session.run(operations)
      return examples // _BATCH * _BATCH / (_cpu_seconds() - begin)


def _cpu_seconds():
  usage = resource.getrusage(resource.RUSAGE_SELF)
  return usage.ru_utime + usage.ru_stime


if __name__ == '__main__':
  define_flags()
  cli.run(main)
