"""Characters, tokens and back: whatever the text, the entities of gold tags survive encoding and perfect logits."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from albert.dataset import tokenization
from albert.labelled import decoding
from albert.labelled import encoding
from albert.labelled.example import Entity
from albert.labelled.example import Example
from albert.labelled.labels import Labels
from albert.labelled.options import LabelledOptions
from albert.labelled import pieces
from albert.labelled import tag_schemes

TOKENS = list(tokenization.SPECIAL_TOKENS) + list('中国人民银行的。，!.=1ab') + [
    'iphone', '##1', '##8', '20', '##b', 'a', '😀', '\ue000']
TOKENIZER = tokenization.Tokenizer(tokenization.Vocabulary(list(dict.fromkeys(TOKENS))))
TYPES = ['LOC', 'PER']
# Han in and outside of the vocabulary, latin, digits, emoji with joiners, U+3000 and other white space, control
# characters, private use, combining marks, punctuation that decomposes.
CHARACTERS = st.one_of(
    st.sampled_from('中国人民银行。！aAbZéİ189😀👨\u200d🏽\ufe0f\u3000 \t\n\u2028\0\ufeff\x7f'
                    '\ue000\uf8ff\u0301\u0338\u0323≠=.,，'),
    st.characters(blacklist_categories=('Cs',)))


@st.composite
def tagged_texts(draw):
  """(text, entities that do not overlap), some beside each other."""
  text = draw(st.text(CHARACTERS, min_size=draw(st.integers(0, 40)), max_size=60))
  places = draw(st.lists(st.integers(0, len(text)), max_size=12, unique=True))
  entities = []
  for start, end in zip(sorted(places), sorted(places)[1:]):
    kind = draw(st.sampled_from([None] + TYPES))
    if kind:
      entities.append(Entity(kind, start, end, text[start:end]))
  return text, tuple(entities)


def encoder_of(size, scheme='BIO', tokenizer=TOKENIZER, **options):
  labels = Labels('tag', tag_schemes.tags_of(scheme, TYPES), scheme=scheme)
  return encoding.Encoder('tag', tokenizer, LabelledOptions(max_seq_length=size, **options), labels), labels


def example_of(text, entities=None):
  return Example(0, None, 'f', 1, text, None, entities)


def perfect_logits(windows, count):
  logits = []
  for window in windows:
    rows = np.zeros([len(window.target) + 2, count], np.float32)  # longer than the window, as a batch has them
    for token, tag in enumerate(window.target):
      if tag >= 0:
        rows[token, tag] = 1
    logits.append(rows)
  return logits


@pytest.mark.parametrize('scheme', ['BIO', 'BIOS', 'BIOES', 'BMES'])
@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(case=tagged_texts())
def test_entities_come_back(scheme, case):
  text, entities = case
  encoder, labels = encoder_of(16, scheme)
  windows = encoder.windows(example_of(text, entities), training=True)
  assert all(len(window.input_ids) <= 16 for window in windows)
  decoded = decoding.entities(windows, perfect_logits(windows, len(labels)), labels, example_of(text))
  assert tuple(decoded) == entities


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(case=tagged_texts(), size=st.sampled_from([8, 16, 128]))
def test_whatever_is_predicted_is_text_of_the_scheme(case, size):
  text, _ = case
  encoder, labels = encoder_of(size, 'BIOES')
  windows = encoder.windows(example_of(text))
  random = np.random.RandomState(len(text))
  logits = [random.randn(len(window.input_ids), len(labels)) for window in windows]
  entities, end = decoding.entities(windows, logits, labels, example_of(text)), 0
  for entity in entities:
    assert end <= entity.start < entity.end and entity.text == text[entity.start:entity.end]
    end = entity.end


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.text(CHARACTERS, max_size=40), st.booleans())
def test_tokens_are_the_tokenizers(text, lower):
  tokenizer = tokenization.Tokenizer(TOKENIZER.vocabulary, lower)
  tokens, expected = pieces.Pieces(tokenizer).tokens(text), tokenizer.tokenize(text)
  assert tokens.ids == [piece.id for piece in expected]
  assert tokens.starts == [piece.start for piece in expected]
  # A mark without a token of its own belongs to what it stands on.
  assert all(end >= piece.end for end, piece in zip(tokens.ends, expected))
  for end, piece, following in zip(tokens.ends, expected, tokens.starts[1:] + [len(text)]):
    assert end <= max(following, piece.end)
    assert all(tokenization.character_kind(char) == tokenization.RUN for char in text[piece.end:end])


def tokens_of(text, borders=()):
  tokens = pieces.Pieces(TOKENIZER).tokens(text, borders)
  return [(TOKENIZER.vocabulary.tokens[number], start, end) for number, start, end, _ in zip(*tokens)]


def test_runs_are_cut_at_borders_before_wordpiece():
  assert tokens_of('中iPhone18') == [('中', 0, 1), ('iphone', 1, 7), ('##1', 7, 8), ('##8', 8, 9)]
  assert tokens_of('中iPhone18', {7}) == [('中', 0, 1), ('iphone', 1, 7), ('1', 7, 8), ('##8', 8, 9)]
  assert tokens_of('20181', {2}) == [('20', 0, 2), ('1', 2, 3), ('##8', 3, 4), ('##1', 4, 5)]


def test_white_space_and_dropped_characters_keep_their_place():
  assert tokens_of('中 \u3000国\u200b\ue000人') == [('中', 0, 1), ('国', 3, 4), ('\ue000', 5, 6), ('人', 6, 7)]
  assert tokens_of('a\u0301 中\u0301国') == [('a', 0, 2), ('中', 3, 5), ('国', 5, 6)]


def test_the_first_piece_of_a_run_has_the_tag_and_stands_for_all_of_it():
  encoder, labels = encoder_of(16)
  text = '中iPhone18的'
  window, = encoder.windows(example_of(text, (Entity('LOC', 1, 9, text[1:9]),)))
  assert window.target == [-1] + [labels.id(name) for name in ('O', 'B-LOC')] + [-1, -1, labels.id('O'), -1]
  assert window.starts == [-1, 0, 1, -1, -1, 9, -1]
  assert window.ends == [-1, 1, 9, -1, -1, 10, -1]


def test_evaluation_does_not_see_the_borders_of_entities():
  encoder, _ = encoder_of(16)
  gold = example_of('中iPhone1', (Entity('LOC', 7, 8, '1'),))
  assert encoder.windows(gold)[0].input_ids == encoder.windows(gold._replace(label=None))[0].input_ids
  assert encoder.windows(gold, training=True)[0].input_ids != encoder.windows(gold)[0].input_ids
  # The entity is lost there: no token begins where it does.
  assert set(encoder.windows(gold)[0].target) == {-1, 0}


def test_an_entity_of_white_space_gets_a_token_in_training():
  encoder, labels = encoder_of(16)
  entity = Entity('PER', 1, 3, '\u3000人')
  window, = encoder.windows(example_of('中\u3000人', (entity,)), training=True)
  assert window.input_ids[2] == TOKENIZER.vocabulary.unk_id and len(window.input_ids) == 5
  entities = decoding.entities([window], perfect_logits([window], len(labels)), labels, example_of('中\u3000人'))
  assert entities == [entity]


def test_each_characters_answer_is_from_the_window_in_which_it_is_farthest_from_a_border():
  encoder, labels = encoder_of(16, doc_stride=6)
  text = '中国人民银行' * 4
  windows = encoder.windows(example_of(text))
  assert len(windows) == 3
  # Of tokens that two windows share each one says LOC in its half next to its border, and O elsewhere.
  logits = []
  for number, window in enumerate(windows):
    rows = np.zeros([len(window.input_ids), len(labels)])
    rows[:, labels.outside] = 1
    for token in range(1, 4) if number else ():
      rows[token, labels.id('B-LOC')] = 5
    for token in range(12, 15) if number < 2 else ():
      rows[token, labels.id('B-LOC')] = 5
    logits.append(rows)
  assert decoding.entities(windows, logits, labels, example_of(text)) == []
  # Where the text ends is no border.
  logits[0][1, labels.id('B-PER')] = 9
  logits[-1][len(windows[-1].input_ids) - 2, labels.id('B-PER')] = 9
  assert [entity.start for entity in decoding.entities(windows, logits, labels, example_of(text))] == [0, len(text) - 1]


def test_a_short_last_window_is_trusted_as_far_as_it_reaches():
  encoder, labels = encoder_of(16, doc_stride=6)
  text = '中国人民银行' * 2 + '中国人'
  windows = encoder.windows(example_of(text))
  assert [window.starts[1] for window in windows] == [0, 8] and windows[1].starts[-2] == 14
  # Character 11 is third from the right border of the first window, and fourth from the left one of the second.
  logits = [np.zeros([len(window.input_ids), len(labels)]) for window in windows]
  logits[1][windows[1].starts.index(12), labels.id('B-LOC')] = 5
  logits[0][windows[0].starts.index(12), labels.id('B-PER')] = 5
  assert [entity.type for entity in decoding.entities(windows, logits, labels, example_of(text))] == ['LOC']


def test_windows_end_at_the_end_of_a_sentence():
  encoder, _ = encoder_of(16, doc_stride=0)
  text = '中国人民银行中国人。' + '人民' * 8
  windows = encoder.windows(example_of(text))
  assert [max(window.ends) for window in windows] == [10, 24, 26]
  assert (encoder.texts, encoder.cut) == (1, 1)


def test_trained_transitions_count_and_the_scheme_is_never_left():
  encoder, labels = encoder_of(16)
  text = '中国人'
  windows = encoder.windows(example_of(text))
  logits = np.zeros([5, len(labels)])
  logits[1, labels.id('I-LOC')] = logits[2, labels.id('I-LOC')] = logits[3, labels.id('I-LOC')] = 3
  logits[1:, labels.id('B-LOC')] = 1
  # I-LOC is the best everywhere, and may not begin.
  assert decoding.entities(windows, [logits], labels, example_of(text)) == [Entity('LOC', 0, 3, text)]
  transitions = np.zeros([len(labels)] * 2)
  transitions[:, labels.id('I-LOC')] = -10
  entities = decoding.entities(windows, [logits], labels, example_of(text), transitions)
  assert entities == [Entity('LOC', place, place + 1, text[place]) for place in range(3)]
  first = np.zeros(len(labels))
  first[labels.id('B-LOC')] = -10
  assert [entity.start for entity in decoding.entities(windows, [logits], labels, example_of(text), transitions, first)
          ] == [1, 2]


@pytest.mark.parametrize('text', ['', ' \u3000\n', '\0\u200b'])
def test_a_text_without_tokens_has_no_entities(text):
  encoder, labels = encoder_of(16)
  windows = encoder.windows(example_of(text, ()))
  assert [window.input_ids for window in windows] == [[TOKENIZER.vocabulary.cls_id, TOKENIZER.vocabulary.sep_id]]
  assert decoding.entities(windows, perfect_logits(windows, len(labels)), labels, example_of(text)) == []
