"""tools.benchmarks.baseline: a classifier of characters, scored like fine-tuning."""

from albert.labelled.example import Example
from tools.benchmarks import baseline


def _example(text, label, second=None):
  return Example(0, None, 'train', 1, text, second, label)


def test_characters_tell_the_class():
  train = [_example('甲乙', 'a'), _example('甲丙', 'a'), _example('丁戊', 'b'), _example('丁己', 'b')]
  assert baseline.fitted(train)([_example('甲庚', None), _example('庚丁', None)]) == ['a', 'b']


def test_a_second_text_counts_and_makes_no_gram_with_the_first():
  train = [_example('甲', 'a', '乙'), _example('甲', 'a', '乙'), _example('甲', 'b', '丙'), _example('甲', 'b', '丙')]
  assert baseline.fitted(train)([_example('甲', None, '丙')]) == ['b']
