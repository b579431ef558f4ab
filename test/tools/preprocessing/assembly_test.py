"""tools.preprocessing.assembly: two consecutive stretches, half of them swapped; no word cut without a mark."""

import collections

import numpy as np
import pytest

from tools.preprocessing import assembly
from tools.preprocessing import encoding

_ = encoding.CONTINUES
S = encoding.STARTS
C = encoding.AFTER_CLAUSE


def documents(*docs):
  """`Documents` from lists of sentences, lists of word flags. The id of a token is its place, so it can be found."""
  flags = [flag for doc in docs for sentence in doc for flag in sentence]
  return assembly.Documents(
      keys=np.arange(100, 100 + len(docs)).astype(np.uint64),
      sentence_counts=np.array([len(doc) for doc in docs], np.int32),
      lengths=np.array([len(sentence) for doc in docs for sentence in doc], np.int32),
      tokens=encoding.pack(np.arange(len(flags)), np.array(flags)))


def examples(docs, duplicates=20, max_seq_length=23, short_seq_prob=0.1):
  """[(first segment, second segment, swapped, word flags)], and the number of skipped chunks."""
  found, skipped = assembly.examples_of(docs, range(duplicates), assembly.Shape(max_seq_length, short_seq_prob))
  ids, words = encoding.ids_of(found.tokens), encoding.words_of(found.tokens)
  result = []
  place = 0
  for head in found.heads:
    a, b = head['lengths'].tolist()
    result.append((ids[place:place + a].tolist(), ids[place + a:place + a + b].tolist(), int(head['swapped']),
                   words[place:place + a + b].tolist()))
    place += a + b
  assert place == len(ids)
  return result, skipped


def random_documents(count=30, seed=0):
  random = np.random.RandomState(seed)
  def sentence():
    flags = random.choice([_, S, S, C], size=random.randint(1, 12)).tolist()
    return [S] + flags[1:]
  return documents(*[[sentence() for _ in range(random.randint(1, 9))] for _ in range(count)])


def test_segments_are_consecutive_and_labelled():
  docs = random_documents()
  bounds = np.append(0, np.cumsum(docs.lengths))
  owners = np.repeat(np.repeat(np.arange(len(docs.keys)), docs.sentence_counts), docs.lengths)
  found, _skipped = examples(docs)
  swaps = 0
  for first, second, swapped, _words in found:
    early, late = (second, first) if swapped else (first, second)
    assert early == list(range(early[0], early[-1] + 1)) and late == list(range(late[0], late[-1] + 1))
    assert early[-1] < late[0] and owners[early[0]] == owners[late[-1]], 'in order, of one document'
    assert 2 <= len(first) + len(second) <= 20
    # Between them is only what trimming removed: the chunk is divided once.
    if len(first) + len(second) < 20:
      assert early[-1] + 1 == late[0]
      assert early[0] in bounds
    swaps += swapped
  assert abs(swaps / len(found) - 0.5) < 0.05


def test_all_text_is_used():
  docs = random_documents()
  found, skipped = examples(docs, duplicates=40)
  seen = {token for first, second, _swapped, _words in found for token in first + second}
  words = encoding.words_of(docs.tokens)
  per_document = np.add.reduceat(words & S, np.append(0, np.cumsum(
      np.add.reduceat(docs.lengths, np.append(0, np.cumsum(docs.sentence_counts)[:-1])))[:-1]))
  assert len(seen) >= len(docs.tokens) - (per_document < 2).sum() * 12 - skipped * 12
  assert len(seen) > 0.9 * len(docs.tokens)


def test_cut_words_are_marked_and_only_they():
  docs = random_documents()
  words = encoding.words_of(docs.tokens)
  heads = np.flatnonzero(words)
  ends = dict(zip(heads.tolist(), np.append(heads[1:], len(words)).tolist()))
  counts = collections.Counter()
  for first, second, _swapped, flags in examples(docs)[0]:
    for segment, marks in ((first, flags[:len(first)]), (second, flags[len(first):])):
      for place, (token, mark) in enumerate(zip(segment, marks)):
        if token in ends:
          whole = ends[token] <= segment[-1] + 1
          assert mark == (assembly.STARTS if whole else assembly.CUT)
        else:
          assert mark == (assembly.CUT if place == 0 else assembly.CONTINUES)
        counts[mark] += 1
  assert min(counts[mark] for mark in (assembly.STARTS, assembly.CONTINUES, assembly.CUT)) > 100


def test_a_single_sentence_is_divided_at_the_clause_mark_nearest_its_middle():
  docs = documents([[S, C, S, S, C, S, S, S, S, S]])
  for first, second, swapped, _words in examples(docs)[0]:
    assert sorted([first, second]) == [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]] and swapped == (first[0] == 4)


def test_without_a_clause_mark_at_the_word_nearest_the_middle():
  docs = documents([[S, S, _, _, _, _, S, S]])
  assert {tuple(sorted([first[0], second[0]])) for first, second, _swapped, _words in examples(docs)[0]} == {(0, 6)}


@pytest.mark.parametrize('flags, place', [
    ([S], None), ([S, _, _], None), ([S, S], 1), ([S, _, C, S], 2), ([C, S, S, S], 2), ([S, S, S, S, S], 2)])
def test_division(flags, place):
  assert assembly.division(np.array(flags, np.uint8)) == place


def test_a_lone_tail_sentence_is_divided_not_dropped():
  # The first sentence fills the target, so the second is left alone.
  docs = documents([[S] * 20, [S, S, C, S]])
  found, skipped = examples(docs, short_seq_prob=0.0)
  tails = [sorted([first, second]) for first, second, _swapped, _words in found if min(first + second) >= 20]
  assert len(tails) == 20 and all(tail == [[20, 21], [22, 23]] for tail in tails) and skipped == 0


def test_one_word_alone_is_skipped_and_counted():
  found, skipped = examples(documents([[S] * 20, [S, _]]), duplicates=7, short_seq_prob=0.0)
  assert skipped == 7 and len(found) == 7
  assert examples(documents([[S, _, _]]), duplicates=4) == ([], 4)


def test_a_first_sentence_of_one_word_takes_the_next_along():
  found, skipped = examples(documents([[S] + [_] * 24, [S, S]]), short_seq_prob=1.0)
  assert skipped == 0 and len(found) == 20
  assert all({0, 25} >= {min(first), min(second)} - set(range(1, 25)) for first, second, _s, _w in found)


def test_short_sequences():
  docs = documents([[S] * 5] * 40)
  lengths = [len(f) + len(s) for f, s, _swapped, _words in examples(docs, 200, 63, 0.0)[0]]
  assert np.mean(np.array(lengths) == 60) > 0.7
  short = [len(f) + len(s) for f, s, _swapped, _words in examples(docs, 200, 63, 1.0)[0]]
  assert len(set(short)) > 8 and np.mean(short) < 35


@pytest.mark.parametrize('a, b, limit, expected', [
    (3, 4, 10, (3, 4)), (3, 7, 10, (3, 7)), (8, 3, 10, (7, 3)), (3, 20, 10, (3, 7)), (20, 20, 10, (5, 5)),
    (9, 8, 10, (5, 5)), (20, 1, 10, (9, 1)), (1, 1, 2, (1, 1)), (50, 60, 7, (4, 3))])
def test_the_longer_is_trimmed(a, b, limit, expected):
  found = assembly.trimmed_lengths(a, b, limit)
  assert found == expected or found == expected[::-1] and a + b > limit and abs(expected[0] - expected[1]) == 1
  assert sum(found) == min(limit, a + b)


def test_a_document_alone_gives_what_it_gives_among_others():
  docs = random_documents(6)
  together, _skipped = assembly.examples_of(docs, range(4), assembly.Shape(23, 0.1))
  alone = []
  sentence = token = 0
  for key, count in zip(docs.keys, docs.sentence_counts):
    lengths = docs.lengths[sentence:sentence + count]
    part = assembly.Documents(np.array([key]), np.array([count]), lengths, docs.tokens[token:token + lengths.sum()])
    alone += [assembly.examples_of(part, [duplicate], assembly.Shape(23, 0.1))[0] for duplicate in range(4)]
    sentence += count
    token += lengths.sum()
  np.testing.assert_array_equal(np.concatenate([part.heads for part in alone]), together.heads)
  np.testing.assert_array_equal(np.concatenate([part.tokens for part in alone]), together.tokens)


def test_keys_are_distinct_and_duplicates_differ():
  docs = documents([[S] * 6 for _ in range(12)])
  found, _skipped = assembly.examples_of(docs, range(50), assembly.Shape(40, 0.1))
  assert len(set(found.heads['key'].tolist())) == len(found.heads)
  assert len({tuple(head['lengths']) for head in found.heads}) > 5
