"""The bundled corpus is what the README says: original, varied, large enough to learn from."""

import collections
import lzma
import os

from albert.common.files import ROOT

PATH = os.path.join(ROOT, 'data', 'sample_zh.txt')


def _text():
  with open(PATH, encoding='utf-8') as source:
    return source.read()


def test_size_and_shape():
  text = _text()
  documents = text.rstrip('\n').split('\n\n')
  assert len(text.encode('utf-8')) >= 100 * 1024
  assert len(documents) >= 150
  for document in documents:
    sentences = document.split('\n')
    assert len(sentences) >= 5
    assert all(sentence == sentence.strip() and sentence for sentence in sentences)


def test_at_least_1400_distinct_characters():
  assert len(set(_text()) - set('\n')) >= 1400


def test_no_twelve_characters_stand_in_two_documents():
  owners = collections.defaultdict(set)
  for number, document in enumerate(_text().rstrip('\n').split('\n\n')):
    joined = document.replace('\n', '')
    for start in range(len(joined) - 11):
      owners[joined[start:start + 12]].add(number)
  shared = [string for string, documents in owners.items() if len(documents) > 1]
  assert len(shared) <= 5, shared


def test_does_not_repeat_itself():
  data = _text().encode('utf-8')
  assert len(data) / len(lzma.compress(data, preset=9)) <= 3
