"""The common part of the tasks of fine-tuning: packed windows of labelled text, an encoder and a head.

A loss is a weighted mean: sum(weights * losses) / sum(weights), both over the whole batch, so that rows, micro-batches
and towers change nothing. A subclass gives the head, the losses and their weights, and scores answers on the host.

Shapes: R rows, S sequence, K examples of a row, C classes, H hidden size. Without packing R is B, and K is 1.
"""

import collections
import dataclasses
import typing

import numpy as np
import tensorflow as tf

from albert.dataset import record_format
from albert.input.formats.packed_windows import PACKING_FIELDS
from albert.model import layers
from albert import modeling
from albert.scoring import baseline
from albert.tasks.task import Criterion
from albert.tasks.task import HeadSize
from albert.tasks.task import Task

# logits: float32 [R, K, C] of examples, or [R, S, C] of tokens. loss: float32 [R, ...], weighted; weights: float32 of
# the same shape. Both None without labels. crf: float32 [C + 2, C], trained transitions, start and end scores, or None.
Outputs = collections.namedtuple('Outputs', ['logits', 'loss', 'weights', 'crf'], defaults=[None])

# Labelled text that figures are of: lists of labelled.example.Example and labelled.encoding.Window, all windows of the
# examples in order, and labelled.labels.Labels.
Judged = collections.namedtuple('Judged', ['examples', 'windows', 'labels'])

# Of numbers in answers.
_DIGITS = 6
# Keeps the mean of nothing from being 0 / 0, and is lost beside one example.
_LEAST_WEIGHT = 1e-6


@dataclasses.dataclass(frozen=True)
class HeadOptions:
  """Options of a head. Immutable.

  Attributes:
    classes: C, number of classes or tags; 1 for a number, 2 for the begin and end of an answer.
    multi_label: whether an example may have several classes.
    dropout: of what the head reads, in training.
    class_weights: C floats that losses of a class are multiplied by, or None for 1.
    label_smoothing: share of the probability that is spread over all classes.
    crf: whether transitions between tags are trained too.
    metric: name of the figure that picks the best checkpoint; None: the kind's first.
    threshold: the probability above which one of several classes is predicted, or 'dev': the one that is best there.
  """

  classes: int
  multi_label: bool = False
  dropout: float = 0.1
  class_weights: typing.Optional[typing.Tuple[float, ...]] = None
  label_smoothing: float = 0.0
  crf: bool = False
  metric: typing.Optional[str] = None
  threshold: typing.Union[float, str] = 0.5


class LabelledTask(Task):
  """The interface of a kind, in addition to Task.

  Attributes:
    kind: one of labelled.options.KINDS, also the task's name.
    figures: names of the held-out figures, the one that picks the best first.
    scope: of the head's output_weights and output_bias, named as the published fine-tuned checkpoints and
      tools.checkpoints to-hf have them.
    of_tokens: whether logits are those of tokens.
    options: HeadOptions.
    judged: Judged of the held-out records; None where nothing is scored.
  """

  kind = None
  figures = ()
  scope = ''
  of_tokens = False

  def __init__(self, config, info, options, judged=None):
    """Makes a task.

    Args:
      config: AlbertConfig with vocab_size.
      info: contract.DatasetInfo of labelled records, or None.
      options: HeadOptions.
      judged: Judged of the held-out records; None where nothing is scored.
    """
    del info
    self.options = options
    self.name = self.kind
    self._config, self.judged = config, judged
    self.features = record_format.labelled_features(self.kind, options.classes, options.multi_label)
    self.signatures = {self.kind: ('input_ids', 'input_mask', 'segment_ids')}
    self.heldout_columns = ('loss',) + self.figures
    metric = options.metric or self.figures[0]
    self.criterion = Criterion(metric, lowest=metric in ('loss', 'mse'))
    self.settings = {'head_' + name: str(list(value)) if isinstance(value, tuple) else value
                     for name, value in dataclasses.asdict(options).items() if name != 'metric'}
    self._batch = collections.namedtuple('LabelledBatch', [
        spec.name for spec in self.features] + list(PACKING_FIELDS))

  def head_size(self, max_predictions_per_seq):
    del max_predictions_per_seq
    classes = self.options.classes
    parameters = classes * (self._config.hidden_size + 1) + self.options.crf * classes * (classes + 2)
    # Beside a row's tokens: a position, an example, and at most as much of labels.
    return HeadSize(parameters, classes * (self._tokens_of_head if self.of_tokens else 1), self._tokens_of_head)

  # A row's labels are of examples, or of tokens, whose number the estimate does not know: of the longest there are.
  _tokens_of_head = 512

  def batch(self, features):
    """The namedtuple of the features and of packed_windows.PACKING_FIELDS, or None for what is not given."""
    return self._batch(**{name: features.get(name) for name in self._batch._fields})

  def sizes(self, batch):
    return tf.cast(tf.reduce_sum(batch.example_weights), tf.int32), tf.reduce_sum(batch.input_mask)

  def denominators(self, batch, collectives=None):
    """float32 scalar, the sum of all weights. Fine-tuning has one rank."""
    del collectives
    return tf.maximum(tf.reduce_sum(self.weights(batch)), _LEAST_WEIGHT)

  def loss(self, part, ops, divide_by, recompute=False):
    logits, losses = self._graph(part, ops, True, recompute)
    weights = self.weights(part)
    total = tf.reduce_sum(weights * losses) / divide_by
    figures = collections.OrderedDict([('total_loss', total)])
    hits = self.hits(part, logits)
    if hits is not None:
      figures['accuracy'] = tf.reduce_sum(weights * hits) / divide_by
    return total, figures

  def outputs(self, part, ops):
    """Outputs."""
    logits, losses = self._graph(part, ops, False)
    if losses is None:
      return Outputs(logits, None, None)
    weights = self.weights(part)
    return Outputs(logits, weights * losses, weights)

  def serve(self, signature, part, ops):
    """The one signature, which is called like the kind: logits [B, C], or of tokens [B, S, C]; and served()."""
    logits = self.outputs(part, ops).logits
    logits = logits if self.of_tokens else logits[:, 0]
    return collections.OrderedDict([('logits', logits)] + self.served(logits))

  def served(self, logits):
    """The outputs of an export besides logits, for programs without a decoder: list of (name, tensor)."""
    del logits
    return []

  def metrics(self, batch, outputs):
    """The loss over all examples or tokens."""
    return {'loss': tf.metrics.mean(tf.math.divide_no_nan(outputs.loss, outputs.weights), outputs.weights)}

  def predictions(self, batch, outputs):
    """The arrays that by_window() needs."""
    arrays = {'logits': outputs.logits, 'window': batch.window, 'example_weights': batch.example_weights}
    return dict(arrays, example_ids=batch.example_ids) if self.of_tokens else arrays

  def score(self, predictions):
    """See Task.score. Each of the judged examples counts once, in however many windows."""
    logits = by_window(predictions)
    windows, scored = self.judged.windows, []
    first = 0
    for example in self.judged.examples:
      end = first
      while end < len(windows) and windows[end].example == example.number:
        end += 1
      if all(number in logits for number in range(first, end)):  # else left out: max_eval_steps, or lost
        scored.append(self.scored(example, windows[first:end], [logits[number] for number in range(first, end)]))
      first = end
    figures = self.figures_of(scored)
    # Numbers that are all equal have no correlation.
    kept = collections.OrderedDict((name, 0. if value is None else float(value)) for name, value in figures.items()
                                   if name in self.heldout_columns)
    return kept, baseline.doubt(figures, len(scored))

  def line(self, figures):
    if 'accuracy' in figures:
      return 'loss {:.4f} (accuracy {:.4f})'.format(figures['total_loss'], figures['accuracy'])
    return super().line(figures)

  def summary(self, step, figures):
    return ['dev at step {:,}: {}'.format(step, ', '.join(
        '{} {:.4f}'.format(name.replace('_', ' '), figures[name]) for name in self.heldout_columns[1:] + ('loss',)))]

  def _graph(self, part, ops, is_training, recompute=False):
    """(logits, losses or None without labels)."""
    packing, read_positions = None, None
    if part.example_ids is not None:
      packing = modeling.Packing(part.position_ids, part.example_ids, part.cls_positions)
    if not self.of_tokens:
      read_positions = tf.zeros_like(part.input_ids[:, :1]) if packing is None else part.cls_positions
    encoder = modeling.albert(part.input_ids, part.input_mask, part.segment_ids, self._config, is_training, ops,
                              read_positions, packing, recompute, pooled=not self.of_tokens)
    hidden = encoder.sequence_output if self.of_tokens else encoder.pooled_output
    rows, width = layers.size(part.input_ids, 0), self._config.hidden_size
    hidden = tf.reshape(hidden, [-1, width])
    with tf.variable_scope(self.scope or tf.get_variable_scope()):
      head = layers.Dense(
          layers.weight_variable('output_weights', [self.options.classes, width], self._config.initializer_range),
          tf.get_variable('output_bias', [self.options.classes], initializer=tf.zeros_initializer()))
    if is_training:
      hidden = (ops or modeling.default_ops()).dropout(hidden, self.options.dropout)
    logits = tf.nn.bias_add(tf.matmul(hidden, head.kernel, transpose_b=True), head.bias)
    logits = tf.reshape(logits, [rows, -1, self.options.classes])
    return logits, self.losses(part, logits)

  def losses(self, part, logits):
    """float32, of the shape of weights(); None without labels. logits: float32 [R, K or S, C]."""
    raise NotImplementedError

  def weights(self, batch):
    """float32 [R, ...], what losses() are multiplied by: 0 where there is nothing to learn."""
    raise NotImplementedError

  def hits(self, part, logits):
    """float32 of the shape of weights(), 1 where the answer is right; None where that says nothing."""
    del part, logits
    return None

  def answer(self, example, windows, logits, n_best=1):
    """The model's answer to an example.

    Args:
      example: Example. windows: its Windows. logits: list of their logits, float [C] or [n, C].
      n_best: how many answers to a question; more than one are in the entry n_best too.

    Returns:
      OrderedDict for JSON.
    """
    raise NotImplementedError

  def gold(self, example):
    """The label of an Example as answer() would have it."""
    return example.label

  def is_right(self, example, said):
    """Whether an answer is the label. said: what answer() gave."""
    raise NotImplementedError

  def scored(self, example, windows, logits):
    """What figures_of() needs of an Example, its Windows and their logits, lists: little, there may be millions."""
    raise NotImplementedError

  def figures_of(self, scored):
    """dict of figures, on the host. scored: list of what scored() gave."""
    raise NotImplementedError


def rounded(value):
  """A number of an answer, float."""
  return round(float(value), _DIGITS)


def by_window(predictions):
  """{number of the window: its logits, [C] or [n, C]}. predictions: arrays of what predictions() gave."""
  logits_of, ids = {}, predictions.get('example_ids')
  for row, slot in np.argwhere(predictions['example_weights'] > 0):
    logits = predictions['logits'][row]
    logits_of[int(predictions['window'][row, slot])] = logits[slot] if ids is None else logits[ids[row] == slot]
  return logits_of
