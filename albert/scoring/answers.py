"""Exact match and F1 of answers, as CMRC 2018 defines them (Cui et al., 2019).

EM: whether both sides are equal in lower case, without space around them and without the marks of a list. F1: both
sides are cut into segments, each Han character one and the rest as words, without those marks; then the F1 of the
longest run of segments that they have in common, which must be contiguous. Of several right answers the best one
counts.
"""

import collections

from albert.scoring import treebank

# The official list. Its "……" is two characters and meets none, so that an ellipsis stays.
_MARKS = frozenset('-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』')
_FIRST_HAN, _LAST_HAN = '\u4e00', '\u9fa5'


def score(gold, predicted):
  """Figures of N questions.

  Args:
    gold: for each question a sequence of str, the right answers; none if it cannot be answered.
    predicted: for each question a str; '' or None: not answered.

  Returns:
    OrderedDict: em, f1, average (of both), each from 0 to 100.
  """
  pairs = list(zip(gold, predicted))
  exact = sum(exact_match(answers, answer) for answers, answer in pairs)
  overlap = sum(f1(answers, answer) for answers, answer in pairs)
  em_percent, f1_percent = (100. * total / len(pairs) if pairs else 0. for total in (exact, overlap))
  return collections.OrderedDict([
      ('em', em_percent), ('f1', f1_percent), ('average', (em_percent + f1_percent) / 2)])


def exact_match(answers, predicted):
  """1 if a predicted str is one of the right answers, else 0."""
  if not answers:
    return int(not predicted)
  if not predicted:
    return 0
  plain = without_marks(predicted)
  return int(any(without_marks(answer) == plain for answer in answers))


def f1(answers, predicted):
  """The best F1, from 0 to 1, of a predicted str against the right answers."""
  if not answers:
    return float(not predicted)
  if not predicted:
    return 0.
  given = segments(predicted)
  return max(_f1(segments(answer), given) for answer in answers)


def _f1(right, given):
  common = longest_common_run(right, given)
  return 2. * common / (len(right) + len(given)) if common else 0.


def without_marks(text):
  """A text as EM compares it."""
  return ''.join(char for char in str(text).lower().strip() if char not in _MARKS)


def segments(text):
  """A text as F1 compares it: list of str."""
  parts, run = [], ''
  # Marks do not divide what stands around them: "2008-2009" is one segment, as it is officially.
  for char in without_marks(text):
    if _FIRST_HAN <= char <= _LAST_HAN:
      if run:
        parts += treebank.words(run)
        run = ''
      parts.append(char)
    else:
      run += char
  return parts + (treebank.words(run) if run else [])


def longest_common_run(first, second):
  """The length of the longest contiguous run that two lists have in common."""
  # A run of n has runs of n - 1 in it: what is the longest can be halved in.
  low, high = 0, min(len(first), len(second))
  while low < high:
    middle = (low + high + 1) // 2
    if _runs(first, middle).isdisjoint(_runs(second, middle)):
      high = middle - 1
    else:
      low = middle
  return low


def _runs(entries, length):
  return {tuple(entries[place:place + length]) for place in range(len(entries) - length + 1)}
