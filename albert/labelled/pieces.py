"""Raw text to tokens that know their characters: `tokenization.Tokenizer`, whose results are remembered.

A text of a task is short and comes alone, so that the tables over code points of tools/preprocessing/encoding.py, which
are for blocks of text, would cost more than they save. What a character or run of characters becomes is looked up
instead. Two things are different from the tokenizer's offsets: a combining mark that has no token of its own belongs to
the character before it, and a run may be cut at borders.
"""

import collections

from albert.dataset import tokenization

Tokens = collections.namedtuple('Tokens', ['ids', 'starts', 'ends', 'heads'])
Tokens.__doc__ = """The tokens of a text, lists of one length.

ids: int; starts, ends: characters of the text; heads: bool, whether it is the first token of its characters: False for
a `##` piece, and where another token stands for the same characters.
"""

_SPACE, _RUN = -1, -2
# Distinct runs (latin words, numbers) that are remembered; then all are forgotten, so that memory stays flat.
_MAX_REMEMBERED_RUNS, _MAX_REMEMBERED_CHARACTERS = 1 << 16, 40


class Pieces:
  """Cuts texts into tokens.

  Args:
    tokenizer: `albert.dataset.tokenization.Tokenizer`.
  """

  def __init__(self, tokenizer):
    self._tokenizer = tokenizer
    self._codes = {}
    self._runs = {}

  def tokens(self, text, borders=()):
    """The `Tokens` of a text. borders: places of characters before which a run is cut."""
    ids, starts, ends, heads = tokens = Tokens([], [], [], [])
    codes = self._codes
    position, size = 0, len(text)
    while position < size:
      char = text[position]
      code = codes.get(char)
      if code is None:
        code = self._learn(char)
      end = position + 1
      if code >= 0:
        ids.append(code)
        starts.append(position)
        ends.append(end)
        heads.append(True)
      elif code == _RUN:
        while end < size and self._is_in_run(text[end]) and end not in borders:
          end += 1
        self._add_run(tokens, text[position:end], position, borders)
      position = end
    return tokens

  def _is_in_run(self, char):
    code = self._codes.get(char)
    return (self._learn(char) if code is None else code) == _RUN

  def _learn(self, char):
    """The id of a character that is a token, _SPACE or _RUN."""
    kind = tokenization.character_kind(char)
    code = self._tokenizer.single_id(char) if kind == tokenization.SINGLE else (
        _SPACE if kind == tokenization.SPACE else _RUN)
    self._codes[char] = code
    return code

  def _add_run(self, tokens, run, position, borders):
    lead, pieces = self._run(run)
    if lead and tokens.ends and tokens.ends[-1] == position and position not in borders:
      tokens.ends[-1] += lead
    for token, start, end, is_head in pieces:
      tokens.ids.append(token)
      tokens.starts.append(position + start)
      tokens.ends.append(position + end)
      tokens.heads.append(is_head)

  def _run(self, run):
    """(marks at the begin that belong to what is before, [(id, start, end, is head)]) of a run."""
    cut = self._runs.get(run)
    if cut is None:
      cut = self._cut(run)
      if len(run) <= _MAX_REMEMBERED_CHARACTERS:
        if len(self._runs) >= _MAX_REMEMBERED_RUNS:
          self._runs.clear()
        self._runs[run] = cut
    return cut

  def _cut(self, run):
    pieces, covered = [], 0
    run_pieces = self._tokenizer.run_pieces(run)
    for number, piece in enumerate(run_pieces):
      following = run_pieces[number + 1].start if number + 1 < len(run_pieces) else len(run)
      pieces.append((piece.id, piece.start, _with_marks(run, piece.end, following),
                     not piece.continues and piece.start >= covered))
      covered = max(covered, piece.end)
    return _with_marks(run, 0, run_pieces[0].start if run_pieces else len(run)), pieces


def _with_marks(run, end, limit):
  """Where the characters of a run end that follow one another from `end` and are dropped only with their accents."""
  while end < limit and tokenization.character_kind(run[end]) == tokenization.RUN:
    end += 1
  return end


def with_entities(tokens, entities, unk_id):
  """`Tokens` in which each entity begins and ends with one: [UNK] for white space or a dropped character there."""
  starts, ends = set(tokens.starts), set(tokens.ends)
  missing = {entity.start for entity in entities if entity.start not in starts}
  missing |= {entity.end - 1 for entity in entities
              if entity.end not in ends and entity.end - 1 not in missing}
  if not missing:
    return tokens
  rows = sorted(list(zip(tokens.starts, tokens.ends, tokens.ids, tokens.heads))
                + [(place, place + 1, unk_id, True) for place in missing], key=lambda row: row[0])
  starts, ends, ids, heads = map(list, zip(*rows))
  return Tokens(ids, starts, ends, heads)
