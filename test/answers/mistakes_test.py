"""What went wrong, in report.md: the worst mistakes of each kind."""

import types

import numpy as np

from albert.answers import closing
from albert.answers import fine_tuned
from albert.answers import outcome as outcomes
from albert.answers import report
from albert.labelled.example import Entity
from albert.labelled.example import Example
from albert.labelled.labels import Labels
from albert.model.config import AlbertConfig
from albert.tasks.labelled_task import HeadOptions
from albert.tasks import labelled_tasks
from albert.tasks.tagging import Tagging


def example(line, label):
  return Example(line - 1, None, 'dev', line, '甲乙', None, label)


def report_of(kind, said):
  """The last table of report.md, a list of lines, after its title. said: list of (label, answer)."""
  task = labelled_tasks.KINDS[kind](AlbertConfig(vocab_size=9), None, HeadOptions(2))
  judge = outcomes.Judge(types.SimpleNamespace(task=types.SimpleNamespace(
      is_right=task.is_right, scored=lambda *unused: None)))
  for line, (label, answer) in enumerate(said, 1):
    judge.add(example(line, label), None, None, answer)
  outcome = outcomes.Outcome(len(said), len(said), 0, {}, judge.mistakes(), [])
  text = report.write({'task': kind}, {'dev': outcome}, Labels(kind), False)
  return text[text.index('## dev: '):].rstrip('\n').split('\n') if '## dev: ' in text else []


def test_of_numbers_the_largest_errors():
  lines = report_of('regress', [(number / 10, {'value': 1.0}) for number in range(20)])
  assert lines[:3] == ['## dev: largest errors', '', '| line | text | label | predicted | error |']
  assert [line.split(' | ')[2:] for line in lines[4:6]] == [['0.0', '1.0', '1.000 |'], ['0.1', '1.0', '0.900 |']]
  assert len(lines) == 14


def test_of_classes_the_most_probable_ones():
  lines = report_of('classify', [('a', {'label': 'b', 'score': score}) for score in (0.5, 0.9, 0.7)])
  assert lines[0] == '## dev: wrong answers, the most probable first'
  assert [line.split(' | ')[-1] for line in lines[4:]] == ['0.900 |', '0.700 |', '0.500 |']
  assert report_of('classify', [('a', {'label': 'a', 'score': 1.0})]) == []


def test_of_entities_the_first_ones():
  wrong = ((Entity('LOC', 0, 1, '甲'),), {'entities': []})
  lines = report_of('tag', [wrong, ((), {'entities': []})] + [wrong] * 20)
  assert lines[:3] == ['## dev: wrong answers, the first ones', '', '| line | text | label | predicted |']
  assert [line.split(' | ')[0] for line in lines[4:]] == ['| {}'.format(line) for line in [1] + list(range(3, 12))]


def test_the_summary_says_the_figures_in_their_order_and_what_it_began_from():
  found = {'dev': {'labelled': 2, 'loss': .5, 'macro_f1': .25, 'micro_f1': .75}, 'learned': True}
  lines = closing.summary(found, closing.Ended('out', None, 1e-4, None), ('micro_f1', 'macro_f1'))
  assert lines[0] == 'dev   micro f1 0.7500  macro f1 0.2500  loss 0.5000  (2 examples)'
  assert 'started with:     RANDOM WEIGHTS, no INIT' in lines
  lines = closing.summary(found, closing.Ended('out', None, 1e-4, 'encoder 23 of 23 variables, from in/model.ckpt-8'))
  assert 'started with:     encoder 23 of 23 variables, from in/model.ckpt-8' in lines
  assert not any('predictions-test' in line for line in lines)


def test_the_summary_says_where_the_answers_are_and_what_comes_next():
  found = {'dev': {'labelled': 2, 'loss': .5}, 'test': {'labelled': 0}, 'learned': True}
  lines = closing.summary(found, closing.Ended('out/my run', None, 1e-4, None))
  assert lines[-3:] == ['predictions:      out/my run/predictions-dev.jsonl',
                        'predictions:      out/my run/predictions-test.jsonl',
                        "next:             make predict INIT='out/my run' INPUT=FILE OUTPUT=FILE.jsonl"]
  lines = closing.summary(dict(found, learned=False, not_learned='NOT LEARNED: why'),
                          closing.Ended('out', None, 1e-4, None))
  assert lines[-1] == 'NOT LEARNED: why' and not any(line.startswith('next:') for line in lines)


def test_averaged_predictions_are_decided_with_the_means_of_what_the_runs_decide_with():
  tasks = [Tagging(None, None, HeadOptions(2, crf=True)) for _ in range(2)]
  for number, task in enumerate(tasks):
    task.decode_with(np.full([4, 2], float(number)))
  model = fine_tuned.averaged([types.SimpleNamespace(task=task) for task in tasks])
  np.testing.assert_array_equal(model.task.transitions, np.full([4, 2], 0.5))
  tasks = [types.SimpleNamespace(kind='classify', threshold=threshold) for threshold in (0.25, 0.75)]
  assert fine_tuned.averaged([types.SimpleNamespace(task=task) for task in tasks]).task.threshold == 0.5
