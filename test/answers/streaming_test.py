"""Answering a file of any length takes the memory of a few hundred lines. The model is a stub: nothing is computed."""

import itertools
import tracemalloc
import types

import numpy as np
import pytest

import random_models
from albert.answers import fine_tuned
from albert.answers import inputs
from albert.answers import outcome as outcomes
from albert.answers import writers
from albert.dataset import tokenization
from albert.labelled.labels import Labels
from albert.labelled.options import LabelledOptions
from albert import prediction
from albert.tasks import labelled_tasks

CONFIG = random_models.config()
HAN = random_models.tokens(53)[6:]
FEW, MANY = 3000, 9000


class _Stub(prediction.Predictor):
  """Logits that say the same to each row."""

  def __init__(self, task):
    self._task, self._batch_size = task, 32
    self._fields = {'input_ids': 'S'}

  def _run(self, rows):
    length = [max(len(row['input_ids']) for row in rows)] if self._task.of_tokens else []
    return {'logits': np.zeros([len(rows)] + length + [self._task.options.classes], np.float32)}


def _model(kind):
  names = {'classify': ['down', 'up'], 'tag': ['O', 'B-LOC', 'I-LOC']}.get(kind, [])
  vocabulary = tokenization.Vocabulary(random_models.tokens(53))
  labels = Labels(kind, names)
  task = labelled_tasks.KINDS[kind](CONFIG, None, labelled_tasks.HeadOptions(
      len(names) or {'read': 2, 'regress': 1}[kind]), labelled_tasks.Judged([], [], labels))
  model = prediction.Model('model.ckpt-1', CONFIG, vocabulary, tokenization.Tokenizer(vocabulary, True))
  return fine_tuned.FineTuned(model, task, labels, LabelledOptions(max_seq_length=16, doc_stride=4), kind == 'read')


def _line(kind, number):
  text = ''.join(HAN[(number * 7 + place) % 40] for place in range(10 + number % 20))
  if kind == 'read':
    return '{{"context": "{}", "question": "{}", "answers": ["{}"]}}\n'.format(text, text[:3], text[4:6])
  if kind == 'tag':
    return '{{"text": "{}", "label": {{"LOC": {{"{}": [[0, 1]]}}}}}}\n'.format(text, text[:2])
  return '{{"text": "{}", "label": {}}}\n'.format(text, '"up"' if kind == 'classify' else number / 10)


def _peak(kind, count, folder, is_labelled):
  """The most bytes that Python had at a time, while so many lines were answered."""
  path = folder / '{}.jsonl'.format(count)
  with open(str(path), 'w', encoding='utf-8') as target:
    target.writelines(_line(kind, number) for number in range(count))
  model = _model(kind)
  judge = outcomes.Judge(model) if is_labelled else None
  answered = itertools.count()
  target = types.SimpleNamespace(write=lambda text: next(answered))
  _, entries = inputs.read_file(str(path), kind, model.data, model.labels, is_labelled)
  tracemalloc.start()
  try:
    for _ in outcomes.answered(model, model.logits(_Stub(model.task), entries), writers.JsonLines(target), judge):
      pass
    return tracemalloc.get_traced_memory()[1], next(answered)
  finally:
    tracemalloc.stop()


@pytest.mark.parametrize('kind, is_labelled, most', [
    ('classify', False, 0), ('read', False, 0), ('tag', False, 0),
    # A label and an answer stay for the figures, no text, window or logits.
    ('classify', True, 100), ('tag', True, 1000), ('read', True, 600)])
def test_more_lines_take_no_more_memory(kind, is_labelled, most, tmp_path):
  few, many = (_peak(kind, count, tmp_path, is_labelled) for count in (FEW // 3, MANY // 3))
  assert (few[1], many[1]) == (FEW // 3, MANY // 3)
  assert many[0] - few[0] < 200000 + most * (MANY - FEW) // 3, (few, many)
