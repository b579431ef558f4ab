"""Texts that are longer than a window: what is taken of them, and where they are cut."""

_SENTENCE_ENDS = frozenset('。！？!?；;…')
# Marks that close a sentence after its end.
_CLOSING = frozenset('”’」』）)》"\'')


def truncated_lengths(first, second, room):
  """(tokens of the first text, of the second) that fit into `room` together: the longer one loses."""
  excess = first + second - room
  if excess <= 0:
    return first, second
  if first > second:
    lost = min(excess, first - second)
    first, excess = first - lost, excess - lost
  else:
    lost = min(excess, second - first)
    second, excess = second - lost, excess - lost
  # Of texts that are as long as each other, the second one loses the first token.
  return first - excess // 2, second - (excess - excess // 2)


def head_tail(count, room):
  """The tokens that are taken of `count`: a quarter of the room from the begin, the rest from the end."""
  if count <= room:
    return list(range(count))
  head = room // 4
  return list(range(head)) + list(range(count - (room - head), count))


def windows(text, tokens, room, overlap):
  """The windows of a text: list of (first token, token after the last), at least one.

  They end at the end of a sentence if there is one in their second half, and share `overlap` tokens, at most a little
  less than half of the room.

  Args:
    text: str.
    tokens: `pieces.Tokens`.
    room: tokens of a window.
    overlap: int.
  """
  count, spans, first = len(tokens.ids), [], 0
  overlap = max(0, min(overlap, room // 2 - 1))
  while count - first > room:
    last = first + room
    last = next((place for place in range(last, first + room // 2, -1) if _ends_sentence(text, tokens, place)), last)
    spans.append((first, last))
    first = max(last - overlap, first + 1)
    while first < last and not tokens.heads[first]:
      first += 1
  return spans + [(first, count)]


def _ends_sentence(text, tokens, place):
  """Whether a sentence ends before a token."""
  end, start = tokens.ends[place - 1], tokens.starts[place]
  if '\n' in text[end:start]:
    return True
  before = place - 1
  while before > 0 and text[tokens.ends[before] - 1] in _CLOSING and place - before < 3:
    before -= 1
  following = text[start]
  return (text[tokens.ends[before] - 1] in _SENTENCE_ENDS and following not in _CLOSING
          and following not in _SENTENCE_ENDS)
