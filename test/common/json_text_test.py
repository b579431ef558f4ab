"""JSON that strict readers in other languages take."""

import collections
import json

import pytest

from albert.common import json_text


def refuse(word):
  raise AssertionError(word)


@pytest.mark.parametrize('write', [json_text.dumps, json_text.line])
def test_numbers_that_are_not_finite_are_null(write):
  value = {'a': [float('nan'), (1.5, float('-inf'))], 'b': {'c': float('inf')}}
  assert json.loads(write(value), parse_constant=refuse) == {'a': [None, [1.5, None]], 'b': {'c': None}}


def test_a_line_is_chinese_in_its_order_and_what_is_no_character_is_escaped():
  text = json_text.line(collections.OrderedDict([('文', '中'), ('a', 'x\ud83d\udc00')]))
  assert text == '{"文": "中", "a": "x\\ud83d\\udc00"}'
  assert json.loads(text)['文'] == '中' and text.encode('utf-8')
