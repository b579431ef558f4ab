"""labelled.folds: each text is in dev once, and every fold has its share of every label."""

import collections

import pytest

from albert.common.errors import UserError
from albert.labelled.example import Example
from albert.labelled import folds
from albert.labelled.sources import Splits

TEXTS = ['text {}'.format(number) for number in range(60)]
TRAIN = [Example(number, None, 'train', number + 1, text, None, 'rare' if number % 6 == 0 else 'often')
         for number, text in enumerate(TEXTS)]
SPLITS = Splits(TRAIN, TRAIN[:3], None, None, ['note'], {'train_examples': 60}, 'abc', {'train': 't', 'dev': 'd'})


def test_the_folds_are_dev_once_each_and_stratified():
  divided = [folds.divide(SPLITS, number, 5) for number in range(5)]
  assert sorted(example.text_a for splits in divided for example in splits.dev) == sorted(TEXTS)
  for splits in divided:
    assert collections.Counter(example.label for example in splits.dev) == {'rare': 2, 'often': 10}
    assert {example.text_a for example in splits.train} == set(TEXTS) - {example.text_a for example in splits.dev}
    assert [example.number for example in splits.train] == list(range(48))
    assert [example.number for example in splits.dev] == list(range(12))
    assert splits.counts['dev_examples'] == 12
  assert len({splits.sha256 for splits in divided}) == 5  # records of one are never taken for those of another
  assert divided[1].notes[-1] == 'dev: fold 2 of 5 of train, 12 of 60 examples'


def test_the_same_text_is_never_on_both_sides():
  twice = SPLITS._replace(train=[example._replace(text_a='text {}'.format(example.number % 20)) for example in TRAIN])
  for number in range(3):
    splits = folds.divide(twice, number, 3)
    assert not {example.text_a for example in splits.train} & {example.text_a for example in splits.dev}


def test_the_order_of_the_file_says_nothing():
  of_text = dict(zip(TEXTS, folds.fold_numbers(TRAIN, 4)))
  assert folds.fold_numbers(TRAIN[::-1], 4) == [of_text[text] for text in TEXTS[::-1]]


def test_more_folds_than_texts():
  with pytest.raises(UserError, match='FOLDS=5: expected at least as many texts in train, found 3'):
    folds.divide(SPLITS._replace(train=TRAIN[:3]), 0, 5)


def test_texts_that_differ_in_nothing_that_is_learned_are_never_on_both_sides():
  """In case, width, space, lines and characters that nobody sees, as the same text is in files of several origins."""
  forms = ['Ab，c 甲{}', 'ab,C\u3000甲{}', '\ufeffＡb，c甲{}', 'A\u200bb，\r\nc甲{}']
  texts = [form.format(number) for number in range(12) for form in forms]
  train = [TRAIN[0]._replace(number=place, text_a=text) for place, text in enumerate(texts)]
  numbers = folds.fold_numbers(train, 3)
  assert all(len(set(numbers[start:start + 4])) == 1 for start in range(0, 48, 4)) and len(set(numbers)) == 3
  assert folds.fold_numbers(train[::-1], 3) == numbers[::-1]
