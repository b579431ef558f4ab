"""Fill-mask: which tokens a model puts where a text says [MASK].

Shapes: P masks of a text, V vocabulary.
"""

import collections
import re

import numpy as np

from albert.common.errors import UserError
from albert.common import wide_marks
from albert.dataset.tokenization import MASK
from tools.prediction import lines

# What may be meant for [MASK]: brackets of Chinese, lower case.
_ALIKE = re.compile(r'[\[［【〔(（<《「]?\s*mask\s*[\]］】〕)）>》」]?', re.IGNORECASE)

# A text to fill. text: str. starts: where each [MASK] begins in it. fields: the row of the model.
Query = collections.namedtuple('Query', ['text', 'starts', 'fields'])
# What a model says. filled: the text with the first answer in each place. masks: a list for each mask, of (token,
# probability among the whole vocabulary), the most probable first.
Answer = collections.namedtuple('Answer', ['filled', 'masks'])


def parse(text, model, place='text'):
  """The Query of a text in which [MASK] stands for what is asked.

  Args:
    text: str. model: prediction.Model. place: names the text in errors.

  Raises:
    UserError: there is no [MASK], more tokens than the model has positions, or something else than characters.
  """
  if any('\ud800' <= char <= '\udfff' for char in text):  # of bytes that are no UTF-8, as a terminal in GBK gives them
    raise UserError('{}: expected a text in UTF-8, found other bytes; set the terminal to UTF-8, or write the text '
                    'into a file in UTF-8: INPUT=...'.format(place))
  parts = text.split(MASK)
  if len(parts) == 1:
    raise UserError('{}: expected {} where a token is asked for, found none in {!r:.60}; {}'.format(
        place, MASK, text, _meant(text)))
  ids, positions, starts, start = [], [], [], 0
  for number, part in enumerate(parts):
    if number:
      starts.append(start)
      start += len(MASK)
      ids.append(model.vocabulary.mask_id)
      positions.append(len(ids))  # [CLS] comes before
    ids.extend(piece.id for piece in model.tokenizer.tokenize(part))
    start += len(part)
  longest = model.config.max_position_embeddings
  if len(ids) + 2 > longest:
    raise UserError('{}: expected at most {:,} tokens, found {:,}; shorten it'.format(place, longest - 2, len(ids)))
  return Query(text, starts, dict(lines.row(ids, model.vocabulary), masked_lm_positions=positions))


def _meant(text):
  """What to write in a text without [MASK]: in place of what looks like one, if there is such a thing."""
  alike = _ALIKE.search(text)
  return 'write {} instead of {}'.format(MASK, alike.group()) if alike else 'write it in the text'


def candidate_ids(candidates, model):
  """The ids of tokens that are the only ones to choose from.

  Args:
    candidates: list of str. model: prediction.Model.

  Raises:
    UserError: one is not a single token of the vocabulary.
  """
  vocabulary, ids = model.vocabulary, []
  for candidate in candidates:
    pieces = [piece.id for piece in model.tokenizer.tokenize(candidate)]
    if candidate in vocabulary.ids:  # also ##ing
      pieces = [vocabulary.ids[candidate]]
    if len(pieces) != 1 or pieces[0] == vocabulary.unk_id:
      raise UserError('candidates: expected tokens of the vocabulary, found {!r}, which is {}; {}'.format(
          candidate, _in_words(pieces, vocabulary), wide_marks.advice(
              candidate, 'a [MASK] stands for one token, write several for a word', wide_marks.SEPARATORS)))
    ids.append(pieces[0])
  return list(collections.OrderedDict.fromkeys(ids))


def _in_words(pieces, vocabulary):
  if pieces == [vocabulary.unk_id]:
    return 'not in it'
  return '{} tokens ({})'.format(len(pieces), ' '.join(vocabulary.tokens[piece] for piece in pieces)) if pieces \
      else 'none'


def answer(query, logits, vocabulary, top, candidates=None):
  """The Answer to a Query.

  Args:
    query: Query. logits: float32 [at least P, V].
    vocabulary: tokenization.Vocabulary. top: int, how many tokens of each mask.
    candidates: list of ids to choose from, or None for the whole vocabulary.
  """
  masks = [ranked(row, vocabulary, top, candidates) for row in logits[:len(query.starts)]]
  filled, end = [], 0
  for start, choices in zip(query.starts, masks):
    token = choices[0][0]
    filled += [query.text[end:start], token[2:] if token.startswith('##') and len(token) > 2 else token]
    end = start + len(MASK)
  return Answer(''.join(filled + [query.text[end:]]), masks)


def ranked(logits, vocabulary, top, candidates=None):
  """[(token, probability)] of a place, the most probable first. logits: float32 [V]; the rest as for answer()."""
  chances = probabilities(logits)
  ids = np.asarray(candidates) if candidates else np.argpartition(-chances, min(top, len(chances)) - 1)[:top]
  # By id where probabilities are equal.
  best = sorted(ids, key=lambda token: (-chances[token], token))[:None if candidates else top]
  return [(vocabulary.tokens[token], float(chances[token])) for token in best]


def probabilities(logits):
  """Softmax of float32 [V], as float64."""
  powers = np.exp(logits.astype(np.float64) - logits.max())
  return powers / powers.sum()


def percent(chance):
  """A probability in two or three digits, also a small one."""
  return '{:.1%}'.format(chance) if chance >= 0.0995 else '{:.2%}'.format(chance) if chance >= 0.00995 else (
      '{:.2g}%'.format(100 * chance))
