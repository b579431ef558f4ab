"""Punctuation that an input method for Chinese has written instead of that of ASCII."""

import pytest

from albert.common import wide_marks


@pytest.mark.parametrize('text, advice', [
    ('a.b=1；c.d=2', 'write ; instead of the full-width ；'),
    ('a.b=‘cpu’', "write ' instead of the full-width ‘"),
    ('——text_field=title', 'write -- instead of the full-width ——'),
    ('a.b=[1，2]', 'write , instead of the full-width ，'),
    ('a.b＝[1，2]', 'write = instead of the full-width ＝'),
    ('a.b=\u30001', 'write a blank instead of the full-width \u3000'),
    ("a.b='甲，乙'", 'correct it'),  # text of the user's
    ('a.b=1', 'correct it')])
def test_the_first_mark_outside_quotes_is_named(text, advice):
  assert wide_marks.advice(text, 'correct it') == advice


@pytest.mark.parametrize('text, advice', [
    ('语料（一）', 'correct it'), ('1，2', 'write , instead of the full-width ，'),
    ('1；2', 'write , instead of the full-width ；')])
def test_of_a_list_only_what_may_be_meant_to_divide_it(text, advice):
  assert wide_marks.advice(text, 'correct it', wide_marks.SEPARATORS) == advice
