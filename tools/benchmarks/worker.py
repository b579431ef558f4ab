"""The process in which tools.benchmark measures this library's training step.

    python -m tools.benchmarks.worker FOLDER [micro_batches:N | alone:N | recompute | LEVER ...]

FOLDER holds albert_config.json and batch.npz, with the fields of a batch or of a packed one. micro_batches:N computes a
step in micro-batches of N rows; alone:N computes the gradients of N rows after the other, and updates nothing;
recompute is pretrain.recompute. A LEVER is left out: towers, last_layer or the name of one of modeling.Ops, which then
is the one for any device. Each line 'step', 'peak', 'profile FILE' or 'end' on standard input is answered by one JSON
object on standard output.
"""

import collections
import itertools
import json
import os
import resource
import sys
import time

from albert.common import cli  # before TensorFlow: silences the warnings of its import
import numpy as np
from albert.common.errors import UserError
from albert.common import files
from albert.device import cores
from albert.device import session_options
from albert.input.formats import packed_batches
from albert import input_pipeline
from albert import lamb
from albert.model.config import AlbertConfig
from albert import modeling
from albert import npu_session
from albert.run import names
from albert.tasks import pretraining
from albert.tasks.pretraining import Pretraining
from albert.training import training_step
import tensorflow.compat.v1 as tf
from tensorflow.python.client import timeline

_TRAIN_STEPS = 125000
_PEAK_SIZE = 2048
_PEAK_REPEATS = 3
_WORDS = modeling.Ops._fields + ('last_layer', 'towers', 'recompute')


class Step:
  """A training step and a MatMul, in one session with the configuration that training has."""

  def __init__(self, folder, words=()):
    """folder: holds albert_config.json and batch.npz. words: what else the command line says."""
    config = AlbertConfig.from_json_file(os.path.join(folder, names.CONFIG_FILE))
    arrays = dict(np.load(os.path.join(folder, 'batch.npz')))
    unknown = [word for word in words if ':' not in word and word not in _WORDS]
    if unknown:
      raise UserError('expected levers among {}, found {}'.format(', '.join(_WORDS), ', '.join(unknown)))
    kind, _, rows = words[0].partition(':') if words else ('', '', '')
    at_a_time = int(rows or len(arrays['input_ids']))
    options = session_options.SessionOptions(device='cpu', cpu_towers=1 if 'towers' in words else None)
    chosen = cores.choose(options, at_a_time)
    device = npu_session.start(options, threads=chosen, environ={})
    if kind == 'alone':
      batch = _placeholders(arrays, at_a_time)
      self._fetches = _gradients_alone(batch, config, device, chosen.cpu_towers)
    else:
      batch = _placeholders(arrays)
      self._fetches = _whole_step(batch, config, device, at_a_time, chosen.cpu_towers, words)
    self._feeds = itertools.cycle(_parts(batch, arrays))
    # One for each tower: with a thread for each operation, one alone would keep one core busy.
    sides = [tf.Variable(tf.random.normal([_PEAK_SIZE, _PEAK_SIZE]), trainable=False)
             for _ in range(chosen.cpu_towers)]
    self._products = [tf.matmul(side, side).op for side in sides]
    self._session = tf.Session(config=device.session_config())
    self._session.run(tf.global_variables_initializer())

  def run(self, **options):
    """One step. Returns its loss. options: of Session.run."""
    return float(self._session.run(self._fetches, next(self._feeds), **options)[0])

  def peak(self):
    """GFLOP/s of all cores in MatMuls, the best of a few times."""
    seconds = []
    for _ in range(_PEAK_REPEATS):
      start = time.perf_counter()
      self._session.run(self._products)
      seconds.append(time.perf_counter() - start)
    return 2e-9 * len(self._products) * _PEAK_SIZE ** 3 / min(seconds)

  def profile(self, path):
    """Writes one step as a Chrome trace to `path`. Returns {kind of operation: [seconds, how many]}."""
    metadata = tf.RunMetadata()
    self.run(options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), run_metadata=metadata)
    with files.atomic(path) as target:
      target.write(timeline.Timeline(metadata.step_stats).generate_chrome_trace_format())
    times = collections.defaultdict(lambda: [0.0, 0])
    for device in metadata.step_stats.dev_stats:
      for node in device.node_stats:
        # The label is "name = Kind(inputs)", after the memory that was allocated.
        kind = node.timeline_label.partition(' = ')[2].partition('(')[0]
        if kind:
          times[kind][0] += 1e-6 * (node.op_end_rel_micros - node.op_start_rel_micros)
          times[kind][1] += 1
    return times


def _placeholders(arrays, rows=None):
  """A batch of placeholders: with constants TensorFlow would compute a part of the step in advance."""
  form = packed_batches.PackedBatch if 'example_ids' in arrays else input_pipeline.Batch
  return form(**{name: tf.placeholder(tf.as_dtype(value.dtype), (rows or len(value),) + value.shape[1:], name)
                 for name, value in arrays.items()})


def _parts(batch, arrays):
  """What to feed for each run of consecutive rows that fills the batch, a list."""
  rows = batch.input_ids.shape[0].value
  return [{getattr(batch, name): value[first:first + rows] for name, value in arrays.items()}
          for first in range(0, len(arrays['input_ids']), rows)]


class _Measured(Pretraining):
  """Pre-training without the figures that nobody reads here, and without what words leave out."""

  def __init__(self, config, words=()):
    super().__init__(config)
    plain = modeling.default_ops()
    self._left_out = {name: getattr(plain, name) for name in words if name in modeling.Ops._fields}
    self._whole_last_layer = 'last_layer' in words

  def loss(self, part, ops, divide_by, recompute=False):
    loss = pretraining.model(
        part, self._config, is_training=True, ops=ops._replace(**self._left_out), divide_by=divide_by,
        whole_last_layer=self._whole_last_layer, recompute=recompute).total_loss
    return loss, collections.OrderedDict(total_loss=loss)


def _whole_step(batch, config, device, micro_batch_size, towers, words):
  step, figures = training_step.make(
      _Measured(config, words), batch, lamb.OptimizerOptions(), _TRAIN_STEPS, device,
      micro_batch_size=micro_batch_size, recompute='recompute' in words, towers=towers)
  return [figures['total_loss'], step.train_op]


def _gradients_alone(batch, config, device, towers):
  update = training_step.Update(lamb.OptimizerOptions(), _TRAIN_STEPS, device)
  grads_and_vars, figures = training_step.gradients(_Measured(config), batch, update, device, towers=towers)
  # Their norm: what nobody reads, grappler leaves out.
  return [figures['total_loss'], lamb.clip_by_global_norm([gradient for gradient, _ in grads_and_vars], 1.0)[1]]


def serve(folder, words=()):
  """Answers the lines 'step', 'peak', 'profile FILE' and 'end' on standard input with one JSON object each."""
  step = Step(folder, words)
  for line in sys.stdin:
    if line == 'step\n':
      cpu, start = time.process_time(), time.perf_counter()
      loss = step.run()
      answer = dict(seconds=time.perf_counter() - start, cpu_seconds=time.process_time() - cpu, loss=loss)
    elif line == 'peak\n':
      answer = dict(gflop_per_second=step.peak())
    elif line.startswith('profile '):
      answer = step.profile(line[len('profile '):-1])
    else:
      answer = dict(peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10)
    print(json.dumps(answer), flush=True)


def main(argv):
  serve(argv[1], argv[2:])


if __name__ == '__main__':
  cli.run(main)
