"""Documents to examples: two consecutive stretches of text, half of the time swapped (sentence-order prediction).

As in `create_pretraining_data.py` of google-research/albert: sentences are gathered until a target length is reached
(now and then a short one), and the chunk is divided in two. Unlike there, nothing is trimmed: a chunk that is too long
ends at the last clause mark that fits, and the next chunk begins with the rest; a chunk of one sentence is divided
inside that sentence, never paired with a random document; and a word longer than a record, which has to be cut, is
marked, so that it is never masked in part.
"""

import bisect
import collections

import numpy as np

from albert.common import ragged
from albert.dataset import random_bits
from tools.preprocessing import encoding

# The role of a token in its word. CUT: the first token of a part of a word that is longer than a record.
CONTINUES, STARTS, CUT = 0, 1, 2

# [CLS] A [SEP] B [SEP]
SPECIAL_TOKENS_PER_EXAMPLE = 3
# A chunk that is too long ends at a clause mark only if that leaves at least this part of a record filled.
_LEAST_FILLED = 0.25

Documents = collections.namedtuple('Documents', ['keys', 'content_keys', 'sentence_counts', 'lengths', 'tokens'])
Documents.__doc__ = """Encoded documents.

keys: uint64 [D], of their places, all distinct; content_keys: uint64 [D], of their texts; sentence_counts: int32 [D];
lengths: int32, tokens of each sentence; tokens: uint32, packed as `tools.preprocessing.encoding` does, one sentence
after the other.
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

# What did not go as it was meant to, in all duplicates together. skipped_chunks: of fewer than two words, of which no
# two segments can be made; skipped_tokens: of these, which are in no example; divided_sentences: places where one ended
# up in two examples, because it was too long for the first.
Tally = collections.namedtuple('Tally', ['skipped_chunks', 'skipped_tokens', 'divided_sentences'])


def examples_of(documents, duplicates, shape):
  """All examples of some documents.

  Args:
    documents: `Documents`.
    duplicates: which duplicates of each document, a range; each is cut and ordered anew.
    shape: `Shape`.

  Returns:
    `Examples` in the order of document, duplicate and place, and a `Tally`.
  """
  assembler = _Assembler(documents, shape)
  sentence = 0
  for key, count in zip(documents.keys.tolist(), documents.sentence_counts.tolist()):
    bounds = assembler.bounds[sentence:sentence + count + 1]
    for duplicate in duplicates:
      assembler.add_document(bounds, random_bits.derive(key, duplicate))
    sentence += count
  return assembler.examples(), assembler.tally()


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
    self._skipped_chunks = self._skipped_tokens = self._divided_sentences = 0
    words = encoding.words_of(documents.tokens)
    self._word_starts = np.flatnonzero(words).tolist()
    self._clause_starts = np.flatnonzero(words == encoding.AFTER_CLAUSE).tolist()
    self.bounds = [0] + np.cumsum(documents.lengths).tolist()

  def add_document(self, bounds, key):
    """Cuts one document into examples. bounds: where its sentences begin, and its end; key: of this duplicate."""
    stream = random_bits.Stream(key)
    target = self._max_tokens
    if stream.chance(self._short_seq_prob):
      target = 2 + stream.below(self._max_tokens - 1)
    # A chunk begins at `begin`; the sentence that begins there, or goes on, ends at bounds[first].
    begin, first, last = bounds[0], 1, len(bounds) - 1
    while begin < bounds[last]:
      place = min(last, bisect.bisect_left(bounds, begin + target, first))
      end = self._end(begin, place, bounds)
      middle = self._middle(begin, end, bounds, first, stream)
      if middle is None and end == bounds[first] < bounds[last]:
        # A lone sentence of one word cannot be divided: the next sentence joins it.
        end = self._end(begin, first + 1, bounds)
        middle = self._middle(begin, end, bounds, first, stream)
      if middle is None:
        self._skipped_chunks += 1
        self._skipped_tokens += end - begin
      else:
        self._add_example(begin, middle, end, stream)
      begin, first = end, bisect.bisect_right(bounds, end, first)
      self._divided_sentences += end != bounds[first - 1]

  def _end(self, begin, place, bounds):
    """Where a chunk ends: bounds[place] if it fits, else at the last clause or sentence that does, or the last word.

    Chunk and rest keep at least two words each, unless words are about as long as a record.
    """
    limit = begin + self._max_tokens
    if bounds[place] <= limit:
      return bounds[place]
    starts = self._word_starts
    latest = min(limit, max(begin, starts[bisect.bisect_left(starts, bounds[-1]) - 2]))
    end = max(_last(self._clause_starts, latest), _last(bounds, latest))
    following = bisect.bisect_right(starts, begin)
    second_word = starts[following] if following < len(starts) else limit
    if end <= second_word or end - begin < _LEAST_FILLED * self._max_tokens:
      end = _last(starts, latest)
    return end if second_word < end else limit

  def _middle(self, begin, end, bounds, first, stream):
    """Where the second segment of the chunk [begin, end) begins; None if it has fewer than two words.

    first: number of the first bound after `begin`.
    """
    inner = bisect.bisect_left(bounds, end, first) - first
    if inner:
      return bounds[first + stream.below(inner)]
    if (begin, end) not in self._divisions:
      self._divisions[begin, end] = division(encoding.words_of(self._documents.tokens[begin:end]))
    offset = self._divisions[begin, end]
    return None if offset is None else begin + offset

  def _add_example(self, begin, middle, end, stream):
    # Of the bits, the lowest two once said where to trim: a data set of which nothing was trimmed stays what it was.
    swapped = stream.bits() >> 2 & 1
    spans = (begin, middle - begin, middle, end - middle)
    self._spans.append(spans[2:] + spans[:2] if swapped else spans)
    self._swapped.append(swapped)
    self._keys.append(stream.bits())

  def tally(self):
    """The `Tally` of what was added."""
    return Tally(self._skipped_chunks, self._skipped_tokens, self._divided_sentences)

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


def _last(places, latest):
  """The last of sorted places that is not behind `latest`, or -1."""
  number = bisect.bisect_right(places, latest)
  return places[number - 1] if number else -1


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
