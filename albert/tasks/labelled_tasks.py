"""The kinds of fine-tuning by name, and how a task is made of a run's options and labels."""

import collections
import dataclasses
import json

import numpy as np

from albert.common.errors import UserError
from albert.dataset import record_format
from albert.labelled.labels import Labels
from albert.labelled import options as labelled
from albert.tasks.classification import Classification
from albert.tasks.labelled_task import by_window  # noqa: F401, part of this module's interface
from albert.tasks.labelled_task import HeadOptions
from albert.tasks.labelled_task import Judged  # noqa: F401, part of this module's interface
from albert.tasks.reading import Reading
from albert.tasks.regression import Regression
from albert.tasks.tagging import Tagging

KINDS = {kind.kind: kind for kind in (Classification, Regression, Tagging, Reading)}


def head_options(options, labels):
  """HeadOptions of a run.

  Args:
    options: has kind, head_dropout, class_weights, label_smoothing, crf, metric and threshold, see FinetuneOptions.
    labels: labelled.labels.Labels.

  Raises:
    UserError: an option does not fit the labels.
  """
  classes = {labelled.REGRESS: 1, labelled.READ: 2}.get(options.kind) or len(labels.names)
  multi_label = options.kind == labelled.CLASSIFY and bool(labels.multi_label)
  head = HeadOptions(classes, multi_label, options.head_dropout, _class_weights(options.class_weights, labels),
                     options.label_smoothing, options.crf, options.metric, options.threshold)
  if options.threshold != HeadOptions.threshold and not multi_label:
    raise UserError('finetune.threshold: expected {}, found {!r}; it belongs to texts with several classes, see '
                    'FinetuneData.multi_label'.format(HeadOptions.threshold, options.threshold))
  known = ('loss',) + KINDS[options.kind](None, None, head).figures
  if options.metric not in (None,) + known:
    raise UserError('finetune.metric: expected one of {}, found {!r}; correct it'.format(
        ', '.join(known), options.metric))
  return head


def _class_weights(weights, labels):
  """A float per class, or None."""
  if weights is None:
    return None
  if weights == 'balanced':
    counts = np.array([labels.counts.get(name, 0) for name in labels.names], np.float64)
    # A label that train lacks never occurs.
    return tuple(float(weight) for weight in counts.sum() / (len(counts) * np.maximum(counts, 1)))
  if len(weights) != len(labels.names):
    raise UserError('finetune.class_weights: expected {} numbers, one for each of {}, found {}'.format(
        len(labels.names), ', '.join(labels.names[:5]) + (', ...' if labels.names[5:] else ''), len(weights)))
  return tuple(float(weight) for weight in weights)


class Maker:
  """Makes the task of a run when its configuration is known, as planning.decide wants it.

  Attributes:
    features, criterion: as those of the task.
  """

  def __init__(self, kind, head, judged, max_answer_length=50, fgm_epsilon=0.0):
    """Arguments: one of KINDS, HeadOptions, Judged; of `read` tokens of an answer; see FinetuneOptions.fgm_epsilon."""
    self._kind, self._head, self._judged = kind, head, judged
    self._fgm_epsilon = fgm_epsilon
    impossible = kind == labelled.READ and any(
        example.label is not None and example.label.impossible for example in judged.examples)
    self._reading = {'max_answer_length': max_answer_length, 'unanswerable': impossible}
    self.features = record_format.labelled_features(kind, head.classes, head.multi_label)
    self.criterion = KINDS[kind](None, None, head).criterion

  def described(self):
    """The content of task.json, for of_run(): a dict for JSON."""
    return {'kind': self._kind, 'head': dataclasses.asdict(self._head), 'reading': self._reading}

  def __call__(self, config, info):
    """The LabelledTask of an AlbertConfig and a contract.DatasetInfo."""
    more = self._reading if self._kind == labelled.READ else {}
    task = KINDS[self._kind](config, info, self._head, self._judged, **more)
    task.settings = dict(task.settings, fgm_epsilon=self._fgm_epsilon)
    return task


# A fine-tuned run as prediction needs it. task: LabelledTask. labels: labelled.labels.Labels. data:
# labelled.options.LabelledOptions.
FineTuned = collections.namedtuple('FineTuned', ['task', 'labels', 'data'])


def of_run(task_file, labels_file, config):
  """The FineTuned that task.json and labels.json of a run or its best/ describe.

  prediction.Predictor(task, task.kind, ...) gives the logits of rows that labelled.encoding.Encoder made; what they
  mean say classification.probabilities_of, regression.value_of, Tagging.entities and Reading.answers.

  Args:
    task_file, labels_file: paths.
    config: AlbertConfig of its weights, with vocab_size.

  Raises:
    UserError: the files are absent or say something else.
  """
  try:
    with open(task_file, encoding='utf-8') as source:
      said = json.load(source)
    head, data = HeadOptions(**said['head']), labelled.LabelledOptions(**said['data'])
    kind = KINDS[said['kind']]
    more = said['reading'] if said['kind'] == labelled.READ else {}
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError('{}: expected the task of a fine-tuned run, found {}; name the folder of one, or its best/'.format(
        task_file, 'none that can be read ({})'.format(error)))
  return FineTuned(kind(config, None, head, **more), Labels.load(labels_file), data)
