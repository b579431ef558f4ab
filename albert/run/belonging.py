"""Whether weights belong to a configuration and a vocabulary: compared by content, named where they differ.

Shapes do not show it: a vocabulary in another order has as many rows, and heads, activation and, where layers share
weights, even their number are in no tensor. A checkpoint's manifest says what it was made with; for weights without
one, files beside them do.
"""

import hashlib

from albert.common.errors import UserError
from albert.common import files
from albert.model.config import AlbertConfig
from albert.run import checkpoints
from albert.run import directory
from albert.run import names

# What changes the model and shows in no shape. Of the rest, the graph's own check names the tensors.
_UNSHOWN = ('num_hidden_layers', 'num_attention_heads', 'hidden_act')


def entries(config, info):
  """The entries of a manifest that say what its weights belong to.

  config: AlbertConfig; info: contract.DatasetInfo of the training data.
  """
  return {'vocabulary': info.vocab_sha256, 'config': dict(config.to_dict())}


def check_vocabulary(checkpoint, info):
  """Raises UserError where weights were trained with another vocabulary than a data set was made with.

  Args:
    checkpoint: prefix. info: contract.DatasetInfo. Where either does not say its vocabulary, nothing is compared.
  """
  if not info.vocab_sha256:
    return
  said, own = checkpoints.belongs_to(checkpoint).get('vocabulary'), directory.file_beside(checkpoint, names.VOCAB_FILE)
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


def check_config(checkpoint, config):
  """Raises UserError where weights were trained with another configuration, in what their shapes do not show.

  Args:
    checkpoint: prefix. config: AlbertConfig that is going to use them.
  """
  said, path = checkpoints.belongs_to(checkpoint).get('config'), directory.file_beside(checkpoint, names.CONFIG_FILE)
  if said:
    path, own = checkpoint + names.MANIFEST, AlbertConfig.from_dict(said, checkpoint + names.MANIFEST)
  elif path:
    own = AlbertConfig.from_json_file(path)
  else:
    return
  wanted = config.to_dict()
  different = ['{} {} (here: {})'.format(key, value, wanted[key]) for key, value in own.to_dict().items()
               if key in _UNSHOWN and wanted[key] != value]
  if different:
    raise UserError('{}: expected weights of the requested configuration, found that {} says {}; use that '
                    'configuration'.format(checkpoint, path, ', '.join(different)))


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
    different = [name for name in _UNSHOWN if name in own and own[name] != beside[name]]
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
