"""Schemes of tags: which one a file has, what it allows, the best path."""

import itertools

import numpy as np
import pytest

from albert.labelled import tag_schemes


def entities(text):
  tags = text.split()
  of_tags = tag_schemes.entities_of(tags, range(len(tags)), range(1, len(tags) + 1), '.' * len(tags))
  return [(entity.type, entity.start, entity.end) for entity in of_tags]


@pytest.mark.parametrize('sequences, scheme', [
    (['O O'], 'BIO'), (['B-X I-X O'], 'BIO'), (['B-X B-X I-X', 'B-Y'], 'BIO'), ([], 'BIO'),
    (['I-X I-X O I-Y'], 'IOB1'), (['I-X B-X O'], 'IOB1'), (['O I-X', 'I-Y I-X B-X'], 'IOB1'),
    (['B-X I-X O S-X'], 'BIOS'), (['S-X'], 'BIOS'),
    (['B-X I-X E-X S-Y O'], 'BIOES'), (['B-X E-X'], 'BIOES'), (['B_X I_X E_X'], 'BIOES'),
    (['B-X M-X E-X S-Y O'], 'BMES'), (['B M M E S'], 'BMES'), (['B-X I-X L-X U-Y'], 'BILOU'),
])
def test_the_scheme_is_recognised(sequences, scheme):
  assert tag_schemes.recognise([tags.split() for tags in sequences]) == (scheme, None)


@pytest.mark.parametrize('sequences, number, place', [
    (['B-X I-X', 'O B-X I-Y'], 1, 2),        # BIO with an I of another type, IOB1 with a B behind O
    (['B-X I-X E-X', 'B-X O'], 1, 1),         # an entity without its end
    (['B-X E-X', 'E-X'], 1, 0),
    (['B-X E-X', 'O B-X'], 1, 1),
    (['B-X M-X I-X'], 0, 1),                  # letters of two schemes
    (['O O', 'O LOC'], 1, 1),
    (['X-LOC'], 0, 0),
])
def test_tags_that_no_scheme_allows_are_found(sequences, number, place):
  _, (scheme, error) = tag_schemes.recognise([tags.split() for tags in sequences])
  assert scheme == number and (error.place == place or sequences == ['B-X M-X I-X'])
  assert 'expected' in str(error) and 'found' in str(error)


@pytest.mark.parametrize('tags, expected', [
    ('B-X I-X O', [('X', 0, 2)]), ('B-X B-X', [('X', 0, 1), ('X', 1, 2)]), ('I-X I-X B-X', [('X', 0, 2), ('X', 2, 3)]),
    ('I-X I-Y', [('X', 0, 1), ('Y', 1, 2)]), ('S-X S-X', [('X', 0, 1), ('X', 1, 2)]),
    ('B-X M-X E-X B-X E-X', [('X', 0, 3), ('X', 3, 5)]), ('B I B', [('', 0, 2), ('', 2, 3)]),
    ('B-a-b I-a-b', [('a-b', 0, 2)]), ('B-X [PAD] I-X', [('X', 0, 1), ('X', 2, 3)])])
def test_entities_of_tags(tags, expected):
  assert entities(tags) == expected


def test_tags_are_in_order():
  assert tag_schemes.tags_of('BIO', ['b', 'a']) == ['O', 'B-a', 'B-b', 'I-a', 'I-b']
  assert tag_schemes.tags_of('BMES', ['']) == ['O', 'B', 'E', 'M', 'S']
  for scheme in set(tag_schemes.SCHEMES) - {'IOB1'}:
    assert tag_schemes.scheme_of_names(tag_schemes.tags_of(scheme, ['x'])) == scheme
  assert tag_schemes.scheme_of_names(['[PAD]', 'O', 'B-x']) == 'BIO'


@pytest.mark.parametrize('scheme', ['BIO', 'BIOS', 'BIOES'])
def test_the_best_path_is_that_of_all_paths(scheme):
  names = tag_schemes.tags_of(scheme, ['X'])
  count, length = len(names), 4
  random = np.random.RandomState(0)
  never, not_first, not_last = tag_schemes.forbidden(names, scheme)
  for _ in range(20):
    scores, transitions = random.randn(length, count) * 2, random.randn(count, count)
    transitions[never] = -np.inf
    first, last = (np.where(stop, -np.inf, random.randn(count)) for stop in (not_first, not_last))
    def total(path, scores=scores, transitions=transitions, first=first, last=last):
      return (first[path[0]] + last[path[-1]] + sum(scores[place, tag] for place, tag in enumerate(path))
              + sum(transitions[pair] for pair in zip(path, path[1:])))
    best = max(itertools.product(range(count), repeat=length), key=total)
    path = tag_schemes.best_path(scores, transitions, first, last)
    assert path == list(best)
    tag_schemes.check([names[tag] for tag in path], scheme)  # never leaves the scheme
  assert tag_schemes.best_path(np.zeros([0, count]), transitions, first, last) == []


def test_overlapping_entities_lose_the_inner_one():
  make = tag_schemes.Entity
  inner, outer, other = make('a', 1, 2, ''), make('b', 0, 3, ''), make('c', 3, 4, '')
  assert tag_schemes.without_overlaps([inner, other, outer]) == (outer, other)
  assert tag_schemes.without_overlaps([make('a', 0, 1, ''), make('b', 0, 2, '')]) == (make('b', 0, 2, ''),)
