"""Labelled text through a model: figures, lines of predictions, what went wrong."""

import collections
import heapq
import itertools

from albert.answers import writers
from albert.common import files
from albert.labelled.example import BadLine

_MISTAKES = 10
# Entries of figures that are tables, not numbers.
TABLES = ('classes', 'types', 'confusion')

# The worst mistakes first: those with the highest probability, None where there is none; of numbers the error, which is
# said as probability. Example, the answer.
Mistake = collections.namedtuple('Mistake', ['probability', 'example', 'said'])
# examples, labelled, errors: how many lines were answered, how many of them have a label, how many could not be read.
# figures: OrderedDict, of those with a label; None without any. mistakes: list of Mistake. logits: list of (number of
# the example, list of arrays) if they are kept.
Outcome = collections.namedtuple('Outcome', ['examples', 'labelled', 'errors', 'figures', 'mistakes', 'logits'])


class Judge:
  """Collects what a model says to labelled examples. Keeps their labels and the answers in memory, no texts."""

  def __init__(self, model):
    """model: fine_tuned.FineTuned."""
    self._task = model.task
    self._scored = []
    self._wrong, self._order = [], itertools.count()

  def add(self, example, windows, logits, said):
    """An example; said: what LabelledTask.answer() gave."""
    if example.label is None:
      return
    # The target of an example is that of each of its windows, but for `read`, whose targets are not scored.
    self._scored.append(self._task.scored(example, windows, logits))
    if not self._task.is_right(example, said):
      probability = abs(said['value'] - example.label) if 'value' in said else _probability(said)
      entry = (-1. if probability is None else probability, -next(self._order), Mistake(probability, example, said))
      (heapq.heappush if len(self._wrong) < _MISTAKES else heapq.heappushpop)(self._wrong, entry)

  @property
  def labelled(self):
    """How many examples with a label there were."""
    return len(self._scored)

  def figures(self):
    """OrderedDict of figures; None without a label."""
    return self._task.figures_of(self._scored) if self._scored else None

  def mistakes(self):
    """list of Mistake, the worst first."""
    return [entry[-1] for entry in sorted(self._wrong, key=lambda entry: entry[:2], reverse=True)]


def answered(model, rows, writer, judge=None, check=lambda: None, n_best=1):
  """Yields (Example or BadLine, windows, logits) once its line is written.

  Args:
    model: fine_tuned.FineTuned.
    rows: iterable of (Example or BadLine, windows, logits), see FineTuned.logits.
    writer: writers.JsonLines or one of its kinds, or None.
    judge: Judge, or None: labels are not looked at.
    check: callable() that raises to stop. n_best: of `read`, how many answers.
  """
  for entry, windows, logits in rows:
    check()
    if isinstance(entry, BadLine):
      if writer is not None:
        writer.error(entry)
    else:
      said, gold = model.task.answer(entry, windows, logits, n_best), None
      if judge is not None and entry.label is not None:
        judge.add(entry, windows, logits, said)
        gold = model.task.gold(entry)
      if writer is not None:
        writer.answer(entry, said, gold)
    yield entry, windows, logits


def _probability(said):
  """That of an answer, None where it has none."""
  return said.get('score', max(said['scores'].values()) if said.get('scores') else None)


def of_examples(model, predictor, examples, path, check=lambda: None, keep_logits=False):
  """Outcome of a list of Example; their predictions are written to a path."""
  judge, kept, count = Judge(model), [], 0
  with files.atomic(path) as target:
    for example, _, logits in answered(
        model, model.logits(predictor, examples), writers.JsonLines(target), judge, check):
      count += 1
      if keep_logits:
        kept.append((example.number, logits))
  return Outcome(count, judge.labelled, 0, judge.figures(), judge.mistakes(), kept)


def numbers(figures):
  """The entries of figures that are numbers: OrderedDict."""
  return collections.OrderedDict((name, value) for name, value in figures.items() if name not in TABLES)
