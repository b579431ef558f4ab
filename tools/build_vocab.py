"""Builds a WordPiece vocabulary from a corpus; the same corpus gives the same bytes.

  python -m tools.build_vocab --input_files=news.txt --output_file=data/vocab.txt --vocab_size=21128

Text is read and cleaned as tools.create_pretraining_data does it, with the same flags. The order: special tokens; Han
characters by frequency; latin pieces; digits; punctuation; other characters by frequency; full-width forms. Han
characters are counted; latin pieces come from sentencepiece's BPE. (The trainer of `tokenizers` is not deterministic,
drops Han characters after the first 1,000 and exceeds the requested size.)
"""

import collections
import itertools
import os
import re
import string
import tempfile
import unicodedata

from absl import flags

from albert.common import cli
from albert.common.errors import UserError
from albert.common import files
from albert.dataset import tokenization
from tools.preprocessing import inputs
from tools.preprocessing import pipeline
from tools.text import bpe
from tools.text import cleaning
from tools.text import duplicate_keys
from tools.text import duplicates
from tools.text import origin
from tools.text import source
from tools.workers import progress

FLAGS = flags.FLAGS

_DIGITS = tuple(string.digits)
_PUNCTUATION = tuple(string.punctuation) + tuple('，。、；：？！“”‘’（）《》【】「」『』〈〉—…·～％')
# Full-width letters, digits and marks: they get a token, if there is room, also where the text does not hold them.
_FULL_WIDTH = ''.join(map(chr, range(0xFF01, 0xFF5F)))
_LATIN_WORDS = re.compile('[a-zA-Z]+')
# Blocks of emoji and of Han characters that grow with each version of Unicode; Python 3.7 knows the eleventh.
_NEWER = ((0x1F000, 0x1FAFF), (0x2CEB0, 0x2EBEF), (0x30000, 0x323AF))
# Distinct latin words that are counted; beyond this number the rarest are forgotten, so that memory stays flat.
_MAX_COUNTED_RUNS = 1 << 20


def define_flags():
  """Not at import: two programs may be imported into one test."""
  source.define_flags(flags)
  flags.DEFINE_string('output_file', None, 'The vocabulary, a token per line.')
  flags.DEFINE_integer('vocab_size', 21128, 'The largest number of tokens.')
  flags.DEFINE_integer('min_count', 1, 'Han and other characters that occur this often get a token.', lower_bound=1)
  flags.DEFINE_integer('latin_pieces', 4000, 'The largest number of pieces of latin words, besides the '
                       'letters.', lower_bound=0)
  flags.DEFINE_bool('do_lower_case', True, 'Lower case and no accents.')


def main(argv):
  """Counts, builds, writes."""
  cli.no_positional_arguments(argv)
  for name in ('input_files', 'output_file'):
    if not getattr(FLAGS, name):
      raise UserError('expected --{}=..., found none; see --help'.format(name))
  text = source.of_flags(FLAGS)
  paths = inputs.distinct(source.find_files(FLAGS.input_files, text, documents_given=FLAGS.documents is not None))
  characters, runs = count(paths, text, FLAGS.do_lower_case)
  tokens = build(characters, runs, FLAGS.vocab_size, FLAGS.min_count, FLAGS.latin_pieces, FLAGS.do_lower_case)
  write(tokens, FLAGS.output_file)
  origin.write(FLAGS.output_file, inputs.describe(paths),
               origin.settings_of(text, FLAGS.do_lower_case))
  print('vocabulary  {}: {:,} tokens, {:,} of them Han characters'.format(
      FLAGS.output_file, len(tokens), sum(len(token) == 1 and tokenization.is_han(token) for token in tokens)))
  unknown = share_without_token(characters, tokens)
  if unknown > pipeline.WARN_UNKNOWN:
    print('warning     {:.1%} of the characters of the text have no token and become [UNK]; a larger --vocab_size or a '
          'smaller --min_count gives them one'.format(unknown))


def share_without_token(characters, tokens):
  """The share of a text's characters that have no token of their own. characters: {character: count}."""
  tokens = set(tokens)
  return sum(number for char, number in characters.items() if char not in tokens) / sum(characters.values())


def count(paths, text, do_lower_case):
  """Counts a corpus.

  Args:
    paths: of its files.
    text: `source.Source`.
    do_lower_case: whether capital letters count as small ones.

  Returns:
    Counter of the characters as the vocabulary spells them, and Counter of the latin words.

  Raises:
    UserError: the corpus cannot be read, or has no text.
  """
  raw, runs = collections.Counter(), collections.Counter()
  units = source.units(paths, text)
  marks = _duplicates(units, text)
  with progress.Progress('counting', len(units)) as bar:
    for number, unit in enumerate(units):
      documents = _documents(unit, text)
      for document in documents if marks is None else itertools.compress(documents, ~marks[number]):
        for sentence in document.sentences:
          raw.update(sentence)
          runs.update(_LATIN_WORDS.findall(sentence.lower() if do_lower_case else sentence))
        if len(runs) > _MAX_COUNTED_RUNS:
          runs = collections.Counter(dict(_by_frequency(runs)[:_MAX_COUNTED_RUNS // 2]))
      bar.add(1)
  characters = collections.Counter()
  for char, number in raw.items():
    if tokenization.character_kind(char) in (tokenization.SINGLE, tokenization.RUN):
      for part in tokenization.normalize(char, do_lower_case):
        characters[part] += number
  if not characters:
    raise UserError('expected text to count characters in, found none in {}; name files with text'.format(
        ', '.join(paths[:3] + ['...'] * (len(paths) > 3))))
  return characters, runs


def _documents(unit, text):
  """Yields the cleaned `corpus.Document`s of a unit."""
  return cleaning.clean(source.reader(text).documents(unit), text.cleaning, collections.Counter(), [])


def _duplicates(units, text):
  """For each unit a bool array, which of its documents the records leave out as duplicates; None if they keep all."""
  if text.cleaning.duplicates == 'keep':
    return None
  with tempfile.TemporaryDirectory() as scratch, progress.Progress('comparing', len(units)) as bar:
    prefixes = [os.path.join(scratch, str(number)) for number in range(len(units))]
    for unit, prefix in zip(units, prefixes):
      with duplicate_keys.Writer(prefix, text.cleaning.duplicates) as writer:
        for document in _documents(unit, text):
          writer.add([document])
      bar.add(1)
    found = duplicates.find(*([prefix + ending for prefix in prefixes] for ending in (
        duplicate_keys.HASHES, duplicate_keys.SIGNATURES)), text.cleaning)
  return [marks > 0 for marks in found]


def build(characters, runs, vocab_size, min_count=1, latin_pieces=4000, do_lower_case=True):
  """The tokens of a vocabulary.

  Args:
    characters: {character: count}.
    runs: {latin word: count}.
    vocab_size: the largest number of tokens.
    min_count: how often a character must occur to get a token.
    latin_pieces: the largest number of pieces of latin words, besides the letters.
    do_lower_case: whether capital letters are left out.

  Raises:
    UserError: the size does not hold the special tokens, the Han characters, letters, digits and punctuation.
  """
  frequent = [char for char, number in _by_frequency(characters) if number >= min_count]
  han = [char for char in frequent if tokenization.is_han(char)]
  letters = string.ascii_lowercase if do_lower_case else string.ascii_letters
  # Some marks, such as the full-width tilde in 1996～2006, are none to BERT: they stand within words.
  punctuation = [form for char in _PUNCTUATION for form in _forms(char)]
  required = len(tokenization.SPECIAL_TOKENS) + len(han) + 2 * (len(letters) + len(_DIGITS)) + len(punctuation)
  if vocab_size < required:
    raise UserError('expected --vocab_size of at least {}: {} Han characters that occur {} times or more, letters, '
                    'digits, punctuation and special tokens; found {}; raise it, or --min_count'.format(
                        required, len(han), min_count, vocab_size))
  known = set(letters) | set(_DIGITS) | set(_PUNCTUATION) | set(han)
  room = vocab_size - required
  of_text, others = ([form for char in dict.fromkeys(chars) if char not in known and _may_have_token(char)
                      for form in _forms(char)]
                     for chars in (frequent, frequent + list(tokenization.normalize(_FULL_WIDTH, do_lower_case))))
  # A latin word can be spelled in letters, another character not at all: those of the text get half the room.
  latin = _latin_pieces(runs, min(latin_pieces, room - min(len(of_text), room // 2)))
  others = others[:room - len(latin)]
  return (list(tokenization.SPECIAL_TOKENS) + han + [form for char in letters for form in _forms(char)] + latin
          + [form for char in _DIGITS for form in _forms(char)] + punctuation + others)


def _may_have_token(char):
  """No private characters, and of those that this Python's Unicode does not know only emoji and Han characters."""
  category = unicodedata.category(char)
  return category != 'Co' and (category != 'Cn' or any(first <= ord(char) <= last for first, last in _NEWER))


def _forms(char):
  """A character as a token: alone and, unless it never stands within a word, as a `##` piece."""
  return [char] if tokenization.is_punctuation(char) else [char, '##' + char]


def _by_frequency(counter):
  return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def _latin_pieces(runs, limit):
  """At most `limit` pieces of two or more letters, those of BPE over the words, as WordPiece tokens."""
  words = [(word, number) for word, number in _by_frequency(runs) if len(word) > 1 and number > 1]
  if not words or limit < 1:
    return []
  # Each merge of BPE makes one piece; it also counts the letters in both places and its own three special symbols.
  with progress.Progress('learning latin pieces', 1):
    learned = bpe.train(words, limit + 2 * len(set(''.join(word for word, _ in words))) + 4)
  pieces = [piece[1:] if piece.startswith(bpe.WORD_BEGIN) else '##' + piece for piece in learned]
  return [piece for piece in pieces if len(piece.replace('##', '')) > 1][:limit]


def write(tokens, path):
  """Writes a vocabulary, a token per line. Raises UserError if that fails."""
  try:
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with files.atomic(path) as target:
      target.writelines(token + '\n' for token in tokens)
  except OSError as error:
    raise UserError('{}: expected to write the vocabulary there, found that it failed ({}); name another '
                    '--output_file'.format(path, error.strerror))


if __name__ == '__main__':
  define_flags()
  cli.run(main)
