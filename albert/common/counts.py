"""Numbers of things as a person says them."""


def counted(count, noun):
  """A number and what it counts, such as 1 step, 1,200 steps. noun: str, whose plural takes an s."""
  return '{:,} {}{}'.format(count, noun, '' if count == 1 else 's')
