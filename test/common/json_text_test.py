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
  value = collections.OrderedDict([('文', '中'), ('a', 'x')])
  assert json_text.line(value) == json_text.line(value, 'gbk') == '{"文": "中", "a": "x"}'
  for more, encoding in (('\ud83d', 'utf-8'), ('\U0001F600', 'gbk'), ('', 'latin-1')):
    value['a'] = more
    text = json_text.line(value, encoding)
    assert text.encode('ascii') and json.loads(text) == value
