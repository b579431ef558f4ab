"""An answer as a line of JSON."""

import collections

import numpy as np

from albert.labelled.labels import as_classes
from albert.labelled import options as labelled
from albert.tasks import classification
from albert.tasks import regression

TOP = 5
_DIGITS = 6


def answer(task, example, windows, logits, n_best=1):
  """What a model says to an example: OrderedDict for JSON, without the number of the line.

  Args:
    task: LabelledTask. example: Example.
    windows: its Windows. logits: list of their logits, float [C] or [n, C].
    n_best: of `read`, how many answers; more than one are in the entry n_best too.
  """
  if task.kind == labelled.TAG:
    return collections.OrderedDict(entities=_entities(task.entities(example, windows, logits)))
  if task.kind == labelled.READ:
    return _spans(task.answers(example, windows, logits, n_best), n_best)
  if task.kind == labelled.REGRESS:
    return collections.OrderedDict(value=_rounded(regression.value_of(logits)))
  return _classes(task, classification.probabilities_of(logits, task.options.multi_label))


def _classes(task, probabilities):
  names = task.judged.labels.names
  # Of equal ones the first.
  order = np.argsort(-probabilities, kind='stable')
  scores = collections.OrderedDict((names[place], _rounded(probabilities[place])) for place in order[:TOP])
  if task.options.multi_label:
    chosen = [names[place] for place in np.flatnonzero(probabilities > task.threshold)]
    return collections.OrderedDict(labels=chosen, scores=scores)
  return collections.OrderedDict(label=names[order[0]], score=_rounded(probabilities[order[0]]), scores=scores)


def _entities(entities):
  return [collections.OrderedDict([('type', entity.type), ('text', entity.text), ('start', entity.start),
                                   ('end', entity.end)]) for entity in entities]


def _spans(answers, n_best):
  entries = [collections.OrderedDict([('answer', answer.text), ('start', answer.start), ('end', answer.end),
                                      ('score', _rounded(answer.score))]) for answer in answers]
  return collections.OrderedDict(entries[0], n_best=entries) if n_best > 1 else entries[0]


def _rounded(value):
  return round(float(value), _DIGITS)


def gold(example, kind):
  """The label of an example as an answer has it."""
  label = example.label
  if kind == labelled.TAG:
    return _entities(label)
  if kind == labelled.READ:
    return list(label.answers)
  return list(label) if isinstance(label, tuple) else label


def place(entry):
  """{'id': of an Example} or, if it has none, {'line': its number}."""
  return collections.OrderedDict([('line', entry.line) if entry.id is None else ('id', entry.id)])


def error(bad):
  """The line of a BadLine."""
  return collections.OrderedDict([('line', bad.line), ('error', bad.error)])


def is_right(example, said, kind, figures):
  """Whether an answer is the label. figures: callable(right answers, answer) -> 0 or 1, of `read`."""
  if kind == labelled.READ:
    answers = () if example.label.impossible else example.label.answers
    return bool(figures(answers, said['answer']))
  if kind == labelled.TAG:
    return said['entities'] == gold(example, kind)
  if 'labels' in said:
    return set(said['labels']) == set(as_classes(example.label))
  return said['label'] == example.label if 'label' in said else True


def probability(said):
  """The probability of an answer, None where it has none."""
  return said.get('score', max(said['scores'].values()) if said.get('scores') else None)
