"""Sentences to token ids with word boundaries: the raw text is segmented once, then aligned by character offset.

The result is that of `albert.dataset.tokenization.Tokenizer`, computed for a block of text at a time with tables
over code points, because tokenizing 100 GB character by character in Python would take days. A test keeps the two
equal.
"""

import collections

import numpy as np

from albert.dataset import tokenization

# The role of a token in its word. STARTS: it is the first one. AFTER_CLAUSE: the first one, and after a clause mark.
CONTINUES, STARTS, AFTER_CLAUSE = 0, 1, 3
CLAUSE_MARKS = '，；：。！？…,;:!?.'

_CODE_POINTS = 0x110000
_UNKNOWN_KIND = 255
# Distinct runs (latin words, numbers) that are remembered; then all are forgotten, so that memory stays flat.
_MAX_REMEMBERED_RUNS, _MAX_REMEMBERED_CHARACTERS = 1 << 16, 40

_MAX_SHOWN_CHARACTERS = 12

# A token is kept as one uint32: its id in the lower bits, its role above them.
WORD_SHIFT = 28
ID_MASK = (1 << WORD_SHIFT) - 1

Encoded = collections.namedtuple('Encoded', ['tokens', 'lengths'])
Encoded.__doc__ = """Sentences as packed tokens (uint32), one after the other, and the tokens of each (int64)."""


def pack(ids, words):
  """Ids and roles as packed tokens: uint32."""
  return ids.astype(np.uint32) | (words.astype(np.uint32) << np.uint32(WORD_SHIFT))


def ids_of(tokens):
  """The ids of packed tokens: int32."""
  return (tokens & np.uint32(ID_MASK)).astype(np.int32)


def words_of(tokens):
  """The roles of packed tokens: uint8."""
  return (tokens >> np.uint32(WORD_SHIFT)).astype(np.uint8)


class Encoder:
  """Encodes sentences.

  Args:
    tokenizer: `albert.dataset.tokenization.Tokenizer`.
    segment: function text -> list of words that concatenate to the text.
    whole_words: whether words are the segmenter's; otherwise every token is a word of its own.
  """

  def __init__(self, tokenizer, segment, whole_words=True):
    self._tokenizer = tokenizer
    self._segment = segment
    self._whole_words = whole_words
    self._kinds = np.full(_CODE_POINTS, _UNKNOWN_KIND, np.uint8)
    self._single_ids = np.zeros(_CODE_POINTS, np.int32)
    self._is_clause_mark = np.zeros(_CODE_POINTS, bool)
    self._is_clause_mark[[ord(mark) for mark in CLAUSE_MARKS]] = True
    self._runs = {}
    self._unknown = collections.Counter()

  def encode(self, sentences):
    """Encodes sentences, which hold no newline, as `Encoded`; a sentence without tokens has length 0."""
    text = '\n'.join(sentences)
    points = np.frombuffer(text.encode('utf-32-le', 'surrogatepass'), '<u4')
    ids, first, last, continues = self._tokenize(text, points)
    sizes = np.fromiter(map(len, sentences), np.int64, len(sentences))
    begins = np.cumsum(sizes + 1) - sizes - 1
    bounds = np.append(np.searchsorted(first, begins), len(ids))
    starts = self._word_starts(text, first, last, continues)
    starts[bounds[:-1][bounds[:-1] < len(ids)]] = True
    after_clause = np.zeros(len(ids), bool)
    after_clause[1:] = self._is_clause_mark[points[last[:-1]]]
    self._count_unknown(text, ids, first, last)
    words = np.where(starts, np.where(after_clause, AFTER_CLAUSE, STARTS), CONTINUES)
    return Encoded(pack(ids, words), np.diff(bounds))

  def _count_unknown(self, text, ids, first, last):
    for place in np.flatnonzero(ids == self._tokenizer.vocabulary.unk_id).tolist():
      self._unknown[text[first[place]:min(last[place] + 1, first[place] + _MAX_SHOWN_CHARACTERS)]] += 1

  def take_unknown(self, limit):
    """The `limit` most frequent texts that became [UNK] since the last call, longer ones cut: Counter."""
    ordered = sorted(self._unknown.items(), key=lambda item: (-item[1], item[0]))
    self._unknown = collections.Counter()
    return collections.Counter(dict(ordered[:limit]))

  def _tokenize(self, text, points):
    """Token ids, first and last character of each token, whether it is a `##` piece; arrays of one length."""
    kinds = self._character_kinds(points)
    singles = np.flatnonzero(kinds == tokenization.SINGLE)
    in_run = (kinds == tokenization.RUN) | (kinds == tokenization.DROPPED)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], in_run, [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    pieces = [self._run_pieces(text[begin:end]) for begin, end in zip(begins.tolist(), ends.tolist())]
    counts = np.fromiter(map(len, pieces), np.int64, len(pieces))
    pieces = np.concatenate(pieces) if pieces else _no_pieces()
    places = np.repeat(begins, counts)
    ids = np.concatenate([self._single_ids[points[singles]], pieces[:, 0]])
    first = np.concatenate([singles, pieces[:, 1] + places])
    last = np.concatenate([singles, pieces[:, 2] + places - 1])
    continues = np.concatenate([np.zeros(len(singles), bool), pieces[:, 3].astype(bool)])
    order = np.argsort(first, kind='stable')
    return ids[order], first[order], last[order], continues[order]

  def _word_starts(self, text, first, last, continues):
    """Where words start: bool per token. A token that lies in two of the segmenter's words joins them."""
    if not self._whole_words:
      return np.ones(len(first), bool)
    words = self._segment(text)
    sizes = np.fromiter(map(len, words), np.int64, len(words))
    if sizes.sum() != len(text):
      raise ValueError('the segmenter returned {} of {} characters'.format(sizes.sum(), len(text)))
    word_of_character = np.repeat(np.arange(len(words)), sizes)
    starts = ~continues
    starts[1:] &= word_of_character[first[1:]] != word_of_character[last[:-1]]
    return starts

  def _character_kinds(self, points):
    kinds = self._kinds[points]
    new = np.unique(points[kinds == _UNKNOWN_KIND])
    if len(new):
      for point in new.tolist():
        self._kinds[point] = tokenization.character_kind(chr(point))
        if self._kinds[point] == tokenization.SINGLE:
          self._single_ids[point] = self._tokenizer.single_id(chr(point))
      kinds = self._kinds[points]
    return kinds

  def _run_pieces(self, run):
    """int32 [n, 4]: the `Piece`s of a run."""
    pieces = self._runs.get(run)
    if pieces is None:
      parts = self._tokenizer.run_pieces(run)
      pieces = np.array(parts, np.int32) if parts else _no_pieces()
      if len(run) <= _MAX_REMEMBERED_CHARACTERS:
        if len(self._runs) >= _MAX_REMEMBERED_RUNS:
          self._runs.clear()
        self._runs[run] = pieces
    return pieces


def _no_pieces():
  return np.zeros((0, 4), np.int32)
