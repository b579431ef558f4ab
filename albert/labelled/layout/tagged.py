"""Texts with tags: CoNLL, characters and tags joined by blanks, CLUENER's entities."""

import itertools
import re

from albert.labelled.example import Entity
from albert.labelled.example import Tags
from albert.labelled.layout import lines

_DOCUMENT = '-DOCSTART-'
# A line of CoNLL: a unit, perhaps columns that nobody needs, and a tag.
TAG_LINE = re.compile(r'(?:\s?|[^ \t]{1,40}(?:[ \t]+[^ \t]+){0,3}?)[ \t]+(O|[BIMESLU](?:[-_]\S+)?)[ \t]*')


def sentences(path):
  """Yields (line, text, Tags or None, error) of a CoNLL file: a unit and, last, its tag per line, blank lines between.

  Where no unit of a text has a tag, as in a file that is to be predicted, it has none.
  The units are joined to the text, with a blank between two words of ASCII letters.
  """
  units, error, begin = [], None, None
  for number, line in itertools.chain(lines.read_lines(path), [(None, '')]):
    if line.strip():
      begin = begin or number
      unit, tag = _unit(line)
      if tag is None:
        error = error or 'expected a character, a blank or tab and its tag, found {!r:.40} in line {}'.format(
            line, number)
      if unit != _DOCUMENT:
        units.append((unit, tag, number))
    elif units:
      text, starts, ends = _joined([unit for unit, _, _ in units])
      is_tagged = any(tag is not None for _, tag, _ in units)
      tags = Tags(starts, ends, [tag for _, tag, _ in units], [number for _, _, number in units])
      yield begin, text, tags if is_tagged and not error else None, error if is_tagged else None
    if not line.strip():
      units, error, begin = [], None, None


def first_without_tag(path):
  """(number, text) of the first line that is neither empty nor one of CoNLL; (1, '') if there is none."""
  return next(((number, text) for number, text in lines.read_lines(path)
               if text.strip() and not TAG_LINE.fullmatch(text)), (1, ''))


def _unit(line):
  """(unit, tag) of a line; the tag is None if there is none."""
  if line[0] in ' \t\u3000' and line[1:2] in (' ', '\t'):
    return line[0], line[1:].strip(' \t') or None
  if line[0] in ' \t':
    return ' ', line.strip(' \t')
  parts = line.strip(' \t').replace('\t', ' ').split(' ')
  return parts[0], parts[-1] if len(parts) > 1 else None


def _joined(units):
  """(text, starts, ends) of units in a row."""
  text, starts, ends = [], [], []
  position, before = 0, ''
  for unit in units:
    if len(before) > 1 and len(unit) > 1 and _is_word(before[-1]) and _is_word(unit[0]):
      text.append(' ')
      position += 1
    starts.append(position)
    position += len(unit)
    ends.append(position)
    text.append(unit)
    before = unit
  return ''.join(text), starts, ends


def _is_word(char):
  return char < '\x80' and char.isalnum()


def joined_by_blanks(cell, tags, line):
  """(text, Tags or None) of two cells, units and tags joined by blanks; tags: None if there are none.

  Raises:
    ValueError: another number of tags than of units.
  """
  tags = tags.split() if isinstance(tags, str) else tags
  # At each second place a blank: the units are characters, and may be blanks themselves.
  characters = list(cell[::2]) if cell and not cell[1::2].strip(' ') else None
  words = cell.split()
  if tags is not None and len(words) != len(tags):
    words = [word for word in cell.split(' ') if word]  # a unit may be white space of another kind, such as U+3000
  units = characters if characters is not None and tags is None else words
  if tags is None:
    return (''.join(units) if characters is not None else cell), None
  if characters is not None and len(characters) == len(tags):
    units = characters
  if len(units) != len(tags):
    raise ValueError('expected a tag for each of {} characters, found {} tags'.format(len(units), len(tags)))
  text, starts, ends = _joined(units)
  return text, Tags(starts, ends, tags, [line] * len(tags))


def entities_of(text, label):
  """The entities of CLUENER's {type: {surface: [[first, last], ...]}}: tuple of Entity, in order. Raises ValueError."""
  entities = []
  try:
    for kind, surfaces in label.items():
      for surface, places in surfaces.items():
        entities += [_entity(text, kind, surface, first, last) for first, last in places]
  except (AttributeError, TypeError):
    raise ValueError('expected a label such as {{"name": {{"叶老桂": [[9, 11]]}}}}, found {!r:.60}'.format(label))
  return tuple(sorted(entities, key=lambda entity: (entity.start, -entity.end, entity.type)))


def _entity(text, kind, surface, first, last):
  if not 0 <= first <= last < len(text) or text[first:last + 1] != surface:
    raise ValueError('expected "{}" at characters {} to {}, found "{}"'.format(
        surface, first, last, text[max(0, first):last + 1]))
  return Entity(kind, first, last + 1, surface)
