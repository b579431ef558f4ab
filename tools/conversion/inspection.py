"""What is in a checkpoint, and whether it is whole."""

import collections
import os

import numpy as np

from albert.common.errors import UserError
from albert.model import names
from albert.run import checkpoints
from albert.run import directory
from albert.run.names import CONFIG_FILE
from albert.run.names import MANIFEST
from albert.run.names import VOCAB_FILE
from tools.conversion import reading
from tools.conversion.reading import SLOTS_PART
from tools.conversion.reading import STEP


def inspect(checkpoint):
  """A summary of one Checkpoint, as plain values: parts, variables with norms and non-finite values, what is beside it.

  A norm is the square root of the sum of squares, None where a value is not finite.
  """
  parts = collections.OrderedDict()
  variables = []
  for name, shape in checkpoint.shapes.items():
    part = reading.part_of(name, checkpoint.shapes)
    size = int(np.prod(shape))
    count = parts.setdefault(part, {'variables': 0, 'parameters': 0})
    count['variables'] += 1
    count['parameters'] += size
    value = np.asarray(checkpoint.tensor(name))
    bad = reading.count_non_finite(value)
    variables.append({'name': name, 'shape': shape, 'dtype': checkpoint.dtypes[name].name, 'part': part,
                      'non_finite': bad, 'norm': None if bad or not np.issubdtype(value.dtype, np.number) else float(
                          np.linalg.norm(value.astype(np.float64).ravel()))})
  family = names.recognise(checkpoint.shapes)
  return {
      'checkpoint': checkpoint.path, 'family': family.name, 'family_reason': family.reason,
      'global_step': checkpoint.step,
      'parameters': sum(count['parameters'] for part, count in parts.items() if part not in (SLOTS_PART, STEP)),
      'non_finite': sum(variable['non_finite'] for variable in variables),
      'model_parts': names.parts_in(checkpoint.shapes),
      'beside': [_beside(checkpoint, name) for name in (CONFIG_FILE, VOCAB_FILE)],
      'parts': collections.OrderedDict(sorted(parts.items(), key=lambda item: item[0] in (SLOTS_PART, STEP))),
      'variables': variables,
  }


def _beside(checkpoint, name):
  """{'name', 'path' or None, 'problems': list of str} of the configuration or the vocabulary of a Checkpoint."""
  path = directory.file_beside(checkpoint.path, name)
  check = _config_problems if name == CONFIG_FILE else _vocabulary_problems
  return {'name': name, 'path': path, 'problems': check(checkpoint) if path else []}


def verify(checkpoint):
  """Whether a Checkpoint is whole: {'checkpoint', 'checked': [...], 'problems': [...]} of lines for people."""
  manifest = os.path.exists(checkpoint.path + MANIFEST)
  problems, checked = [], []
  if manifest:
    damage = checkpoints.problem_with(checkpoint.path)
    problems += ['manifest: {}'.format(damage)] if damage else []
  checked.append('manifest: {}'.format('checksums compared' if manifest else 'none, so no checksums to compare'))
  family = names.recognise(checkpoint.shapes)
  if family.name != names.ALBERT:
    problems.append('family: {} ({})'.format(family.name, family.reason))
  problems += list(_bad_values(checkpoint))
  checked.append('{} variables: values finite'.format(len(checkpoint.shapes)))
  for name, check in ((CONFIG_FILE, _config_problems), (VOCAB_FILE, _vocabulary_problems)):
    path = directory.file_beside(checkpoint.path, name)
    if path and (family.name == names.ALBERT or name != CONFIG_FILE):
      problems += check(checkpoint)
    elif not path:
      problems.append('{}: not beside the checkpoint'.format(name))
    checked.append('{}: {}'.format(name, path or 'none'))
  absent = [part for part in (names.POOLER, names.MASKED_LM, names.SENTENCE_ORDER)
            if part not in names.parts_in(checkpoint.shapes)]
  checked.append('parts: {}{}'.format(', '.join(names.parts_in(checkpoint.shapes)) or 'none',
                                      '; without {}'.format(', '.join(absent)) if absent else ''))
  return {'checkpoint': checkpoint.path, 'checked': checked, 'problems': problems}


def _bad_values(checkpoint):
  for name in checkpoint.shapes:
    try:
      bad = reading.count_non_finite(checkpoint.tensor(name))
    except UserError as error:
      yield '{}: cannot be read ({})'.format(name, error)
    else:
      if bad:
        yield '{}: {} values are not finite'.format(name, bad)


def _config_problems(checkpoint):
  """What contradicts the configuration beside a Checkpoint."""
  try:
    config = reading.config_of(checkpoint)
  except UserError as error:
    return [str(error)]
  wanted, parts = names.model_shapes(config), names.parts_in(checkpoint.shapes)
  needed = {name: shape for name, shape in wanted.items() if names.part_of_model(name) in parts + [names.ENCODER]}
  problems = ['{}: missing'.format(name) for name in needed if name not in checkpoint.shapes]
  problems += ['{}: {} instead of {}'.format(name, checkpoint.shapes[name], list(shape))
               for name, shape in needed.items() if checkpoint.shapes.get(name, list(shape)) != list(shape)]
  known = (names.CLASSIFIER, names.SPANS)
  return problems + ['{}: not of this configuration'.format(name) for name in checkpoint.model_weights()
                     if name not in wanted and names.part_of_model(name) not in known]


def _vocabulary_problems(checkpoint):
  """What contradicts the vocabulary beside a Checkpoint."""
  try:
    vocabulary = reading.vocabulary_of(checkpoint)
  except UserError as error:
    return [str(error)]
  rows = checkpoint.shapes.get(names.WORD_EMBEDDINGS, [None])[0]
  if rows in (None, len(vocabulary)):
    return []
  return ['{}: {} tokens for {} rows of the word embeddings'.format(VOCAB_FILE, len(vocabulary), rows)]
