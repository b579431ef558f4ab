"""Numbers as a person says them."""

import pytest

from albert.common import in_words


def test_one_thing_has_no_s_and_large_numbers_have_commas():
  assert [in_words.counted(count, 'step') for count in (0, 1, 2, 1200)] == ['0 steps', '1 step', '2 steps',
                                                                            '1,200 steps']


@pytest.mark.parametrize('seconds, words', [
    (0.4, '0 s'), (40, '40 s'), (89.4, '89 s'), (700, '12 min'), (12000, '3 h 20 min'), (3600 * 24, '24 h 00 min'),
    (6e6, '69 days'), (1e9, '11,574 days')])
def test_a_duration(seconds, words):
  assert in_words.duration(seconds) == words


@pytest.mark.parametrize('loss, words', [
    (6.0, '403.4'), (20.0, '4.9e+08'), (699.0, '3.7e+303'), (1e4, 'above 1e+304'), (float('inf'), 'above 1e+304'),
    (float('nan'), 'no number')])
def test_the_perplexity_of_any_loss_is_a_word(loss, words):
  assert in_words.perplexity(loss) == words
  assert in_words.perplexity(6.0, 0) == '403'
