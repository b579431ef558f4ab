"""tools.build_vocab: complete, bounded, in order, and the same bytes every time."""

import collections
import os
import random
import subprocess
import sys

import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.dataset import tokenization
from tools import build_vocab
from tools.text import cleaning
from tools.text import source

import small_corpus


def run(*arguments, **options):
  return subprocess.run(
      [sys.executable, '-m', 'tools.build_vocab'] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      universal_newlines=True, env=dict(os.environ, PYTHONPATH=ROOT, **options))


def write_text(path, characters=1500):
  """Text with many Han characters, character i about as often as 1 / (i + 1), and some latin words."""
  generator = random.Random(1)
  lines = []
  for number in range(characters):
    lines.append(chr(0x4E00 + number) * (1 + 300 // (number + 1)) + '，' + generator.choice(
        ['Tensor', 'tensorflow', 'WiFi', 'flow', 'café', '2016年', '3.5%', 'アあ', '𠀀']) + '。')
  path.write_text('\n'.join(lines), encoding='utf-8')
  return str(path)


def count(path, lower=True):
  return build_vocab.count([path], source.Source(), lower)


def test_two_processes_give_the_same_bytes(tmp_path):
  text = write_text(tmp_path / 'text')
  outputs = []
  for seed in ('1', '2'):
    path = tmp_path / 'vocab{}.txt'.format(seed)
    result = run('--input_files=' + text, '--output_file=' + str(path), PYTHONHASHSEED=seed)
    assert result.returncode == 0, result.stderr
    assert '1,502 of them Han' in result.stdout
    outputs.append(path.read_bytes())
  assert outputs[0] == outputs[1]
  assert tokenization.Vocabulary.load(str(path)).tokens[:5] == list(tokenization.SPECIAL_TOKENS)


def test_a_file_with_two_names_is_counted_once(tmp_path):
  once = write_text(tmp_path / 'text', characters=300)
  os.link(once, str(tmp_path / 'text_again'))
  vocabularies = [tmp_path / 'one.txt', tmp_path / 'two.txt']
  for names, path in zip((once, once + ',' + once + '_again'), vocabularies):
    result = run('--input_files=' + names, '--output_file=' + str(path), '--min_count=20')
    assert result.returncode == 0, result.stderr
  assert 'read once' in result.stderr
  assert vocabularies[0].read_bytes() == vocabularies[1].read_bytes()


def test_every_frequent_han_character_is_in_it(tmp_path):
  characters, runs = count(write_text(tmp_path / 'text'))
  for min_count in (1, 2):
    tokens = build_vocab.build(characters, runs, 3000, min_count)
    expected = {char for char, number in characters.items() if tokenization.is_han(char) and number >= min_count}
    assert expected == {token for token in tokens if len(token) == 1 and tokenization.is_han(token)}
  assert len(expected) > 300 and characters['\u4e00'] == 301 and characters['𠀀'] > 100


@pytest.mark.parametrize('size', [1645, 1650, 1783, 3000])
def test_the_size_is_never_exceeded(tmp_path, size):
  characters, runs = count(write_text(tmp_path / 'text'))
  tokens = build_vocab.build(characters, runs, size)
  assert len(tokens) <= size and len(set(tokens)) == len(tokens)
  assert len(tokens) == min(size, 1783), 'the room is used'


def test_a_size_that_cannot_hold_what_it_must(tmp_path):
  characters, runs = count(write_text(tmp_path / 'text'))
  with pytest.raises(UserError, match='expected --vocab_size of at least') as error:
    build_vocab.build(characters, runs, 1000)
  needed = int(str(error.value).split('at least ')[1].split(':')[0])
  assert len(build_vocab.build(characters, runs, needed)) == needed


def test_order(tmp_path):
  characters, runs = count(write_text(tmp_path / 'text'))
  tokens = build_vocab.build(characters, runs, 21128)
  place = {token: number for number, token in enumerate(tokens)}
  han = [token for token in tokens if len(token) == 1 and tokenization.is_han(token)]
  assert tokens[:5] == ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] and tokens[5:5 + len(han)] == han
  assert [characters[char] for char in han] == sorted((characters[char] for char in han), reverse=True)
  assert place['wifi'] > place['z'] > place[han[-1]]
  assert place['あ'] > place['，'] > place['!'] > place['9'] > place['flow']
  assert {'a', '##a', '0', '##9', '。', '%', 'ア', '##ア'} <= set(tokens)
  assert not {'A', '##，', 'T'} & set(tokens)


def test_nothing_of_the_text_is_unknown(tmp_path):
  path = write_text(tmp_path / 'text')
  tokens = build_vocab.build(*count(path), vocab_size=21128)
  tokenizer = tokenization.Tokenizer(tokenization.Vocabulary(tokens))
  pieces = tokenizer.tokenize(open(path, encoding='utf-8').read())
  assert pieces and all(piece.id != tokenizer.vocabulary.unk_id for piece in pieces)


@pytest.mark.parametrize('text', [
    '1996～2006', '甲·乙', '1·5', 'a—b——c', '１２％', 'ＡＢＣ１２３', 'ｗｉｆｉ', '3％～5％', '25℃～30℃',
    '１９９６～２００６', 'x≠y', '½', 'é', 'ｶﾞ', '한국', '①②', '★a', '￥5', 'Ⅱ型',
    'Ａ＆Ｂ／Ｃ＋Ｄ－Ｅ．Ｆ', 'a℃b', '𪚥𠮷', '𬺰龜', '𰀀', '😀a😀',
    '👍🏽', '👨\u200d👩\u200d👧', '1️⃣', '🥲🫠', 'ȧ̈b', 'क्षि', '1～2·3—4％5', '～～～', '㎡5㎡', 'ˉ', '〇', 'βα', 'ß'])
@pytest.mark.parametrize('lower', [True, False])
def test_what_is_in_the_text_is_in_the_vocabulary_wherever_it_stands(tmp_path, text, lower):
  path = tmp_path / 'text'
  path.write_text('中文字。' + text, encoding='utf-8')
  tokens = build_vocab.build(*count(str(path), lower), vocab_size=21128, do_lower_case=lower)
  assert len(set(tokens)) == len(tokens)
  tokenizer = tokenization.Tokenizer(tokenization.Vocabulary(tokens), lower)
  unk_id = tokenizer.vocabulary.unk_id
  assert unk_id not in [piece.id for part in (text, '中' + text * 2) for piece in tokenizer.tokenize(part)]


def test_marks_that_stand_within_words_are_there_whatever_the_text():
  tokens = build_vocab.build(collections.Counter('中'), collections.Counter(), 300)
  tokenizer = tokenization.Tokenizer(tokenization.Vocabulary(tokens))
  for text in ('1996～2006', '5％', '中·中', '中—中', 'ＷＩＦＩ１２３（中）＋'):
    assert tokenizer.vocabulary.unk_id not in [piece.id for piece in tokenizer.tokenize(text)]


def test_latin_pieces_make_words(tmp_path):
  tokens = build_vocab.build(*count(write_text(tmp_path / 'text')), vocab_size=21128)
  tokenizer = tokenization.Tokenizer(tokenization.Vocabulary(tokens))
  assert len(tokenizer.tokenize('TensorFlow')) <= 2 and len(tokenizer.tokenize('WIFI')) == 1
  few = build_vocab.build(*count(write_text(tmp_path / 'text')), vocab_size=21128, latin_pieces=3)
  latin = [token for token in few if token.replace('##', '').isalpha() and token.isascii()] if hasattr(
      str, 'isascii') else []
  assert len([token for token in latin if len(token.replace('##', '')) > 1]) <= 3


def test_capital_letters(tmp_path):
  tokens = build_vocab.build(*count(write_text(tmp_path / 'text'), lower=False), vocab_size=21128,
                             do_lower_case=False)
  assert {'A', '##Z', 'a', 'é'} <= set(tokens)


def test_one_word_and_no_word(tmp_path):
  for text in ('ab ab', '中', 'zz'):
    path = tmp_path / 'text'
    path.write_text(text, encoding='utf-8')
    tokens = build_vocab.build(*count(str(path)), vocab_size=200)
    assert len(tokens) <= 200


def test_private_characters_get_no_token():
  tokens = build_vocab.build(collections.Counter('中\ue000'), collections.Counter(), 300)
  assert '中' in tokens and '\ue000' not in tokens


@pytest.mark.parametrize('content, words', [(b'', 'found none in'), (b'\xff\n', 'byte 0xff')])
def test_bad_text(tmp_path, content, words):
  (tmp_path / 'text').write_bytes(content)
  result = run('--input_files=' + str(tmp_path / 'text'), '--output_file=' + str(tmp_path / 'vocab'))
  assert result.returncode == 1 and result.stderr.count('\n') == 1 and words in result.stderr
  assert not (tmp_path / 'vocab').exists()


def test_missing_arguments(tmp_path):
  assert '--input_files' in run().stderr
  assert '--output_file' in run('--input_files=x').stderr


def test_memory_for_words_is_bounded(tmp_path, monkeypatch):
  monkeypatch.setattr(build_vocab, '_MAX_COUNTED_RUNS', 10)
  path = tmp_path / 'text'
  lines = ['common ' * 3 + chr(97 + number // 26) + chr(97 + number % 26) for number in range(100)]
  path.write_text('\n\n'.join(lines), encoding='utf-8')
  _characters, runs = count(str(path))
  assert len(runs) <= 10 and runs['common'] == 300


def least_size():
  """The least vocab_size for text with one Han character."""
  with pytest.raises(UserError) as error:
    build_vocab.build(collections.Counter('中'), {}, 1)
  return int(str(error.value).split('at least ')[1].split(':')[0])


def pieces_of(tokens, first, last):
  """The tokens of two or more characters between `first` and `last`."""
  return [token for token in tokens if len(token.replace('##', '')) > 1
          and all(first <= char <= last for char in token.replace('##', ''))]


def test_characters_of_the_text_come_before_pieces_of_latin_words():
  words = collections.Counter({first + second + 'tion': 9 for first in 'abcdefgh' for second in 'aeiou'})
  tokens = build_vocab.build(collections.Counter('中℃①あ' * 9), words, least_size() + 12)
  assert {'℃', '##℃', '①', '##①', 'あ', '##あ'} <= set(tokens) and len(tokens) == least_size() + 12
  assert len(pieces_of(tokens, 'a', 'z')) == 6
  many = collections.Counter('中' + ''.join(chr(0x3041 + number) for number in range(80)))
  tokens = build_vocab.build(many, words, least_size() + 12)
  assert len(pieces_of(tokens, 'a', 'z')) == 6
  assert len([token for token in tokens if '\u3041' <= token[-1] < '\u30a0']) == 6


def test_characters_without_a_token_are_a_warning(tmp_path):
  text = tmp_path / 'text.txt'
  text.write_text('春天来了。' * 50 + '夏', encoding='utf-8')
  done = run('--input_files=' + str(text), '--output_file=' + str(tmp_path / 'v'), '--min_count=2')
  assert done.returncode == 0 and 'warning' not in done.stdout  # 1 of 251
  done = run('--input_files=' + str(text), '--output_file=' + str(tmp_path / 'v'), '--min_count=99')
  assert 'tokens, 0 of them Han' in done.stdout and 'warning     80.1% of the characters' in done.stdout
  assert 'smaller --min_count' in done.stdout
  assert build_vocab.share_without_token({'春': 3, '夏': 1}, ['[UNK]', '夏']) == 0.75


def test_noncharacters_get_no_token():
  tokens = build_vocab.build(collections.Counter('中\uffff\U0001ffff\u0378'), collections.Counter(), 300)
  assert '中' in tokens and not {'\uffff', '\U0001ffff', '\u0378'} & set(tokens)


@pytest.mark.parametrize('kind', ['exact', 'near'])
def test_duplicates_that_the_records_leave_out_are_not_counted(tmp_path, kind):
  if kind == 'near':
    pytest.importorskip('datasketch')
  first, second, third = (small_corpus.text(3, seed) for seed in (1, 2, 3))
  paths = []
  for name, text in (('a', first + '\n' + second), ('b', second + '\n' + third), ('c', first), ('once', '\n'.join(
      [first, second, third]))):
    (tmp_path / name).write_text(text, encoding='utf-8')
    paths.append(str(tmp_path / name))
  once = build_vocab.count(paths[3:], source.Source(), True)
  assert build_vocab.count(paths[:3], source.Source(), True) != once
  options = cleaning.Options(duplicates=kind, near_duplicate_threshold=1.0)
  assert build_vocab.count(paths[:3], source.Source(cleaning=options), True) == once
