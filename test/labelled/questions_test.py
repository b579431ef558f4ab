"""Reading comprehension: the layouts, and the facts of the official files that a reader must survive."""

import json

import pytest

from albert.labelled.layout import layouts
from albert.labelled.layout import questions
from albert.labelled.options import LabelledOptions

CONTEXT = '战国无双3是由光荣开发的。战国无双3于2009年发售。'


def read(tmp_path, content, name='a.json'):
  path = tmp_path / name
  path.write_text(content if isinstance(content, str) else json.dumps(content), encoding='utf-8')
  layout = layouts.recognise(str(path), 'read', LabelledOptions())
  return list(layouts.read_examples(layout, LabelledOptions()))


def cmrc(answers):
  return {'context_id': 'T', 'context_text': CONTEXT, 'title': '战国', 'qas': [
      {'query_id': 'T_0', 'query_text': '谁？', 'answers': answers}]}


def squad(**entry):
  return {'version': 'v1', 'data': [{'id': 'T', 'title': '战国', 'paragraphs': [
      {'id': 'T', 'context': CONTEXT, 'qas': [dict({'id': 'T_0', 'question': '谁？'}, **entry)]}]}]}


@pytest.mark.parametrize('content', [
    [cmrc(['光荣'])], {'data': [cmrc(['光荣'])]}, {'version': 1, 'data': [cmrc(['光荣'])]},
    squad(answers=[{'text': '光荣', 'answer_start': 7}]),
    squad(answers={'text': ['光荣'], 'answer_start': [7]}),
    {'context': CONTEXT, 'question': '谁？', 'id': 'T_0', 'answers': ['光荣']},
    {'context': CONTEXT, 'question': '谁？', 'id': 'T_0', 'answer': '光荣'},
])
def test_layouts(tmp_path, content):
  example, = read(tmp_path, content)
  assert (example.id, example.text_a, example.text_b) == ('T_0', '谁？', CONTEXT)
  assert example.label.answers == ('光荣',) and example.label.span == (7, 9)
  assert not example.label.impossible and not example.label.moved


def test_several_paragraphs_and_questions_are_in_order(tmp_path):
  content = squad(answers=[])
  content['data'] *= 2
  content['data'][0]['paragraphs'] *= 3
  examples = read(tmp_path, content)
  assert [example.number for example in examples] == list(range(6))
  assert {example.label for example in examples} == {None}


def test_answers_that_are_numbers(tmp_path):
  example, = read(tmp_path, [cmrc([2009])])
  assert example.label.answers == ('2009',)
  assert CONTEXT[slice(*example.label.span)] == '2009'
  example, = read(tmp_path, json.dumps([cmrc([0])]).replace('[0]', '[3.50]'))
  assert example.label.answers == ('3.50',) and example.label.span is None


@pytest.mark.parametrize('answer, start, span, moved', [
    ('战国无双3', 0, (0, 5), False), ('战国无双3', 13, (13, 18), False), ('战国无双3', None, (0, 5), False),
    # A wrong start: the nearest place.
    ('战国无双3', 2, (0, 5), True), ('战国无双3', 11, (13, 18), True), ('战国无双3', 999, (13, 18), True),
    ('战国无双3', -1, (0, 5), True), ('光荣', 0, (7, 9), True),
    # Not as it is written.
    ('光 荣', 7, (7, 9), False), (' 光荣\n', 7, (7, 9), False), ('２００９年', 19, (19, 24), False),
    # At the very end, and nowhere.
    ('发售。', None, (24, 27), False), ('任天堂', 3, None, False), ('', 0, None, False), ('。！', None, None, False),
])
def test_where_an_answer_stands(tmp_path, answer, start, span, moved):
  example, = read(tmp_path, squad(answers=[{'text': answer, 'answer_start': start}]))
  assert (example.label.span, example.label.moved) == (span, moved)


def test_case_and_width_do_not_count_where_nothing_else_fits():
  assert questions.locate('由Nexon Korea开发', 'NEXON　korea') == (1, 12)
  assert questions.locate('㍿有限', '株式会社有') == (0, 2)  # a character that is four
  assert questions.locate('a b a b', 'AB', 4) == (4, 7)


def test_the_first_answer_that_can_be_found_counts(tmp_path):
  example, = read(tmp_path, [cmrc(['任天堂', '光荣'])])
  assert example.label.answers == ('任天堂', '光荣') and example.label.span == (7, 9)


def test_questions_without_an_answer(tmp_path):
  example, = read(tmp_path, squad(answers=[], is_impossible=True))
  assert example.label.impossible and example.label.span is None
  example, = read(tmp_path, squad(answers=[{'text': '光荣', 'answer_start': 7}], is_impossible=False))
  assert not example.label.impossible
  assert read(tmp_path, [cmrc([])])[0].label is None


@pytest.mark.parametrize('content, error', [
    ([{'title': 'x'}], 'expected the text "context_text" or "context", found title'),
    ([cmrc([None])], 'expected an answer, found None'), ([cmrc([True])], 'expected an answer, found True'),
    ([3], 'expected a JSON object, found 3'),
    ([{'context': 'x', 'qas': [{'id': 1}]}], 'expected the text "query_text" or "question" or "query", found id'),
    ([{'context': 'x', 'qas': 7}], 'expected a list of questions, found 7'),
    ([{'context': 'x', 'question': 'y', 'answers': {'text': [3]}}], 'expected an answer, found [3]'),
    ([{'context': 'x', 'qas': [7]}], 'expected the text "query_text" or "question" or "query", found 7'),
])
def test_what_is_no_question_is_said(tmp_path, content, error):
  assert read(tmp_path, content)[0].error == error


def test_how_often_an_answer_occurs():
  assert questions.occurrences('甲乙甲乙甲', '甲乙甲') == 2
  assert questions.occurrences('甲', '乙') == questions.occurrences('甲', '') == 0


def test_what_is_no_character_is_a_bad_line_and_no_id(tmp_path):
  """Half of a surrogate pair, which JSON can escape and no file can hold: predictions repeat ids and answers."""
  good, in_answer = cmrc(['光荣']), cmrc(['光荣', '\ud83d'])
  good['qas'][0]['query_id'] = '\ud83d'
  said, bad = read(tmp_path, [good, in_answer])
  assert said.id is None and said.label.answers == ('光荣',)
  assert bad.error.startswith('expected UTF-8') and bad.id == 'T_0'
