"""Vocabulary and WordPiece tokens as Chinese BERT defines them, with the characters that each token covers.

The rules are those of `tokenization.py` in google-research/bert: control characters are dropped, every Han
character and every punctuation mark is a token of its own, everything else is split at whitespace, lower-cased,
freed of accents and cut into the longest pieces that the vocabulary has. One deviation: text is cut at
punctuation before it is lower-cased, not after, which differs only for a capital sigma beside a punctuation mark.
"""

import collections
import hashlib
import re
import unicodedata

from albert.common.errors import UserError
from albert.common import files

PAD, UNK, CLS, SEP, MASK = '[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'
SPECIAL_TOKENS = (PAD, UNK, CLS, SEP, MASK)

# Tokens that stand for no text: [PAD], [unused1], <S>.
_SPECIAL_PATTERN = re.compile(r'\[[^\[\]]+\]|<[^<>]+>')
# A run of characters longer than this becomes one [UNK], as in BERT.
_MAX_CHARS_PER_RUN = 200

# The CJK Unified Ideographs blocks: the characters that BERT sets apart. Kana and Hangul are not among them.
_HAN_RANGES = ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
               (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F))

# Kinds of characters.
DROPPED, SPACE, SINGLE, RUN = range(4)

# One token: its id and the characters [start, end) of the text that it covers; `continues` for a `##` piece.
Piece = collections.namedtuple('Piece', ['id', 'start', 'end', 'continues'])


def is_han(char):
  """Whether BERT treats the character as Chinese, i.e. as a token of its own."""
  point = ord(char)
  return any(first <= point <= last for first, last in _HAN_RANGES)


def is_punctuation(char):
  """Whether BERT treats the character as punctuation: all of Unicode's P and every ASCII symbol."""
  return unicodedata.category(char)[0] == 'P' or ('!' <= char <= '~' and not char.isalnum())


def character_kind(char):
  """DROPPED, SPACE, SINGLE (a token of its own) or RUN (part of a run that WordPiece cuts)."""
  if is_han(char) or is_punctuation(char):
    return SINGLE
  category = unicodedata.category(char)
  if char in ' \t\n\r' or category in ('Zs', 'Zl', 'Zp'):
    return SPACE
  return DROPPED if char in '\0\ufffd' or category in ('Cc', 'Cf') else RUN


def normalize(text, do_lower_case):
  """The text as the vocabulary spells it: in lower case and without accents if `do_lower_case`, else as it is."""
  if not do_lower_case:
    return text
  return ''.join(char for char in unicodedata.normalize('NFD', text.lower()) if unicodedata.category(char) != 'Mn')


class Vocabulary:
  """The tokens of a vocab.txt: line i holds token i.

  Attributes:
    tokens: list of str.
    ids: {token: id}.
    sha256: hex SHA-256 of the file.
    pad_id, unk_id, cls_id, sep_id, mask_id: ids of the special tokens.
  """

  def __init__(self, tokens, sha256='', name='vocabulary'):
    self.tokens = tokens
    self.ids = {token: index for index, token in enumerate(tokens)}
    self.sha256 = sha256
    missing = [token for token in SPECIAL_TOKENS if token not in self.ids]
    if missing:
      raise UserError('{}: expected a vocabulary with {}, found {} tokens without {}; name a BERT vocabulary, '
                      'one token per line, or build one with tools.build_vocab'.format(
                          name, ' '.join(SPECIAL_TOKENS), len(tokens), ' '.join(missing)))
    self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (self.ids[t] for t in SPECIAL_TOKENS)

  @classmethod
  def load(cls, path):
    """Reads vocab.txt, UTF-8. Space around a token is no part of it, as in the reference.

    Raises:
      UserError: no such file, not UTF-8, a special token is missing, or a line is blank or repeats another.
    """
    try:
      with files.open_regular(path) as source:
        content = source.read()
      # Split at '\n' only: vocabularies hold U+2028 as a token, and splitlines() would shift every id after it.
      lines = content.decode('utf-8-sig').split('\n')
    except OSError as error:
      raise UserError('expected a vocabulary at {}, found none that can be read ({}); name one or build it with '
                      'tools.build_vocab'.format(path, error.strerror))
    except UnicodeDecodeError as error:
      raise UserError('{}: expected a vocabulary in UTF-8, found an invalid byte in line {:,}; convert it'.format(
          path, error.object[:error.start].count(b'\n') + 1))
    if not lines[-1]:
      lines.pop()
    # Not strip() alone: U+2028 and other rare kinds of space are tokens.
    tokens = [line.strip(' \t\r') for line in lines]
    vocabulary = cls(tokens, hashlib.sha256(content).hexdigest(), path)
    _check_lines(tokens, path)
    return vocabulary

  def __len__(self):
    return len(self.tokens)

  def replacement_ids(self):
    """Ids that may replace a masked token: those of whole, real tokens; no [PAD], [unused1], <S> and no `##`."""
    return [index for index, token in enumerate(self.tokens)
            if token and self.ids[token] == index and not token.startswith('##')
            and not _SPECIAL_PATTERN.fullmatch(token)]


def guessed_lower_case(tokens):
  """Whether a vocabulary is for text in lower case: no token but special ones has a capital letter."""
  return not any(token != token.lower() for token in tokens if not token.startswith(('[', '<')))


def _check_lines(tokens, path):
  """Raises UserError for blank lines and repeated tokens: each would be an id that nothing gets."""
  first, faults = {}, []
  for number, token in enumerate(tokens, 1):
    if not token:
      faults.append('line {} blank'.format(number))
    elif first.setdefault(token, number) != number:
      faults.append('line {} the same as line {} ("{}")'.format(number, first[token], token))
  if faults:
    raise UserError('{}: expected a token per line, each once, found {}; remove such lines, or write [unused1] and so '
                    'on there if weights were trained with this file'.format(
                        path, ', '.join(faults[:3] + ['and {:,} more'.format(len(faults) - 3)] * (len(faults) > 3))))


class Tokenizer:
  """Text to the ids of a vocabulary, with character offsets."""

  def __init__(self, vocabulary, do_lower_case=True):
    self.vocabulary = vocabulary
    self.do_lower_case = do_lower_case

  def tokenize(self, text):
    """The `Piece`s of a text, in order."""
    pieces = []
    position = 0
    while position < len(text):
      kind = character_kind(text[position])
      end = position + 1
      if kind == SINGLE:
        pieces.append(Piece(self.single_id(text[position]), position, end, False))
      elif kind == RUN:
        while end < len(text) and character_kind(text[end]) in (RUN, DROPPED):
          end += 1
        pieces.extend(piece._replace(start=piece.start + position, end=piece.end + position)
                      for piece in self.run_pieces(text[position:end]))
      position = end
    return pieces

  def single_id(self, char):
    """The id of a SINGLE character."""
    return self.vocabulary.ids.get(normalize(char, self.do_lower_case), self.vocabulary.unk_id)

  def run_pieces(self, run):
    """The `Piece`s of a run of RUN and DROPPED characters, offsets relative to the run."""
    kept = [index for index, char in enumerate(run) if character_kind(char) == RUN]
    text, origins = self._normalize_run(''.join(run[index] for index in kept), kept)
    pieces = []
    start = 0
    for end in range(1, len(text) + 1):
      # A character such as U+2260 (not equal) holds punctuation once its accent is gone.
      if end == len(text) or is_punctuation(text[end]) or is_punctuation(text[end - 1]):
        pieces.extend(Piece(token, origins[first][0], origins[last - 1][1], first > start)
                      for token, first, last in self._word_pieces(text, start, end))
        start = end
    return pieces

  def _normalize_run(self, text, positions):
    """The normalized text and, for each of its characters, the (start, end) that it has in the raw run."""
    whole = normalize(text, self.do_lower_case)
    parts = [normalize(char, self.do_lower_case) for char in text]
    if sum(map(len, parts)) == len(whole):
      return whole, [(position, position + 1) for part, position in zip(parts, positions) for _ in part]
    # Marks were reordered or merged across characters: only the run as a whole has a place.
    return whole, [(positions[0], positions[-1] + 1)] * len(whole)

  def _word_pieces(self, text, start, end):
    """Greedy longest match: [(id, first, last)] within text[start:end], one [UNK] if no cut works."""
    if end - start > _MAX_CHARS_PER_RUN:
      return [(self.vocabulary.unk_id, start, end)]
    ids = self.vocabulary.ids
    pieces = []
    first = start
    while first < end:
      prefix = '##' if first > start else ''
      last = next((last for last in range(end, first, -1) if prefix + text[first:last] in ids), None)
      if last is None:
        return [(self.vocabulary.unk_id, start, end)]
      pieces.append((ids[prefix + text[first:last]], first, last))
      first = last
    return pieces
