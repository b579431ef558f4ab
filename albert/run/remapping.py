"""How the rows of published weights become those of another vocabulary, more positions or more groups of layers.

Needs no TensorFlow. Shapes: V tokens of the model, W tokens of the weights, E embedding size.
"""

import collections
import re

import numpy as np

from albert.common.errors import UserError
from albert.dataset.tokenization import Vocabulary
from albert.model import names

# With less of the vocabulary in common than this a model is better trained from the beginning.
LEAST_OVERLAP = 0.9
MEAN, REPEAT = 'mean', 'repeat'
# Where the embeddings of new tokens come from, and those of new positions; None: new ones are refused.
VOCAB_INITS, POSITION_INITS = (MEAN,), (REPEAT,)

_GROUP = re.compile(r'^(bert/encoder/transformer/group_)(\d+)(/.*)$')
# What must be the same in both: what makes other shapes, or shows in none.
_FIXED = ('embedding_size', 'hidden_size', 'num_attention_heads', 'intermediate_size', 'inner_group_num', 'hidden_act',
          'type_vocab_size')
# Of these, what shows in no shape.
_UNSHOWN = ('num_attention_heads', 'hidden_act')

# Which rows of the weights the tokens of a vocabulary have. rows: int array [V], -1 for a new token. parts: {token of
# the model: list of rows of the weights whose mean it begins with}. line: what there is to say of it.
Tokens = collections.namedtuple('Tokens', ['rows', 'parts', 'line'])


class Remapping:
  """The changes that turn the variables of a checkpoint into those of a model.

  Attributes:
    lines: what there is to say of it.
  """

  def __init__(self, groups=None, tokens=None, positions=None, lines=()):
    """Makes one.

    Args:
      groups: {group of the model: group of the weights}, or None: each its own.
      tokens: Tokens, or None: all have the row that they had.
      positions: int, position embeddings of the model, or None: as many as there were.
      lines: as the attribute.
    """
    self._groups, self._tokens, self._positions = groups or {}, tokens, positions
    self.lines = list(lines)

  def source(self, name):
    """The name in the weights of a variable of the model, a slot's too."""
    match = _GROUP.match(name)
    if not match:
      return name
    group = int(match.group(2))
    return '{}{}{}'.format(match.group(1), self._groups.get(group, group), match.group(3))

  def has_other_rows(self, name):
    """Whether a variable of the model does not have the rows that it had in the weights."""
    weight = names.weight_of(name)
    return (self._tokens is not None and weight in (names.WORD_EMBEDDINGS, names.MLM_BIAS)
            or self._positions is not None and weight == names.POSITION_EMBEDDINGS)

  def rows(self, name, value):
    """A variable of the model.

    Args:
      name: a weight or a slot for which has_other_rows() holds.
      value: array, float32 [W, E], [W] or [positions, E]: that of the weights.

    Returns:
      Array of the same type. What is new in a slot is 0.
    """
    weight = names.weight_of(name)
    if weight == names.POSITION_EMBEDDINGS:
      taken = value[np.arange(self._positions) % len(value)]
      if weight != name:
        taken[len(value):] = 0
      return taken
    tokens = self._tokens
    taken = value[tokens.rows]  # -1 takes the last row, which is replaced below
    if weight != name:
      taken[tokens.rows < 0] = 0
    elif weight == names.MLM_BIAS:
      taken[tokens.rows < 0] = value.min()  # that of the token which the weights take for the rarest
    else:
      for token, parts in tokens.parts.items():
        taken[token] = value[parts].mean(axis=0, dtype=np.float64)
    return taken


def check_architecture(source, own, wanted, is_partial=False, named=str):
  """Whether weights of one AlbertConfig can be those of another.

  Args:
    source: names the weights in errors.
    own, wanted: AlbertConfig of the weights and of the model.
    is_partial: whether another configuration will do where the shapes are the same.
    named: callable(option) -> str, how the user writes it, as RunOptions.named.

  Returns:
    Lines for the log about what is different.

  Raises:
    UserError: they cannot.
  """
  own, wanted = own.to_dict(), wanted.to_dict()
  different = [key for key in _FIXED if own[key] != wanted[key]]
  if not different:
    return []
  found = ', '.join('{} {} (here: {})'.format(key, own[key], wanted[key]) for key in different)
  may_be_meant = set(different) <= set(_UNSHOWN)
  if is_partial and may_be_meant:
    return ['weights of another configuration, as {}=True allows: {}'.format(named('init_partial'), found)]
  raise UserError('{}: expected weights of the requested architecture, found {}; train with SET="{}"{}'.format(
      source, found, '; '.join('AlbertConfig.{} = {!r}'.format(key, own[key]) for key in different),
      ', or say that it is meant: SET="{}=True"'.format(named('init_partial')) if may_be_meant else ''))


def groups(source, shapes, own, wanted):
  """{group of the model: group of the weights}, for weights with fewer groups; {} where each has its own.

  Args:
    source: names the weights in errors.
    shapes: {name: shape} of the weights.
    own: AlbertConfig of the weights, or None.
    wanted: AlbertConfig of the model.

  Raises:
    UserError: the model has fewer groups, or which layers the groups of the weights belong to is not known.
  """
  numbers = {int(match.group(2)) for match in map(_GROUP.match, shapes) if match}
  there = len(numbers)
  if there > wanted.num_hidden_groups:
    raise UserError('{}: expected weights of at most {} hidden groups, found {}; train with SET="AlbertConfig.'
                    'num_hidden_groups={}"'.format(source, wanted.num_hidden_groups, there, there))
  if there <= 1:
    return {group: 0 for group in range(1, wanted.num_hidden_groups)} if there else {}
  if own is None and there == wanted.num_hidden_groups:
    return {}
  if own is None or own.num_hidden_layers != wanted.num_hidden_layers:
    raise UserError('{}: expected weights of {} layers, as {} groups belong to certain layers, found {}; {}'.format(
        source, wanted.num_hidden_layers, there, own.num_hidden_layers if own else 'no albert_config.json',
        'train with as many' if own else 'put it beside the weights'))
  first = {}
  for layer in range(wanted.num_hidden_layers):
    first.setdefault(wanted.group_of_layer(layer), own.group_of_layer(layer))
  return {group: origin for group, origin in first.items() if group != origin}


def positions(source, there, wanted, position_init, named=str):
  """(number of position embeddings or None for as many, lines).

  Args:
    source: names the weights in errors.
    there, wanted: int, of the weights and of the model.
    position_init: None, or 'repeat': new positions begin as the old ones, from the first on.
    named: as for check_architecture.

  Raises:
    UserError: there would be new ones, and nothing says what they are.
  """
  if there == wanted:
    return None, []
  if wanted < there:
    return wanted, ['positions: the first {:,} of {:,}'.format(wanted, there)]
  if position_init != REPEAT:
    raise UserError('{}: expected {} position embeddings, found {}; train with SET="AlbertConfig.max_position_'
                    'embeddings={}", or let new ones repeat the old: SET="{}=\'repeat\'"'.format(
                        source, wanted, there, there, named('position_init')))
  return wanted, ['positions: {:,}, and {:,} new ones that repeat them'.format(there, wanted - there)]


def tokens(source, target, vocab_init, named=str):
  """Compares two vocabularies token by token.

  Args:
    source, target: paths of the vocab.txt of the weights and of the model's data.
    vocab_init: None, or 'mean': a new token begins as the mean of its characters or pieces.
    named: as for check_architecture.

  Returns:
    Tokens; its rows are None where both are equal.

  Raises:
    UserError: too little in common, a vocabulary that is damaged, or new tokens where nothing says what they are.
  """
  old, new = Vocabulary.load(source), Vocabulary.load(target)
  if old.tokens == new.tokens:
    return Tokens(None, {}, 'vocabulary: that of the data, {:,} tokens'.format(len(new)))
  rows = np.array([old.ids.get(token, -1) for token in new.tokens])
  fresh = np.flatnonzero(rows < 0)
  kept = len(rows) - len(fresh)
  if kept < LEAST_OVERLAP * len(rows):
    raise UserError('{}: expected at least {:.0%} of the tokens of {}, found {:.1%} ({:,} of {:,}); make the data with '
                    'this vocabulary (VOCAB={}) or train from the beginning'.format(
                        source, LEAST_OVERLAP, target, kept / len(rows), kept, len(rows), source))
  if len(fresh) and vocab_init != MEAN:
    raise UserError('{}: expected every token of {}, found {:,} without {:,} of them, such as {}; let them begin as '
                    'the mean of their characters: SET="{}=\'mean\'"'.format(
                        source, target, len(old), len(fresh), ' '.join(new.tokens[row] for row in fresh[:3]),
                        named('vocab_init')))
  parts = {int(row): _parts(new.tokens[row], old) for row in fresh}
  return Tokens(rows, {row: known or list(range(len(old))) for row, known in parts.items()},
                _line(rows, old, parts))


def _line(rows, old, parts):
  """The line for the log about Tokens. parts: {token: rows, [] where nothing of it is known}."""
  kept = rows[rows >= 0]
  line = 'vocabulary: {:,} of {:,} tokens of the data are in that of the weights, {:,} of them in another row'.format(
      len(kept), len(rows), np.count_nonzero(rows[rows >= 0] != np.flatnonzero(rows >= 0)))
  if parts:
    unknown = sum(not known for known in parts.values())
    line += '; {:,} are new: the mean of their characters or pieces'.format(len(parts))
    line += ' ({:,} without any: of all tokens)'.format(unknown) if unknown else ''
  return line + '; {:,} of the weights are not used'.format(len(old) - len(kept))


def _parts(token, old):
  """Rows of a vocabulary that a token is made of, the longest pieces first; what it does not know is left out."""
  if token.startswith('[') and token.endswith(']') and len(token) > 2:  # stands for no text
    return []
  continues = token.startswith('##')
  text = token[2:] if continues else token
  rows, start = [], 0
  while start < len(text):
    mark = '##' if start or continues else ''
    ends = [end for end in range(len(text), start, -1) if mark + text[start:end] in old.ids]
    if ends:
      rows.append(old.ids[mark + text[start:ends[0]]])
    elif text[start] in old.ids:  # a character that was never the rest of a word
      rows.append(old.ids[text[start]])
    start = ends[0] if ends else start + 1
  return rows
