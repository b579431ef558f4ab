"""answers.writers: what answers are written as."""

import collections
import io
import json
import types

import pytest

from albert.answers import writers
from albert.labelled.example import BadLine
from albert.labelled.example import Example
from albert.labelled.labels import Labels


def example(line, identity=None):
  return Example(line - 1, identity, 'f', line, '北京欢迎北京', None, None)


def written(kind, entries, numbers=None):
  """What the CLUE site gets. entries: pairs of Example and its answer, or BadLines."""
  target = io.StringIO()
  writer = writers.clue(target, types.SimpleNamespace(kind=kind, labels=Labels(kind, numbers=numbers)))
  for entry in entries:
    if isinstance(entry, BadLine):
      writer.error(entry)
    else:
      writer.answer(*entry)
  writer.close()
  return target.getvalue()


def rows(text):
  return [json.loads(line) for line in text.splitlines()]


def test_a_class_is_written_by_its_number_where_train_has_one():
  said = {'label': 'news_story', 'score': 0.5, 'scores': {}}
  entries = [(example(1, 448), said), (example(2, 'x'), dict(said, label='neutral'))]
  assert rows(written('classify', entries, {'news_story': '100'})) == [
      {'id': 448, 'label': '100'}, {'id': 'x', 'label': 'neutral'}]
  assert rows(written('classify', entries))[0] == {'id': 448, 'label': 'news_story'}


def test_without_an_id_it_is_the_place_of_the_line_from_0():
  # The first line is a header; what cannot be read keeps its place.
  said = {'label': '1'}
  found = rows(written('classify', [(example(2), said), BadLine(3, None, 'e'), (example(4), said)]))
  assert found == [{'id': 0, 'label': '1'}, {'line': 3, 'error': 'e'}, {'id': 2, 'label': '1'}]


def test_entities_by_type_and_text_with_their_last_character():
  entities = [{'type': 'LOC', 'text': '北京', 'start': start, 'end': start + 2} for start in (0, 4)]
  found, = rows(written('tag', [(example(1, 0), {'entities': entities})]))
  assert found == {'id': 0, 'label': {'LOC': {'北京': [[0, 1], [4, 5]]}}}
  assert rows(written('tag', [(example(1, 0), {'entities': []})])) == [{'id': 0, 'label': {}}]


def test_answers_of_questions_are_one_object(caplog):
  answer = collections.OrderedDict([('answer', '北"京\n'), ('start', 0), ('end', 4), ('score', 1.)])
  text = written('read', [(example(1, 'TEST_0_QUERY_0'), answer), BadLine(2, None, 'no JSON'),
                          (example(3, 7), dict(answer, answer=''))])
  assert json.loads(text) == {'TEST_0_QUERY_0': '北"京\n', '7': ''}
  assert 'line 2: no JSON' in caplog.text
  assert json.loads(written('read', [(example(1), answer), (example(2), answer)])).keys() == {'0', '1'}
  assert json.loads(written('read', [])) == {}


@pytest.mark.parametrize('gold', [None, 'a'])
def test_a_line_says_everything(gold):
  target = io.StringIO()
  writer = writers.JsonLines(target)
  writer.answer(example(3), collections.OrderedDict([('label', 'a'), ('score', 0.5)]), gold)
  writer.error(BadLine(4, None, 'e'))
  expected = '{"line": 3, "label": "a", "score": 0.5%s}\n' % (', "gold": "a"' if gold else '')
  assert target.getvalue() == expected + '{"line": 4, "error": "e"}\n'


def test_lines_are_json_in_utf8_whatever_is_in_them():
  target = io.StringIO()
  writer = writers.JsonLines(target)
  writer.error(BadLine(3, None, 'expected the text "a", found \ud83d'))
  writer.answer(Example(0, None, 'f', 4, '甲', None, None), {'label': 'a', 'score': float('nan')})
  assert target.getvalue().encode('utf-8')
  assert [json.loads(line) for line in target.getvalue().splitlines()] == [
      {'line': 3, 'error': 'expected the text "a", found \ud83d'}, {'line': 4, 'label': 'a', 'score': None}]
