"""Answers of a task from a checkpoint: the model is loaded once, rows stream through one session in their order.

    model = prediction.find('out')
    with prediction.Predictor(Pretraining(model.config), 'features', model, device) as predictor:
      for vector in predictor.answers(rows, read):
        ...

Shapes: B batch, S sequence, P positions that a row asks about; both are as long as the longest row of a batch. An NPU,
which compiles a graph for each shape, sees a few lengths only.
"""

import collections
import itertools

import numpy as np
import tensorflow as tf

from albert.common.errors import Diverged
from albert.common.errors import UserError
from albert.dataset import tokenization
from albert import modeling
from albert.model import names as model_names
from albert.run import directory
from albert.run import loading
from albert.run import starting_weights

# Rows that are sorted by length together: batches of similar lengths hold little padding, and the order of what comes
# out is kept in little memory.
_BATCHES_AT_ONCE = 16
# S and P where shapes are static, besides the longest.
_LENGTHS = (32, 128)
_POSITIONS = (8, 64)

# A checkpoint that can answer. prefix: str. config: AlbertConfig. vocabulary: tokenization.Vocabulary. tokenizer:
# tokenization.Tokenizer, whose letters are those of the training data.
Model = collections.namedtuple('Model', ['prefix', 'config', 'vocabulary', 'tokenizer'])


def find(path):
  """The Model at a path, with what lies beside it.

  Args:
    path: the folder of a run, of which the best checkpoint is taken, else the newest; best/, a prefix, or a release
      that was unpacked.

  Raises:
    UserError: no such checkpoint, weights of another family or not finite, or no configuration or vocabulary.
  """
  weights = starting_weights.complete(path)
  vocabulary = tokenization.Vocabulary.load(weights.vocab_file)
  loading.check_finite(weights.prefix)
  lower = directory.lower_case([weights.prefix], vocabulary.tokens)
  return Model(weights.prefix, weights.config.with_vocab_size(len(vocabulary), weights.vocab_file), vocabulary,
               tokenization.Tokenizer(vocabulary, lower))


class Predictor:
  """A task's answers under one of its signatures.

  Attributes:
    longest: int, the most tokens of a row.
  """

  def __init__(self, task, signature, model, device, outputs=None, batch_size=32):
    """Builds the graph and loads the weights.

    Args:
      task: tasks.task.Task. signature: str, one of task.signatures.
      model: Model. device: npu_session.Device.
      outputs: names of what is wanted of task.serve(); None: everything. Weights that only others need may be absent.
      batch_size: rows at a time.

    Raises:
      UserError: the checkpoint lacks weights that the outputs need.
    """
    self.longest = model.config.max_position_embeddings
    self._task, self._signature, self._model, self._device = task, signature, model, device
    self._outputs = outputs
    self._batch_size = batch_size
    lengths = {spec.name: spec.length for spec in task.features}
    # A task whose records are made otherwise still reads tokens.
    self._fields = collections.OrderedDict((name, lengths.get(name, 'S')) for name in task.signatures[signature])
    self._programs = {}
    self._graph = tf.Graph()
    first = self._program(self._shape(1, 1))
    self._session = tf.Session(graph=self._graph, config=device.session_config())
    self._restore(first)

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    self._session.close()

  def answers(self, rows, read, is_prompt=False):
    """Yields what `read` makes of each row, in order.

    Args:
      rows: iterable of (item, fields). item: anything. fields: {name: list of ints} for the fields of the signature,
        without padding; None for a row that has no answer.
      read: callable(item, answer). answer: {output: array of this row, which may be padded}, or None. What it gives
        stays in memory until its turn: a copy of a whole row of logits is too much.
      is_prompt: whether each row is answered before the next one is read, as at a prompt.
    """
    rows = iter(rows)
    while True:
      taken = list(itertools.islice(rows, 1 if is_prompt else self._batch_size * _BATCHES_AT_ONCE))
      if not taken:
        return
      answers = [None] * len(taken)
      by_length = sorted((self._longest([fields], 'S'), number) for number, (_, fields) in enumerate(taken)
                         if fields is not None)
      for start in range(0, len(by_length), self._batch_size):
        numbers = [number for _, number in by_length[start:start + self._batch_size]]
        outputs = self._run([taken[number][1] for number in numbers])
        for place, number in enumerate(numbers):
          answers[number] = read(taken[number][0], {name: values[place] for name, values in outputs.items()})
      for (item, fields), answer in zip(taken, answers):
        yield read(item, None) if fields is None else answer

  def _run(self, rows):
    """{output: array [B, ...]} of at most a batch of rows."""
    length, positions = self._longest(rows, 'S'), self._longest(rows, 'P')
    if length > self.longest:
      raise UserError('expected texts of at most {} tokens (AlbertConfig.max_position_embeddings), found {}; shorten '
                      'them'.format(self.longest, length))
    shape = self._shape(length, positions)
    batch_size, length, positions = [known or own for known, own in zip(shape, (len(rows), length, positions))]
    inputs, outputs = self._program(shape)
    padded = rows + rows[-1:] * (batch_size - len(rows))
    answers = self._session.run(outputs, {
        inputs[name]: _padded([fields[name] for fields in padded], _width(kind, length, positions))
        for name, kind in self._fields.items()})
    self._check_finite(answers)
    return answers

  def _check_finite(self, answers):
    """Raises Diverged where a number is not finite: the weights are, but what is computed of them need not be."""
    wrong = sorted(name for name, values in answers.items() if not np.all(np.isfinite(values)))
    if wrong:
      raise Diverged('{}: expected finite answers, found NaN or infinity in {}; its weights are too large to compute '
                     'with, as those of a run that has diverged: name an earlier checkpoint'.format(
                         self._model.prefix, ', '.join(wrong)))

  def _longest(self, rows, kind):
    """The most values of a field of this kind, 'S' or 'P'; at least 1."""
    return max([len(fields[name]) for fields in rows for name, own in self._fields.items() if own == kind] + [1])

  def _shape(self, length, positions):
    """(B, S, P) of the graph that rows of these sizes are given to; None for what a session finds out."""
    if self._device.kind != 'npu':
      return None, None, None
    def rounded(size, sizes):
      return next((known for known in sizes if size <= known), self.longest)
    return self._batch_size, min(rounded(length, _LENGTHS), self.longest), rounded(positions, _POSITIONS)

  def _program(self, shape):
    """({field: placeholder}, {output: tensor}) for a shape, of _shape(). Built once; all share the variables."""
    if shape not in self._programs:
      batch_size, length, positions = shape
      with self._graph.as_default(), tf.compat.v1.variable_scope(
          tf.compat.v1.get_variable_scope(), reuse=tf.compat.v1.AUTO_REUSE):
        inputs = {name: tf.compat.v1.placeholder(tf.int32, [batch_size, _width(kind, length, positions)])
                  for name, kind in self._fields.items()}
        batch = self._task.batch(dict({spec.name: None for spec in self._task.features}, **inputs))
        ops = modeling.default_ops()
        answers = self._task.serve(self._signature, batch, ops._replace(gelu=self._device.gelu or ops.gelu))
      self._programs[shape] = inputs, {name: tensor for name, tensor in answers.items()
                                       if self._outputs is None or name in self._outputs}
    return self._programs[shape]

  def _restore(self, program):
    """Loads the weights that the outputs of a program depend on."""
    nodes = [tensor.op.name for tensor in program[1].values()]
    reached = {node.name for node in tf.compat.v1.graph_util.extract_sub_graph(
        self._graph.as_graph_def(), nodes).node}
    with self._graph.as_default():
      needed = [v for v in tf.compat.v1.global_variables() if v.op.name in reached]
      shapes = loading.shapes_of(self._model.prefix)
      missing = [v.op.name for v in needed if v.op.name not in shapes]
      if missing and not any(model_names.part_of_model(name) == model_names.ENCODER for name in missing):
        raise UserError('{}: expected the head that answers {}, found no {}; name the checkpoint that still has '
                        'it'.format(self._model.prefix, self._signature.replace('_', ' '), ', '.join(missing[:3])))
      loading.check_compatible(self._model.prefix, needed)
      tf.compat.v1.train.Saver(needed).restore(self._session, self._model.prefix)


def _width(kind, length, positions):
  """How many values a field has: S, P, or as many as it says."""
  return {'S': length, 'P': positions}.get(kind, kind)


def _padded(rows, width):
  """int32 [len(rows), width]: lists of ints with zeros behind them."""
  filled = np.zeros([len(rows), width], np.int32)
  for number, row in enumerate(rows):
    filled[number, :len(row)] = row
  return filled
