"""Figures of entities: type and both borders have to be right."""

import collections


def score(gold, predicted, lengths):
  """Figures of the entities of N texts, as seqeval's strict mode has them.

  Args:
    gold, predicted: for each text a sequence of entities, which do not overlap: tuples whose first three values are the
      type, start and end in characters.
    lengths: characters of each text.

  Returns:
    OrderedDict: f1, precision, recall, token_accuracy (of characters: outside, at the begin or inside of which type),
    types ({type: {precision, recall, f1, support}}), from 0 to 1; one whose denominator is 0 is 0.
  """
  counts = collections.defaultdict(lambda: [0, 0, 0])  # of a type: right, there, predicted
  right = 0
  for true, said, length in zip(gold, predicted, lengths):
    true, said = ({tuple(entity[:3]) for entity in entities} for entities in (true, said))
    for place, entities in enumerate((true & said, true, said)):
      for entity in entities:
        counts[entity[0]][place] += 1
    right += length - _differences(_tags(true), _tags(said))
  total = [sum(numbers) for numbers in zip(*counts.values())] or [0, 0, 0]
  figures = _figures(*total)
  return collections.OrderedDict([
      ('f1', figures['f1']), ('precision', figures['precision']), ('recall', figures['recall']),
      ('token_accuracy', right / sum(lengths) if sum(lengths) else 0.),
      ('types', collections.OrderedDict((name, _figures(*counts[name])) for name in sorted(counts)))])


def _tags(entities):
  """{character: (type, whether the entity begins there)} of those that are in one."""
  return {place: (kind, place == start) for kind, start, end in entities for place in range(start, end)}


def _differences(first, second):
  return sum(first.get(place) != second.get(place) for place in first.keys() | second.keys())


def _figures(right, there, predicted):
  return collections.OrderedDict([
      ('precision', right / predicted if predicted else 0.), ('recall', right / there if there else 0.),
      ('f1', 2 * right / (there + predicted) if there + predicted else 0.), ('support', there)])
