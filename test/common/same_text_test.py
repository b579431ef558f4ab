"""Which texts are one to whoever holds some of them out."""

import hashlib
import unicodedata

import pytest

from albert.common import same_text

TEXT = '今天，Albert 学了１２个字。\né'


@pytest.mark.parametrize('other', [
    '今天，albert学了12个字。é', '\ufeff' + TEXT, TEXT.replace('\n', '\r\n'), TEXT.replace(' ', '\u3000'),
    TEXT.replace('学', '学\u200b'), TEXT.replace('个', '\xad个\ufffd'),
    unicodedata.normalize('NFD', TEXT), TEXT.upper()])
def test_what_is_the_same(other):
  assert same_text.key(other) == same_text.key(TEXT)


@pytest.mark.parametrize('other', ['', TEXT.replace('。', ''), TEXT.replace('学', '學'), TEXT[:-1] + 'e'])
def test_what_is_another(other):
  assert same_text.key(other) != same_text.key(TEXT)


def test_the_key_of_plain_text_is_what_it_was():
  """Which documents are held out follows from it."""
  text = unicodedata.normalize('NFKC', ''.join(TEXT.split())).lower()
  assert same_text.key(TEXT) == int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'little')
