"""Numbers as a person says them: counts, durations, perplexities."""

import math

_MOST_NATS = 700.0  # exp() of more is infinite
_LARGE = 1e7  # far above the size of a vocabulary


def counted(count, noun):
  """A number and what it counts, such as 1 step, 1,200 steps. noun: str, whose plural takes an s."""
  return '{:,} {}{}'.format(count, noun, '' if count == 1 else 's')


def duration(seconds):
  """Seconds, such as 40 s, 12 min, 3 h 20 min, 35 days."""
  if seconds < 90:
    return '{:.0f} s'.format(seconds)
  minutes = int(round(seconds / 60))
  if minutes < 90:
    return '{} min'.format(minutes)
  if minutes < 48 * 60:
    return '{} h {:02d} min'.format(minutes // 60, minutes % 60)
  return '{:,.0f} days'.format(minutes / 60 / 24)


def perplexity(loss, decimals=1):
  """exp(loss), such as 403.4; of a loss that no model has but one that diverges, as a power. loss: float, in nats."""
  if not loss < _MOST_NATS:  # also NaN
    return 'no number' if math.isnan(loss) else 'above {:.0e}'.format(math.exp(_MOST_NATS))
  value = math.exp(loss)
  return '{:,.{}f}'.format(value, decimals) if value < _LARGE else '{:.1e}'.format(value)
