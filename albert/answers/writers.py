"""The formats of answers: a JSON object in each line, or those that the CLUE site and CMRC 2018 take.

    {"id": 7, "label": "news_story", "score": ...}      JsonLines, see LabelledTask.answer
    {"id": 7, "label": "100"}                           ClueLines: TNEWS, IFLYTEK, AFQMC, OCNLI, CSL ..., CLUENER
    {"TEST_0_QUERY_0": "北京", ...}                       ClueAnswers: CMRC 2018 and DRCD, one object
"""

import collections
import logging

from albert.common import json_text
from albert.labelled import options as labelled

_LOG = logging.getLogger('albert')


class JsonLines:
  """Everything that there is to say of each line.

  Attributes:
    where_errors: str, where the user finds what could not be read.
  """

  where_errors = 'see "error" in their lines'

  def __init__(self, target):
    """target: text file."""
    self._target, self._encoding = target, getattr(target, 'encoding', None)

  def answer(self, example, said, gold=None):
    """example: Example. said: of LabelledTask.answer. gold: its label, of LabelledTask.gold, or None."""
    # Without an id the number of the line stands for it.
    name, value = ('line', example.line) if example.id is None else ('id', example.id)
    entry = collections.OrderedDict([(name, value)], **said)
    if gold is not None:
      entry['gold'] = gold
    self._write(entry)

  def error(self, bad):
    """A BadLine."""
    self._write(collections.OrderedDict([('line', bad.line), ('error', bad.error)]))

  def close(self):
    """Nothing more comes."""

  def flush(self):
    """For whoever waits for the answer."""
    self._target.flush()

  def _write(self, entry):
    self._target.write(json_text.line(entry, self._encoding) + '\n')


class ClueLines(JsonLines):
  """{"id", "label"}; entities by type and text, their ends inclusive. Without an id it is the place, from 0."""

  def __init__(self, target, numbers):
    """numbers: dict, labels.Labels.numbers."""
    super().__init__(target)
    self._numbers, self._count = numbers, 0

  def answer(self, example, said, gold=None):
    del gold
    identity = self._count if example.id is None else example.id
    self._count += 1
    self._write(collections.OrderedDict([('id', identity), ('label', self._label(said))]))

  def error(self, bad):
    self._count += 1
    super().error(bad)

  def _label(self, said):
    if 'entities' not in said:
      label = next(said[name] for name in ('label', 'labels', 'value') if name in said)
      return self._numbers.get(label, label) if isinstance(label, str) else label
    types = collections.OrderedDict()
    for entity in said['entities']:
      texts = types.setdefault(entity['type'], collections.OrderedDict())
      texts.setdefault(entity['text'], []).append([entity['start'], entity['end'] - 1])
    return types


class ClueAnswers(JsonLines):
  """One object, {id of the question: answer}. A line that cannot be read has no place in it and goes to the log."""

  where_errors = 'see the lines above'

  def __init__(self, target):
    super().__init__(target)
    self._count = 0

  def answer(self, example, said, gold=None):
    del gold
    identity = str(self._count if example.id is None else example.id)
    self._target.write('{}\n{}: {}'.format('{,'[self._count > 0], *(
        json_text.line(text, self._encoding) for text in (identity, said['answer']))))
    self._count += 1

  def error(self, bad):
    _LOG.warning('line %d: %s', bad.line, bad.error)

  def close(self):
    self._target.write('\n}\n' if self._count else '{}\n')


def clue(target, model):
  """The writer in the format of the CLUE site for a fine_tuned.FineTuned."""
  return ClueAnswers(target) if model.kind == labelled.READ else ClueLines(target, model.labels.numbers)
