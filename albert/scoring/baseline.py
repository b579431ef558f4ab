"""Whether figures are better than those of a model that knows nothing and always gives the same answer."""

import math

# One answer to more than this share of the examples: a model that does not look at the text.
ONE_ANSWER = 0.98
# Of exact answers of `read` that chance may give.
_LUCKY_SHARE = 0.01


def doubt(figures, count):
  """The reason to doubt figures, a str; None if something was learned.

  Args:
    figures: dict, what one of this room's functions gave.
    count: examples, N.
  """
  if not count:
    return None
  if 'confusion' in figures:
    return _of_classes(figures, count)
  if 'micro_f1' in figures:
    return _of_sets(figures, count)
  if 'pearson' in figures:
    return _of_numbers(figures, count)
  if 'token_accuracy' in figures:
    return None if figures['f1'] > 0. else 'not one entity of dev is right'
  return _of_answers(figures, count)


def two_errors(share, count):
  """Two standard errors of a share of `count` examples."""
  return 2. * math.sqrt(max(share * (1. - share), 0.) / count)


def _of_classes(figures, count):
  names = list(figures['classes'])
  taken = [sum(column) for column in zip(*figures['confusion'])]
  often = max(range(len(names)), key=taken.__getitem__)
  if taken[often] > ONE_ANSWER * count:
    return 'dev: {:.1%} of the predictions are {}'.format(taken[often] / count, names[often])
  support = [sum(row) for row in figures['confusion']]
  most = max(range(len(names)), key=support.__getitem__)
  share = support[most] / count
  if figures['accuracy'] <= share + two_errors(share, count):
    return 'dev accuracy {:.3f} is at most two standard errors ({:.3f}) above the majority class {} ({:.3f})'.format(
        figures['accuracy'], two_errors(share, count), names[most], share)
  return None


def _of_sets(figures, count):
  support = {name: entry['support'] for name, entry in figures['classes'].items()}
  if figures['micro_f1'] == 0.:
    return 'not one class of dev is right'
  most = max(support, key=support.get)
  known_nothing = 2. * support[most] / (count + sum(support.values()))
  if figures['micro_f1'] <= known_nothing + two_errors(known_nothing, count):
    return 'dev micro-F1 {:.3f} is at most two standard errors ({:.3f}) above always {} ({:.3f})'.format(
        figures['micro_f1'], two_errors(known_nothing, count), most, known_nothing)
  return None


def _of_numbers(figures, count):
  if figures['pearson'] is None:
    return 'dev: all predictions are equal, so that nothing correlates with them'
  if figures['pearson'] <= 2. / math.sqrt(count):
    return 'dev: Pearson {:.3f} is at most two standard errors ({:.3f}) above 0'.format(
        figures['pearson'], 2. / math.sqrt(count))
  return None


def _of_answers(figures, count):
  most = _LUCKY_SHARE + two_errors(_LUCKY_SHARE, count)
  if figures['em'] / 100. <= most:
    return 'dev: {:.1f}% of the answers are exact, as few as chance may give ({:.1%})'.format(figures['em'], most)
  return None
