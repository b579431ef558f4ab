"""How fast is a training step? Measured in worker processes whose steps are interleaved one by one.

    python -m tools.benchmark --model base --batch_size 4 --max_seq_length 512 --max_predictions_per_seq 51 [--json]
    python -m tools.benchmark --compare            # what `make bench` runs: base and tiny against the plain graph
    python -m tools.benchmark --packing --input_file=data/records      # real tokens, against the plain graph
    python -m tools.benchmark --micro_batch_size=4 --batch_size=32     # against the same micro-batches run alone
    python -m tools.benchmark --grow               # how time and memory grow with sequence length, batch and layers
    python -m tools.benchmark --against ../other   # against another checkout of this repository
    python -m tools.benchmark --one_core --against without:gelu --against without:attention
    python -m tools.benchmark --profile            # time per kind of operation, and a Chrome trace

A step is forward, backward, clipping and LAMB on random records without padding, with --packing on a batch of the data
set. GFLOP/s count the floating-point operations of the plain graph, also where this library skips some:
6 tokens (L (4 H^2 + 2 H I + 2 S H) + E H + P / S (H E + E V)).
"""

import collections
import json
import os
import statistics

from absl import flags

from albert.common import cli
from albert.common.errors import UserError
from tools.benchmarks import growth
from tools.benchmarks import packing
from tools.benchmarks import step_times
from tools.benchmarks.step_times import Shape

FLAGS = flags.FLAGS
_KINDS_PRINTED = 20

# What `make bench` measures, and the share of the plain graph's time that the project aims at.
COMPARED = [(Shape('base', 4, 512, 51), 0.72), (Shape('tiny', 32, 128, 20), 0.62)]
# A step in micro-batches against the same micro-batches run alone.
MICRO_BATCHES_AIM = 1.03


def measure(shape, steps, names):
  """Figures of several workers (see step_times.started), all with the same random batch."""
  batch = step_times.random_batch(shape, step_times.load_config(shape).vocab_size)
  return step_times.measure(shape, steps, collections.OrderedDict((name, batch) for name in names))


def measure_micro_batches(shape, steps, micro_batch_size):
  """Figures of a step in micro-batches, and of the gradients of each of them computed alone."""
  if micro_batch_size < 1 or shape.batch_size % micro_batch_size:
    raise UserError('--micro_batch_size: expected a divisor of --batch_size={}, found {}'.format(
        shape.batch_size, micro_batch_size))
  batch = step_times.random_batch(shape, step_times.load_config(shape).vocab_size)
  names = ['{}:{}'.format(kind, micro_batch_size) for kind in ('micro_batches', 'alone')]
  return step_times.measure(shape, steps, collections.OrderedDict((name, batch) for name in names),
                             {names[1]: shape.batch_size // micro_batch_size})


def profile(shape, trace_file):
  """Prints the time of one step by kind of operation and writes a Chrome trace."""
  config = step_times.load_config(shape)
  batches = {'library': step_times.random_batch(shape, config.vocab_size)}
  with step_times.started(config, batches) as workers:
    worker, = workers.values()
    for _ in range(step_times.WARM_UP_STEPS):
      worker.step(keep=False)
    times = worker.ask('profile ' + os.path.abspath(trace_file))
    worker.close()
  total = sum(seconds for seconds, _ in times.values())
  for kind, (seconds, count) in sorted(times.items(), key=lambda item: -item[1][0])[:_KINDS_PRINTED]:
    print('{:<36} {:8.1f} ms  {:5.1%}  {:5d} operations'.format(kind, 1e3 * seconds, seconds / total, count))
  print('the whole step as a Chrome trace, for chrome://tracing: {}'.format(trace_file))


def print_figures(name, figures):
  """One line for one worker."""
  print('{:<16} {:8.4f} s/step ({:.2f} cpu s)  {:6.1f} GFLOP/s = {:.0%} of {:.0f}  {:,.0f} tokens/s  '
        'peak memory {:.2f} GB'.format(
            name, figures['seconds_per_step'], figures['cpu_seconds_per_step'], figures['gflop_per_second'],
            figures['share_of_matmul_peak'], figures['matmul_peak_gflop_per_second'], figures['tokens_per_second'],
            figures['peak_rss_bytes'] / 1e9))


def print_ratios(measured, target=None, against='plain'):
  """The first worker's time as a share of each other's. target: the share of the worker `against` that is aimed at."""
  first = next(iter(measured))
  for name, figures in measured.items():
    if name != first:
      ratios = step_times.pair_ratios(measured[first], figures)
      print('{} / {:<16} {:.3f} (pairs {:.3f} to {:.3f}; cpu time {:.3f}){}'.format(
          first, name, statistics.median(ratios), ratios[0], ratios[-1],
          measured[first]['cpu_seconds_per_step'] / figures['cpu_seconds_per_step'],
          ', aim {:.2f}'.format(target) if target and name.startswith(against) else ''))


def print_comparison(shape, measured, target=None, against='plain'):
  """Figures of all workers as text, or as JSON with --json."""
  if FLAGS.json:
    print(json.dumps(measured if len(measured) > 1 else next(iter(measured.values())), indent=1))
    return
  print('{0.model} {0.batch_size} x {0.max_seq_length}, P={0.max_predictions_per_seq}'.format(shape))
  for name, figures in measured.items():
    print_figures(name, figures)
  print_ratios(measured, target, against)


def main(argv):
  cli.no_positional_arguments(argv)
  shape = Shape(FLAGS.model, FLAGS.batch_size, FLAGS.max_seq_length, FLAGS.max_predictions_per_seq)
  if FLAGS.steps < 1:
    raise UserError('--steps: expected at least 1, found {}'.format(FLAGS.steps))
  if FLAGS.one_core:
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
  if FLAGS.profile:
    profile(shape, FLAGS.trace_file)
  elif FLAGS.packing:
    packing.run(FLAGS.input_file, shape, FLAGS.steps, FLAGS.json)
  elif FLAGS.grow:
    growth.run(shape, FLAGS.steps, FLAGS.json)
  elif FLAGS.micro_batch_size:
    measured = measure_micro_batches(shape, FLAGS.steps, FLAGS.micro_batch_size)
    print_comparison(shape, measured, MICRO_BATCHES_AIM, 'alone')
  elif FLAGS.compare:
    for current, target in COMPARED:
      print_comparison(current, measure(current, FLAGS.steps, ['library', 'plain', 'plain_tuned']), target)
  else:
    print_comparison(shape, measure(shape, FLAGS.steps, ['library'] + FLAGS.against))


if __name__ == '__main__':
  flags.DEFINE_string('model', 'base', 'A size in albert/albert_config.')
  flags.DEFINE_integer('batch_size', 4, 'B.')
  flags.DEFINE_integer('max_seq_length', 512, 'S.')
  flags.DEFINE_integer('max_predictions_per_seq', 51, 'P.')
  flags.DEFINE_integer('steps', 6, 'Steps that count, after 2 of warm-up.')
  flags.DEFINE_bool('json', False, 'Print JSON instead of text.')
  flags.DEFINE_bool('compare', False, 'Compare with the plain graph at the sizes of `make bench`.')
  flags.DEFINE_bool('packing', False, 'Compare packed rows of --input_file with the plain graph on its records: real '
                    'tokens/s. S and P are those of the data set.')
  flags.DEFINE_string('input_file', 'data/records', 'With --packing: folder of a data set.')
  flags.DEFINE_bool('grow', False, 'Print how time and memory grow from this shape.')
  flags.DEFINE_integer('micro_batch_size', None, 'Compare a step in micro-batches of this many rows with the same '
                       'micro-batches run alone.')
  flags.DEFINE_multi_string('against', [], 'Compare with: plain, plain_tuned (the plain graph, with this allocator), '
                            'library_default (without it), recompute (pretrain.recompute), without:LEVER (towers, '
                            'gelu, add_and_norm, attention, cross_entropy, for_three_readers, last_layer; several '
                            'with commas), or the path of another checkout.')
  flags.DEFINE_bool('one_core', False, 'Run everything on one core: CPU time then hardly depends on neighbours.')
  flags.DEFINE_bool('profile', False, 'Print time per kind of operation and write a Chrome trace.')
  flags.DEFINE_string('trace_file', 'trace.json', 'Where --profile writes the Chrome trace.')
  cli.run(main)
