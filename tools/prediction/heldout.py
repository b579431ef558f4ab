"""Sentences of a data set that training never saw, with a mask or a few, and what a model says to them."""

import collections
import itertools

import numpy as np

from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import examples
from albert.dataset import protobuf
from albert.dataset import tfrecord
from albert.dataset import tokenization
from tools.prediction import masked

_ENDS = frozenset('。！？!?；;')
_SHORTEST, _LONGEST, _MOST_MASKS = 8, 40, 2  # tokens of a sentence worth showing; its masks
_READ = 2000  # records, of which the sentences are taken
_TOP = 5

# A sentence. tokens: list of str. places: positions in it that are masked. record: {feature: array}. start: position
# of its first token in the record.
Sentence = collections.namedtuple('Sentence', ['tokens', 'places', 'record', 'start'])
# What a model says to one. guesses: for each place (the right token, its probability, its rank from 1, the most
# probable ones as [(token, probability)]).
Guessed = collections.namedtuple('Guessed', ['tokens', 'places', 'guesses'])


def sentences(info, vocabulary, count):
  """At most `count` Sentences of the held-out records, far apart from each other, none twice.

  Args:
    info: contract.DatasetInfo. vocabulary: tokenization.Vocabulary, that of the data set.

  Raises:
    UserError: nothing is held out, the vocabulary is another, or a record is damaged.
  """
  if not info.records(contract.HELDOUT):
    raise UserError('{}: expected held-out records, found none'.format(info.folder))
  if info.vocab_sha256 not in (None, vocabulary.sha256):
    raise UserError('{}: expected a data set of the vocabulary of the weights, found another; name the one that they '
                    'were trained on'.format(info.folder))
  records = list(itertools.islice(itertools.chain.from_iterable(
      map(tfrecord.read_records, info.paths(contract.HELDOUT))), _READ))
  form = examples.Form.of(info, contract.HELDOUT, vocab_size=len(vocabulary))
  chosen, seen = [], set()
  # A round takes one of each part of the records; the next one goes a record further in each.
  every = max(1, len(records) // max(1, count))
  for number in sorted(range(len(records)), key=lambda number: (number % every, number)):
    problem = form.problem_with(records[number])
    if problem:
      raise UserError('{}: expected held-out records that can be read, found {}; make the data set again'.format(
          info.folder, problem))
    sentence = _sentence_in(protobuf.parse(records[number]), vocabulary, seen)
    if sentence:
      seen.add(''.join(sentence.tokens))
      chosen.append(sentence)
      if len(chosen) == count:
        break
  return chosen


def _sentence_in(record, vocabulary, seen):
  """The first sentence of a record that is worth showing, or None. seen: texts that were taken."""
  places = _labels(record)
  ids = np.array(record['input_ids'][:int(record['input_mask'].sum())])
  ids[list(places)] = list(places.values())
  tokens = [vocabulary.tokens[token] for token in ids]
  start = 0
  for end, token in enumerate(tokens, 1):
    if token == '[SEP]' or token == '[CLS]':
      start = end
    elif token in _ENDS:
      inside = [place for place in places if start <= place < end]
      worth = (_SHORTEST <= end - start <= _LONGEST and 0 < len(inside) <= _MOST_MASKS
               and not all(tokenization.is_punctuation(tokens[place][0]) for place in inside)
               and vocabulary.unk_id not in ids[start:end] and ''.join(tokens[start:end]) not in seen)
      if worth:
        return Sentence(tokens[start:end], [place - start for place in inside], record, start)
      start = end
  return None


def _labels(record):
  """{position: the right token's id} of what is to be predicted, in order."""
  used = record['masked_lm_weights'] > 0
  return collections.OrderedDict(sorted(zip(record['masked_lm_positions'][used].tolist(),
                                            record['masked_lm_ids'][used].tolist())))


def row(sentence, vocabulary):
  """The fields of the whole record in which a sentence stands; whatever is to be predicted is [MASK]."""
  record, labels = sentence.record, _labels(sentence.record)
  length = int(record['input_mask'].sum())
  ids = record['input_ids'][:length].tolist()
  for place in labels:
    ids[place] = vocabulary.mask_id
  return {'input_ids': ids, 'input_mask': [1] * length, 'segment_ids': record['segment_ids'][:length].tolist(),
          'masked_lm_positions': list(labels)}


def guessed(sentence, logits, vocabulary):
  """The Guessed of a sentence. logits: float32 [at least its record's labels, V]."""
  labels, guesses = _labels(sentence.record), []
  order = list(labels)
  for place in sentence.places:
    right, own = labels[place + sentence.start], logits[order.index(place + sentence.start)]
    chances = masked.probabilities(own)
    guesses.append((vocabulary.tokens[right], float(chances[right]), int((chances > chances[right]).sum()) + 1,
                    masked.ranked(own, vocabulary, _TOP)))
  return Guessed(sentence.tokens, sentence.places, guesses)


def guesses(predictor, model, info, count):
  """A list of Guessed. predictor: prediction.Predictor of 'masked_lm'. The rest as for sentences()."""
  vocabulary = model.vocabulary
  chosen = sentences(info, vocabulary, count)
  return list(predictor.answers(((sentence, row(sentence, vocabulary)) for sentence in chosen), lambda sentence, answer:
                                guessed(sentence, answer['logits'], vocabulary)))


def text_of(tokens):
  """Tokens as text."""
  return ''.join(token[2:] if token.startswith('##') and len(token) > 2 else token for token in tokens)


def describe(sentence):
  """A Guessed in a line: the sentence with its masked tokens in brackets, then what was thought of each."""
  shown = ''.join('【{}】'.format(text_of([token])) if place in sentence.places else text_of([token])
                  for place, token in enumerate(sentence.tokens))
  return '  {}  {}'.format(shown, '; '.join(map(_thought, sentence.guesses)))


def _thought(guess):
  right, chance_of_right, rank, best = guess
  words = ', '.join('{} {}'.format(token, masked.percent(chance)) for token, chance in best[:3])
  return '{} → {}{}'.format(right, words, '' if rank <= 3 else ' ({} is number {:,}, {})'.format(
      right, rank, masked.percent(chance_of_right)))
