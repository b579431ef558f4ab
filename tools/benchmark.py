"""How fast is a training step? Measured in worker processes whose steps are interleaved one by one.

    python -m tools.benchmark --model base --batch_size 4 --max_seq_length 512 --max_predictions_per_seq 51 [--json]
    python -m tools.benchmark --compare            # what `make bench` runs: base and tiny against the plain graph
    python -m tools.benchmark --against ../other   # against another checkout of this repository
    python -m tools.benchmark --one_core --against without:gelu --against without:attention
    python -m tools.benchmark --profile            # time per kind of operation, and a Chrome trace

A step is forward, backward, clipping and LAMB on random records without padding. GFLOP/s count the floating-point
operations of the plain graph, also where this library skips some:
6 tokens (L (4 H^2 + 2 H I + 2 S H) + E H + P / S (H E + E V)). The MatMul peak is that of [2048, 2048] matrices,
measured between the steps of the same run, because neighbours on the machine change it. Seconds are medians.
"""

import collections
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile

from absl import flags
import numpy as np

from albert import allocator
from albert import cli
from albert.config import AlbertConfig
from albert.errors import UserError

FLAGS = flags.FLAGS
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_VOCAB_SIZE = 21128
_WARM_UP_STEPS = 2
_RANDOM_SEED = 7
_KINDS_PRINTED = 20

# model: name of a size in albert_config/; the others: ints B, S, P.
Shape = collections.namedtuple('Shape', ['model', 'batch_size', 'max_seq_length', 'max_predictions_per_seq'])

# What `make bench` measures, and the share of the plain graph's time that the project aims at.
COMPARED = [(Shape('base', 4, 512, 51), 0.72), (Shape('tiny', 32, 128, 20), 0.62)]


def flop_per_step(config, shape):
  """Floating-point operations of one step of the plain graph, forward and backward."""
  width, inner, narrow = config.hidden_size, config.intermediate_size, config.embedding_size
  seq_length = shape.max_seq_length
  layer = 4 * width ** 2 + 2 * width * inner + 2 * seq_length * width
  head = shape.max_predictions_per_seq / seq_length * (width * narrow + narrow * config.vocab_size)
  per_token = 6 * (config.num_hidden_layers * config.inner_group_num * layer + narrow * width + head)
  return per_token * shape.batch_size * seq_length


def random_batch(shape, vocab_size):
  """A batch without padding, all P slots in use: {field of input_pipeline.Batch: array}."""
  random = np.random.RandomState(_RANDOM_SEED)
  size, seq_length, slots = shape.batch_size, shape.max_seq_length, shape.max_predictions_per_seq
  positions = [np.sort(random.permutation(seq_length - 1)[:slots] + 1) for _ in range(size)]
  return dict(
      input_ids=random.randint(0, vocab_size, [size, seq_length]).astype(np.int32),
      input_mask=np.ones([size, seq_length], np.int32),
      segment_ids=(np.arange(seq_length) > seq_length // 2).astype(np.int32) * np.ones([size, 1], np.int32),
      masked_lm_positions=np.int32(positions),
      masked_lm_ids=random.randint(0, vocab_size, [size, slots]).astype(np.int32),
      masked_lm_weights=np.ones([size, slots], np.float32),
      next_sentence_labels=random.randint(0, 2, [size, 1]).astype(np.int32))


def load_config(model):
  """The AlbertConfig of a size such as base. Raises UserError if there is none of that name."""
  folder = os.path.join(_ROOT, 'albert', 'albert_config')
  path = os.path.join(folder, 'albert_config_{}.json'.format(model))
  if not os.path.exists(path):
    raise UserError('--model: expected one of {}, found {!r}'.format(
        ', '.join(sorted(name[len('albert_config_'):-len('.json')] for name in os.listdir(folder)
                         if name.startswith('albert_config_'))), model))
  with open(path, encoding='utf-8') as source:
    return AlbertConfig.from_dict(dict(json.load(source), vocab_size=_VOCAB_SIZE), path)


class Worker:
  """A process that makes a training step, or measures the MatMul peak, each time it is told to."""

  def __init__(self, command, job_folder, environ, cwd=_ROOT, more=()):
    """command: words of a program that takes the job's folder and follows the protocol of benchmark_worker."""
    self._process = subprocess.Popen(command + [job_folder] + list(more), cwd=cwd, env=environ, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, universal_newlines=True)
    self.steps = []

  def ask(self, request):
    """Sends one line; returns the object that comes back."""
    try:
      self._process.stdin.write(request + '\n')
      self._process.stdin.flush()
      return json.loads(self._process.stdout.readline())
    except (OSError, ValueError):
      raise UserError('{}: expected an answer to {!r}, the program ended with code {}; see its messages above'.format(
          ' '.join(self._process.args), request, self._process.wait()))

  def step(self, keep):
    """One training step; `keep` says whether it counts."""
    answer = self.ask('step')
    if keep:
      self.steps.append(answer)

  def close(self):
    """Ends the process. Returns its peak resident memory in bytes."""
    peak = self.ask('end')['peak_bytes']
    self._process.stdin.close()
    self._process.wait()
    return peak


def environments():
  """(as people start programs, with this project's allocator settings); both without what a caller set."""
  plain = {name: value for name, value in os.environ.items()
           if name not in allocator.SETTINGS and name != allocator.CHOICE}
  plain['PYTHONPATH'] = ''
  plain[allocator.CHOICE] = 'default'
  return plain, dict(plain, **dict(allocator.SETTINGS, **{allocator.CHOICE: 'tuned'}))


@contextlib.contextmanager
def started(shape, names):
  """Starts a Worker for each name, see measure(). Yields {name: Worker}."""
  config = load_config(shape.model)
  with tempfile.TemporaryDirectory() as folder:
    with open(os.path.join(folder, 'albert_config.json'), 'w', encoding='utf-8') as target:
      target.write(config.to_json_string())
    np.savez(os.path.join(folder, 'batch.npz'), **random_batch(shape, config.vocab_size))
    yield collections.OrderedDict((name, _start(name, folder)) for name in names)


def measure(shape, steps, names):
  """Interleaves the steps of several workers.

  Args:
    shape: Shape.
    steps: int, steps that count after the warm-up.
    names: which workers: 'library' and those of --against.

  Returns:
    {name: figures}; `library` comes first and also measures the peak.
  """
  peaks = []
  with started(shape, names) as workers:
    for step in range(_WARM_UP_STEPS + steps):
      for worker in workers.values():
        worker.step(keep=step >= _WARM_UP_STEPS)
      peaks.append(workers['library'].ask('peak')['gflop_per_second'])
    memory = {name: worker.close() for name, worker in workers.items()}
  return {name: _figures(shape, worker.steps, peaks[_WARM_UP_STEPS:], memory[name])
          for name, worker in workers.items()}


def profile(shape, trace_file):
  """Prints the time of one step by kind of operation and writes a Chrome trace."""
  with started(shape, ['library']) as workers:
    worker, = workers.values()
    for _ in range(_WARM_UP_STEPS):
      worker.step(keep=False)
    found = worker.ask('profile ' + os.path.abspath(trace_file))
    worker.close()
  total = sum(seconds for seconds, _ in found.values())
  for kind, (seconds, count) in sorted(found.items(), key=lambda item: -item[1][0])[:_KINDS_PRINTED]:
    print('{:<36} {:8.1f} ms  {:5.1%}  {:5d} operations'.format(kind, 1e3 * seconds, seconds / total, count))
  print('the whole step as a Chrome trace, for chrome://tracing: {}'.format(trace_file))


def _start(name, folder):
  default, tuned = environments()
  library = [sys.executable, '-W', 'ignore', '-m', 'tools.benchmark_worker']
  plain = [sys.executable, '-W', 'ignore', os.path.join(_ROOT, 'test', 'plain_albert.py')]
  if name in ('plain', 'plain_tuned'):
    return Worker(plain, folder, default if name == 'plain' else tuned)
  if name.startswith('without:'):
    return Worker(library, folder, tuned, more=name.partition(':')[2].split(','))
  if name in ('library', 'library_default'):
    return Worker(library, folder, tuned if name == 'library' else default)
  return Worker(library, folder, tuned, cwd=name)


def _figures(shape, steps, peaks, peak_bytes):
  config = load_config(shape.model)
  seconds = statistics.median(step['seconds'] for step in steps)
  rate = flop_per_step(config, shape) / seconds / 1e9
  figures = collections.OrderedDict([
      ('model', shape.model), ('batch_size', shape.batch_size), ('max_seq_length', shape.max_seq_length),
      ('max_predictions_per_seq', shape.max_predictions_per_seq), ('steps', len(steps)),
      ('seconds_per_step', seconds), ('all_seconds', [step['seconds'] for step in steps]),
      ('cpu_seconds_per_step', statistics.median(step['cpu_seconds'] for step in steps)),
      ('gflop_per_second', rate),
      ('tokens_per_second', shape.batch_size * shape.max_seq_length / seconds), ('peak_rss_bytes', peak_bytes)])
  figures['matmul_peak_gflop_per_second'] = statistics.median(peaks)
  figures['share_of_matmul_peak'] = rate / statistics.median(peaks)
  return figures


def print_figures(name, figures):
  """One line for one worker."""
  print('{:<16} {:8.4f} s/step ({:.2f} cpu s)  {:6.1f} GFLOP/s = {:.0%} of {:.0f}  {:,.0f} tokens/s  '
        'peak memory {:.2f} GB'.format(
            name, figures['seconds_per_step'], figures['cpu_seconds_per_step'], figures['gflop_per_second'],
            figures['share_of_matmul_peak'], figures['matmul_peak_gflop_per_second'], figures['tokens_per_second'],
            figures['peak_rss_bytes'] / 1e9))


def print_ratios(found, target=None):
  """The library's time as a share of each other worker's, step by step: neighbours disturb both of a pair."""
  for name, figures in found.items():
    if name != 'library':
      pairs = zip(found['library']['all_seconds'], figures['all_seconds'])
      ratios = sorted(own / other for own, other in pairs)
      print('library / {:<16} {:.3f} (pairs {:.3f} to {:.3f}; cpu time {:.3f}){}'.format(
          name, statistics.median(ratios), ratios[0], ratios[-1],
          found['library']['cpu_seconds_per_step'] / figures['cpu_seconds_per_step'],
          ', aim {:.2f}'.format(target) if target and name == 'plain' else ''))


def main(argv):
  cli.no_positional_arguments(argv)
  shape = Shape(FLAGS.model, FLAGS.batch_size, FLAGS.max_seq_length, FLAGS.max_predictions_per_seq)
  if FLAGS.steps < 1:
    raise UserError('--steps: expected at least 1, found {}'.format(FLAGS.steps))
  if FLAGS.one_core:
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
  if FLAGS.profile:
    return profile(shape, FLAGS.trace_file)
  others = FLAGS.against
  for current, target in COMPARED if FLAGS.compare else [(shape, None)]:
    found = measure(current, FLAGS.steps, ['library'] + (['plain', 'plain_tuned'] if FLAGS.compare else others))
    if FLAGS.json:
      print(json.dumps(found if len(found) > 1 else found['library'], indent=1))
      continue
    print('{0.model} {0.batch_size} x {0.max_seq_length}, P={0.max_predictions_per_seq}'.format(current))
    for name, figures in found.items():
      print_figures(name, figures)
    print_ratios(found, target)


if __name__ == '__main__':
  flags.DEFINE_string('model', 'base', 'A size in albert/albert_config.')
  flags.DEFINE_integer('batch_size', 4, 'B.')
  flags.DEFINE_integer('max_seq_length', 512, 'S.')
  flags.DEFINE_integer('max_predictions_per_seq', 51, 'P.')
  flags.DEFINE_integer('steps', 6, 'Steps that count, after 2 of warm-up.')
  flags.DEFINE_bool('json', False, 'Print JSON instead of text.')
  flags.DEFINE_bool('compare', False, 'Compare with the plain graph at the sizes of `make bench`.')
  flags.DEFINE_multi_string('against', [], 'Compare with: plain, plain_tuned (the plain graph, with this allocator), '
                            'library_default (without it), without:LEVER (gelu, add_and_norm, attention, '
                            'cross_entropy, last_layer; several with commas), or the path of another checkout.')
  flags.DEFINE_bool('one_core', False, 'Run everything on one core: CPU time then hardly depends on neighbours.')
  flags.DEFINE_bool('profile', False, 'Print time per kind of operation and write a Chrome trace.')
  flags.DEFINE_string('trace_file', 'trace.json', 'Where --profile writes the Chrome trace.')
  cli.run(main)
