"""Durations in words."""


def in_words(seconds):
  """Seconds in words, such as 40 s, 12 min, 3 h 20 min, 69 days."""
  if seconds < 90:
    return '{:.0f} s'.format(seconds)
  minutes = int(round(seconds / 60))
  if minutes < 90:
    return '{} min'.format(minutes)
  if minutes < 48 * 60:
    return '{} h {:02d} min'.format(minutes // 60, minutes % 60)
  return '{:,.0f} days'.format(minutes / 60 / 24)
