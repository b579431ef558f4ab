"""What differs between two checkpoints: variables, values, and what the models make of one batch."""

import numpy as np

from albert.common.errors import UserError
from albert.model import names
from tools.conversion import numpy_albert
from tools.conversion import reading


def diff(first, second):
  """What differs between two Checkpoints, the largest relative difference first, as plain values."""
  common = [name for name in first.shapes if name in second.shapes]
  same_form = [name for name in common if first.form(name) == second.form(name)]
  changes = [_change(name, first.tensor(name), second.tensor(name)) for name in same_form]
  changes = [change for change in changes if change['values']]
  changes.sort(key=lambda change: (-np.nan_to_num(change['relative'], nan=np.inf), change['name']))
  result = {
      'checkpoints': [first.path, second.path], 'families': [names.family(first.shapes), names.family(second.shapes)],
      'global_steps': [first.step, second.step],
      'only_in_first': [name for name in first.shapes if name not in second.shapes],
      'only_in_second': [name for name in second.shapes if name not in first.shapes],
      'other_form': [{'name': name, 'first': first.form(name), 'second': second.form(name)}
                     for name in common if name not in same_form],
      'changed': changes, 'equal': len(same_form) - len(changes),
  }
  result['identical'] = result['equal'] == len(first.shapes) == len(second.shapes)
  return result


def _change(name, a, b):
  """How b differs from a: number of values, largest difference, and that relative to the largest |a|."""
  a, b = np.asarray(a), np.asarray(b)
  differs = a != b
  if not reading.is_float(a) and not np.issubdtype(a.dtype, np.integer):
    return {'name': name, 'values': int(np.sum(differs)), 'largest': None, 'relative': float('nan')}
  differs = np.logical_and(differs, ~np.logical_and(np.isnan(a), np.isnan(b)))
  delta = np.abs(a[differs].astype(np.float64) - b[differs].astype(np.float64))
  largest = float(np.max(delta)) if delta.size else 0.0
  scale = float(np.max(np.abs(a))) if a.size else 0.0
  return {'name': name, 'values': int(np.sum(differs)), 'largest': largest, 'relative': largest / (scale or 1.0)}


def output_differences(first, second):
  """How the outputs of two Checkpoints differ on one random batch with padding, as plain values.

  Returns:
    A list of {'name', 'largest', 'relative'}: sequence_output, then what both have heads for. 'relative' is to the
    largest magnitude in the first.

  Raises:
    UserError: no configuration beside one of them, variables missing, or models that take no common batch.
  """
  configs = [reading.config_of(checkpoint) for checkpoint in (first, second)]
  if len({config.vocab_size for config in configs}) > 1:
    raise UserError('expected two models of one vocabulary to compare their outputs, found {} tokens in {} and {} in '
                    '{}; compare without --outputs'.format(configs[0].vocab_size, first.path, configs[1].vocab_size,
                                                           second.path))
  batch = _random_batch(configs)
  outputs = [numpy_albert.outputs(checkpoint, config, batch)
             for checkpoint, config in zip((first, second), configs)]
  return [_output_difference(name, outputs[0][name], outputs[1][name]) for name in outputs[0] if name in outputs[1]]


def _random_batch(configs):
  """numpy_albert.Batch of 4 sequences that both models take, half of them padded."""
  random = np.random.RandomState(20191)
  length = min([64] + [config.max_position_embeddings for config in configs])
  lengths = np.array([length, length, (length + 1) // 2, (length + 4) // 5])
  shape = [len(lengths), length]
  segments = min(config.type_vocab_size for config in configs)
  return numpy_albert.Batch(
      input_ids=random.randint(0, configs[0].vocab_size, shape), segment_ids=random.randint(0, segments, shape),
      input_mask=np.arange(length) < lengths[:, np.newaxis])


def _output_difference(name, a, b):
  if a.shape != b.shape:
    return {'name': name, 'largest': None, 'relative': None}
  largest = float(np.max(np.abs(a - b)))
  return {'name': name, 'largest': largest, 'relative': largest / (float(np.max(np.abs(a))) or 1.0)}
