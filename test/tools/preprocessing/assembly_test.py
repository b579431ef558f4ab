"""tools.preprocessing.assembly: two consecutive stretches, half of them swapped; no text lost, no word cut in vain."""

import collections

import numpy as np
import pytest

from tools.preprocessing import assembly
from tools.preprocessing import encoding

_ = encoding.CONTINUES
S = encoding.STARTS
C = encoding.AFTER_CLAUSE

# What commit dc770d7 made of the text of test_what_fits_is_as_it_was_when_chunks_were_trimmed.
KEYS = [6218854028959777865, 12415536157692336280, 10937803867773896549, 3482099487132353371, 8097693068377467950,
        6944379790189079754, 11048714552476247121, 3886925330551352895, 12817838958086930893]
LENGTHS = [[4, 9], [7, 6], [9, 4], [4, 3], [4, 3], [4, 3], [1, 2], [1, 2], [2, 1]]
SWAPPED = [1, 1, 0, 1, 1, 1, 1, 1, 0]


def documents(*docs):
  """`Documents` from lists of sentences, lists of word flags. The id of a token is its place, so it can be found."""
  flags = [flag for doc in docs for sentence in doc for flag in sentence]
  return assembly.Documents(
      keys=np.arange(100, 100 + len(docs)).astype(np.uint64), content_keys=np.zeros(len(docs), np.uint64),
      sentence_counts=np.array([len(doc) for doc in docs], np.int32),
      lengths=np.array([len(sentence) for doc in docs for sentence in doc], np.int32),
      tokens=encoding.pack(np.arange(len(flags)), np.array(flags)))


def examples(docs, duplicates=20, max_seq_length=23, short_seq_prob=0.1):
  """[(first segment, second segment, swapped, word flags)], and the `Tally`."""
  made, tally = assembly.examples_of(docs, range(duplicates), assembly.Shape(max_seq_length, short_seq_prob))
  ids, words = encoding.ids_of(made.tokens), encoding.words_of(made.tokens)
  result = []
  place = 0
  for head in made.heads:
    a, b = head['lengths'].tolist()
    result.append((ids[place:place + a].tolist(), ids[place + a:place + a + b].tolist(), int(head['swapped']),
                   words[place:place + a + b].tolist()))
    place += a + b
  assert place == len(ids)
  return result, tally


def random_documents(count=30, seed=0):
  random = np.random.RandomState(seed)
  def sentence():
    flags = random.choice([_, S, S, C], size=random.randint(1, 12)).tolist()
    return [S] + flags[1:]
  return documents(*[[sentence() for _ in range(random.randint(1, 9))] for _ in range(count)])


def test_segments_are_consecutive_and_labelled():
  docs = random_documents()
  owners = np.repeat(np.repeat(np.arange(len(docs.keys)), docs.sentence_counts), docs.lengths)
  made, _tally = examples(docs)
  swaps = 0
  for first, second, swapped, _words in made:
    early, late = (second, first) if swapped else (first, second)
    assert early + late == list(range(early[0], late[-1] + 1)), 'nothing is missing between them'
    assert owners[early[0]] == owners[late[-1]], 'of one document'
    assert 2 <= len(early) + len(late) <= 20
    swaps += swapped
  assert abs(swaps / len(made) - 0.5) < 0.05


@pytest.mark.parametrize('short_seq_prob', [0.0, 0.1, 1.0])
@pytest.mark.parametrize('max_seq_length', [13, 23, 63])
def test_every_token_is_in_one_record_of_each_pass(max_seq_length, short_seq_prob):
  docs = random_documents()
  for duplicate in range(5):
    made, tally = assembly.examples_of(docs, [duplicate], assembly.Shape(max_seq_length, short_seq_prob))
    ids = encoding.ids_of(made.tokens).tolist()
    assert len(ids) == len(set(ids)) == len(docs.tokens) - tally.skipped_tokens
    assert tally.skipped_tokens < 0.02 * len(docs.tokens), 'chunks of one word'
    assert assembly.CUT not in encoding.words_of(made.tokens), 'no word was cut'


def test_a_sentence_that_is_too_long_is_divided_at_the_last_clause_mark_that_fits():
  sentence = [S] * 9 + [C] + [S] * 7 + [C] + [S] * 7 + [C] + [S] * 10
  made, tally = examples(documents([sentence]), short_seq_prob=0.0)
  assert {tuple(sorted(first + second)) for first, second, _swapped, _words in made} == {
      tuple(range(17)), tuple(range(17, 36))}
  assert (tally.divided_sentences, tally.skipped_tokens) == (20, 0)


def test_without_a_clause_mark_at_the_last_word_that_fits():
  made, _tally = examples(documents([[S] * 18 + [S, _, _] + [S] * 9]), short_seq_prob=0.0)
  assert {tuple(sorted(first + second)) for first, second, _swapped, _words in made} == {
      tuple(range(18)), tuple(range(18, 30))}


def test_a_clause_mark_that_would_leave_a_record_almost_empty_is_no_place_to_divide():
  made, _tally = examples(documents([[S, S, S, C] + [S] * 30]), short_seq_prob=0.0)
  assert {min(first + second) for first, second, _swapped, _words in made} == {0, 20}


def test_the_sentence_that_does_not_fit_begins_the_next_record():
  made, tally = examples(documents([[S] * 12, [S] * 12, [S] * 5]), short_seq_prob=0.0)
  assert {tuple(sorted(first + second)) for first, second, _swapped, _words in made} == {
      tuple(range(12)), tuple(range(12, 29))}
  assert tally.divided_sentences == 0


def test_the_rest_is_never_a_word_alone():
  # 20 tokens fit: of 21 words the last one would remain.
  made, tally = examples(documents([[S] * 21]), short_seq_prob=0.0)
  assert {len(first + second) for first, second, _swapped, _words in made} == {19, 2}
  assert tally.skipped_chunks == 0


def test_what_fits_is_as_it_was_when_chunks_were_trimmed():
  docs = documents([[S] * 6, [S, C, S], [S] * 4], [[S] * 7], [[S, _], [S]])
  made, _tally = assembly.examples_of(docs, range(3), assembly.Shape(23, 0.4))
  assert made.heads['key'].tolist() == KEYS and made.heads['lengths'].tolist() == LENGTHS
  assert made.heads['swapped'].tolist() == SWAPPED


def test_a_word_longer_than_a_record_is_cut_and_marked_and_only_it():
  docs = documents([[S] + [_] * 49 + [S, S, S], [S, S]], [[S, S, S, S] + [_] * 30 + [S, S]], [[S] * 5])
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
  assert min(counts[mark] for mark in (assembly.STARTS, assembly.CONTINUES, assembly.CUT)) > 10


def test_a_first_sentence_of_one_word_does_not_have_the_next_one_cut_inside_a_word():
  # 20 tokens fit, and behind the first word, alone, no record may end.
  docs = documents([[S] + [_] * 5, [S] * 12 + [S] + [_] * 5 + [S] * 10])
  made, tally = examples(docs, short_seq_prob=0.0)
  assert {tuple(sorted(first + second)) for first, second, _swapped, _words in made} == {
      tuple(range(18)), tuple(range(18, 34))}
  assert tally.skipped_tokens == 0


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
  made, tally = examples(docs, short_seq_prob=0.0)
  tails = [sorted([first, second]) for first, second, _swapped, _words in made if min(first + second) >= 20]
  assert len(tails) == 20 and all(tail == [[20, 21], [22, 23]] for tail in tails)
  assert tally == (0, 0, 0)


def test_one_word_alone_is_tally_and_counted():
  made, tally = examples(documents([[S] * 20, [S, _]]), duplicates=7, short_seq_prob=0.0)
  assert tally == (7, 14, 0) and len(made) == 7
  assert examples(documents([[S, _, _]]), duplicates=4) == ([], (4, 12, 0))


def test_a_first_sentence_of_one_word_takes_the_next_along():
  made, tally = examples(documents([[S] + [_] * 11, [S, S]]), short_seq_prob=1.0)
  assert tally.skipped_chunks == 0 and len(made) == 20
  assert all({min(first), min(second)} == {0, 12} for first, second, _s, _w in made)


def test_short_sequences():
  docs = documents([[S] * 5] * 40)
  lengths = [len(f) + len(s) for f, s, _swapped, _words in examples(docs, 200, 63, 0.0)[0]]
  assert np.mean(np.array(lengths) == 60) > 0.7
  short = [len(f) + len(s) for f, s, _swapped, _words in examples(docs, 200, 63, 1.0)[0]]
  assert len(set(short)) > 8 and np.mean(short) < 35


def test_a_document_alone_gives_what_it_gives_among_others():
  docs = random_documents(6)
  together, _tally = assembly.examples_of(docs, range(4), assembly.Shape(23, 0.1))
  alone = []
  sentence = token = 0
  for key, count in zip(docs.keys, docs.sentence_counts):
    lengths = docs.lengths[sentence:sentence + count]
    part = assembly.Documents(np.array([key]), np.zeros(1), np.array([count]), lengths,
                              docs.tokens[token:token + lengths.sum()])
    alone += [assembly.examples_of(part, [duplicate], assembly.Shape(23, 0.1))[0] for duplicate in range(4)]
    sentence += count
    token += lengths.sum()
  np.testing.assert_array_equal(np.concatenate([part.heads for part in alone]), together.heads)
  np.testing.assert_array_equal(np.concatenate([part.tokens for part in alone]), together.tokens)


def test_keys_are_distinct_and_duplicates_differ():
  docs = documents([[S] * 6 for _ in range(12)])
  made, _tally = assembly.examples_of(docs, range(50), assembly.Shape(40, 0.1))
  assert len(set(made.heads['key'].tolist())) == len(made.heads)
  assert len({tuple(head['lengths']) for head in made.heads}) > 5
