"""albert.common.durations: what a person says."""

import pytest

from albert.common import durations


@pytest.mark.parametrize('seconds, words', [
    (0.4, '0 s'), (40, '40 s'), (89.4, '89 s'), (700, '12 min'), (12000, '3 h 20 min'), (3600 * 24, '24 h 00 min'),
    (6e6, '69 days'), (1e9, '11,574 days')])
def test_in_words(seconds, words):
  assert durations.in_words(seconds) == words
