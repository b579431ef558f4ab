"""Documents to examples: two consecutive stretches of text, half of the time swapped (sentence-order prediction).

As in `create_pretraining_data.py` of google-research/albert: sentences are gathered until a target length is reached
(now and then a short one), the chunk is divided in two, and segments that are too long are trimmed. Unlike there, a
chunk of one sentence is divided inside that sentence, never paired with a random document, and a word that trimming cut
is marked, so that it is never masked in part.
"""

import bisect
import collections

import numpy as np

from albert.dataset import random_bits
from tools.preprocessing import encoding
from tools.preprocessing import ragged

# The role of a token in its word. CUT: the first token that is left of a word that trimming cut.
CONTINUES, STARTS, CUT = 0, 1, 2

# [CLS] A [SEP] B [SEP]
SPECIAL_TOKENS_PER_EXAMPLE = 3

Documents = collections.namedtuple('Documents', ['keys', 'sentence_counts', 'lengths', 'tokens'])
Documents.__doc__ = """Encoded documents.

keys: uint64 [D]; sentence_counts: int32 [D]; lengths: int32, tokens of each sentence; tokens: uint32, packed as
`tools.preprocessing.encoding` does, one sentence after the other.
"""

# key: distinct and random, the order of the shuffled data set; lengths: tokens of the first and the second segment;
# swapped: 1 if the second segment of the text comes first.
HEAD = np.dtype([('key', '<u8'), ('lengths', '<i4', 2), ('swapped', 'u1')])

Examples = collections.namedtuple('Examples', ['heads', 'tokens'])
Examples.__doc__ = """Examples before masking, in the compact form that is shuffled.

heads: HEAD [N]; tokens: uint32, packed ids and CONTINUES, STARTS or CUT, without [CLS] and [SEP].
"""

# How examples are cut; max_seq_length counts [CLS] and [SEP] too.
Shape = collections.namedtuple('Shape', ['max_seq_length', 'short_seq_prob'])


def examples_of(documents, duplicates, shape):
  """All examples of some documents.

  Args:
    documents: `Documents`.
    duplicates: which duplicates of each document, a range; each is cut and ordered anew.
    shape: `Shape`.

  Returns:
    `Examples` in the order of document, duplicate and place, and how many chunks of fewer than two words were left out.
  """
  assembler = _Assembler(documents, shape)
  sentence = 0
  for key, count in zip(documents.keys.tolist(), documents.sentence_counts.tolist()):
    bounds = assembler.bounds[sentence:sentence + count + 1]
    for duplicate in duplicates:
      assembler.add_document(bounds, random_bits.derive(key, duplicate))
    sentence += count
  return assembler.examples(), assembler.skipped_chunks


class _Assembler:
  """Collects the examples of documents as spans of their tokens; gathers the tokens at the end, all at once."""

  def __init__(self, documents, shape):
    self._documents = documents
    self._max_tokens = shape.max_seq_length - SPECIAL_TOKENS_PER_EXAMPLE
    self._short_seq_prob = shape.short_seq_prob
    self._divisions = {}
    self._keys = []
    self._swapped = []
    self._spans = []
    self.bounds = [0] + np.cumsum(documents.lengths).tolist()
    self.skipped_chunks = 0

  def add_document(self, bounds, key):
    """Cuts one document into examples. bounds: where its sentences begin, and its end; key: of this duplicate."""
    stream = random_bits.Stream(key)
    target = self._max_tokens
    if stream.chance(self._short_seq_prob):
      target = 2 + stream.below(self._max_tokens - 1)
    first, last = 0, len(bounds) - 1
    while first < last:
      end = min(last, bisect.bisect_left(bounds, bounds[first] + target, first + 1))
      middle = self._middle(bounds, first, end, stream)
      if middle is None and end < last:
        # A lone sentence of one word cannot be divided: the next sentence joins it.
        end += 1
        middle = self._middle(bounds, first, end, stream)
      if middle is None:
        self.skipped_chunks += 1
      else:
        self._add_example(bounds[first], middle, bounds[end], stream)
      first = end

  def _middle(self, bounds, first, end, stream):
    """Where the second segment of the chunk of sentences [first, end) begins; None if it has fewer than two words."""
    if end - first > 1:
      return bounds[first + 1 + stream.below(end - first - 1)]
    begin = bounds[first]
    if begin not in self._divisions:
      self._divisions[begin] = division(encoding.words_of(self._documents.tokens[begin:bounds[end]]))
    offset = self._divisions[begin]
    return None if offset is None else begin + offset

  def _add_example(self, begin, middle, end, stream):
    a_length, b_length = trimmed_lengths(middle - begin, end - middle, self._max_tokens)
    bits = stream.bits()
    # One coin each: trim this segment at its front or at its back; swap the two.
    a_begin = middle - a_length if bits & 1 else begin
    b_begin = end - b_length if bits & 2 else middle
    swapped = bits >> 2 & 1
    spans = (b_begin, b_length, a_begin, a_length) if swapped else (a_begin, a_length, b_begin, b_length)
    self._spans.append(spans)
    self._swapped.append(swapped)
    self._keys.append(stream.bits())

  def examples(self):
    """The `Examples` that were added."""
    spans = np.array(self._spans, np.int64).reshape(-1, 2, 2)
    begins, lengths = spans[:, :, 0].ravel(), spans[:, :, 1].ravel()
    heads = np.empty(len(spans), HEAD)
    heads['key'] = np.array(self._keys, np.uint64)
    heads['lengths'] = spans[:, :, 1]
    heads['swapped'] = self._swapped
    tokens = self._documents.tokens
    starts = encoding.words_of(tokens) & encoding.STARTS
    index = ragged.index(begins, lengths)
    words = _mark_cut_words(starts, starts[index], begins, lengths)
    return Examples(heads, encoding.pack(encoding.ids_of(tokens[index]), words))


def _mark_cut_words(starts, words, begins, lengths):
  """Marks the words at both ends of each span of which a part is missing.

  starts: uint8, 1 where a word of the documents starts; words: its values in the spans, one after the other.
  """
  places = np.cumsum(lengths) - lengths
  words[places[words[places] == CONTINUES]] = CUT
  # The token after a span continues a word: the last word that starts in the span has lost its end.
  ends = begins + lengths
  inside = ends < len(starts)
  cut = np.zeros(len(ends), bool)
  cut[inside] = starts[ends[inside]] == CONTINUES
  heads = np.flatnonzero(words)
  last_heads = heads[np.searchsorted(heads, (places + lengths)[cut]) - 1]
  words[last_heads] = CUT
  return words


def division(words):
  """The place to divide a single sentence: the word start nearest its middle, after a clause mark if there is one.

  Args:
    words: uint8, one per token: CONTINUES, STARTS or AFTER_CLAUSE of `tools.preprocessing.encoding`.

  Returns:
    The offset of the first token of the second part, or None if the sentence has fewer than two words.
  """
  for role in (encoding.AFTER_CLAUSE, encoding.STARTS):
    places = 1 + np.flatnonzero(words[1:] == role)
    if len(places):
      return int(places[np.argmin(np.abs(2 * places - len(words)))])
  return None


def trimmed_lengths(a_length, b_length, max_tokens):
  """The lengths after trimming the longer segment token by token until both fit."""
  excess = a_length + b_length - max_tokens
  if excess <= 0:
    return a_length, b_length
  if a_length >= b_length:
    longer, shorter = a_length, b_length
  else:
    longer, shorter = b_length, a_length
  from_longer = min(excess, longer - shorter)
  rest = excess - from_longer
  longer -= from_longer + (rest + 1) // 2
  shorter -= rest // 2
  return (longer, shorter) if a_length >= b_length else (shorter, longer)
