"""Looks into checkpoints and makes new ones from them, with plain TensorFlow.

    python -m tools.checkpoints inspect CHECKPOINT [--json]
    python -m tools.checkpoints diff CHECKPOINT CHECKPOINT [--json]
    python -m tools.checkpoints strip CHECKPOINT --output=PREFIX
    python -m tools.checkpoints average CHECKPOINT CHECKPOINT ... --output=PREFIX
    python -m tools.checkpoints export CHECKPOINT FOLDER --format=saved_model|pb|onnx [--task=...]   see docs/export.md

CHECKPOINT is a prefix (out/model.ckpt-500, also with .index) or a folder: the checkpoint that its `checkpoint`
file names. strip leaves out the optimizer's variables. average is the mean of the weights, without the optimizer's
variables, whose mean belongs to no run; its global_step is the largest one. Both copy the albert_config.json and
vocab.txt of the source's run beside the new checkpoint, unless the folder has its own.
"""

import collections
import glob
import os

from absl import flags
import numpy as np

from albert.common import cli  # before TensorFlow: silences the warnings of its import
from albert.common.errors import UserError
from albert.common import files
from albert.model import names
from albert.run.checkpoints import find
from albert.run.directory import description_folders
from albert.run.names import DESCRIPTION
from albert.run.names import POINTER_FILE
from tools.conversion import checkpoint_text
from tools.conversion.exporting import export
import tensorflow.compat.v1 as tf

STEP = names.GLOBAL_STEP
SLOTS_PART = checkpoint_text.SLOTS_PART
_USAGE = ('inspect CHECKPOINT | diff CHECKPOINT CHECKPOINT | strip CHECKPOINT --output=PREFIX | '
          'average CHECKPOINT CHECKPOINT ... --output=PREFIX | export CHECKPOINT FOLDER --format=saved_model|pb|onnx')


class Checkpoint:
  """One checkpoint, read lazily.

  Attributes:
    path: its prefix.
    shapes: {name: [int]}; dtypes: {name: tf.DType}.
    step: int, or None without a global_step.
  """

  def __init__(self, argument):
    """argument: prefix or folder. Raises UserError if there is no readable checkpoint."""
    self.path = find(argument)
    self._reader = self._read(tf.train.load_checkpoint, self.path)
    self.shapes = dict(sorted(self._reader.get_variable_to_shape_map().items()))
    self.dtypes = self._reader.get_variable_to_dtype_map()
    self.step = int(self.tensor(STEP)) if STEP in self.shapes else None

  def tensor(self, name):
    """The value of a variable as an array. Raises UserError if the file is damaged."""
    return self._read(self._reader.get_tensor, name)

  def _read(self, function, argument):
    try:
      return function(argument)
    except (tf.errors.OpError, ValueError) as error:
      raise UserError('{}: expected a readable checkpoint, found a damaged one ({}); copy or save it again'.format(
          self.path, ' '.join(str(error).split())))

  def weights(self):
    """Names of all variables but the optimizer's."""
    return [name for name in self.shapes if part_of(name, self.shapes) != SLOTS_PART]


def part_of(name, all_names):
  """The part of the model that a variable belongs to, e.g. 'bert/encoder'; SLOTS_PART for the optimizer's."""
  return SLOTS_PART if names.belongs_to_optimizer(name, all_names) else '/'.join(name.split('/')[:2])


def inspect(checkpoint):
  """A summary of one Checkpoint: parts, variables, parameters, non-finite values, as plain values."""
  parts = collections.OrderedDict()
  variables = []
  for name, shape in checkpoint.shapes.items():
    part = part_of(name, checkpoint.shapes)
    size = int(np.prod(shape))
    count = parts.setdefault(part, {'variables': 0, 'parameters': 0})
    count['variables'] += 1
    count['parameters'] += size
    variables.append({'name': name, 'shape': shape, 'dtype': checkpoint.dtypes[name].name, 'part': part,
                      'non_finite': _count_non_finite(checkpoint.tensor(name))})
  return {
      'checkpoint': checkpoint.path, 'family': names.family(checkpoint.shapes), 'global_step': checkpoint.step,
      'parameters': sum(count['parameters'] for part, count in parts.items() if part not in (SLOTS_PART, STEP)),
      'non_finite': sum(variable['non_finite'] for variable in variables),
      'parts': collections.OrderedDict(sorted(parts.items(), key=lambda item: item[0] in (SLOTS_PART, STEP))),
      'variables': variables,
  }


def _is_float(array):
  return np.issubdtype(array.dtype, np.floating)


def _count_non_finite(array):
  array = np.asarray(array)
  return int(array.size - np.count_nonzero(np.isfinite(array))) if _is_float(array) else 0


def diff(first, second):
  """What differs between two Checkpoints, the largest relative difference first, as plain values."""
  common = [name for name in first.shapes if name in second.shapes]
  same_form = [name for name in common if _form(first, name) == _form(second, name)]
  changes = [_change(name, first.tensor(name), second.tensor(name)) for name in same_form]
  changes = [change for change in changes if change['values']]
  changes.sort(key=lambda change: (-np.nan_to_num(change['relative'], nan=np.inf), change['name']))
  result = {
      'checkpoints': [first.path, second.path], 'families': [names.family(first.shapes), names.family(second.shapes)],
      'global_steps': [first.step, second.step],
      'only_in_first': [name for name in first.shapes if name not in second.shapes],
      'only_in_second': [name for name in second.shapes if name not in first.shapes],
      'other_form': [{'name': name, 'first': _form(first, name), 'second': _form(second, name)}
                     for name in common if name not in same_form],
      'changed': changes, 'equal': len(same_form) - len(changes),
  }
  result['identical'] = result['equal'] == len(first.shapes) == len(second.shapes)
  return result


def _form(checkpoint, name):
  return '{} {}'.format(checkpoint.dtypes[name].name, checkpoint.shapes[name])


def _change(name, a, b):
  """How b differs from a: number of values, largest difference, and that relative to the largest |a|."""
  a, b = np.asarray(a), np.asarray(b)
  differs = a != b
  if not _is_float(a) and not np.issubdtype(a.dtype, np.integer):
    return {'name': name, 'values': int(np.sum(differs)), 'largest': None, 'relative': float('nan')}
  differs = np.logical_and(differs, ~np.logical_and(np.isnan(a), np.isnan(b)))
  delta = np.abs(a[differs].astype(np.float64) - b[differs].astype(np.float64))
  largest = float(np.max(delta)) if delta.size else 0.0
  scale = float(np.max(np.abs(a))) if a.size else 0.0
  return {'name': name, 'values': int(np.sum(differs)), 'largest': largest, 'relative': largest / (scale or 1.0)}


def strip(checkpoint):
  """{name: array} of a Checkpoint without the optimizer's variables."""
  return collections.OrderedDict((name, checkpoint.tensor(name)) for name in checkpoint.weights())


def average(checkpoints):
  """{name: array}: the mean of the weights of several Checkpoints, and their largest global_step.

  Computed in float64, returned in the variable's own type. Integers come from the checkpoint with the largest step.

  Raises:
    UserError: other names or shapes than in the first one, or values that are not finite.
  """
  for other in checkpoints[1:]:
    _check_same_weights(checkpoints[0], other)
  latest = max(checkpoints, key=lambda checkpoint: checkpoint.step or 0)
  mean = collections.OrderedDict()
  for name in latest.weights():
    value = np.asarray(latest.tensor(name))
    mean[name] = _mean_of(checkpoints, name).astype(value.dtype) if _is_float(value) else value
  return mean


def _mean_of(checkpoints, name):
  total = 0.0
  for checkpoint in checkpoints:
    value = np.asarray(checkpoint.tensor(name))
    if _count_non_finite(value):
      raise UserError('{}: expected finite values, found {} NaN or infinite ones in {}; leave this checkpoint '
                      'out'.format(checkpoint.path, _count_non_finite(value), name))
    total = total + value.astype(np.float64)
  return np.asarray(total / len(checkpoints))


def _check_same_weights(first, other):
  ours, theirs = [{name: _form(c, name) for name in c.weights() if name != STEP} for c in (first, other)]
  differences = sorted(name for name in set(ours) | set(theirs) if ours.get(name) != theirs.get(name))
  if differences:
    name = differences[0]
    raise UserError('{}: expected the architecture of {}, found {} variables that differ, e.g. {}: {} instead of '
                    '{}; average checkpoints of one model'.format(
                        other.path, first.path, len(differences), name, theirs.get(name, 'absent'),
                        ours.get(name, 'absent')))


def check_output(prefix):
  """Raises UserError if no checkpoint can be written at `prefix`: not given, a folder, or already there."""
  if not prefix:
    raise UserError('expected --output=PREFIX, the prefix of the new checkpoint, found none; '
                    'add e.g. --output=release/model.ckpt')
  if prefix.endswith('/') or os.path.isdir(prefix):
    raise UserError('--output: expected a prefix such as {}, found the folder {}; add a name'.format(
        os.path.join(prefix, 'model.ckpt'), prefix))
  if os.path.exists(prefix + '.index'):
    raise UserError('--output: expected a new name, found a checkpoint at {}; choose another or remove it'.format(
        prefix))


def write_checkpoint(prefix, tensors):
  """Saves {name: array} at `prefix`: under a temporary name, then renamed, the index last, so never half of it.

  Also writes a `checkpoint` file if the folder has none, so that the folder can be named instead of the prefix.
  """
  folder = os.path.dirname(os.path.abspath(prefix))
  os.makedirs(folder, exist_ok=True)
  temporary = '{}.tmp-{}'.format(os.path.abspath(prefix), os.getpid())
  try:
    _save(temporary, tensors)
    for suffix in ('.data-00000-of-00001', '.index'):
      os.replace(temporary + suffix, prefix + suffix)
  finally:
    for leftover in glob.glob(glob.escape(temporary) + '*'):
      os.remove(leftover)
  if not os.path.exists(os.path.join(folder, POINTER_FILE)):
    tf.train.update_checkpoint_state(folder, os.path.basename(prefix))


def _save(prefix, tensors):
  with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as session:
    # Fed, not constants: a graph must stay below 2 GB.
    feeds = [tf.placeholder(tf.as_dtype(np.asarray(value).dtype), np.shape(value)) for value in tensors.values()]
    save = tf.raw_ops.SaveV2(prefix=prefix, tensor_names=list(tensors), shape_and_slices=[''] * len(feeds),
                             tensors=feeds)
    session.run(save, dict(zip(feeds, tensors.values())))


def copy_description(source, target):
  """Copies albert_config.json and vocab.txt of a checkpoint's run beside a new checkpoint that has none.

  Args:
    source, target: prefixes. Of a checkpoint in best/ the files may also lie in the folder above.

  Returns:
    A list of the paths that were copied.
  """
  new_folder = os.path.dirname(os.path.abspath(target))
  copied = []
  for name in DESCRIPTION:
    paths = [os.path.join(folder, name) for folder in description_folders(source)]
    found = [path for path in paths if os.path.isfile(path)]
    new = os.path.join(new_folder, name)
    if found and not os.path.exists(new):
      files.copy_atomically(found[0], new)
      copied.append(found[0])
  return copied


def _report(value, print_text):
  if flags.FLAGS.json:
    print(checkpoint_text.as_json(value))
  else:
    print_text(value)


def _write_and_report(sources, make):
  check_output(flags.FLAGS.output)
  tensors = make()
  write_checkpoint(flags.FLAGS.output, tensors)
  written = Checkpoint(flags.FLAGS.output)
  copied = copy_description(sources[0].path, written.path)
  _report({'checkpoint': written.path, 'from': [source.path for source in sources], 'global_step': written.step,
           'variables': len(tensors), 'left_out': len(sources[0].shapes) - len(tensors),
           'copied': copied}, checkpoint_text.print_written)


def _export(source, folder):
  given = flags.FLAGS
  sizes = export.Sizes(given.batch_size, given.max_seq_length, given.max_predictions_per_seq)
  options = export.Options(given.format, given.task, sizes, given.float16, given.quantize)
  _report(export.export(source, folder, options), export.print_report)


def main(argv):
  command, arguments = (argv[1], argv[2:]) if len(argv) > 1 else ('nothing', [])
  least = {'inspect': 1, 'diff': 2, 'strip': 1, 'average': 2, 'export': 2}.get(command)
  if least is None or len(arguments) < least or (command != 'average' and len(arguments) > least):
    raise UserError('expected {}; found {}'.format(_USAGE, ' '.join([command] + arguments)))
  if command == 'export':
    return _export(*arguments)
  checkpoints = [Checkpoint(argument) for argument in arguments]
  if command == 'inspect':
    _report(inspect(checkpoints[0]), checkpoint_text.print_inspection)
  elif command == 'diff':
    _report(diff(*checkpoints), checkpoint_text.print_diff)
  elif command == 'strip':
    _write_and_report(checkpoints, lambda: strip(checkpoints[0]))
  else:
    _write_and_report(checkpoints, lambda: average(checkpoints))


if __name__ == '__main__':
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # what is wrong is raised and reported in one line
  tf.logging.set_verbosity(tf.logging.ERROR)
  # Here: other tools have a --json too, and tests import several of them.
  flags.DEFINE_bool('json', False, 'Print JSON instead of text.')
  flags.DEFINE_string('output', None, 'strip, average: prefix of the new checkpoint, e.g. release/model.ckpt.')
  flags.DEFINE_string('format', 'saved_model', 'export: saved_model, pb or onnx.')
  flags.DEFINE_string('task', None, 'export: features, masked_lm or sentence_order; of a saved_model the one that is '
                      'served by default.')
  flags.DEFINE_integer('batch_size', None, 'export --format=pb: sequences at a time; 1 if not given.')
  flags.DEFINE_integer('max_seq_length', None, 'export --format=pb: tokens of a sequence; 128 if not given.')
  flags.DEFINE_integer('max_predictions_per_seq', None, 'export --format=pb --task=masked_lm: positions to predict; 20 '
                       'if not given.')
  flags.DEFINE_bool('float16', False, 'export: store the matrices in half precision.')
  flags.DEFINE_bool('quantize', False, 'export --format=onnx: products and embeddings in int8.')
  cli.run(main)
