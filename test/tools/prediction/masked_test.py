"""tools.prediction.masked and lines: what [MASK] in a text becomes, and what is said of the answers."""

import gzip
import io
import sys

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.dataset import tokenization
from albert.model.config import AlbertConfig
from albert import prediction
from tools.prediction import lines
from tools.prediction import masked

VOCABULARY = tokenization.Vocabulary(
    ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + list('中国的首都是北南京，') + ['dna', '##s'])
MODEL = prediction.Model('model.ckpt-1', AlbertConfig(max_position_embeddings=14), VOCABULARY,
                         tokenization.Tokenizer(VOCABULARY))


def test_a_mask_is_a_token_between_those_of_the_text():
  query = masked.parse('首都[MASK] [MASK]京dnas', MODEL)
  assert [VOCABULARY.tokens[token] for token in query.fields['input_ids']] == [
      '[CLS]', '首', '都', '[MASK]', '[MASK]', '京', 'dna', '##s', '[SEP]']
  assert query.fields['masked_lm_positions'] == [3, 4] and query.starts == [2, 9]
  assert query.fields['input_mask'] == [1] * 9 and query.fields['segment_ids'] == [0] * 9


@pytest.mark.parametrize('text, message', [
    ('中国', r"TEXT: expected \[MASK\] where a token is asked for, found none in '中国'"),
    ('', r'expected \[MASK\]'),
    (b'\xd6\xd0[MASK]'.decode('utf-8', 'surrogateescape'), 'TEXT: expected a text in UTF-8, found other bytes'),
    ('首都是【MASK】京', r'write \[MASK\] instead of 【MASK】'),
    ('首都是[mask]京', r'write \[MASK\] instead of \[mask\]'),
    ('[MASK]' + '中' * 12, 'TEXT: expected at most 12 tokens, found 13; shorten it'),
])
def test_texts_that_cannot_be_asked(text, message):
  with pytest.raises(UserError, match=message):
    masked.parse(text, MODEL, 'TEXT')


def logits(**chances):
  """float32 [V] whose softmax has these chances; the rest share what is left."""
  rest = (1 - sum(chances.values())) / (len(VOCABULARY) - len(chances))
  return np.log([chances.get(token, rest) for token in VOCABULARY.tokens]).astype(np.float32)


def test_the_most_probable_tokens_come_first_and_fill_the_text():
  query = masked.parse('首都是[MASK]，[MASK]。', MODEL)
  rows = np.stack([logits(北=0.5, 南=0.3, 京=0.1), logits(京=0.6, 国=0.2), logits(中=0.9)])  # the last one is padding
  answer = masked.answer(query, rows, VOCABULARY, top=2)
  assert answer.filled == '首都是北，京。'
  assert [[token for token, _ in mask] for mask in answer.masks] == [['北', '南'], ['京', '国']]
  np.testing.assert_allclose([chance for _, chance in answer.masks[0]], [0.5, 0.3], rtol=1e-5)


def test_candidates_are_ranked_with_their_probability_among_all():
  query = masked.parse('[MASK]京', MODEL)
  ids = masked.candidate_ids(['南', '北', '##s', '南'], MODEL)
  answer = masked.answer(query, logits(北=0.2, 京=0.7)[np.newaxis], VOCABULARY, top=1, candidates=ids)
  assert [token for token, _ in answer.masks[0]] == ['北', '南', '##s']  # all of them, each once
  assert answer.filled == '北京' and answer.masks[0][0][1] == pytest.approx(0.2)


@pytest.mark.parametrize('candidate, words', [
    ('北京', r'2 tokens \(北 京\); a \[MASK\] stands'), ('西', 'not in it'), (' ', 'none'),
    ('北，南', 'write , instead of the full-width ，')])
def test_a_candidate_is_one_token_of_the_vocabulary(candidate, words):
  with pytest.raises(UserError, match='candidates: expected tokens of the vocabulary, found .*' + words):
    masked.candidate_ids(['北', candidate], MODEL)


def test_top_beyond_the_vocabulary_gives_all_of_it():
  assert len(masked.ranked(logits(北=0.2), VOCABULARY, 1000)) == len(VOCABULARY)


@pytest.mark.parametrize('pack', [lambda content: content, gzip.compress])
def test_lines_of_a_file(tmp_path, pack):
  path = tmp_path / ('a.gz' if pack is gzip.compress else 'a.txt')
  path.write_bytes(pack('\ufeff中国\r\n\n 首都\u2028是'.encode('utf-8')))
  assert list(lines.read(str(path))) == ['中国', '', ' 首都\u2028是']


@pytest.mark.parametrize('is_terminal', [True, False])
def test_whoever_types_at_a_terminal_is_told_that_lines_are_awaited(is_terminal, monkeypatch, capsys):
  typed = io.TextIOWrapper(io.BytesIO('中国\n'.encode('utf-8')))
  monkeypatch.setattr(typed, 'isatty', lambda: is_terminal, raising=False)
  monkeypatch.setattr(sys, 'stdin', typed)
  assert list(lines.read(lines.STANDARD_INPUT)) == ['中国']
  assert capsys.readouterr().err == 'write a text and Enter; Ctrl-D ends\n' * is_terminal


@pytest.mark.parametrize('content, message', [
    (b'', 'expected text, a line each, found nothing in it'),
    (b'a\n\xff\n', r'a.txt line 2: expected text in UTF-8, found an invalid byte at 0'),
    (b'a' * 2_000_000, r'a.txt line 1: .*more than 1,048,576 bytes'),
])
def test_files_that_are_not_lines_of_text(tmp_path, content, message):
  path = tmp_path / 'a.txt'
  path.write_bytes(content)
  with pytest.raises(UserError, match=message):
    list(lines.read(str(path)))


def test_a_file_that_is_cut_off(tmp_path):
  path = tmp_path / 'a.gz'
  content = ''.join('{}\n'.format(number ** 3) for number in range(100_000))  # several blocks of the reader
  path.write_bytes(gzip.compress(content.encode('utf-8'))[:-12])
  with pytest.raises(UserError, match='a.gz: expected a text file, found one that cannot be read after line'):
    list(lines.read(str(path)))


@pytest.mark.parametrize('chance, words', [(0.8312, '83.1%'), (0.05, '5.00%'), (0.00042, '0.042%'),
                                           (1.23e-9, '1.2e-07%')])
def test_percent(chance, words):
  assert masked.percent(chance) == words
