"""tools.preprocessing.encoding: equal to the tokenizer, every token in one word, words where the segmenter has them."""

import functools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from albert.dataset import tokenization
from tools.preprocessing import encoding
from tools.text import segmentation

import small_corpus

TOKENIZER = tokenization.Tokenizer(tokenization.Vocabulary(small_corpus.vocabulary_tokens()))
CHARACTERS = ('中国画龙点睛守株待兔dnaDNAwifi疫苗3.5%2016年，。；！,. '
              '\u3000\u200d\0é\u0301\u2260あ가\uf900\U00020000\u2028x')
SENTENCE = st.text(alphabet=st.one_of(
    st.sampled_from(CHARACTERS), st.characters(blacklist_categories=('Cs',), blacklist_characters='\n')), max_size=25)


@functools.lru_cache(maxsize=None)  # not when tests are collected, which every worker does
def make(segmenter='jieba', whole_words=True):
  return encoding.Encoder(TOKENIZER, segmentation.segmenter(segmenter), whole_words)


@pytest.fixture(scope='module', params=segmentation.SEGMENTERS)
def encoder(request):
  if request.param == 'rjieba':
    pytest.importorskip('rjieba')
  return make(request.param)


def words_of_sentence(encoder, sentence):
  """The words of a sentence, each as the characters that its tokens cover."""
  encoded = encoder.encode([sentence])
  pieces = TOKENIZER.tokenize(sentence)
  starts = np.flatnonzero(encoding.words_of(encoded.tokens) & encoding.STARTS).tolist() + [len(pieces)]
  return [''.join(sentence[p.start:p.end] for p in pieces[a:b]) for a, b in zip(starts, starts[1:])]


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.lists(SENTENCE, min_size=1, max_size=5))
def test_ids_are_the_tokenizers(sentences):
  encoded = make().encode(sentences)
  expected = [[piece.id for piece in TOKENIZER.tokenize(sentence)] for sentence in sentences]
  assert encoding.ids_of(encoded.tokens).tolist() == sum(expected, [])
  assert encoded.lengths.tolist() == [len(ids) for ids in expected]


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.lists(SENTENCE, min_size=1, max_size=5))
def test_words_are_those_of_a_slow_alignment(sentences):
  """A word starts at a token unless it is a `##` piece or shares a segmenter's word with the token before."""
  starts = encoding.words_of(make().encode(sentences).tokens) & encoding.STARTS
  expected = []
  for sentence in sentences:
    owner = [number for number, word in enumerate(segmentation.segmenter('jieba')(sentence)) for _ in word]
    last = None
    for piece in TOKENIZER.tokenize(sentence):
      expected.append(last is None or not (piece.continues or owner[piece.start] == owner[last]))
      last = piece.end - 1
  assert starts.astype(bool).tolist() == expected


def test_words_of_any_length(encoder):
  assert words_of_sentence(encoder, '他守株待兔，画龙点睛') == ['他', '守株待兔', '，', '画龙点睛']


def test_latin_and_han_in_one_word_or_apart(encoder):
  words = words_of_sentence(encoder, 'DNA疫苗和WiFi信号')
  assert ''.join(words) == 'DNA疫苗和WiFi信号'
  assert words[0] in ('DNA疫苗', 'DNA') and any(word.startswith('WiFi') for word in words)


def test_pieces_stay_together_where_the_segmenter_cuts():
  cut_everywhere = encoding.Encoder(TOKENIZER, list)
  encoded = cut_everywhere.encode(['wifi中国'])
  assert [TOKENIZER.vocabulary.tokens[i] for i in encoding.ids_of(encoded.tokens)][:2] == ['wi', '##fi']
  assert encoding.words_of(encoded.tokens).tolist() == [1, 0, 1, 1]


def test_a_token_in_two_words_makes_them_one():
  # 'dna' is one token; the segmenter puts its last letter into the next word.
  encoder = encoding.Encoder(TOKENIZER, lambda text: ['dn', 'a疫', '苗'])
  assert encoding.words_of(encoder.encode(['dna疫苗']).tokens).tolist() == [1, 0, 1]


def test_sentences_never_share_a_word():
  encoder = encoding.Encoder(TOKENIZER, lambda text: [text])
  encoded = encoder.encode(['中国', '', '画'])
  assert encoded.lengths.tolist() == [2, 0, 1]
  assert encoding.words_of(encoded.tokens).tolist() == [1, 0, 1]


def test_clause_marks():
  encoded = make().encode(['春天,。花3.5'])
  after = encoding.words_of(encoded.tokens) == encoding.AFTER_CLAUSE
  tokens = [TOKENIZER.vocabulary.tokens[i] for i in encoding.ids_of(encoded.tokens)]
  assert [token for token, flag in zip(tokens, after) if flag] == ['。', '花']


def test_without_whole_words_every_token_is_one():
  encoded = encoding.Encoder(TOKENIZER, None, whole_words=False).encode(['守株待兔wifi', '中'])
  assert encoding.words_of(encoded.tokens).tolist() == [1] * 7


def test_the_segmenter_sees_each_block_once_and_raw():
  seen = []

  def segment(text):
    seen.append(text)
    return [text]
  encoding.Encoder(TOKENIZER, segment).encode(['DNA疫苗é', '中国'])
  assert seen == ['DNA疫苗é\n中国']


def test_a_segmenter_that_loses_text_is_an_error():
  with pytest.raises(ValueError, match='1 of 2 characters'):
    encoding.Encoder(TOKENIZER, lambda text: ['中']).encode(['中国'])


def test_no_text():
  for sentences in ([''], [' ', '\u200d']):
    assert len(make().encode(sentences).tokens) == 0
    assert make().encode(sentences).lengths.tolist() == [0] * len(sentences)


def test_remembered_runs_are_bounded(monkeypatch):
  monkeypatch.setattr(encoding, '_MAX_REMEMBERED_RUNS', 3)
  encoder = make()
  for sentence in 'wifi dna a b c wifi 2016 dna'.split():
    assert encoder.encode([sentence]).lengths[0] == len(TOKENIZER.tokenize(sentence))


def test_packing():
  ids, words = np.array([0, 21127, 2**28 - 1]), np.array([0, 3, 2])
  tokens = encoding.pack(ids, words)
  assert encoding.ids_of(tokens).tolist() == ids.tolist() and encoding.words_of(tokens).tolist() == words.tolist()
