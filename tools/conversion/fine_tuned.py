"""What lies beside the weights of a fine-tuned model: its kind and its labels."""

import json

from albert.common.errors import UserError
from albert.dataset import record_format
from albert.run import directory
from albert.run.names import LABELS_FILE
from albert.run.names import SOURCE_FILE
from albert.run.names import TASK_FILE

# What --task may be.
KINDS = record_format.KINDS


def read_json(path):
  """A JSON object as a dict, {} where there is no such file. Raises UserError if it is something else."""
  try:
    with open(path, encoding='utf-8') as source:
      values = json.load(source)
  except FileNotFoundError:
    return {}
  except (OSError, ValueError) as error:
    raise UserError('{}: expected a JSON file, found one that cannot be read ({}); copy it again'.format(path, error))
  if not isinstance(values, dict):
    raise UserError('{}: expected a JSON object, found a {}; copy it again'.format(path, type(values).__name__))
  return values


def _beside(checkpoint, name):
  path = directory.file_beside(checkpoint.path, name)
  return read_json(path) if path else {}


def task_of(checkpoint):
  """(kind, transformers' problem_type) of a Checkpoint, each a str or None.

  Kinds are KINDS; None for pre-training and whatever else there may be.
  """
  task = _beside(checkpoint, TASK_FILE)
  source = _beside(checkpoint, SOURCE_FILE)
  kind = task.get('kind', source.get('task'))
  kind = kind if kind in KINDS else None
  if kind == record_format.REGRESS:
    return kind, 'regression'
  if kind == record_format.CLASSIFY and task:
    return kind, 'multi_label_classification' if task.get('multi_label') else 'single_label_classification'
  return kind, source.get('problem_type')


def _labels_in(path):
  try:
    with open(path, encoding='utf-8') as source:
      values = json.load(source)
    return list(values['labels'] if isinstance(values, dict) and 'labels' in values else values)
  except (OSError, ValueError, TypeError) as error:
    raise UserError('{}: expected a JSON list of labels, found: {}; copy it again'.format(path, error))


def labels_of(checkpoint, count):
  """The `count` labels of a Checkpoint's classifier, a list of str, or None if nothing beside it names them.

  labels.json is a list, an object with the list as `labels`, or one with the labels as keys, in order.

  Raises:
    UserError: another number of labels, or a file of another form.
  """
  path = directory.file_beside(checkpoint.path, LABELS_FILE)
  if path is None:
    labels = _beside(checkpoint, SOURCE_FILE).get('labels')
  else:
    labels = _labels_in(path)
  if labels is None:
    return None
  if len(labels) != count:
    raise UserError('{}: expected {} labels, the rows of the classifier, found {}; use the labels of these '
                    'weights'.format(path or checkpoint.path, count, len(labels)))
  return [str(label) for label in labels]
