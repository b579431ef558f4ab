"""tools.prediction.heldout: sentences of records as they were in the text, and what a model says to them."""

import types

import numpy as np
import pytest

import small_corpus
from albert.common.errors import UserError
from albert.dataset import tokenization
from tools.prediction import heldout


TEXT = small_corpus.text(300)


@pytest.fixture(scope='module')
def info(tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  return small_corpus.create(folder / 'd', small_corpus.write(folder, TEXT)).info


@pytest.fixture(scope='module')
def vocabulary(info):
  return tokenization.Vocabulary.load(info.vocab_file)


def test_sentences_are_whole_and_of_the_text(info, vocabulary):
  sentences = heldout.sentences(info, vocabulary, 10)
  texts = [heldout.text_of(sentence.tokens) for sentence in sentences]
  assert len(set(texts)) == len(texts) == 10
  for sentence, text in zip(sentences, texts):
    assert text in TEXT and text[-1] in '。！？；'
    assert 1 <= len(sentence.places) <= 2


def test_every_labelled_token_of_the_record_is_masked(info, vocabulary):
  sentence = heldout.sentences(info, vocabulary, 1)[0]
  row = heldout.row(sentence, vocabulary)
  assert row['input_ids'].count(vocabulary.mask_id) == len(row['masked_lm_positions'])
  assert {row['input_ids'][place] for place in row['masked_lm_positions']} == {vocabulary.mask_id}
  assert [row['input_ids'][sentence.start + place] for place in sentence.places] == [
      vocabulary.mask_id] * len(sentence.places)
  assert len(row['input_ids']) == len(row['segment_ids']) == row['input_mask'].count(1)


def test_guesses_have_the_probability_and_the_rank_of_the_right_token(info, vocabulary):
  sentence = heldout.sentences(info, vocabulary, 1)[0]
  positions = heldout.row(sentence, vocabulary)['masked_lm_positions']
  logits = np.zeros([len(positions) + 2, len(vocabulary)], np.float32)
  place = sentence.places[0]
  right = vocabulary.ids[sentence.tokens[place]]
  logits[positions.index(place + sentence.start), [5, 6, right]] = 3, 2, 1
  token, chance, rank, best = heldout.guessed(sentence, logits, vocabulary).guesses[0]
  assert token == sentence.tokens[place] and rank == 3
  assert [name for name, _ in best[:3]] == [vocabulary.tokens[5], vocabulary.tokens[6], token]
  assert chance == best[2][1]


def test_a_line_marks_what_was_masked():
  best = [('河', 0.5), ('江', 0.25), ('水', 0.1)]
  line = heldout.describe(heldout.Guessed(['长', '江', 'dna', '##s', '。'], [1], [('江', 0.25, 2, best)]))
  assert line == '  长【江】dnas。  江 → 河 50.0%, 江 25.0%, 水 10.0%'
  line = heldout.describe(heldout.Guessed(['长', '江', '。'], [1], [('江', 0.0002, 1234, best)]))
  assert line.endswith('水 10.0% (江 is number 1,234, 0.02%)')


def test_what_does_not_belong_together(info, vocabulary):
  other = tokenization.Vocabulary(vocabulary.tokens, 'f' * 64)
  with pytest.raises(UserError, match='expected a data set of the vocabulary of the weights, found another'):
    heldout.sentences(info, other, 1)
  with pytest.raises(UserError, match='expected held-out records, found none'):
    heldout.sentences(types.SimpleNamespace(folder='d', records=lambda split: 0), vocabulary, 1)
