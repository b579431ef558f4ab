"""Estimates the memory of a training step before its graph is built, for any task. Needs no TensorFlow."""

import os

from albert.common import address_space
from albert.common.errors import UserError
from albert.device import cores

_BYTES = 4  # float32
_CONTROL_GROUP = '/sys/fs/cgroup'
# The interpreter, TensorFlow, its thread pools and the input pipeline.
_BASE_BYTES = 300 << 20
# Live tensors of [rows, width] in one layer, kept for the backward pass or passing through, of widths H, I and S
# (heads x S x S attention). Fitted to the measured peaks of memory_test.
_HIDDEN_TENSORS = 8.0
_INTERMEDIATE_TENSORS = 2.0
_ATTENTION_TENSORS = 1.0
_LOGIT_TENSORS = 3.0
_BATCHES_AHEAD = 6
# Dropout keeps its mask and its result beside each tensor that it is applied to.
_DROPOUT_TENSORS = 2.0
# With recomputation: of a layer's memory, while its backward pass runs. Fitted to the peaks of memory_test.
_LAYERS_RECOMPUTED = 4.5
# The most that a step may take in micro-batches chosen here, however much memory is free: the rest is left to others.
_MOST_BYTES = 5 * 10**9
# The same for an evaluation, whose layers keep nothing for a backward pass. Fitted to the peaks of memory_test.
_EVALUATION_HIDDEN_TENSORS = 4.0
_EVALUATION_INTERMEDIATE_TENSORS = 3.0
# Address space that threads reserve: a stack of 8 MB and a heap of glibc's of 64 MB each. Fitted on two cores, where a
# tiny run comes to 22 threads and grows by 1.6 GB of address space from here on.
_THREAD_BYTES = 72 << 20
_THREADS, _THREADS_OF_A_CORE = 10, 6
# weight, gradient, two moments and their next values
_COPIES_OF_PARAMETERS = 8


def parameter_count(config, heads):
  """Trainable parameters of the whole model. config: AlbertConfig; heads: tasks.task.HeadSize."""
  wide, narrow, inner = config.hidden_size, config.embedding_size, config.intermediate_size
  embeddings = (config.vocab_size + config.type_vocab_size + config.max_position_embeddings + 2) * narrow
  mapping = (narrow + 1) * wide if narrow != wide else 0
  block = 4 * (wide + 1) * wide + 4 * wide + (wide + 1) * inner + (inner + 1) * wide
  pooler = (wide + 1) * wide
  return (embeddings + mapping + block * config.num_hidden_groups * config.inner_group_num + pooler
          + heads.parameters)


def training_bytes(config, batch_size, max_seq_length, heads, recompute=False, towers=None):
  """Estimated peak memory of training, in bytes.

  Args:
    config: AlbertConfig.
    batch_size: sequences that are computed at a time.
    max_seq_length: S.
    heads: HeadSize of the task.
    recompute: as for modeling.albert.
    towers: int, computed side by side; None: as many as cores.choose_towers gives.
  """
  towers = towers or cores.choose_towers(batch_size)
  rows = batch_size * max_seq_length
  hidden = _HIDDEN_TENSORS + 2 * _DROPOUT_TENSORS * bool(config.hidden_dropout_prob)
  attention = _ATTENTION_TENSORS + _DROPOUT_TENSORS * bool(config.attention_probs_dropout_prob)
  layer = _BYTES * rows * (hidden * config.hidden_size + _INTERMEDIATE_TENSORS * config.intermediate_size
                           + attention * config.num_attention_heads * max_seq_length)
  logits = _BYTES * _LOGIT_TENSORS * batch_size * heads.logits
  parameters = _BYTES * _COPIES_OF_PARAMETERS * parameter_count(config, heads)
  blocks = config.num_hidden_layers * config.inner_group_num
  # Each tower's gradients of the weights, one for each layer, which wait for their sum.
  weights = _BYTES * towers * (4 * config.hidden_size ** 2 + 2 * config.hidden_size * config.intermediate_size)
  layers = (layer + weights) * blocks
  if recompute:
    # The input of each, and one of them in full; gradients of the weights are added one by one.
    layers = min(layers, _BYTES * blocks * rows * config.hidden_size + _LAYERS_RECOMPUTED * layer + 2 * weights)
  return int(_BASE_BYTES + parameters + logits + layers)


def evaluation_bytes(config, eval_batch_size, max_seq_length, heads):
  """Memory of evaluation besides training, whose session stays open meanwhile, in bytes.

  Args:
    config: AlbertConfig.
    eval_batch_size: sequences of a batch.
    max_seq_length: S.
    heads: HeadSize of the task.
  """
  rows = eval_batch_size * max_seq_length
  layer = rows * (_EVALUATION_HIDDEN_TENSORS * config.hidden_size
                  + _EVALUATION_INTERMEDIATE_TENSORS * config.intermediate_size)
  return int(_BYTES * (parameter_count(config, heads) + layer))


def available_bytes():
  """Memory that this process can still get: MemAvailable, or less if its control group or address space has a limit."""
  free = [_meminfo_available()] + [_in_address_space()] * (_in_address_space() is not None)
  for limit, used, stat, cache in (
      ('memory.max', 'memory.current', 'memory.stat', 'inactive_file'),
      ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes', 'memory/memory.stat', 'total_inactive_file')):
    limit, used = _read_number(limit), _read_number(used)
    if limit is not None and used is not None:
      # What is used includes the page cache, which the kernel gives back when memory runs short.
      free.append(max(0, limit - max(0, used - _read_entry(stat, cache))))
  return min(free)


def _in_address_space():
  """Bytes of address space that tensors can have, or None where it has no limit."""
  room = address_space.room()
  if room is None:
    return None
  # What the estimate counts for the libraries is there already.
  return max(0, room + _BASE_BYTES - (_THREADS + _THREADS_OF_A_CORE * cores.available()) * _THREAD_BYTES)


def _meminfo_available():
  with open('/proc/meminfo', encoding='ascii') as source:
    for line in source:
      if line.startswith('MemAvailable:'):
        return int(line.split()[1]) << 10
  return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_AVPHYS_PAGES')


def _read_number(name):
  try:
    with open(os.path.join(_CONTROL_GROUP, name), encoding='ascii') as source:
      return int(source.read())
  except (OSError, ValueError):  # no control group, or "max"
    return None


def _read_entry(name, key):
  """The number in the line 'key number' of a file of the control group; 0 if there is none."""
  try:
    with open(os.path.join(_CONTROL_GROUP, name), encoding='ascii') as source:
      return next(int(line.split()[1]) for line in source if line.split()[:1] == [key])
  except (OSError, ValueError, IndexError, StopIteration):
    return 0


def input_bytes(batch_size, max_seq_length, heads):
  """Memory of the batches that are made ahead, in bytes. heads: HeadSize of the task."""
  return _BATCHES_AHEAD * 8 * batch_size * (3 * max_seq_length + heads.inputs)


def choose_micro_batch_size(config, batch_size, max_seq_length, heads, available=None, recompute=False, towers=None):
  """The largest divisor of the batch size whose step needs a quarter of the free memory and 5 GB at most, or 1.

  Where the whole batch does not fit, one that `towers` divides goes before a larger one; None: as many as cores.
  A step in micro-batches computes the same; `make bench-memory` measures its cost. Arguments as for check_fits.
  """
  most_bytes = min(_MOST_BYTES, (available_bytes() if available is None else available) / 4)
  towers = towers or cores.available()
  # No more than fit without anything else in memory: a batch may have any size.
  one, two = [training_bytes(config, size, max_seq_length, heads, recompute, towers=1)
              for size in (1, 2)]
  fitting = [size for size in range(min(batch_size, int(most_bytes / (two - one))), 1, -1) if batch_size % size == 0
             and training_bytes(config, size, max_seq_length, heads, recompute) <= most_bytes]
  if not fitting or fitting[0] == batch_size:
    return fitting[0] if fitting else 1
  return next((size for size in fitting if size % towers == 0), fitting[0])


def check_fits(config, batch_size, micro_batch_size, max_seq_length, heads, available=None, recompute=False,
               eval_batch_size=None, root='pretrain'):
  """Compares the estimate with the free memory.

  Args:
    config: AlbertConfig.
    batch_size: sequences of a step; micro_batch_size: of them, those that are computed at a time.
    max_seq_length: S.
    heads: HeadSize of the task.
    available: free memory in bytes; None asks the kernel.
    recompute: as for modeling.albert.
    eval_batch_size: sequences of an evaluation batch; None: nothing is evaluated.
    root: the name that the batch sizes are bound under, for the message.

  Returns:
    (estimate, available) in bytes.

  Raises:
    UserError: it does not fit; the message names a setting that would.
  """
  available = available_bytes() if available is None else available
  evaluation = evaluation_bytes(config, eval_batch_size, max_seq_length, heads) if eval_batch_size else 0

  def needed(batch, micro):
    return (training_bytes(config, micro, max_seq_length, heads, recompute)
            + input_bytes(batch, max_seq_length, heads) + evaluation)

  estimate = needed(batch_size, micro_batch_size)
  if estimate <= available:
    return estimate, available
  limited = '' if address_space.limit() is None else ' under the limit of address space (ulimit -v)'
  raise UserError('expected at most {:.1f} GB, which are free{}, found an estimate of {:.1f} GB for {} of {} sequences '
                  'of {} tokens at a time; {}'.format(
                      available / 1e9, limited, estimate / 1e9, micro_batch_size, batch_size, max_seq_length,
                      _advice(batch_size, micro_batch_size, lambda *sizes: needed(*sizes) <= available, root)))


def _advice(batch_size, micro_batch_size, fits, root):
  """The advice where a step does not fit: str. fits: function of a batch size and a micro-batch size; rest as above."""
  sizes = [size for size in range(1, min(micro_batch_size, 4096)) if batch_size % size == 0 and fits(batch_size, size)]
  if sizes:
    return 'set {}.micro_batch_size={}'.format(root, sizes[-1])
  batches = [2 ** power for power in range(32) if 2 ** power < batch_size and fits(2 ** power, 1)]
  if batches:
    return 'set {}.train_batch_size={}'.format(root, batches[-1])
  if address_space.limit() is not None:
    return address_space.remedy()
  return 'use shorter sequences or a smaller model, such as gin/model/tiny.gin'
