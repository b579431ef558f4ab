"""tools.preprocessing.masking: whole words or nothing, the share, 80/10/10, and the layout of a record."""

import numpy as np
import pytest

from tools.preprocessing import assembly
from tools.preprocessing import masking

from random_examples import CLS, MASK, PAD, REPLACEMENTS, SEP, make, options, rows_of


def test_layout():
  examples = make()
  for head, ids, words, row in rows_of(examples, masking.mask(examples, options())):
    a, b = head['lengths'].tolist()
    restored = list(row['input_ids'])
    for position, label, weight in zip(row['masked_lm_positions'], row['masked_lm_ids'], row['masked_lm_weights']):
      if weight:
        restored[position] = label
    padding = 64 - a - b - 3
    assert restored == [CLS] + ids[:a] + [SEP] + ids[a:] + [SEP] + [PAD] * padding
    assert row['input_mask'] == [1] * (a + b + 3) + [0] * padding
    assert row['segment_ids'] == [0] * (a + 2) + [1] * (b + 1) + [0] * padding
    heads = [int(word != assembly.CONTINUES) for word in words]
    assert row['token_boundary'] == [1] + heads[:a] + [1] + heads[a:] + [1] + [0] * padding
    assert row['next_sentence_labels'] == [int(head['swapped'])]
    count = int(sum(row['masked_lm_weights']))
    assert row['masked_lm_weights'] == [1.0] * count + [0.0] * (8 - count)
    assert row['masked_lm_positions'][:count] == sorted(set(row['masked_lm_positions'][:count]))
    assert row['masked_lm_positions'][count:] == row['masked_lm_ids'][count:] == [0] * (8 - count)


def test_whole_words_or_nothing_and_no_cut_words():
  examples = make()
  sizes = set()
  for head, _ids, words, row in rows_of(examples, masking.mask(examples, options())):
    a = int(head['lengths'][0])
    masked = {p for p, weight in zip(row['masked_lm_positions'], row['masked_lm_weights']) if weight}
    starts = [place for place, word in enumerate(words) if word != assembly.CONTINUES] + [len(words)]
    for start, end in zip(starts, starts[1:]):
      columns = {1 + place + (place >= a) for place in range(start, end)}
      assert columns <= masked or not columns & masked
      if columns <= masked:
        assert words[start] == assembly.STARTS
        sizes.add(len(columns))
  assert {1, 2, 3, 5} <= sizes


def test_share():
  for lengths in ((25, 31), (4, 31)):
    examples = make(4000, lengths, cut=0.0)
    batch = masking.mask(examples, options())
    masked = batch.masked_lm_weights.sum(axis=1)
    share = masked / examples.heads['lengths'].sum(axis=1)
    assert 0.095 < share.mean() < 0.1
    assert masked.min() >= 1 and masked.max() <= 8


def test_budget():
  # 55 words of one token: 5.5 less an eighth, rounded up or down.
  examples = make(4000, (27, 28), word_sizes=(1,), cut=0.0)
  examples.heads['lengths'][:, 1] += 1
  examples = assembly.Examples(examples.heads, np.resize(examples.tokens, 4000 * 55))
  masked = masking.mask(examples, options()).masked_lm_weights.sum(axis=1)
  assert set(masked) == {5, 6} and abs(masked.mean() - 5.375) < 0.04
  few = masking.mask(examples, options(max_predictions_per_seq=4)).masked_lm_weights.sum(axis=1)
  assert set(few) == {4}, 'P is never exceeded'


def test_words_are_taken_in_random_order_as_they_fit():
  """Against a slow loop over the words of each example."""
  heads, sizes, rows, left = [], [], [], []
  random = np.random.RandomState(5)
  expected = []
  place = 0
  for row in range(200):
    left.append(random.randint(0, 9))
    budget = left[-1]
    for size in random.randint(1, 7, size=random.randint(0, 12)):
      heads.append(place)
      sizes.append(size)
      rows.append(row)
      if size <= budget:
        expected += range(place, place + size)
        budget -= size
      place += size
  taken = masking._fill(*(np.array(values, np.int64) for values in (heads, sizes, rows, left)))
  assert taken.tolist() == expected


def test_eighty_ten_ten():
  examples = make(20000)
  batch = masking.mask(examples, options())
  weights = batch.masked_lm_weights > 0
  rows = np.nonzero(weights)[0]
  inputs = batch.input_ids[rows, batch.masked_lm_positions[weights]]
  labels = batch.masked_lm_ids[weights]
  masked, kept = inputs == MASK, inputs == labels
  random = ~masked & ~kept
  assert abs(masked.mean() - 0.8) < 0.01 and abs(kept.mean() - 0.1) < 0.01 and abs(random.mean() - 0.1) < 0.01
  assert set(inputs[random]) == set(REPLACEMENTS)
  assert np.bincount(inputs[random])[REPLACEMENTS].min() > 0.3 * random.sum() / len(REPLACEMENTS)


def test_every_word_has_the_same_chance_of_its_own():
  """Neither place nor neighbours matter: each of 40 words of one size is masked as often."""
  examples = make(6000, (20, 21), word_sizes=(1,), cut=0.0)
  batch = masking.mask(examples, options())
  positions = batch.masked_lm_positions[batch.masked_lm_weights > 0]
  counts = np.bincount(positions, minlength=64)[[*range(1, 21), *range(22, 42)]]
  assert counts.min() > 0.85 * 600 and counts.max() < 1.15 * 600


def test_an_example_is_masked_alike_alone_and_among_others():
  examples = make(20)
  together = masking.mask(examples, options())
  place = 0
  for number, head in enumerate(examples.heads):
    total = head['lengths'].sum()
    alone = masking.mask(assembly.Examples(examples.heads[number:number + 1],
                                           examples.tokens[place:place + total]), options())
    for name in masking.Batch._fields:
      np.testing.assert_array_equal(getattr(alone, name)[0], getattr(together, name)[number])
    place += total


def test_keys_decide():
  examples = make(50)
  other = assembly.Examples(examples.heads.copy(), examples.tokens)
  other.heads['key'] += np.uint64(1)
  first, second = masking.mask(examples, options()), masking.mask(other, options())
  assert (first.masked_lm_positions != second.masked_lm_positions).any(axis=1).mean() > 0.8


def test_where_all_words_are_longer_than_the_budget_a_shortest_one_is_masked():
  examples = make(200, (6, 7), word_sizes=(3,), cut=0.0)
  batch = masking.mask(examples, options())
  assert (batch.masked_lm_weights.sum(axis=1) == 3).all()


@pytest.mark.parametrize('changes', [dict(cut=1.0), dict(word_sizes=(20,), lengths=(18, 20), cut=0.0)])
def test_nothing_that_can_be_masked(changes):
  batch = masking.mask(make(30, **changes), options())
  assert batch.masked_lm_weights.sum() == 0 and not (batch.input_ids == MASK).any()


def test_no_examples():
  batch = masking.mask(make(0), options())
  assert batch.input_ids.shape == (0, 64) and batch.masked_lm_ids.shape == (0, 8)


def joined(examples, max_ngram):
  """The n-grams of examples: (heads, sizes, rows) of those that may be masked, and the layout."""
  layout = masking._Layout(examples)
  heads = np.flatnonzero(layout.words)
  sizes = np.diff(np.append(heads, len(layout.words)))
  maskable = layout.words[heads] == assembly.STARTS
  heads, sizes, rows, maskable = masking._join_words(
      layout, heads, sizes, layout.rows[heads], maskable, options(max_ngram=max_ngram, max_predictions_per_seq=30))
  return heads[maskable], sizes[maskable], rows[maskable], layout


@pytest.mark.parametrize('max_ngram', [2, 3])
def test_ngrams_of_n_words_are_as_frequent_as_1_over_n(max_ngram):
  examples = make(2000, lengths=(200, 201), word_sizes=(1,), cut=0)
  _, sizes, _, _ = joined(examples, max_ngram)
  shares = np.bincount(sizes, minlength=max_ngram + 1)[1:] / len(sizes)
  expected = 1 / np.arange(1, max_ngram + 1)
  np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.006)


def test_ngrams_are_whole_words_of_one_segment():
  heads, sizes, rows, layout = joined(make(1000), 3)
  words_of = [layout.words[head:head + size] for head, size in zip(heads, sizes)]
  assert all(words[0] == assembly.STARTS and assembly.CUT not in words for words in words_of)
  assert {np.count_nonzero(words) for words in words_of} == {1, 2, 3}
  ends = heads + sizes
  inside = ends < len(layout.words)
  assert (layout.words[ends[inside]] != assembly.CONTINUES).all()
  assert (layout.rows[ends - 1] == rows).all()
  assert (layout.columns[ends - 1] - layout.columns[heads] == sizes - 1).all(), 'none goes across [SEP]'


def test_ngram_masking_keeps_the_share():
  examples = make(3000, lengths=(30, 60), cut=0)
  shares = []
  for max_ngram in (1, 2, 3):
    batch = masking.mask(examples, options(max_ngram=max_ngram, max_seq_length=128, max_predictions_per_seq=20))
    shares.append(batch.masked_lm_weights.sum() / (batch.input_mask.sum() - 9000))
  assert max(shares) - min(shares) < 0.004 and abs(shares[2] - 0.098) < 0.003
