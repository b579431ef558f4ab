"""albert.dataset.tokenization against the rules of BERT, written down here a second time in the obvious, slow way."""

import unicodedata

import hypothesis
import hypothesis.strategies as st
import pytest

from albert.common.errors import UserError
from albert.dataset import tokenization

SPECIALS = list(tokenization.SPECIAL_TOKENS)
TOKENS = (SPECIALS + list('中国人the,.!=1ab')
          + ['##国', '##a', '##b', '##the', 'un', '##aff', '##able', '##1', 'cafe', 'ss'])


def make(tokens=TOKENS, **options):
  return tokenization.Tokenizer(tokenization.Vocabulary(list(tokens)), **options)


def tokens_of(tokenizer, text):
  return [tokenizer.vocabulary.tokens[piece.id] for piece in tokenizer.tokenize(text)]


def oracle_basic(text, lower):
  """google-research/bert BasicTokenizer, as its documentation describes it."""
  def punctuation(char):
    point = ord(char)
    return (33 <= point <= 47 or 58 <= point <= 64 or 91 <= point <= 96 or 123 <= point <= 126
            or unicodedata.category(char).startswith('P'))
  cleaned = ''
  for char in text:
    if char in ' \t\n\r' or unicodedata.category(char) == 'Zs':
      cleaned += ' '
    elif ord(char) in (0, 0xFFFD) or unicodedata.category(char) in ('Cc', 'Cf'):
      continue
    else:
      cleaned += ' {} '.format(char) if tokenization.is_han(char) else char
  words = []
  for word in cleaned.split():
    if lower:
      word = ''.join(c for c in unicodedata.normalize('NFD', word.lower()) if unicodedata.category(c) != 'Mn')
    parts = ['']
    for char in word:
      if punctuation(char):
        parts += [char, '']
      else:
        parts[-1] += char
    words += [part for part in parts if part]
  return words


def oracle_word_pieces(word, vocabulary):
  pieces, rest = [], word
  while rest:
    for size in range(len(rest), 0, -1):
      piece = ('##' if pieces else '') + rest[:size]
      if piece in vocabulary:
        break
    else:
      return ['[UNK]']
    pieces.append(piece)
    rest = rest[size:]
  return pieces


ANY_TEXT = st.text(alphabet=st.one_of(
    st.sampled_from('中国人theTHEabAB1,.!=\u2260é\u0301\u200d\u00ad\u3000\u2028\0\ufeff\uf900\U00020000 \t'),
    st.characters(blacklist_categories=('Cs',), blacklist_characters='Σ')), max_size=30)


@hypothesis.settings(max_examples=400, deadline=None)
@hypothesis.given(ANY_TEXT, st.booleans())
def test_tokens_are_berts(text, lower):
  expected = [piece for word in oracle_basic(text, lower) for piece in oracle_word_pieces(word, set(TOKENS))]
  assert tokens_of(make(do_lower_case=lower), text) == expected


@hypothesis.settings(max_examples=200, deadline=None)
@hypothesis.given(ANY_TEXT)
def test_offsets_are_ordered_and_within_the_text(text):
  pieces = make().tokenize(text)
  assert all(0 <= piece.start < piece.end <= len(text) for piece in pieces)
  assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)


def test_offsets_point_at_the_characters():
  text = ' Unaffable\u00ad中国,\u200bCAFÉ!'
  tokenizer = make()
  pieces = [(tokenizer.vocabulary.tokens[p.id], text[p.start:p.end], p.continues) for p in tokenizer.tokenize(text)]
  assert pieces == [('un', 'Un', False), ('##aff', 'aff', True), ('##able', 'able', True), ('中', '中', False),
                   ('国', '国', False), (',', ',', False), ('cafe', 'CAFÉ', False), ('!', '!', False)]


def test_punctuation_that_appears_when_accents_go():
  assert tokens_of(make(), 'a\u2260b') == ['a', '=', 'b']


def test_a_run_without_a_cut_is_one_unknown_token():
  pieces = make().tokenize('abxyz')
  assert [tuple(piece) for piece in pieces] == [(1, 0, 5, False)]
  assert tokens_of(make(), 'a' * 200)[1:] == ['##a'] * 199
  assert tokens_of(make(), 'a' * 201) == ['[UNK]']


@pytest.mark.parametrize('char', ['\u3400', '\u4e00', '\u9fa6', '\u9fff', '\uf900', '\U00020000', '\U0002a700',
                                  '\U0002b740', '\U0002b820', '\U0002f800'])
def test_every_block_of_han_is_set_apart(char):
  assert tokenization.is_han(char)
  assert len(make().tokenize('a' + char + 'b')) == 3


@pytest.mark.parametrize('char', ['あ', 'ア', '한', 'a', '，', '\u3007', '\u33ff', '\ua000'])
def test_other_scripts_are_not_han(char):
  assert not tokenization.is_han(char)


def write(path, content):
  path.write_bytes(content)
  return str(path)


def test_vocabulary_is_split_at_newlines_only(tmp_path):
  tokens = SPECIALS + ['\u2028', '\x0b', '\x85', '中']
  vocabulary = tokenization.Vocabulary.load(write(tmp_path / 'v', ('\n'.join(tokens) + '\n').encode()))
  assert vocabulary.tokens == tokens
  assert vocabulary.ids['中'] == 8 == len(vocabulary) - 1


def test_vocabulary_with_carriage_returns_and_mark(tmp_path):
  content = b'\xef\xbb\xbf' + '\r\n'.join(SPECIALS + ['中']).encode()
  assert tokenization.Vocabulary.load(write(tmp_path / 'v', content)).tokens == SPECIALS + ['中']


def test_space_around_tokens_is_no_part_of_them(tmp_path):
  content = '\n'.join(SPECIALS + [' 中 ', '\t国', '##a\t ', '\u3000', 'a b', '\u2028']).encode() + b'\r\n'
  vocabulary = tokenization.Vocabulary.load(write(tmp_path / 'v', content))
  assert vocabulary.tokens == SPECIALS + ['中', '国', '##a', '\u3000', 'a b', '\u2028']


@pytest.mark.parametrize('lines, words', [
    (['中', '', '国'], 'found line 7 blank; remove'), (['中', '国', ''], 'found line 8 blank; remove'),
    (['中', ' \t'], 'found line 7 blank; remove'),
    (['中', '国', '中'], 'found line 8 the same as line 6 ("中"); remove'),
    (['中', ' 中'], 'found line 7 the same as line 6 ("中"); remove'), (['[UNK]'], 'line 6 the same as line 2'),
    (['中', '', '中', '', ''], 'line 7 blank, line 8 the same as line 6 ("中"), line 9 blank, and 1 more; remove')])
def test_lines_that_would_be_ids_of_nothing_are_named(tmp_path, lines, words):
  with pytest.raises(UserError) as error:
    tokenization.Vocabulary.load(write(tmp_path / 'v', ('\n'.join(SPECIALS + lines) + '\n').encode()))
  assert words in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('content, words', [
    (b'a\nb\n', '[PAD] [UNK] [CLS] [SEP] [MASK]'), (b'', '0 tokens'), (b'[PAD]\n[UNK]\n[CLS]\n[SEP]\n', '[MASK]'),
    (b'[PAD]\n\xff', 'UTF-8')])
def test_a_file_that_is_no_vocabulary(tmp_path, content, words):
  with pytest.raises(UserError) as error:
    tokenization.Vocabulary.load(write(tmp_path / 'v', content))
  assert words in str(error.value) and '\n' not in str(error.value)


def test_no_vocabulary(tmp_path):
  with pytest.raises(UserError, match='none that can be read'):
    tokenization.Vocabulary.load(str(tmp_path / 'none'))


def test_replacements_are_real_whole_tokens():
  vocabulary = tokenization.Vocabulary(['[PAD]', '[unused1]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '<S>', '<T>', '',
                                        '中', '##中', 'the', '##s', '[', ']', '<', '##'])
  assert [vocabulary.tokens[index] for index in vocabulary.replacement_ids()] == ['中', 'the', '[', ']', '<']


def test_a_vocabulary_with_capital_letters_is_not_for_lower_case():
  assert tokenization.guessed_lower_case(['[PAD]', '[UNK]', '<S>', 'dna', '中'])
  assert not tokenization.guessed_lower_case(['[PAD]', '##A'])
