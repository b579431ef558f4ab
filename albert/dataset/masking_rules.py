"""The rules of masking, which the data tool (NumPy) and the graph of compact records (TensorFlow) share.

Whole words are taken in random order, each that still fits into the budget of its example; then 80% of their tokens
become [MASK], 10% a random token, 10% stay.
"""

import collections

MaskingOptions = collections.namedtuple('MaskingOptions', [
    'max_seq_length', 'max_predictions_per_seq', 'masked_lm_prob', 'max_ngram', 'pad_id', 'cls_id', 'sep_id', 'mask_id',
    'replacement_ids'])
MaskingOptions.__doc__ = """How examples are masked.

max_ngram: at most this number of whole words in a row are masked together; replacement_ids: list of int, the tokens
that may stand in for a masked one.
"""

# Parts of an example's key, see random_bits.derive: one for each kind of choice.
BUDGET, CHOICE, REPLACEMENT, NGRAM = range(4)
# Part of the NGRAM key from which the first group of words begins in its middle; the groups are parts 0, 1, ...
NGRAM_PHASE = 1 << 32
# Part of a masked token's key from which a random token is chosen.
RANDOM_TOKEN = 0

# Budgets are rounded at random, so that the mean share is right for short examples too, after this part of a token was
# taken off: as each example has at least one masked word, the mean would exceed the share otherwise.
BUDGET_REDUCTION = 0.125

# Of the masked tokens, this share becomes [MASK], this share a random token; the others stay what they are.
MASK_SHARE, RANDOM_SHARE = 0.8, 0.1

# How a group of max_ngram words is divided into n-grams: for each of NGRAM_PARTS equally likely cases where one begins
# at the first, second, third word. Over all cases n-grams of n words are as frequent as 1/n.
NGRAM_PARTS = 12
NGRAM_CUTS = {2: ((1, 0),) * 6 + ((1, 1),) * 6,
              3: ((1, 0, 0),) * 4 + ((1, 1, 0),) * 3 + ((1, 0, 1),) * 3 + ((1, 1, 1),) * 2}


def options(vocabulary, max_seq_length, max_predictions_per_seq, masked_lm_prob, max_ngram=1):
  """The `MaskingOptions` for a `tokenization.Vocabulary`."""
  return MaskingOptions(max_seq_length, max_predictions_per_seq, masked_lm_prob, max_ngram, vocabulary.pad_id,
                        vocabulary.cls_id, vocabulary.sep_id, vocabulary.mask_id, vocabulary.replacement_ids())
