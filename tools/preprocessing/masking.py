"""Whole-word masking of many examples at once: examples in compact form to the arrays of the reference record.

The rules are albert/dataset/masking_rules.py, which albert/input/formats/dynamic_masking.py follows too, in TensorFlow.
"""

import collections

import numpy as np

from albert.common import ragged
from albert.dataset import masking_rules
from albert.dataset import random_bits
from albert.dataset import record_format
from tools.preprocessing import assembly
from tools.preprocessing import encoding

Batch = collections.namedtuple('Batch', [spec.name for spec in record_format.WRITTEN_FEATURES])
Batch.__doc__ = """The features of a record for N examples.

input_ids: int32 [N, S]; input_mask, segment_ids, token_boundary: uint8 [N, S]; masked_lm_positions, masked_lm_ids:
int32 [N, P]; masked_lm_weights: float32 [N, P]; next_sentence_labels: uint8 [N, 1].
"""


def mask(examples, options):
  """Masks `assembly.Examples`: a `Batch`. The masks of an example depend on its key and nothing else.

  options: `masking_rules.MaskingOptions`.
  """
  layout = _Layout(examples)
  chosen = _choose_tokens(layout, options)
  rows, columns, labels = layout.rows[chosen], layout.columns[chosen], layout.ids[chosen]
  batch = _unmasked_batch(layout, options)
  batch.input_ids[rows, columns] = _replacements(layout.keys[rows], columns, labels, options)
  counts = np.bincount(rows, minlength=len(layout.keys))
  slots = ragged.index(np.zeros(len(counts), np.int64), counts)
  batch.masked_lm_positions[rows, slots] = columns
  batch.masked_lm_ids[rows, slots] = labels
  batch.masked_lm_weights[rows, slots] = 1
  return batch


class _Layout:
  """Examples unpacked, and where their tokens go.

  Per example: keys uint64; swapped uint8; first_lengths, totals int64, tokens of the first segment and of both.
  Per token: ids int32; words uint8; rows, columns int64, its example and its place in [CLS] A [SEP] B [SEP].
  """

  def __init__(self, examples):
    self.keys = np.ascontiguousarray(examples.heads['key'])
    self.swapped = np.ascontiguousarray(examples.heads['swapped'])
    lengths = examples.heads['lengths'].astype(np.int64)
    self.totals = lengths.sum(axis=1)
    self.first_lengths = lengths[:, 0]
    self.ids = encoding.ids_of(examples.tokens)
    self.words = encoding.words_of(examples.tokens)
    self.rows = np.repeat(np.arange(len(self.totals)), self.totals)
    places = ragged.index(np.zeros(len(self.totals), np.int64), self.totals)
    self.columns = 1 + places + (places >= self.first_lengths[self.rows])


def _unmasked_batch(layout, options):
  count, width, slots = len(layout.totals), options.max_seq_length, options.max_predictions_per_seq
  every = np.arange(count)
  first_sep, last_sep = layout.first_lengths + 1, layout.totals + 2
  input_ids = np.full((count, width), options.pad_id, np.int32)
  input_ids[layout.rows, layout.columns] = layout.ids
  boundary = np.zeros((count, width), np.uint8)
  boundary[layout.rows, layout.columns] = layout.words != assembly.CONTINUES
  for columns, token in ((np.zeros(count, np.int64), options.cls_id), (first_sep, options.sep_id),
                         (last_sep, options.sep_id)):
    input_ids[every, columns] = token
    boundary[every, columns] = 1
  columns = np.arange(width)
  input_mask = columns <= last_sep[:, None]
  segment_ids = input_mask & (columns > first_sep[:, None])
  return Batch(
      input_ids=input_ids, input_mask=input_mask.view(np.uint8), segment_ids=segment_ids.view(np.uint8),
      masked_lm_positions=np.zeros((count, slots), np.int32), masked_lm_ids=np.zeros((count, slots), np.int32),
      masked_lm_weights=np.zeros((count, slots), np.float32), next_sentence_labels=layout.swapped[:, None],
      token_boundary=boundary)


def _choose_tokens(layout, options):
  """Sorted indices of the tokens to mask: whole words in random order, each that still fits into the budget."""
  heads = np.flatnonzero(layout.words)
  sizes = np.diff(np.append(heads, len(layout.words)))
  rows = layout.rows[heads]
  maskable = (layout.words[heads] == assembly.STARTS) & (sizes <= options.max_predictions_per_seq)
  if options.max_ngram > 1:
    heads, sizes, rows, maskable = _join_words(layout, heads, sizes, rows, maskable, options)
  heads, sizes, rows = heads[maskable], sizes[maskable], rows[maskable]
  left = _budgets(layout.keys, layout.totals, sizes, rows, options)
  keys = random_bits.derive_array(layout.keys, masking_rules.CHOICE)
  bits = random_bits.derive_array(keys[rows], layout.columns[heads])
  # One sort for both: by example, and by chance within it. Stable, so that the result depends on nothing else.
  order = np.argsort((rows.astype(np.uint64) << np.uint64(40)) | (bits >> np.uint64(24)), kind='stable')
  return _fill(heads[order], sizes[order], rows[order], left)


def _join_words(layout, heads, sizes, rows, maskable, options):
  """Joins words to n-grams: (heads, sizes, rows, maskable) of these.

  n is 1, 2 or 3 with probability proportional to 1/n (Lan et al. 2020, ALBERT, section 3.2): words are taken in groups
  of max_ngram, each divided at random by masking_rules.NGRAM_CUTS. Nothing joins across [SEP] or words that were cut.
  """
  keys = random_bits.derive_array(layout.keys, masking_rules.NGRAM)
  number = np.arange(len(heads)) - np.searchsorted(rows, rows)
  phase = random_bits.below_array(random_bits.derive_array(keys, masking_rules.NGRAM_PHASE), options.max_ngram)
  group, place = np.divmod(number + phase[rows], options.max_ngram)
  chance = random_bits.below_array(random_bits.derive_array(keys[rows], group), masking_rules.NGRAM_PARTS)
  starts = np.array(masking_rules.NGRAM_CUTS[options.max_ngram], bool)[chance, place]
  columns = layout.columns[heads]
  starts |= ~maskable | (columns == 1) | (columns == layout.first_lengths[rows] + 2)
  starts[1:] |= ~maskable[:-1]
  first = np.flatnonzero(starts)
  sizes = np.add.reduceat(sizes, first) if len(first) else sizes
  return heads[first], sizes, rows[first], maskable[first] & (sizes <= options.max_predictions_per_seq)


def _fill(heads, sizes, rows, left):
  """Takes words in order, each that fits into the rest of its example's budget, and passes over the others.

  heads, sizes, rows: first token, length and example of each word, grouped by example; left: tokens per example.
  """
  taken_tokens = []
  while True:
    fits = sizes <= left[rows]
    heads, sizes, rows = heads[fits], sizes[fits], rows[fits]
    if not len(heads):
      return np.sort(np.concatenate(taken_tokens)) if taken_tokens else heads
    # Takes all words up to the first that does not fit; the budget that is left is less than that word's length.
    sums = np.cumsum(sizes)
    counts = np.bincount(rows, minlength=len(left))
    sums_before = np.append(0, sums)[np.cumsum(counts) - counts]
    taken = sums - sums_before[rows] <= left[rows]
    taken_tokens.append(ragged.index(heads[taken], sizes[taken]))
    left = left - np.bincount(rows[taken], sizes[taken], len(left)).astype(np.int64)
    heads, sizes, rows = heads[~taken], sizes[~taken], rows[~taken]


def _budgets(keys, totals, sizes, rows, options):
  """The number of tokens of each example that may be masked: int64 [N]."""
  chance = random_bits.unit_array(random_bits.derive_array(keys, masking_rules.BUDGET))
  budgets = np.floor(totals * options.masked_lm_prob - masking_rules.BUDGET_REDUCTION + chance).astype(np.int64)
  budgets = np.clip(budgets, 1, options.max_predictions_per_seq)
  # At least one word is masked: where all are longer than the budget, a shortest one.
  shortest = np.full(len(keys), options.max_predictions_per_seq, np.int64)
  np.minimum.at(shortest, rows, sizes)
  return np.maximum(budgets, shortest) if len(sizes) else budgets


def _replacements(keys, columns, labels, options):
  """The input ids of masked tokens: [MASK], a random token or the token itself; int32."""
  bits = random_bits.derive_array(random_bits.derive_array(keys, masking_rules.REPLACEMENT), columns)
  share = random_bits.unit_array(bits)
  choices = np.asarray(options.replacement_ids, np.int32)
  random_tokens = choices[random_bits.below_array(random_bits.derive_array(bits, masking_rules.RANDOM_TOKEN),
                                                  len(choices))]
  return np.where(share < masking_rules.MASK_SHARE, options.mask_id,
                  np.where(share < masking_rules.MASK_SHARE + masking_rules.RANDOM_SHARE, random_tokens, labels))


def outcomes(batch, options):
  """Numbers of masked tokens that became [MASK], became another token, or stayed: int64 [3]. batch: dict of `Batch`."""
  rows, slots = np.nonzero(batch['masked_lm_weights'])
  labels = batch['masked_lm_ids'][rows, slots]
  inputs = batch['input_ids'][rows, batch['masked_lm_positions'][rows, slots]]
  is_mask, is_same = inputs == options.mask_id, inputs == labels
  return np.array([is_mask.sum(), (~is_mask & ~is_same).sum(), is_same.sum()])
