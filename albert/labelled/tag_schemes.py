"""Tags per character or token, in the schemes that exist, and the entities that they stand for.

    BIO     B I I   a single one B      IOB1    B only between two entities of a type without anything between them
    BIOS    B I I   a single one S      BIOES   B I E   a single one S, also with the letters of BMES and BILOU
"""

import collections
import functools
import re

import numpy as np

from albert.labelled.example import Entity

_Letters = collections.namedtuple('_Letters', ['begin', 'inside', 'end', 'single'])
_LETTERS = collections.OrderedDict([
    ('BIO', _Letters('B', 'I', 'I', 'B')),
    ('IOB1', _Letters('B', 'I', 'I', 'B')),
    ('BIOS', _Letters('B', 'I', 'I', 'S')),
    ('BIOES', _Letters('B', 'I', 'E', 'S')),
    ('BMES', _Letters('B', 'M', 'E', 'S')),
    ('BILOU', _Letters('B', 'I', 'L', 'U')),
])
SCHEMES = tuple(_LETTERS)
OUTSIDE = 'O'
# Those in which an entity has an end of its own.
_CLOSED = ('BIOES', 'BMES', 'BILOU')
_TAG = re.compile(r'([BIMESLU])(?:[-_](.*))?', re.DOTALL)
_INSIDE, _ENDS = 'IMEL', 'ESLU'


class TagError(ValueError):
  """Tags that a scheme does not allow; `place`: the number of the first tag that is wrong."""

  def __init__(self, place, message):
    super().__init__(message)
    self.place = place


@functools.lru_cache(maxsize=4096)
def parse(tag):
  """(letter, type) of a tag; (OUTSIDE, '') of O; None if it is neither."""
  match = _TAG.fullmatch(tag)
  return (match.group(1), match.group(2) or '') if match else (OUTSIDE, '') if tag == OUTSIDE else None


def training_scheme(scheme):
  """The scheme in which a model learns tags that are in `scheme`."""
  return 'BIO' if scheme == 'IOB1' else scheme


def tags_of(scheme, types):
  """All tags of types in a scheme, O first: list of str."""
  letters = sorted(set(_LETTERS[scheme]))
  return [OUTSIDE] + sorted('{}-{}'.format(letter, name) if name else letter for letter in letters for name in types)


def scheme_of_names(names):
  """The scheme whose letters the tags of a model have."""
  letters = {parse(name)[0] for name in names if parse(name)} - {OUTSIDE}
  return next((scheme for scheme in ('BIO', 'BIOS', 'BMES', 'BILOU') if letters <= set(_LETTERS[scheme])), 'BIOES')


def letters_of(scheme, count):
  """The letters of an entity of `count` tokens: list of str."""
  letters = _LETTERS[scheme]
  if count == 1:
    return [letters.single]
  return [letters.begin] + [letters.inside] * (count - 2) + [letters.end]


def recognise(sequences):
  """The scheme of sequences of tags: the first one that allows them all.

  Args:
    sequences: list of lists of str.

  Returns:
    (scheme, None), or (the scheme that goes on longest, (number of the sequence, TagError)) if none allows them.
  """
  letters = {parsed[0] for tags in sequences for parsed in map(parse, set(tags)) if parsed} - {OUTSIDE}
  best = ('BIO', (-1, None))
  for scheme in SCHEMES:
    if letters <= set(_LETTERS[scheme]):
      fault = _first_fault(sequences, scheme)
      if fault is None:
        return scheme, None
      best = max(best, (scheme, fault), key=lambda candidate: candidate[1][0])
  return best if best[1][1] else ('BIO', _first_fault(sequences, 'BIO'))


def _first_fault(sequences, scheme):
  pairs = set()
  for tags in sequences:
    pairs.update(zip([None] + tags, tags + [None]))
  if all(_follows(scheme, *pair) for pair in pairs):
    return None
  for number, tags in enumerate(sequences):
    try:
      check(tags, scheme)
    except TagError as error:
      return number, error
  return None


@functools.lru_cache(maxsize=1 << 16)
def _follows(scheme, before, after):
  """Whether a tag, a str, may follow another one; None: the begin and the end."""
  parsed = [tag and parse(tag) for tag in (before, after)]
  return (all(tag is None or known and known[0] in OUTSIDE + ''.join(_LETTERS[scheme])
              for tag, known in zip((before, after), parsed)) and allows(scheme, *parsed))


def check(tags, scheme):
  """Raises TagError if the scheme does not allow the tags, a list of str."""
  if all(_follows(scheme, *pair) for pair in zip([None] + tags, tags + [None])):
    return
  before, earlier = None, None
  for place, tag in enumerate(tags):
    parsed = parse(tag)
    if parsed is None or parsed[0] != OUTSIDE and parsed[0] not in _LETTERS[scheme]:
      raise TagError(place, 'expected O or a tag such as B-LOC, of {}, found {}'.format(scheme, tag))
    if not allows(scheme, before, parsed):
      raise TagError(place, 'expected tags of {}, found {} {}'.format(
          scheme, tag, 'after ' + earlier if earlier else 'at the begin'))
    before, earlier = parsed, tag
  if before and not allows(scheme, before, None):
    raise TagError(len(tags) - 1, 'expected tags of {}, found {} at the end'.format(scheme, earlier))


def allows(scheme, before, after):
  """Whether a tag may stand before another; both as parse() gives them, None for the begin and the end."""
  inside = bool(after) and after[0] in _INSIDE
  if scheme == 'IOB1':
    return not after or after[0] != 'B' or bool(before) and before[0] in 'BI' and before[1] == after[1]
  if scheme in _CLOSED:
    is_open = bool(before) and before[0] in 'BIM'
    return is_open == inside and (not inside or before[1] == after[1])
  return not inside or bool(before) and before[0] in 'BI' and before[1] == after[1]


def entities_of(tags, starts, ends, text):
  """The entities of tags that their scheme allows: list of Entity, in order.

  Args:
    tags: list of str.
    starts, ends: characters of each.
    text: str, the raw text.
  """
  entities, current = [], None
  for parsed, start, end in zip(map(parse, tags), starts, ends):
    letter, kind = parsed or (OUTSIDE, '')
    goes_on = current is not None and letter in _INSIDE and letter != OUTSIDE and current[0] == kind
    if not goes_on:
      entities += [current] if current else []
      current = None if letter == OUTSIDE else [kind, start, end]
    current = current and [current[0], current[1], end]
    if letter in _ENDS:
      entities.append(current)
      current = None
  entities += [current] if current else []
  return [Entity(kind, start, end, text[start:end]) for kind, start, end in entities]


def without_overlaps(entities):
  """Those of a tuple of Entity that no earlier one overlaps, of two that begin together the longer one: tuple."""
  kept, end = [], 0
  for entity in sorted(entities, key=lambda entity: (entity.start, -entity.end, entity.type)):
    if entity.start >= end:
      kept.append(entity)
      end = entity.end
  return tuple(kept)


def forbidden(names, scheme):
  """The transitions that the scheme forbids among the tags of a model.

  Returns:
    bool arrays of shapes [C, C] (a tag, row, before another, column), [C] (at the begin), [C] (at the end).
  """
  parsed = [parse(name) for name in names]
  # A name that is no tag, such as [PAD], is outside of every entity.
  parsed = [(OUTSIDE, '') if tag is None else tag for tag in parsed]
  between = np.array([[not allows(scheme, before, after) for after in parsed] for before in parsed])
  return (between, np.array([not allows(scheme, None, tag) for tag in parsed]),
          np.array([not allows(scheme, tag, None) for tag in parsed]))


def best_path(scores, transitions, first, last):
  """The tags of the highest sum of scores (Viterbi): list of n int.

  Args:
    scores: float array of shape [n, C].
    transitions: float array of shape [C, C], a tag (row) before another (column); -inf: never.
    first, last: float arrays of shape [C], at the begin and at the end.
  """
  if not len(scores):
    return []
  total = scores[0] + first
  origins = []
  for row in scores[1:]:
    reached = total[:, None] + transitions
    origins.append(reached.argmax(0))
    total = reached.max(0) + row
  path = [int((total + last).argmax())]
  for origin in reversed(origins):
    path.append(int(origin[path[-1]]))
  return path[::-1]
