"""A folder of transformers as a whole: from a checkpoint, and to a run's folder."""

import collections
import glob
import os
import time

import numpy as np

from albert.common.errors import first_of
from albert.common.errors import UserError
from albert.common import files
from albert.dataset import record_format
from albert.dataset import tokenization
from albert.model.hugging_face import CONFIG_FILE
from albert.model.hugging_face import WEIGHTS_FILES
from albert.model import names
from albert.run import directory
from tools.conversion import fine_tuned
from tools.conversion.hugging_face import model_card
from tools.conversion.hugging_face import safetensors_files
from tools.conversion.hugging_face import settings
from tools.conversion.hugging_face import tokenizer_files
from tools.conversion.hugging_face import torch_files
from tools.conversion.hugging_face import weights
from tools.conversion import reading
from tools.conversion import writing

WEIGHTS_FILE = 'model.safetensors'
CARD_FILE = 'README.md'
# In this order; each may be in shards, which an index names.
_WEIGHTS = ((WEIGHTS_FILE, safetensors_files.read), ('pytorch_model.bin', torch_files.read))
_INDEX = '.index.json'
_OTHER_WEIGHTS = ('tf_model.h5', 'flax_model.msgpack')
# Patterns of the names of all files that are read of a folder.
FILES = (CONFIG_FILE,) + tokenizer_files.READ + WEIGHTS_FILES


def files_of(folder):
  """Paths of the files that read() reads, sorted."""
  paths = [path for pattern in FILES for path in glob.glob(os.path.join(glob.escape(folder), pattern))]
  return sorted(path for path in set(paths) if os.path.isfile(path))


def write(checkpoint, folder, task=None, ignore=None, dedupe=False):
  """Makes the folder of a Checkpoint.

  Args:
    checkpoint: reading.Checkpoint with configuration and vocabulary beside it.
    folder: path, absent or empty.
    task: one of fine_tuned.KINDS, or None: what lies beside the checkpoint says.
    ignore: regular expression of variables without a counterpart that may be left out, or None.
    dedupe: see tokenizer_files.checked.

  Returns:
    A report of plain values.

  Raises:
    UserError: see weights.to_hugging_face and tokenizer_files.checked; nothing is left in this case.
  """
  writing.check_new_folder(folder)
  family = names.recognise(checkpoint.shapes)
  if family.name not in (names.ALBERT, names.UNKNOWN):
    raise UserError('{}: expected an ALBERT, found {}; {}'.format(checkpoint.path, family.name, family.reason))
  config = reading.config_of(checkpoint)
  vocabulary, notes = tokenizer_files.checked(
      reading.vocabulary_of(checkpoint).tokens, config.vocab_size, dedupe, checkpoint.path)
  said_task, problem_type = fine_tuned.task_of(checkpoint)
  kind = weights.class_for(names.parts_in(checkpoint.shapes), task or said_task, checkpoint.path)
  tensors = checkpoint.tensors()
  _check_finite(tensors, checkpoint.path)
  converted = weights.to_hugging_face(tensors, config, kind, ignore, checkpoint.path)
  labels = _labels(checkpoint, tensors, kind)
  if task == record_format.REGRESS:
    problem_type = 'regression'
  lower_case, more = _lower_case(checkpoint, vocabulary)
  with writing.new_folder(folder) as new:
    safetensors_files.write(os.path.join(new, WEIGHTS_FILE), converted.tensors)
    writing.write_json(os.path.join(new, CONFIG_FILE), settings.make(config, kind, vocabulary, labels, problem_type))
    tokenizer_files.write(new, vocabulary, lower_case, config.max_position_embeddings)
    card = model_card.make(checkpoint, config, kind, converted.tensors, vocabulary)
    files.write_atomically(os.path.join(new, CARD_FILE), card)
  if names.POOLER not in names.parts_in(checkpoint.shapes) and kind == weights.ENCODER_CLASS:
    more.append('no pooler: transformers will make up a random one')
  others = sorted({value.dtype.name for value in tensors.values()} - {'float32'})
  more += ['{} became float32'.format(', '.join(others))] * bool(others)
  return _report(checkpoint.path, folder, kind, converted.mapped, converted.left_out + _no_weights(checkpoint),
                 notes + more)


def _lower_case(checkpoint, vocabulary):
  """(whether texts are in lower case, notes about it: a list)."""
  said = directory.said_lower_case(checkpoint.path)
  if said is not None:
    return said, []
  guessed = tokenization.guessed_lower_case(vocabulary.tokens)
  return guessed, ['do_lower_case {}: {} token of the vocabulary has a capital letter'.format(
      guessed, 'no' if guessed else 'a')]


def _no_weights(checkpoint):
  """[(name, why it is left out)] of what is no weight."""
  slots = len(checkpoint.shapes) - len(checkpoint.weights())
  return ([('{} variables of the optimizer'.format(slots), 'not weights')] * bool(slots)
          + [(reading.STEP, 'no weight')] * (checkpoint.step is not None))


def _report(source, target, kind, mapped, left_out, notes):
  return collections.OrderedDict([
      ('from', source), ('to', target), ('class', kind), ('mapped', [list(pair) for pair in mapped]),
      ('left_out', [list(pair) for pair in left_out]), ('notes', notes)])


def _check_finite(tensors, where):
  bad = [name for name, value in sorted(tensors.items()) if reading.count_non_finite(value)]
  if bad:
    raise UserError('{}: expected finite weights, found NaN or infinite values in {}; take an earlier '
                    'checkpoint'.format(where, first_of(bad)))


def _labels(checkpoint, tensors, kind):
  """Labels for config.json: those of the run, else made-up names as transformers has them; None without labels."""
  if kind not in ('AlbertForSequenceClassification', 'AlbertForTokenClassification'):
    return None
  count = len(tensors['output_weights'])
  return fine_tuned.labels_of(checkpoint, count) or ['LABEL_{}'.format(index) for index in range(count)]


def read(folder, run, hidden_act=None, ignore=None, dedupe=False, drop_segment_row=None):
  """Makes a run's folder of a transformers folder: model.ckpt-0, albert_config.json, vocab.txt, source.json.

  Args:
    folder: path of a transformers folder.
    run: path, absent or empty.
    hidden_act: see settings.read. ignore: as for write. dedupe: see tokenizer_files.checked.
    drop_segment_row: int, row of token_type_embeddings to leave out, or None.

  Returns:
    A report of plain values.

  Raises:
    UserError: see settings.read, weights.from_hugging_face and tokenizer_files.checked; nothing is left in this case.
  """
  writing.check_new_folder(run)
  values = _config_values(folder)
  tensors, widened = _read_weights(folder)
  notes = ['{} tensors widened from {} to float32'.format(count, kind) for kind, count in sorted(widened.items())]
  if drop_segment_row is not None:
    notes.append(_drop_segment_row(tensors, values, drop_segment_row, folder))
  config = settings.read(values, hidden_act, os.path.join(folder, CONFIG_FILE))
  _check_segments(tensors, config, folder)
  converted = weights.from_hugging_face(tensors, config, ignore, folder)
  _check_finite(converted.tensors, folder)
  tokens, lower_case = tokenizer_files.read(folder, fine_tuned.read_json)
  vocabulary, more = tokenizer_files.checked(tokens, config.vocab_size, dedupe, folder)
  parts = names.parts_in(converted.tensors)
  notes += more + ['no {}: needed only where it is used'.format(part)
                   for part in (names.POOLER, names.MASKED_LM, names.SENTENCE_ORDER) if part not in parts]
  if not lower_case:
    notes.append('do_lower_case False: give it to the data tools too')
  kind = (values.get('architectures') or [None])[0]
  report = _report(folder, run, kind, converted.mapped, converted.left_out, notes)
  note = collections.OrderedDict([
      ('time', time.strftime('%Y-%m-%d %H:%M:%S')), ('format', 'transformers'), ('from', os.path.basename(
          os.path.abspath(folder))), ('class', kind), ('do_lower_case', lower_case),
      ('labels', settings.labels_in(values) if names.CLASSIFIER in parts else None),
      ('task', _task_of_class(kind, values)), ('problem_type', values.get('problem_type')),
      ('sha256', {os.path.basename(path): files.file_sha256(path) for path in files_of(folder)}),
      ('left_out', report['left_out']), ('notes', notes)])
  writing.write_run(run, converted.tensors, config, vocabulary, note)
  return report


def _task_of_class(kind, values):
  if values.get('problem_type') == 'regression':
    return record_format.REGRESS
  return next((task for task, name in weights.OF_TASK.items() if name == kind), None)


def _config_values(folder):
  path = os.path.join(folder, CONFIG_FILE)
  values = fine_tuned.read_json(path)
  if not values:
    raise UserError('{}: expected a folder of transformers with {}, found none; name the folder that holds it'.format(
        folder, CONFIG_FILE))
  return values


def _read_weights(folder):
  """({name: array}, {type: count} of widened ones)."""
  for name, read_file in _WEIGHTS:
    path = os.path.join(folder, name)
    paths = [path] if os.path.isfile(path) else _shards(path + _INDEX)
    if paths:
      tensors, widened = {}, collections.Counter()
      for path in paths:
        of_file, kinds = read_file(path)
        tensors.update(of_file)
        widened.update(kinds)
      return tensors, widened
  others = [name for name in _OTHER_WEIGHTS if os.path.exists(os.path.join(folder, name))]
  raise UserError('{}: expected {}, found {}; {}'.format(
      folder, ' or '.join(name for name, _ in _WEIGHTS), others[0] if others else 'neither',
      'save it as model.safetensors with transformers' if others else 'name a folder of transformers'))


def _shards(index):
  """Paths of the shards that an index names, or [] without one. Raises UserError if one is missing."""
  shards = fine_tuned.read_json(index).get('weight_map', {})
  if not isinstance(shards, dict) or any(os.path.basename(str(shard)) != shard for shard in shards.values()):
    raise UserError('{}: expected names of files in its folder, found others; download it again'.format(index))
  paths = [os.path.join(os.path.dirname(index), shard) for shard in sorted(set(shards.values()))]
  missing = [os.path.basename(path) for path in paths if not os.path.isfile(path)]
  if missing:
    raise UserError('{}: expected its {} shards beside it, found {} missing: {}; download them'.format(
        index, len(paths), len(missing), first_of(missing)))
  return paths


def _segment_table(tensors):
  return next((name for name in tensors if name.endswith('embeddings.token_type_embeddings.weight')), None)


def _drop_segment_row(tensors, values, row, where):
  """Removes a row of the table of segments, in place. Returns a note."""
  name = _segment_table(tensors)
  rows = len(tensors[name]) if name else 0
  if not 0 <= row < rows or rows < 2:
    raise UserError('{}: expected --drop_segment_row to be one of its {} rows, found {}; count from 0'.format(
        where, rows, row))
  tensors[name] = np.delete(tensors[name], row, axis=0)
  values['type_vocab_size'] = rows - 1
  return 'row {} of {} of token_type_embeddings left out'.format(row, rows)


def _check_segments(tensors, config, where):
  """UER's tables have a row 0 for padding, which its segment numbers 1 and 2 are counted from."""
  name = _segment_table(tensors)
  if name and len(tensors[name]) == 3 and config.type_vocab_size == 2:
    raise UserError('{}: expected a table of 2 segments, found 3 rows, as UER has, whose row 0 is padding; leave it '
                    'out with --drop_segment_row=0'.format(where))
