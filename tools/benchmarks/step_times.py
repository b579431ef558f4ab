"""Training steps in worker processes, interleaved one by one, and the figures of them. For tools.benchmark.

Neighbours on the machine change how fast it is; so what is compared takes turns, and the MatMul peak, that of
[2048, 2048] matrices, is measured between the steps of the same run. Seconds are medians.
"""

import collections
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile

import numpy as np

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.device import allocator
from albert.model.config import AlbertConfig
from albert.run import names

_VOCAB_SIZE = 21128
WARM_UP_STEPS = 2
_RANDOM_SEED = 7

# model: name of a size in albert_config/; batch_size, max_seq_length, max_predictions_per_seq: ints B, S, P;
# num_hidden_layers: int, or None for those of the model.
Shape = collections.namedtuple('Shape', [
    'model', 'batch_size', 'max_seq_length', 'max_predictions_per_seq', 'num_hidden_layers'], defaults=[None])


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


def load_config(shape):
  """The AlbertConfig of a Shape. Raises UserError if there is no model of that name."""
  folder = os.path.join(ROOT, 'albert', 'albert_config')
  path = os.path.join(folder, 'albert_config_{}.json'.format(shape.model))
  if not os.path.exists(path):
    raise UserError('--model: expected one of {}, found {!r}'.format(
        ', '.join(sorted(name[len('albert_config_'):-len('.json')] for name in os.listdir(folder)
                         if name.startswith('albert_config_'))), shape.model))
  with open(path, encoding='utf-8') as source:
    values = dict(json.load(source), vocab_size=_VOCAB_SIZE)
  if shape.num_hidden_layers:
    values['num_hidden_layers'] = shape.num_hidden_layers
  return AlbertConfig.from_dict(values, path)


class Worker:
  """A process that makes a training step, or measures the MatMul peak, each time it is told to."""

  def __init__(self, command, job_folder, environ, cwd=ROOT, more=()):
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

  def step(self, keep, times=1):
    """One training step, or the sum of several; `keep` says whether it counts."""
    answers = [self.ask('step') for _ in range(times)]
    if keep:
      self.steps.append({name: sum(answer[name] for answer in answers) for name in ('seconds', 'cpu_seconds')})

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
def started(config, batches):
  """Starts a Worker for each name.

  Args:
    config: AlbertConfig.
    batches: OrderedDict, name -> the batch of its steps, {field: array}. Names: library; library_default, with glibc's
      own allocator; without:LEVERS; micro_batches:N, a step in micro-batches of N rows; alone:N, the gradients of N
      rows, no update; recompute; plain and plain_tuned, the plain graph with either allocator; the path of another
      checkout.

  Yields:
    OrderedDict, name -> Worker.
  """
  with tempfile.TemporaryDirectory() as root:
    workers = collections.OrderedDict()
    for number, (name, batch) in enumerate(batches.items()):
      folder = os.path.join(root, str(number))
      os.mkdir(folder)
      with open(os.path.join(folder, names.CONFIG_FILE), 'w', encoding='utf-8') as target:
        target.write(config.to_json_string())
      np.savez(os.path.join(folder, 'batch.npz'), **batch)
      workers[name] = _start(name, folder)
    yield workers


def _start(name, folder):
  default, tuned = environments()
  library = [sys.executable, '-W', 'ignore', '-m', 'tools.benchmarks.worker']
  plain = [sys.executable, '-W', 'ignore', os.path.join(ROOT, 'test', 'support', 'plain_albert.py')]
  if name in ('plain', 'plain_tuned'):
    return Worker(plain, folder, default if name == 'plain' else tuned)
  if name.startswith('without:'):
    return Worker(library, folder, tuned, more=name.partition(':')[2].split(','))
  if name == 'recompute' or name.startswith(('micro_batches:', 'alone:')):
    return Worker(library, folder, tuned, more=[name])
  if name in ('library', 'library_default'):
    return Worker(library, folder, tuned if name == 'library' else default)
  return Worker(library, folder, tuned, cwd=name)


def measure(shape, steps, batches, times=None, config=None):
  """Interleaves the steps of several workers.

  Args:
    shape: Shape.
    steps: int, steps that count after the warm-up.
    batches: as for started(); the first is a worker of this library, which also measures the MatMul peak.
    times: {name: steps of the worker in a round}, 1 for those that are not there.
    config: AlbertConfig; None: that of the shape.

  Returns:
    OrderedDict, name -> figures.
  """
  config, times, peaks = config or load_config(shape), times or {}, []
  with started(config, batches) as workers:
    first = next(iter(workers.values()))
    for step in range(WARM_UP_STEPS + steps):
      for name, worker in workers.items():
        worker.step(step >= WARM_UP_STEPS, times.get(name, 1))
      peaks.append(first.ask('peak')['gflop_per_second'])
    memory = {name: worker.close() for name, worker in workers.items()}
  peak = statistics.median(peaks[WARM_UP_STEPS:])
  return collections.OrderedDict((name, _figures(shape, config, worker.steps, peak, memory[name]))
                                 for name, worker in workers.items())


def _figures(shape, config, steps, peak, peak_bytes):
  seconds = statistics.median(step['seconds'] for step in steps)
  rate = flop_per_step(config, shape) / seconds / 1e9
  return collections.OrderedDict([
      ('model', shape.model), ('batch_size', shape.batch_size), ('max_seq_length', shape.max_seq_length),
      ('max_predictions_per_seq', shape.max_predictions_per_seq), ('steps', len(steps)),
      ('seconds_per_step', seconds), ('all_seconds', [step['seconds'] for step in steps]),
      ('cpu_seconds_per_step', statistics.median(step['cpu_seconds'] for step in steps)),
      ('gflop_per_second', rate),
      ('tokens_per_second', shape.batch_size * shape.max_seq_length / seconds), ('peak_rss_bytes', peak_bytes),
      ('matmul_peak_gflop_per_second', peak), ('share_of_matmul_peak', rate / peak)])


def pair_ratios(figures, others):
  """Seconds of each step as a share of another worker's in the same round, sorted: neighbours disturb both."""
  return sorted(own / other for own, other in zip(figures['all_seconds'], others['all_seconds']))
