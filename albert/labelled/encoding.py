"""Examples to windows of at most S tokens, and what is to be learned at each."""

import collections

from albert.labelled import cutting
from albert.labelled.labels import as_classes
from albert.labelled.options import CLASSIFY
from albert.labelled.options import HEAD_TAIL
from albert.labelled.options import READ
from albert.labelled.options import TAG
from albert.labelled.options import WINDOWS
from albert.labelled import pieces

Window = collections.namedtuple('Window', ['example', 'input_ids', 'segment_ids', 'starts', 'ends', 'target'])
Window.__doc__ = """Part of an example, or all of it, as the model reads it: n tokens, n <= S, [CLS] first, [SEP] last.

example: Example.number.
input_ids, segment_ids: lists of n int; segment 0 up to the first [SEP], 1 after it.
starts, ends: lists of n int, the characters of the raw text that each token stands for, of `read` the context; -1 for
  tokens that stand for none. Of `tag`, the first piece of a run stands for all of it, and its other pieces for none.
target: None without a label, else
  classify: int, the class; if several are allowed, list of C numbers 0 or 1
  regress: float
  tag: list of n int, the tag of each token, -1 where it is not scored
  read: (first token, last token); (0, 0) if the answer is not in this window; None if it is nowhere in the text,
    or longer than a window, so that the example is left out of training
"""


class Encoder:
  """Encodes the examples of a kind.

  Args:
    kind: one of options.KINDS.
    tokenizer: `albert.dataset.tokenization.Tokenizer`.
    options: `LabelledOptions`.
    labels: `labels.Labels`.

  Attributes:
    texts, cut: how many examples were encoded so far, and how many of them were longer than a window.
  """

  def __init__(self, kind, tokenizer, options, labels):
    self._kind, self._options, self._labels = kind, options, labels
    self._vocabulary = tokenizer.vocabulary
    self._pieces = pieces.Pieces(tokenizer)
    self._room = options.max_seq_length - 2
    self._context = None, None
    self.texts, self.cut = 0, 0

  def windows(self, example, training=False):
    """The `Window`s of an `Example`, at least one.

    Args:
      example: Example.
      training: whether runs of characters may be cut where an entity begins or ends, of `tag`. Not for evaluation:
        the input would have the borders, which are unknown of a new text.

    Raises:
      UserError: a label that `labels` has not.
    """
    self.texts += 1
    if self._kind == TAG:
      return self._tagged(example, training)
    if self._kind == READ:
      return self._questions(example)
    return self._texts(example)

  def _window(self, example, first, second, target):
    """A window of one text, or of two; each is `Tokens`, `second` or None. The characters are those of the last."""
    ids = [self._vocabulary.cls_id] + first.ids + [self._vocabulary.sep_id]
    segments = [0] * len(ids)
    starts, ends = [-1] + first.starts + [-1], [-1] + first.ends + [-1]
    if second is not None:
      starts, ends = [-1] * len(ids) + second.starts + [-1], [-1] * len(ids) + second.ends + [-1]
      ids = ids + second.ids + [self._vocabulary.sep_id]
      segments += [1] * (len(second.ids) + 1)
    return Window(example.number, ids, segments, starts, ends, target)

  def _texts(self, example):
    """Windows of `classify` and `regress`."""
    target = self._target(example)
    first = self._pieces.tokens(example.text_a)
    if example.text_b is None:
      parts, was_cut = self._parts(example.text_a, first, self._room)
      self.cut += was_cut
      return [self._window(example, part, None, target) for part in parts]
    second = self._pieces.tokens(example.text_b)
    room = self._room - 1
    kept = cutting.truncated_lengths(len(first.ids), len(second.ids), room)
    # One window for each part of the longer text; the other one, if it is too long as well, is the same in each.
    is_longer = len(first.ids) > len(second.ids)
    firsts, was_cut = self._parts(example.text_a, first, kept[0], is_longer)
    seconds, other_was_cut = self._parts(example.text_b, second, kept[1], not is_longer)
    self.cut += was_cut or other_was_cut
    return [self._window(example, part, other, target) for part in firsts for other in seconds]

  def _parts(self, text, tokens, room, may_be_several=True):
    """([Tokens], whether the text is longer than the room) of a text."""
    if len(tokens.ids) <= room:
      return [tokens], False
    if self._options.long_text == WINDOWS and may_be_several:
      return [_slice(tokens, *span) for span in cutting.windows(text, tokens, room, 0)], True
    if self._options.long_text == HEAD_TAIL:
      chosen = cutting.head_tail(len(tokens.ids), room)
      return [pieces.Tokens(*([values[place] for place in chosen] for values in tokens))], True
    return [_slice(tokens, 0, room)], True

  def _target(self, example):
    label = example.label
    if label is None or self._kind != CLASSIFY:
      return label
    if not self._labels.multi_label:
      return self._labels.id(label, example)
    classes = {self._labels.id(name, example) for name in as_classes(label)}
    return [int(number in classes) for number in range(len(self._labels))]

  def _tagged(self, example, training):
    text, entities = example.text_a, example.label
    borders = frozenset(place for entity in entities or () for place in entity[1:3]) if training else ()
    tokens = self._pieces.tokens(text, borders)
    if training and entities:
      tokens = pieces.with_entities(tokens, entities, self._vocabulary.unk_id)
    targets = None if entities is None else self._tag_targets(example, tokens)
    spans = cutting.windows(text, tokens, self._room, self._options.overlap)
    tokens = _groups(tokens)
    self.cut += len(spans) > 1
    return [self._window(example, _slice(tokens, *span), None,
                         None if targets is None else [-1] + targets[slice(*span)] + [-1]) for span in spans]

  def _tag_targets(self, example, tokens):
    """The tag of each token, -1 for one that is not the first of its characters."""
    targets = [self._labels.outside if is_head else -1 for is_head in tokens.heads]
    heads = [place for place, is_head in enumerate(tokens.heads) if is_head]
    position = 0
    for entity in example.label:
      while position < len(heads) and tokens.starts[heads[position]] < entity.start:
        position += 1
      first = position
      while position < len(heads) and tokens.starts[heads[position]] < entity.end:
        position += 1
      inside = heads[first:position]
      for place, tag in zip(inside, self._labels.tag_ids(entity.type, len(inside), example) if inside else ()):
        targets[place] = tag
    return targets

  def _questions(self, example):
    room = self._room - 1
    question = self._pieces.tokens(example.text_a)
    question = _slice(question, 0, min(self._options.max_question_length, room // 2))
    if self._context[0] != example.text_b:
      # The next question is mostly one about the same text.
      self._context = example.text_b, self._pieces.tokens(example.text_b)
    context = self._context[1]
    room -= len(question.ids)
    spans = cutting.windows(example.text_b, context, room, self._options.overlap)
    self.cut += len(spans) > 1
    answer = _answer_tokens(example.label, context)
    if answer is not None and example.label.span and not any(
        first <= answer[0] and answer[1] < last for first, last in spans):
      answer = None  # It is longer than a window.
    before = 2 + len(question.ids)
    windows = []
    for first, last in spans:
      target = None
      if answer is not None:
        fits = first <= answer[0] and answer[1] < last
        target = (before + answer[0] - first, before + answer[1] - first) if fits else (0, 0)
      windows.append(self._window(example, question, _slice(context, first, last), target))
    return windows


def _answer_tokens(reading, context):
  """(first, last) token of an answer, (-1, -1) if there is none to be found; None if that is not known."""
  if reading is None or not reading.impossible and reading.span is None:
    return None
  if reading.impossible:
    return -1, -1
  start, end = reading.span
  inside = [place for place, (begin, after) in enumerate(zip(context.starts, context.ends))
            if begin < end and after > start]
  return (inside[0], inside[-1]) if inside else None


def _slice(tokens, first, last):
  return pieces.Tokens(*(values[first:last] for values in tokens))


def _groups(tokens):
  """`Tokens` whose heads stand for the characters of the pieces after them too, which stand for none."""
  starts, ends = list(tokens.starts), list(tokens.ends)
  head = 0
  for place, is_head in enumerate(tokens.heads):
    if is_head:
      head = place
    else:
      ends[head] = max(ends[head], ends[place])
      starts[place] = ends[place] = -1
  return tokens._replace(starts=starts, ends=ends)
