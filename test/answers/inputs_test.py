"""answers.inputs: what is to be answered, in a file of any layout or typed."""

import json

import pytest

from albert.answers import inputs
from albert.common.errors import UserError
from albert.labelled.example import BadLine
from albert.labelled.labels import Labels
from albert.labelled.options import LabelledOptions

LABELS = Labels('classify', ['0', '1'])
# A model that was trained with the column "title" and the label "topic".
DATA = LabelledOptions(text_a='title', label='topic')


def read(tmp_path, content, kind='classify', data=DATA, is_labelled=False, name='in.json'):
  (tmp_path / name).write_bytes(content.encode('utf-8'))
  _, entries = inputs.read_file(str(tmp_path / name), kind, data, LABELS, is_labelled)
  return list(entries)


def test_the_columns_of_training_where_the_file_has_them(tmp_path):
  entries = read(tmp_path, '{"title": "甲", "text": "no", "topic": 1, "id": 7}\n{"title": "乙"}\n')
  assert [(entry.text_a, entry.label, entry.id, entry.line) for entry in entries] == [
      ('甲', None, 7, 1), ('乙', None, None, 2)]


def test_without_the_label_that_nobody_needs(tmp_path):
  assert [entry.text_a for entry in read(tmp_path, '{"title": "甲"}\n')] == ['甲']


@pytest.mark.parametrize('name, content', [
    ('in.txt', '甲 乙\n丙\t丁\n'), ('in.csv', 'text_a\n"甲 乙"\n"丙\t丁"\n'),
    ('in.json', '{"sentence": "甲 乙"}\n{"sentence": "丙\\t丁"}\n')])
def test_other_names_and_plain_lines_are_recognised(tmp_path, name, content):
  assert [entry.text_a for entry in read(tmp_path, content, name=name)] == ['甲 乙', '丙\t丁']


def test_labels_if_they_are_asked_for(tmp_path):
  entries = read(tmp_path, '{"title": "甲", "topic": "1.0"}\n{"title": "乙", "topic": 7}\n', is_labelled=True)
  assert entries[0].label == '1'
  assert isinstance(entries[1], BadLine) and entries[1].error == 'expected a label of the model, found 7'
  with pytest.raises(UserError, match='expected a label with each text, found lines of text; name its column'):
    read(tmp_path, '甲\n乙\n', is_labelled=True, name='in.txt')
  with pytest.raises(UserError, match='expected a label with each text, found the columns text, number; name its'):
    read(tmp_path, 'text,number\n甲,3\n', is_labelled=True, name='in.csv')


def test_each_line_is_one_entry(tmp_path):
  entries = read(tmp_path, '{"title": "甲"}\n\nnot JSON\n{"title": 5}\n{"other": "乙"}\n')
  assert [entry.line for entry in entries] == [1, 2, 3, 4, 5]
  assert [isinstance(entry, BadLine) for entry in entries] == [False, True, True, False, True]


@pytest.mark.parametrize('kind, line, expected', [
    ('classify', '甲乙', (None, '甲乙', None)), ('classify', '甲\t乙', (None, '甲', '乙')),
    ('tag', '甲\t乙', (None, '甲\t乙', None)),
    ('classify', json.dumps({'title': '甲', 'id': 3}), (3, '甲', None)),
    ('classify', '{甲}乙', (None, '{甲}乙', None)),
    ('classify', '', (None, '', None)), ('classify', ' ', (None, ' ', None)),
    ('classify', json.dumps({'title': ['甲', '乙'], 'id': [3]}), (None, '甲 乙', None)),
    ('classify', json.dumps({'title': 5}), (None, '5', None)),
    ('classify', json.dumps({'sentence1': '甲', 'sentence2': '乙'}), (None, '甲', '乙')),
    ('read', '何\t甲', (None, '何', '甲')),
    ('read', json.dumps({'question': '何', 'context': '甲'}), (None, '何', '甲'))])
def test_typed_lines(kind, line, expected):
  entry, = inputs.read_typed([line], kind, DATA)
  assert (entry.id, entry.text_a, entry.text_b) == expected


def test_a_tab_is_part_of_a_text_that_is_no_pair():
  for is_pair, expected in ((False, ('甲\t乙', None)), (True, ('甲', '乙')), (None, ('甲', '乙'))):
    entry, = inputs.read_typed(['甲\t乙'], 'classify', DATA, is_pair)
    assert (entry.text_a, entry.text_b) == expected


@pytest.mark.parametrize('kind, line, expected', [
    ('read', '', 'found no tab'), ('read', '何', 'found no tab'), ('classify', '{"x": ', 'expected JSON'),
    ('classify', '{"other": "甲"}', 'expected a text'), ('classify', '{"title": [5]}', 'expected the text "title"'),
    ('classify', '甲\udcff', 'expected UTF-8'), ('tag', '{"title": "\\ud800"}', 'expected UTF-8')])
def test_typed_lines_that_say_nothing(kind, line, expected):
  entry, = inputs.read_typed([line], kind, DATA)
  assert isinstance(entry, BadLine) and expected in entry.error


def test_a_line_with_nothing_in_it_is_an_empty_text_in_a_file_and_typed(tmp_path):
  in_file = read(tmp_path, '甲\n\n \n', name='in.txt')
  typed = list(inputs.read_typed(['甲', '', ' '], 'classify', DATA))
  assert [entry.text_a for entry in in_file] == [entry.text_a for entry in typed] == ['甲', '', ' ']
