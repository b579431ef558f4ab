"""Perplexities in words, also those of a model that diverges."""

import math

_MOST_NATS = 700.0  # exp() of more is infinite
_LARGE = 1e7  # far above the size of a vocabulary


def in_words(loss, decimals=1):
  """exp(loss), such as 403.4; of a loss that no model has but one that diverges, as a power. loss: float, in nats."""
  if not loss < _MOST_NATS:  # also NaN
    return 'no number' if math.isnan(loss) else 'above {:.0e}'.format(math.exp(_MOST_NATS))
  value = math.exp(loss)
  return '{:,.{}f}'.format(value, decimals) if value < _LARGE else '{:.1e}'.format(value)
