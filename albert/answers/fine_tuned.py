"""A fine-tuned model and what lies beside its weights: from a labelled or bare text to logits.

    model = fine_tuned.find('out')
    with model.predictor(device) as predictor:
      for example, windows, logits in model.logits(predictor, examples):
        ...
"""

import collections
import dataclasses
import os
import typing

import numpy as np
import tensorflow as tf

from albert.common.errors import UserError
from albert.labelled.encoding import Encoder
from albert.labelled.example import BadLine
from albert.labelled.labels import Labels
from albert.labelled import options as labelled
from albert import prediction
from albert.run import checkpoints
from albert.run import directory
from albert.run import names
from albert.run import results
from albert.run import run_files
from albert.tasks import classification
from albert.tasks import crf
from albert.tasks.labelled_task import LabelledTask
from albert.tasks import labelled_tasks

BATCH_SIZE = 32

# One window on its way through the model. example: Example or BadLine; windows: all of it; place: number of this one.
_Row = collections.namedtuple('_Row', ['example', 'windows', 'place'])


@dataclasses.dataclass(frozen=True)
class FineTuned:
  """A model that answers.

  Attributes:
    model: prediction.Model.
    task: tasks.labelled_task.LabelledTask.
    labels: labelled.labels.Labels.
    data: LabelledOptions that it was trained with.
    is_pair: whether it reads two texts; None: task.json does not say.
  """

  model: prediction.Model
  task: LabelledTask
  labels: Labels
  data: labelled.LabelledOptions
  is_pair: typing.Optional[bool]

  @property
  def kind(self):
    """One of labelled.options.KINDS."""
    return self.task.kind

  @property
  def prefix(self):
    """str, of the checkpoint."""
    return self.model.prefix

  @property
  def tokenizer(self):
    """tokenization.Tokenizer."""
    return self.model.tokenizer

  def predictor(self, device):
    """prediction.Predictor, a context."""
    return prediction.Predictor(self.task, self.kind, self.model, device, ['logits'], BATCH_SIZE)

  def logits(self, predictor, examples, is_prompt=False):
    """Yields (Example, its windows, float32 logits [C] or [n, C] of each), in order; (BadLine, None, None).

    Args:
      predictor: what predictor() gave.
      examples: iterable of Example and BadLine.
      is_prompt: whether each is answered before the next one is read.
    """
    encoder = Encoder(self.kind, self.tokenizer, self.data, self.labels)
    rows = self._rows(encoder, examples)
    gathered = []
    for row, logits in predictor.answers(rows, self._read, is_prompt):
      gathered.append(logits)
      if row.windows is None:
        yield row.example, None, None
        gathered = []
      elif row.place == len(row.windows) - 1:
        yield row.example, row.windows, gathered
        gathered = []

  def windows(self, examples):
    """Yields (Example, its windows) of each."""
    encoder = Encoder(self.kind, self.tokenizer, self.data, self.labels)
    for example in examples:
      yield example, encoder.windows(example)

  def _rows(self, encoder, examples):
    for entry in examples:
      if not isinstance(entry, BadLine):
        entry = self._checked(entry)
      if isinstance(entry, BadLine):
        yield _Row(entry, None, 0), None
        continue
      windows = encoder.windows(entry)
      for place, window in enumerate(windows):
        yield _Row(entry, windows, place), {
            'input_ids': window.input_ids, 'input_mask': [1] * len(window.input_ids),
            'segment_ids': window.segment_ids}

  def _checked(self, example):
    """The example, or a BadLine where it has one text and the model was trained with two, or the reverse."""
    if self.is_pair in (None, example.text_b is not None):
      return example
    return BadLine(example.line, example.id, 'expected {}, as the model was trained with, found {}'.format(
        *(('two texts', 'one') if self.is_pair else ('one text', 'two'))))

  def _read(self, row, answer):
    if answer is None:
      return row, None
    logits = answer['logits']
    if self.task.of_tokens:
      logits = logits[:len(row.windows[row.place].input_ids)]
    return row, np.array(logits)


def find(path):
  """The FineTuned at a path: the folder of a run, its best/ or a prefix; of several seeds the best one.

  Raises:
    UserError: no such model, or one that was only pre-trained.
  """
  model = prediction.find(path)
  task_file = directory.file_beside(model.prefix, names.TASK_FILE)
  if task_file is None:
    raise UserError('{}: expected a fine-tuned model, found no {} beside it; train one first: make finetune TASK=... '
                    'DATA=... INIT={} OUT=...'.format(model.prefix, names.TASK_FILE, os.path.dirname(model.prefix)))
  task, labels, data = labelled_tasks.of_run(
      task_file, os.path.join(os.path.dirname(task_file), names.LABELS_FILE), model.config)
  task.judged = labelled_tasks.Judged([], [], labels)
  if task.options.crf:
    reader = tf.train.load_checkpoint(model.prefix)
    task.decode_with(np.concatenate([np.atleast_2d(reader.get_tensor('{}/{}'.format(crf.SCOPE, name)))
                                     for name in crf.NAMES]))
  if task.kind == labelled.CLASSIFY and task.threshold is None:
    task.threshold = _tuned_threshold(model.prefix)
  about, _ = run_files.read_json(task_file, lambda value: isinstance(value, dict))
  return FineTuned(model, task, labels, data, about.get('pair'))


def averaged(models):
  """The first of several FineTuned of one task, which decides with the means of their transitions and thresholds."""
  task = models[0].task
  if task.kind == labelled.TAG and task.options.crf:
    task.decode_with(np.mean([model.task.transitions for model in models], axis=0))
  if task.kind == labelled.CLASSIFY:
    task.threshold = float(np.mean([model.task.threshold for model in models]))
  return models[0]


def best_figures(prefix):
  """The content of the best.json beside a checkpoint, a dict; empty where there is none."""
  best, _ = run_files.read_json(os.path.join(os.path.dirname(prefix), names.BEST_FILE), run_files.is_best)
  return best or {}


def _tuned_threshold(prefix):
  """The threshold that was the best when a checkpoint was evaluated, as best.json or the history beside it says."""
  folder, best = os.path.dirname(prefix), best_figures(prefix)
  steps, values = results.columns(os.path.join(folder, names.HELDOUT_HISTORY_FILE), classification.THRESHOLD)
  tuned = dict(zip(steps, values))
  if best:
    tuned[best['global_step']] = best.get(classification.THRESHOLD)
  threshold = tuned.get(checkpoints.step_of(prefix))
  if not run_files.is_number(threshold):
    raise UserError('{}: expected its threshold in {} or {} beside it, found none; name the run, or its best/'.format(
        prefix, names.BEST_FILE, names.HELDOUT_HISTORY_FILE))
  return threshold
