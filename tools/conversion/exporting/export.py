"""Writes a checkpoint in a format that needs neither this repository nor a training: the order in which it happens.

Built under a temporary name, loaded in a fresh process, compared with the checkpoint, and only then given its name.
"""

import collections
import json
import os

import tensorflow.compat.v1 as tf

from albert.common import checks
from albert.common.errors import UserError
from albert.common import files
from albert.run import directory
from albert.run import loading
from albert.run import names
from albert.tasks import labelled_tasks
from albert.tasks.pretraining import Pretraining
from tools.conversion.exporting import checking
from tools.conversion.exporting import formats
from tools.conversion.exporting.inference import Inference
from tools.conversion.exporting.inference import Sizes
from tools.conversion import writing

# What a pb has if nothing is said.
_DEFAULT_SIZES = Sizes(batch_size=1, max_seq_length=128, max_predictions_per_seq=20)
EXPORT_FILE = 'export.json'

# form: one of formats.FORMATS. task: the signature that is served by default, or alone; None: the task's first.
# sizes: Sizes, None where nothing was said. float16, quantize: bools.
Options = collections.namedtuple('Options', ['form', 'task', 'sizes', 'float16', 'quantize'])


def export(source, folder, options):
  """Exports the weights at `source` into a new folder.

  Args:
    source: prefix, folder of a run, best/ or an unpacked release.
    folder: str, to be made.
    options: Options.

  Returns:
    OrderedDict of plain values: what was written, from what, and how far it deviates.

  Raises:
    UserError: options that do not go together, weights that do not fit, or an export that does not answer like them.
      Nothing is left then.
  """
  writing.check_new_folder(folder)
  weights = loading.find(source)
  if weights.config is None:
    raise UserError('{}: expected {} beside the weights, found none; copy it there'.format(
        weights.prefix, names.CONFIG_FILE))
  task = task_of(weights)
  options = _checked(options, task, weights.config.max_position_embeddings)
  wanted = [options.task]
  if options.form == formats.SAVED_MODEL:
    wanted += [name for name in task.signatures if name != options.task]
  with Inference(task, wanted, weights.prefix, options.sizes) as inference, writing.new_folder(folder) as temporary:
    _write(temporary, inference, options)
    model = os.path.normpath(os.path.join(temporary, formats.MODEL_FILES[options.form]))
    deviation = checking.check(model, options.form, inference.signatures, inference.run, weights.config, options.sizes)
    _check_deviation(deviation, options, folder)
    report = _report(weights, folder, options, inference, deviation)
    _describe(temporary, folder, weights, options, inference, report)
  return report


def task_of(weights):
  """The Task whose signatures are exported: of a fine-tuned folder its own. weights: loading.Weights."""
  described = directory.file_beside(weights.prefix, names.TASK_FILE)
  if described is None:
    return Pretraining(weights.config)
  labels = os.path.join(os.path.dirname(described), names.LABELS_FILE)
  return labelled_tasks.of_run(described, labels, weights.config).task


def _checked(options, task, longest):
  """Options with nothing left open. longest: int, in tokens. Raises UserError where they do not go together."""
  checks.one_of('--format', options.form, formats.FORMATS)
  name = options.task or next(iter(task.signatures))
  checks.one_of('--task', name, tuple(task.signatures))
  if options.form in formats.DYNAMIC:
    for field, value in options.sizes._asdict().items():
      if value is not None:
        raise UserError('--{}: expected with --format=pb only, found {} with {}, which takes any size; leave it '
                        'out'.format(field, value, options.form))
  for field, value in options.sizes._asdict().items():
    if value is not None:
      checks.whole_number('--' + field, value)
  if options.form == formats.ONNX:
    formats.check_onnx_packages()
  if options.quantize:
    _check_quantize(options, name)
  sizes = options.sizes
  if options.form == formats.PB:
    defaults = _DEFAULT_SIZES._replace(max_seq_length=min(_DEFAULT_SIZES.max_seq_length, longest))
    sizes = Sizes(*[default if value is None else value for value, default in zip(sizes, defaults)])
  return options._replace(task=name, sizes=sizes)


def _check_quantize(options, name):
  if options.form != formats.ONNX or options.float16:
    raise UserError('--quantize: expected with --format=onnx and without --float16, found {}{}; leave one of them '
                    'out'.format(options.form, ' and --float16' * options.float16))
  if name == 'masked_lm':
    raise UserError('--quantize: expected a task without the masked-LM head, whose table is the word embeddings and '
                    'cannot be int8 for both, found masked_lm; use --float16')


def _write(folder, inference, options):
  """Writes the model itself."""
  graph_def = inference.frozen(options.float16 and options.form != formats.ONNX)
  signature = inference.signatures[options.task]
  if options.form == formats.SAVED_MODEL:
    formats.write_saved_model(folder, graph_def, inference.signatures, options.task)
  elif options.form == formats.PB:
    formats.write_pb(folder, graph_def)
  else:
    formats.write_onnx(folder, graph_def, signature, options.float16, options.quantize)


def _check_deviation(deviation, options, folder):
  """Raises UserError if an export is too far from its checkpoint. deviation: as checking.check() gives it."""
  limit = float('inf') if options.float16 or options.quantize else checking.LIMIT
  if deviation > limit or deviation == float('inf'):
    raise UserError('{}: expected the answers of the checkpoint{}, found a deviation of {:.2g}; the export was '
                    'removed, please report it with the versions of TensorFlow and numpy'.format(
                        folder, ' within {:g}'.format(limit) if limit == checking.LIMIT else '', deviation))


def _report(weights, folder, options, inference, deviation):
  def described(infos):
    return collections.OrderedDict((name, [info.dtype, info.shape]) for name, info in infos.items())
  report = collections.OrderedDict([
      ('export', folder), ('checkpoint', weights.prefix), ('format', options.form), ('task', options.task),
      ('signatures', collections.OrderedDict(
          (name, {'inputs': described(signature.inputs), 'outputs': described(signature.outputs)})
          for name, signature in inference.signatures.items())),
      ('left_out', inference.left_out), ('variables', len(inference.weights)), ('float16', options.float16),
      ('int8', options.quantize), ('deviation', deviation), ('tensorflow', tf.VERSION)])
  if options.form == formats.PB:
    report['atc'] = formats.atc_command(folder, inference.signatures[options.task])
  return report


def _describe(temporary, folder, weights, options, inference, report):
  """Copies what describes the weights, and adds to the report what was copied and the size."""
  beside = os.path.join(temporary, formats.DESCRIPTION_FOLDERS[options.form])
  os.makedirs(beside, exist_ok=True)
  files.write_atomically(os.path.join(beside, names.CONFIG_FILE), weights.config.to_json_string())
  if weights.vocab_file:
    files.copy_atomically(weights.vocab_file, os.path.join(beside, names.VOCAB_FILE))
  for name in (names.TASK_FILE, names.LABELS_FILE):
    path = directory.file_beside(weights.prefix, name)
    if path:
      files.copy_atomically(path, os.path.join(beside, name))
  if 'atc' in report:
    files.write_atomically(os.path.join(temporary, formats.ATC_FILE), report['atc'] + '\n')
  files.write_atomically(os.path.join(beside, EXPORT_FILE), json.dumps(report, indent=1) + '\n')
  paths = [os.path.join(place, name) for place, _, names_of_files in os.walk(temporary) for name in names_of_files]
  report['files'] = {os.path.relpath(path, temporary): os.path.getsize(path) for path in sorted(paths)}


def print_report(report):
  """report: what export() gives."""
  print('wrote {export} ({format}, {variables} variables of {checkpoint}):'.format(**report))
  for name, size in report['files'].items():
    print('  {:<34} {:>13,} bytes'.format(name, size))
  for name, signature in report['signatures'].items():
    inputs, outputs = [', '.join('{} {} [{}]'.format(key, dtype, ', '.join(map(_size, shape)))
                                 for key, (dtype, shape) in signature[kind].items()) for kind in ('inputs', 'outputs')]
    print('{}{}\n  takes  {}\n  gives  {}'.format(
        name, ' (serving_default)' if name == report['task'] and report['format'] == formats.SAVED_MODEL else '',
        inputs, outputs))
  for name, missing in report['left_out'].items():
    print('left out: {}, the checkpoint has no {}'.format(name, ', '.join(missing)))
  print('a fresh process loaded it: largest deviation from the checkpoint {:.2g}{}, on random and padded input'.format(
      report['deviation'], '' if report['float16'] or report['int8'] else ' (at most {:g})'.format(checking.LIMIT)))
  if 'atc' in report:
    print('no ATC was at hand to try this (also in {}):\n  {}'.format(formats.ATC_FILE, report['atc']))


def _size(number):
  return '?' if number is None else str(number)
