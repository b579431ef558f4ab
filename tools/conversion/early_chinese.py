"""The early Chinese ALBERT (brightmart/albert_zh) as this one, exactly.

It adds words, positions and segments at width H, where the published ALBERT does at width E: no conversion keeps both
matrices of its word embeddings. But its post-LN form is this architecture with E = H and their product as the table,
for the masked-LM head goes through the same two matrices. The price is the size of the table.
Its pre-LN form (xxlarge) has the same names and shapes and is another model: only the configuration's ln_type tells.
"""

import collections
import glob
import os
import time

import numpy as np

from albert.common.errors import UserError
from albert.common import files
from albert.model.config import AlbertConfig
from albert.model import names
from albert.run import directory
from albert.run.names import CONFIG_FILE
from tools.conversion import fine_tuned
from tools.conversion.hugging_face import tokenizer_files
from tools.conversion.hugging_face import weights
from tools.conversion import reading
from tools.conversion import writing

POST_LN, PRE_LN = 'postln', 'preln'
_WORDS, _WORDS_2 = names.WORD_EMBEDDINGS, names.WORD_EMBEDDINGS + '_2'
_THEIR_BLOCK = 'bert/encoder/layer_shared/'
_OUR_BLOCK = 'bert/encoder/transformer/group_0/inner_group_0/'
# Below the block, theirs to ours; everything else has the same name.
_BLOCK = (
    ('attention/self/', 'attention_1/self/'), ('attention/output/dense/', 'attention_1/output/dense/'),
    ('attention/output/LayerNorm/', 'LayerNorm/'), ('intermediate/dense/', 'ffn_1/intermediate/dense/'),
    ('output/dense/', 'ffn_1/intermediate/output/dense/'), ('output/LayerNorm/', 'LayerNorm_1/'))


def our_name(name):
  """The name here of a variable of that family; None if it is none of its block's."""
  if name.startswith(_THEIR_BLOCK):
    rest = name[len(_THEIR_BLOCK):]
    return next((_OUR_BLOCK + ours + rest[len(theirs):] for theirs, ours in _BLOCK if rest.startswith(theirs)), None)
  return name


def convert(tensors, config, ignore, where):
  """weights.Converted of {name: array} of that family to this library's variables.

  Args:
    tensors: without the optimizer's.
    config: AlbertConfig with E = H, of the result.
    ignore: regular expression of variables that may be left out, or None. where: names the checkpoint in errors.

  Raises:
    UserError: a variable without a counterpart, or shapes that contradict the configuration.
  """
  for name in (_WORDS, _WORDS_2):
    if name not in tensors:
      raise UserError('{}: expected {} of an early Chinese ALBERT, found none; see inspect'.format(where, name))
  made, mapped, unknown = {}, [], []
  for name, value in sorted(tensors.items()):
    ours = our_name(name)
    if name == _WORDS_2:
      continue
    if ours is None or not weights.is_known(ours, config):
      unknown.append(name)
    else:
      # float64: the product of two float32 matrices is rounded once.
      made[ours] = (np.dot(value.astype(np.float64), tensors[_WORDS_2]).astype(np.float32) if name == _WORDS
                    else value)
      mapped.append((name + ' x word_embeddings_2' if name == _WORDS else name, ours))
  left_out = weights.ignored(unknown, ignore, where)
  weights.check_shapes(made, config, where)
  return weights.Converted(made, mapped, left_out)


def configuration(checkpoint, ln_type):
  """AlbertConfig with E = H for a Checkpoint of that family.

  Args:
    checkpoint: reading.Checkpoint.
    ln_type: POST_LN or PRE_LN, or None: the configuration beside it says.

  Raises:
    UserError: no configuration, pre-LN, or nobody says which.
  """
  values, path = _values(checkpoint)
  said = values.get('ln_type')
  if said and ln_type and said != ln_type:
    raise UserError('{}: expected --ln_type={}, which it says, found {}; leave the flag out'.format(
        path, said, ln_type))
  if (said or ln_type) is None:
    raise UserError('{}: expected ln_type, found none, and names and shapes are the same for both; add '
                    '--ln_type=postln, or --ln_type=preln for albert_xxlarge'.format(path))
  if (said or ln_type) != POST_LN:
    raise UserError('{}: expected a post-LN model, found {}: norms before the sublayers are another architecture, '
                    'whose weights would load and be wrong; use a post-LN model'.format(path, said or ln_type))
  return configuration_of_any(checkpoint)[0]


def configuration_of_any(checkpoint):
  """(AlbertConfig with E = H, ln_type or None) of what lies beside a Checkpoint of that family, pre-LN or not."""
  values, path = _values(checkpoint)
  said = values.pop('ln_type', None)
  values.update(embedding_size=values.get('hidden_size'), num_hidden_groups=1, inner_group_num=1)
  return AlbertConfig.from_dict(values, path), said


def _values(checkpoint):
  """(dict of the configuration beside a Checkpoint, its path)."""
  path = directory.file_beside(checkpoint.path, CONFIG_FILE)
  values = fine_tuned.read_json(path) if path else {}
  if not values:
    raise UserError('{}: expected its JSON configuration beside it, found none: the number of heads shows in no shape; '
                    'copy it there'.format(checkpoint.path))
  return values, path


def _checksums(prefix):
  return {os.path.basename(path): files.file_sha256(path)
          for path in sorted(glob.glob(glob.escape(prefix) + '.*')) if not path.endswith('.meta')}


def make_run(checkpoint, run, ln_type=None, ignore=None, dedupe=False):
  """Makes a run's folder of a Checkpoint of that family. Returns a report of plain values.

  Raises:
    UserError: another family, or see configuration() and convert(); nothing is left in this case.
  """
  writing.check_new_folder(run)
  family = names.recognise(checkpoint.shapes)
  if family.name != names.EARLY_CHINESE:
    raise UserError('{}: expected an early Chinese ALBERT, found {}; {}'.format(
        checkpoint.path, family.name, family.reason))
  config = configuration(checkpoint, ln_type)
  tensors = checkpoint.tensors()
  converted = convert(tensors, config, ignore, checkpoint.path)
  vocabulary, notes = tokenizer_files.checked(
      reading.vocabulary_of(checkpoint).tokens, config.vocab_size, dedupe, checkpoint.path)
  sizes = [sum(int(np.size(value)) for name, value in model.items() if name.startswith('bert/'))
           for model in (tensors, converted.tensors)]
  notes.append('encoder and pooler: {:.2f} M parameters become {:.2f} M, because the table has width H'.format(
      *[size / 1e6 for size in sizes]))
  slots = len(checkpoint.shapes) - len(checkpoint.weights())
  left_out = [list(pair) for pair in converted.left_out] + [
      ['{} variables of the optimizer'.format(slots), 'not weights']] * bool(slots)
  note = collections.OrderedDict([
      ('time', time.strftime('%Y-%m-%d %H:%M:%S')), ('format', 'early Chinese ALBERT, post-LN'),
      ('from', os.path.basename(checkpoint.path)), ('sha256', _checksums(checkpoint.path)),
      ('left_out', left_out), ('notes', notes)])
  writing.write_run(run, converted.tensors, config, vocabulary, note)
  return collections.OrderedDict([
      ('from', checkpoint.path), ('to', run), ('class', 'post-LN, E = H'),
      ('mapped', [list(pair) for pair in converted.mapped]), ('left_out', left_out), ('notes', notes)])
