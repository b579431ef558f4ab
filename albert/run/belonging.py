"""Whether weights belong to a configuration and a vocabulary: compared by content, named where they differ.

Shapes do not tell: a vocabulary in another order has as many rows, and heads, activation and, where layers share
weights, even their number are in no tensor. A checkpoint's manifest says what it was made with; for weights without
one, files beside them do.
"""

import glob
import hashlib
import logging
import os

from albert.common.errors import UserError
from albert.common import files
from albert.model.config import AlbertConfig
from albert.run import checkpoints
from albert.run import directory
from albert.run import names

# What changes the model and no shape tells. Of the rest, the graph's own check names the tensors.
_UNTOLD = ('num_hidden_layers', 'num_attention_heads', 'hidden_act')

_LOG = logging.getLogger('albert')


def entries(config, info):
  """What a manifest says. config: AlbertConfig; info: contract.DatasetInfo of the training data."""
  return {'vocabulary': info.vocab_sha256, 'config': dict(config.to_dict())}


def check_vocabulary(checkpoint, info):
  """Raises UserError where weights were trained with another vocabulary than a data set was made with.

  Args:
    checkpoint: prefix. info: contract.DatasetInfo. Where either does not say its vocabulary, nothing is compared.
  """
  if not info.vocab_sha256:
    return
  said, own = checkpoints.belongs_to(checkpoint).get('vocabulary'), _beside(checkpoint, names.VOCAB_FILE)
  if said and own and files.file_sha256(own) == info.vocab_sha256 != said:
    raise _not_its_vocabulary(own, checkpoint, said)
  if (said or own and files.file_sha256(own)) in (None, info.vocab_sha256):
    return
  difference = own and _first_difference(own, info.vocab_file)
  if own and difference is None and not said:
    return
  raise UserError('{}: expected weights that were trained with the vocabulary of the data set, {}, found those of '
                  '{}{}; make the data with that vocabulary (VOCAB=...) or take other weights'.format(
                      checkpoint, info.vocab_file, own or 'another (SHA-256 {:.12}...)'.format(said),
                      ': ' + difference if difference else ''))


def _first_difference(own, other):
  """In what two vocabularies differ, in words; None for the same tokens, as with other ends of lines."""
  try:
    ours, theirs = [_tokens(path) for path in (own, other)]
  except OSError as error:
    return '{} cannot be read'.format(error.filename)
  if ours == theirs:
    return None
  if len(ours) != len(theirs):
    return '{:,} tokens instead of {:,}'.format(len(ours), len(theirs))
  lines = [number for number, (a, b) in enumerate(zip(ours, theirs)) if a != b]
  return '{:,} tokens differ, the first in line {:,}: {!r} instead of {!r}'.format(
      len(lines), lines[0] + 1, ours[lines[0]], theirs[lines[0]])


def _tokens(path):
  with open(path, encoding='utf-8', errors='replace', newline='') as source:
    lines = source.read().split('\n')
  return [line.rstrip('\r') for line in (lines[:-1] if lines[-1] == '' else lines)]


def check_config(checkpoint, config, is_partial=False):
  """Raises UserError where weights were trained with another configuration, in what their shapes do not tell.

  Args:
    checkpoint: prefix. config: AlbertConfig that is going to use them.
    is_partial: whether the user knows: then it is a line of the log.
  """
  said, path = checkpoints.belongs_to(checkpoint).get('config'), _beside(checkpoint, names.CONFIG_FILE)
  try:
    if said:
      path, own = checkpoint + names.MANIFEST, AlbertConfig.from_dict(said, checkpoint + names.MANIFEST)
    elif path:
      own = AlbertConfig.from_json_file(path)
    else:
      return
    wanted = config.to_dict()
    different = ['{} {} (here: {})'.format(key, value, wanted[key]) for key, value in own.to_dict().items()
                 if key in _UNTOLD and wanted[key] != value]
    if different:
      raise UserError('{}: expected weights of the configuration asked for, found that {} says {}; use that '
                      'configuration'.format(checkpoint, path, ', '.join(different)))
  except UserError as error:
    if not is_partial:
      raise UserError('{}, or say that it is meant: pretrain.init_partial=True'.format(error))
    _LOG.warning('%s', error)


def check_beside(checkpoint, config_file, vocab_file):
  """Raises UserError where a file that describes a checkpoint is not what its manifest says: changed, or another's.

  Args:
    checkpoint: prefix; without a manifest nothing is compared.
    config_file, vocab_file: paths of what lies beside it, or None.
  """
  said = checkpoints.belongs_to(checkpoint)
  digest = said.get('vocabulary')
  if vocab_file and digest and digest not in (files.file_sha256(vocab_file), _digest(_tokens(vocab_file))):
    raise _not_its_vocabulary(vocab_file, checkpoint, digest)
  if config_file and said.get('config'):
    own, beside = said['config'], AlbertConfig.from_json_file(config_file).to_dict()
    different = [name for name in _UNTOLD if name in own and own[name] != beside[name]]
    if different:
      raise UserError('{}: expected the configuration that {} was trained with, {}, found {}; restore it'.format(
          config_file, checkpoint, ', '.join('{} {}'.format(name, own[name]) for name in different),
          ', '.join(str(beside[name]) for name in different)))


def _not_its_vocabulary(path, checkpoint, said):
  """The UserError about a vocabulary beside a checkpoint. said: the SHA-256 that its manifest has."""
  return UserError('{}: expected the vocabulary that {} was trained with (SHA-256 {:.12}...), found another '
                   '({:.12}...); restore it'.format(path, checkpoint, said, files.file_sha256(path)))


def _digest(tokens):
  """SHA-256 of a vocabulary as this repository writes it: another end of lines is no other vocabulary."""
  return hashlib.sha256(''.join(token + '\n' for token in tokens).encode('utf-8')).hexdigest()


def _beside(checkpoint, name):
  """Path of the file beside a checkpoint that describes it, or None.

  Published weights come with names like vocab_chinese.txt and albert_config_base.json: the only one of its kind counts.
  """
  folders = directory.description_folders(checkpoint)
  paths = [os.path.join(folder, name) for folder in folders]
  stem, ending = os.path.splitext(name)
  alike = glob.glob(os.path.join(glob.escape(folders[0]), stem + '*' + ending))
  return next((path for path in paths if os.path.isfile(path)), alike[0] if len(alike) == 1 else None)
