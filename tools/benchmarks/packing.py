"""Real tokens per second of packed rows against the plain graph on unpacked records. For tools.benchmark.

The time of a step does not depend on what is padding: shapes are static. So each worker repeats one batch of the data
set, and its real tokens per second are B S times the share of real tokens in a whole epoch over its median seconds.
"""

import collections
import json
import statistics

import tensorflow as tf

from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import record_format
from albert.input.formats import packed_rows
from albert import input_pipeline
from albert.model.config import AlbertConfig
from tools.benchmarks import step_times

_SEED = 12345
# Rows of an epoch of training. real_share: of their tokens, those that are not padding.
Epoch = collections.namedtuple('Epoch', ['rows', 'real_share'])


def epochs(info):
  """(Epoch unpacked, Epoch packed) of a data set.

  Args:
    info: contract.DatasetInfo.

  Raises:
    UserError: it has no lengths beside its records, or no records in the reference format.
  """
  if info.record_format == record_format.COMPACT:
    raise UserError('{}: expected reference records, found compact ones; make the data with '
                    '--record_format=reference'.format(info.folder))
  lengths = [info.lengths(number) for number in range(len(info.shards[contract.TRAIN]))]
  if any(counts is None for counts in lengths):
    raise UserError('{}: expected lengths beside the records, found none; make the data with "make data"'.format(
        info.folder))
  tokens = sum(int(counts[:, 0].sum()) for counts in lengths)
  counts = info.records(contract.TRAIN), packed_rows.RowOrder(info, _SEED).epoch_length
  return tuple(Epoch(rows, tokens / (rows * info.max_seq_length)) for rows in counts)


def first_batch(info, batch_size, packing):
  """The first training batch: {field: array}."""
  options = input_pipeline.InputOptions(packing=packing)
  with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    order = input_pipeline.training_order(info, options, _SEED)
    dataset = input_pipeline.training_batches(order, batch_size, options=options)
    return session.run(tf.compat.v1.data.make_one_shot_iterator(dataset).get_next())


def run(input_file, shape, steps, as_json=False):
  """Measures and prints.

  Args:
    input_file: a data set, see input_pipeline.open_dataset.
    shape: step_times.Shape; S and P come with the data.
    steps: int, steps that count.
    as_json: whether to print an object instead.
  """
  info = input_pipeline.open_dataset(input_file)
  shape = shape._replace(max_seq_length=info.max_seq_length, max_predictions_per_seq=info.max_predictions_per_seq)
  unpacked, packed = epochs(info)
  config = step_times.load_config(shape)
  if info.vocab_size:
    config = AlbertConfig(**dict(config.to_dict(), vocab_size=info.vocab_size))
  workers = collections.OrderedDict([('library', True), ('plain', False), ('plain_tuned', False)])
  measured = step_times.measure(
      shape, steps, collections.OrderedDict((name, first_batch(info, shape.batch_size, packing))
                                            for name, packing in workers.items()), config=config)
  for name, packing in workers.items():
    epoch = packed if packing else unpacked
    measured[name].update(rows_per_epoch=epoch.rows, real_share=epoch.real_share,
                       real_tokens_per_second=epoch.real_share * measured[name]['tokens_per_second'])
  if as_json:
    print(json.dumps(measured, indent=1))
  else:
    _print(shape, measured)


def _print(shape, measured):
  print('{0.model} {0.batch_size} x {0.max_seq_length}, P={0.max_predictions_per_seq}'.format(shape))
  for name, figures in measured.items():
    print('{:<12} {:8.4f} s/step ({:.2f} cpu s)  {:5.1%} of {:,} rows real  {:6.1f} real tokens/s  '
          'peak memory {:.2f} GB'.format(
              'packed' if name == 'library' else name, figures['seconds_per_step'], figures['cpu_seconds_per_step'],
              figures['real_share'], figures['rows_per_epoch'], figures['real_tokens_per_second'],
              figures['peak_rss_bytes'] / 1e9))
  own = measured['library']
  for name, figures in measured.items():
    if name != 'library':
      shares = own['real_share'] / figures['real_share']
      ratios = [shares / ratio for ratio in reversed(step_times.pair_ratios(own, figures))]
      print('packed / {:<12} {:.2f} times the real tokens/s (pairs {:.2f} to {:.2f}; by cpu time {:.2f}): {:.2f} by '
            'time, {:.2f} by packing'.format(
                name, statistics.median(ratios), ratios[0], ratios[-1],
                shares * figures['cpu_seconds_per_step'] / own['cpu_seconds_per_step'],
                statistics.median(ratios) / shares, shares))
