"""Weights with what must lie beside them: to answer with, or for fine-tuning to start from."""

import os

from albert.common.errors import UserError
from albert.dataset.tokenization import Vocabulary
from albert.model import names as variables
from albert.run import checkpoints
from albert.run import directory
from albert.run import loading
from albert.run.loading import Weights
from albert.run.names import CONFIG_FILE
from albert.run.names import VOCAB_FILE

_MOST_NAMED = 3


def find(init, vocab_file):
  """loading.Weights with configuration and vocabulary; without INIT, prefix and config are None.

  Args:
    init: a run's folder, best/, a prefix or a release, or None for random weights.
    vocab_file: path of the vocabulary for random weights; beside weights their own counts. Or None.

  Raises:
    UserError: something is not there.
  """
  if not init:
    if not vocab_file or not os.path.exists(vocab_file):
      raise UserError('expected weights with their vocabulary (INIT=...), or a vocabulary for random weights '
                      '(VOCAB=...), found {}; name one'.format(vocab_file and 'no file ' + vocab_file or 'neither'))
    return Weights(None, None, vocab_file)
  return complete(init)


def complete(path):
  """loading.Weights at a path, with the configuration and the vocabulary that must lie beside them.

  Args:
    path: as for loading.find.

  Raises:
    UserError: no such checkpoint, one of another family, or something beside it is missing or another's.
  """
  weights = loading.find(path)
  shapes = loading.albert_shapes(weights.prefix)
  missing = [name for name, value in ((CONFIG_FILE, weights.config), (VOCAB_FILE, weights.vocab_file)) if value is None]
  if missing:
    raise UserError('{}: expected {} beside the weights, found none; copy there what they were trained with'.format(
        weights.prefix, ' and '.join(missing)))
  rows, listed = shapes.get(variables.WORD_EMBEDDINGS, [None])[0], len(Vocabulary.load(weights.vocab_file))
  if rows not in (None, listed):
    raise UserError('{}: expected the {:,} tokens of the weights, found {:,}; put the vocabulary that they were '
                    'trained with there'.format(weights.vocab_file, rows, listed))
  return weights


def lower_case(weights, output_dir):
  """Whether text is read in lower case: as the run in a folder began, the weights or their vocabulary say."""
  prefixes = [prefix for prefix in (checkpoints.latest(output_dir), weights.prefix) if prefix]
  return directory.lower_case(prefixes, Vocabulary.load(weights.vocab_file).tokens)


def describe(weights, config, needs_pooler, new_pooler):
  """The parts that are taken over from weights, as 'encoder 23 of 23 variables, pooler 2 of 2, head new'.

  Args:
    weights: loading.Weights of a checkpoint.
    config: AlbertConfig with vocab_size.
    needs_pooler: whether the task reads the pooled [CLS].
    new_pooler: whether a pooler begins at random.

  Raises:
    UserError: a variable of the encoder is missing, or the pooler where it is needed and may not be new.
  """
  shapes, wanted = loading.shapes_of(weights.prefix), variables.model_shapes(config)
  counts = {}
  for part in (variables.ENCODER, variables.POOLER):
    own = [name for name in wanted if variables.part_of_model(name) == part]
    counts[part] = own, [name for name in own if name not in shapes]
  own, missing = counts[variables.ENCODER]
  if missing:
    raise UserError('{}: expected all {} variables of the encoder, found that {} are missing: {}; name whole '
                    'weights'.format(weights.prefix, len(own), len(missing), ', '.join(missing[:_MOST_NAMED])))
  said = ['encoder {0} of {0} variables'.format(len(own))]
  own, missing = counts[variables.POOLER]
  if needs_pooler and missing and not new_pooler:
    raise UserError('{}: expected a pooler, found none, as in weights that were trained without a second objective; '
                    'say finetune.new_pooler=True to begin with one at random, or name others'.format(weights.prefix))
  if needs_pooler:
    said.append('pooler new' if new_pooler else 'pooler {0} of {0}'.format(len(own)))
  return ', '.join(said + ['head new'])


def check_vocabulary(weights, vocab_file, used):
  """Raises UserError where another vocabulary has other tokens for ids that the training text uses.

  Args:
    weights: loading.Weights with its vocabulary.
    vocab_file: path of the other one.
    used: set of ids.
  """
  own, other = Vocabulary.load(weights.vocab_file).tokens, Vocabulary.load(vocab_file).tokens
  different = [number for number in sorted(used) if number >= len(other) or own[number] != other[number]]
  if different:
    raise UserError('{}: expected the vocabulary of the weights, {}, found other tokens for {:,} ids that the training '
                    'text uses: {}; leave VOCAB out'.format(vocab_file, weights.vocab_file, len(different), ', '.join(
                        '{} {!r} instead of {!r}'.format(number, other[number] if number < len(other) else None,
                                                         own[number]) for number in different[:_MOST_NAMED])))
