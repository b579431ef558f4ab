"""The tokenizer of a transformers folder: BertTokenizer over vocab.txt, whatever the class of the model.

Without a tokenizer class transformers 5.24 loads an ALBERT tokenizer of five tokens without a word, 4.57 asks for
SentencePiece.
"""

import collections
import json
import os

from albert.common.errors import UserError
from albert.dataset import tokenization
from albert.run.names import VOCAB_FILE

CONFIG_FILE = 'tokenizer_config.json'
TOKENS_FILE = 'special_tokens_map.json'
_WHOLE_FILE = 'tokenizer.json'  # what transformers 5 writes instead of vocab.txt
_SENTENCE_PIECE = 'spiece.model'
# Names of the files that are read.
READ = (VOCAB_FILE, CONFIG_FILE, _WHOLE_FILE)
_SPECIAL = collections.OrderedDict([
    ('pad_token', tokenization.PAD), ('unk_token', tokenization.UNK), ('cls_token', tokenization.CLS),
    ('sep_token', tokenization.SEP), ('mask_token', tokenization.MASK)])


def write(folder, vocabulary, do_lower_case, max_length):
  """Writes vocab.txt, tokenizer_config.json, and special_tokens_map.json for transformers 4."""
  with open(os.path.join(folder, VOCAB_FILE), 'w', encoding='utf-8', newline='') as target:
    target.write(''.join(token + '\n' for token in vocabulary.tokens))
  config = collections.OrderedDict([
      ('tokenizer_class', 'BertTokenizer'), ('do_lower_case', do_lower_case), ('tokenize_chinese_chars', True),
      ('strip_accents', None), ('model_max_length', max_length)])
  config.update(_SPECIAL)
  for name, values in ((CONFIG_FILE, config), (TOKENS_FILE, _SPECIAL)):
    with open(os.path.join(folder, name), 'w', encoding='utf-8') as target:
      json.dump(values, target, indent=2)
      target.write('\n')


def read(folder, read_json):
  """(list of tokens, do_lower_case) of a folder.

  Args:
    folder: path. read_json: function of a path that gives a dict, {} for an absent file.

  Raises:
    UserError: no vocabulary of WordPiece tokens.
  """
  whole = read_json(os.path.join(folder, _WHOLE_FILE))
  normalizer = whole.get('normalizer') or {}
  config = read_json(os.path.join(folder, CONFIG_FILE))
  do_lower_case = bool(config.get('do_lower_case', normalizer.get('lowercase', True)))
  path = os.path.join(folder, VOCAB_FILE)
  if os.path.isfile(path):
    return tokenization.Vocabulary.load(path).tokens, do_lower_case
  model = whole.get('model') or {}
  if model.get('type') == 'WordPiece' and isinstance(model.get('vocab'), dict):
    return _tokens(model['vocab'], os.path.join(folder, _WHOLE_FILE)), do_lower_case
  other = ' (it has {}, a SentencePiece model, as English ALBERTs do)'.format(_SENTENCE_PIECE) if os.path.exists(
      os.path.join(folder, _SENTENCE_PIECE)) else ''
  raise UserError('{}: expected {} or a WordPiece {}, found neither{}; copy the vocabulary of these weights '
                  'there'.format(folder, VOCAB_FILE, _WHOLE_FILE, other))


def _tokens(ids, where):
  tokens = sorted(ids, key=ids.get)
  if [ids[token] for token in tokens] != list(range(len(tokens))):
    raise UserError('{}: expected ids from 0 to {}, one a token, found others; copy the vocab.txt of these weights '
                    'there'.format(where, len(tokens) - 1))
  return tokens


def checked(tokens, vocab_size, dedupe, where):
  """Vocabulary of as many tokens as the embeddings have rows, each once.

  Args:
    tokens: list of str, as read.
    vocab_size: rows of the embeddings.
    dedupe: whether to make repeated tokens one. If the rows are those of the distinct tokens, repetitions are removed
      and later tokens move up, as the program did that numbered distinct tokens. If every line has its row, the
      earlier lines keep it under another name: the last line of a token is the one that tokenizers use.
    where: names the vocabulary in errors.

  Returns:
    (tokenization.Vocabulary, list of notes for people).

  Raises:
    UserError: another number of tokens, repeated ones without `dedupe`, a special token missing.
  """
  lines, notes = collections.OrderedDict(), []
  for number, token in enumerate(tokens):
    lines.setdefault(token, []).append(number)
  repeated = [(token, numbers) for token, numbers in lines.items() if len(numbers) > 1]
  if repeated and not dedupe:
    token, numbers = repeated[0]
    raise UserError('{}: expected each token once, found {} repeated: line {} repeats line {} ({}); programs number '
                    'what follows differently, add --dedupe to have it put right'.format(
                        where, len(repeated), numbers[1] + 1, numbers[0] + 1, token))
  if repeated and vocab_size == len(lines):
    notes.append('{} repeated lines removed: the weights have a row for each distinct token'.format(
        len(tokens) - len(lines)))
    tokens = list(lines)
  elif repeated:
    tokens = list(tokens)
    for _, numbers in repeated:
      for number in numbers[:-1]:
        tokens[number] = '[repeated{}]'.format(number + 1)
    notes.append('repeated tokens renamed but for their last line: the weights have a row for each line')
  if len(tokens) != vocab_size:
    raise UserError('{}: expected {} tokens, the rows of the word embeddings, found {}; use the vocabulary of these '
                    'weights'.format(where, vocab_size, len(tokens)))
  return tokenization.Vocabulary(tokens, name=where), notes
