"""Perplexities of any loss, without an overflow or a line of digits."""

import pytest

from albert.common import perplexity


@pytest.mark.parametrize('loss, words', [
    (6.0, '403.4'), (20.0, '4.9e+08'), (699.0, '3.7e+303'), (1e4, 'above 1e+304'), (float('inf'), 'above 1e+304'),
    (float('nan'), 'no number')])
def test_the_perplexity_of_any_loss_is_a_word(loss, words):
  assert perplexity.in_words(loss) == words
  assert perplexity.in_words(6.0, 0) == '403'
