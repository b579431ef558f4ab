"""Windows of classification, regression and reading, and the best answers of reading."""

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.dataset import tokenization
from albert.labelled import cutting
from albert.labelled import decoding
from albert.labelled import encoding
from albert.labelled.example import Example
from albert.labelled.example import Reading
from albert.labelled.labels import Labels
from albert.labelled.options import LabelledOptions

CHARACTERS = '甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥天地人。'
VOCABULARY = tokenization.Vocabulary(
    list(tokenization.SPECIAL_TOKENS) + list(CHARACTERS) + ['[', ']', 'mask', '20', '##18', '?'])
CLS, SEP, UNK = VOCABULARY.cls_id, VOCABULARY.sep_id, VOCABULARY.unk_id


def encoder_of(kind='classify', labels=None, **options):
  return encoding.Encoder(kind, tokenization.Tokenizer(VOCABULARY), LabelledOptions(**options),
                          labels or Labels(kind, ['a', 'b'] if kind == 'classify' else ()))


def example_of(text_a, text_b=None, label=None):
  return Example(3, None, 'dev.json', 7, text_a, text_b, label)


def tokens_of(window):
  return ''.join({CLS: '^', SEP: '|', UNK: '?'}.get(number, VOCABULARY.tokens[number]) for number in window.input_ids)


def encode(text_a, text_b=None, label=None, **options):
  return [tokens_of(window) for window in encoder_of(**options).windows(example_of(text_a, text_b, label))]


def test_one_text_and_two():
  window, = encoder_of().windows(example_of('甲乙', label='b'))
  assert window == (3, [CLS] + [VOCABULARY.ids[char] for char in '甲乙'] + [SEP], [0] * 4, [-1, 0, 1, -1],
                    [-1, 1, 2, -1], 1)
  window, = encoder_of().windows(example_of('甲', '乙丙'))
  assert tokens_of(window) == '^甲|乙丙|' and window.target is None
  # UER counts from 1: these are 0 and 1.
  assert window.segment_ids == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize('text, tokens', [
    ('', '^|'), ('\n\0 ', '^|'), ('abc あ', '^??|'), ('[MASK]甲', '^[mask]甲|'), ('[SEP]', '^[?]|')])
def test_unusual_texts(text, tokens):
  assert encode(text) == [tokens]
  assert encode('', text, max_seq_length=16) == [tokens.replace('^', '^|')]


def test_what_looks_like_a_special_token_is_text():
  for text in ('[MASK]', '[CLS] [SEP]', '[PAD]'):
    window, = encoder_of().windows(example_of(text))
    assert not set(window.input_ids[1:-1]) & {CLS, SEP, VOCABULARY.mask_id, VOCABULARY.pad_id}


@pytest.mark.parametrize('long_text, windows', [
    ('head', ['^甲乙丙丁戊己庚辛|']), ('head_tail', ['^甲乙寅卯辰巳午未|']),
    ('windows', ['^甲乙丙丁戊己庚辛|', '^壬癸子丑寅卯辰巳|', '^午未|'])])
def test_long_texts(long_text, windows):
  text = CHARACTERS[:18]
  assert encode(text, long_text=long_text, max_seq_length=10) == windows
  encoder = encoder_of(long_text=long_text, max_seq_length=10)
  for value in text, '甲':
    encoder.windows(example_of(value))
  assert (encoder.texts, encoder.cut) == (2, 1)


def test_windows_of_a_pair_repeat_the_shorter_text():
  assert encode('甲', CHARACTERS[1:10], long_text='windows', max_seq_length=8) == [
      '^甲|乙丙丁戊|', '^甲|己庚辛壬|', '^甲|癸|']
  assert encode('甲乙丙丁戊己庚', CHARACTERS[:10], long_text='windows', max_seq_length=9) == [
      '^甲乙丙|甲乙丙|', '^甲乙丙|丁戊己|', '^甲乙丙|庚辛壬|', '^甲乙丙|癸|']


def test_truncation_takes_from_the_longer_text_as_token_by_token():
  def slowly(first, second, room):
    while first + second > room:
      if first > second:
        first -= 1
      else:
        second -= 1
    return first, second
  for first in range(12):
    for second in range(12):
      for room in range(3, 16):
        assert cutting.truncated_lengths(first, second, room) == slowly(first, second, room)
  assert encode('甲' * 3, '乙' * 20, max_seq_length=12) == ['^甲甲甲|乙乙乙乙乙乙|']
  assert encode('甲' * 20, '乙' * 3, max_seq_length=12) == ['^甲甲甲甲甲甲|乙乙乙|']


def test_a_text_of_100000_characters():
  for kind, label, options in (('classify', 'a', {'long_text': 'windows'}), ('tag', (), {}), ('regress', 1., {})):
    labels = Labels('tag', ['O', 'B-x', 'I-x']) if kind == 'tag' else None
    windows = encoder_of(kind, labels, **options).windows(example_of('甲乙。' * 33334, label=label))
    assert all(len(window.input_ids) <= 128 for window in windows)
    assert (len(windows) > 700) == (kind != 'regress')


def test_targets():
  labels = Labels('classify', ['a', 'b', 'c'], multi_label=True)
  def target(label, kind='classify', labels=None):
    return encoder_of(kind, labels).windows(example_of('甲', label=label))[0].target
  assert target('b') == 1 and target(None) is None
  assert target(('c', 'a'), labels=labels) == [1, 0, 1] and target((), labels=labels) == [0, 0, 0]
  assert target(-0.5, 'regress') == -0.5
  with pytest.raises(UserError, match='dev.json:7: .*found z'):
    target('z')


def reading(context, span=None, impossible=False, question='子？', **options):
  encoder = encoder_of('read', **options)
  label = Reading((), span, impossible, False)
  return encoder.windows(example_of(question, context, label))


def test_a_question_and_its_context():
  window, = reading('甲乙丙', (1, 3))
  assert tokens_of(window) == '^子?|甲乙丙|'
  assert window.segment_ids == [0] * 4 + [1] * 4
  # The question is not among the characters of the context.
  assert window.starts == [-1] * 4 + [0, 1, 2, -1] and window.ends == [-1] * 4 + [1, 2, 3, -1]
  assert window.target == (5, 6)


def test_an_answer_inside_a_token_is_the_token():
  window, = reading('于2018年', (3, 5))
  assert tokens_of(window) == '^子?|?20##18?|' and window.target == (6, 6)


def test_an_answer_is_the_target_where_it_is_whole():
  context = CHARACTERS[:24]
  windows = reading(context, (8, 12), max_seq_length=16, doc_stride=4)
  assert [tokens_of(window) for window in windows] == [
      '^子?|甲乙丙丁戊己庚辛壬癸子|', '^子?|辛壬癸子丑寅卯辰巳午未|', '^子?|辰巳午未申酉戌亥天地|']
  assert [window.target for window in windows] == [(0, 0), (5, 8), (0, 0)]
  # In the overlap: in both windows. At the very end.
  assert [window.target for window in reading(context, (8, 10), max_seq_length=16, doc_stride=4)] == [
      (12, 13), (5, 6), (0, 0)]
  assert [window.target for window in reading(context, (23, 24), max_seq_length=16, doc_stride=4)] == [
      (0, 0), (0, 0), (13, 13)]


def test_questions_that_are_not_learned_from():
  assert [window.target for window in reading('甲乙')] == [None]  # nowhere in the text
  assert [window.target for window in reading('甲乙', impossible=True)] == [(0, 0)]
  # Longer than any window: to learn (0, 0) would be to learn that it cannot be answered.
  assert {window.target for window in reading(CHARACTERS[:24], (0, 20), max_seq_length=16)} == {None}
  assert encoder_of('read').windows(example_of('子', '甲乙'))[0].target is None


def test_a_long_question_leaves_room():
  windows = reading('甲乙丙丁戊己庚辛', question='子' * 50, max_seq_length=16)
  assert [tokens_of(window)[:8] for window in windows] == ['^子子子子子子|'] * len(windows)
  assert len(windows) == 2
  assert tokens_of(reading('甲', question='子' * 50, max_question_length=3)[0]) == '^子子子|甲|'


def answers(windows, starts, ends, context, n_best=1, longest=50, **options):
  """The best answers where logits are given for characters: {character: logit}."""
  rows = []
  for scores in starts, ends:
    rows.append([np.array([scores.get(start, 0.) if start >= 0 else scores.get(None, 9.) for start in window.starts]
                          + [50., 50.]) for window in windows])
  return decoding.best_answers(windows, rows[0], rows[1], example_of('子？', context), n_best, longest, **options)


def test_the_best_span_is_that_of_all_pairs():
  random = np.random.RandomState(0)
  context = CHARACTERS[:24]
  windows = reading(context, max_seq_length=16, doc_stride=4)
  for longest in 1, 3, 50:
    logits = [[random.randn(len(window.starts)) for window in windows] for _ in range(2)]
    scores = {}
    for window, start_row, end_row in zip(windows, *logits):
      for first, start in enumerate(window.starts):
        for last in range(first, min(first + longest, len(window.starts))):
          if start >= 0 and window.ends[last] >= 0:
            place = (start, window.ends[last])
            scores[place] = max(start_row[first] + end_row[last], scores.get(place, -np.inf))
    expected = sorted(scores, key=scores.get, reverse=True)[:5]
    answers = decoding.best_answers(windows, logits[0], logits[1], example_of('', context), 5, longest)
    assert [(answer.start, answer.end) for answer in answers] == expected
    assert all(answer.text == context[answer.start:answer.end] for answer in answers)
    assert sum(answer.score for answer in answers) <= 1 and answers[0].score == max(answer.score for answer in answers)


def test_spans_never_end_before_they_start_nor_lie_in_the_question():
  context = CHARACTERS[:8]
  windows = reading(context)
  best, = answers(windows, {5: 9.}, {2: 9.}, context)
  # Not from 5 to 3, which has both; of equal ones the first.
  assert (best.start, best.end) == (0, 3)
  best, = answers(windows, {7: 5.}, {7: 5.}, context)
  assert best[:3] == (context[7], 7, 8)
  assert answers(windows, {0: 5.}, {7: 5.}, context, longest=3)[0].end <= 3


def test_no_answer_is_one_only_if_asked_for():
  windows = reading('甲乙')
  assert answers(windows, {0: 1.}, {0: 1.}, '甲乙')[0].text == '甲'
  assert answers(windows, {0: 1.}, {0: 1.}, '甲乙', unanswerable=True)[0][:3] == ('', -1, -1)
  assert answers(windows, {0: 9.5, None: 9.}, {0: 9.5}, '甲乙', unanswerable=True)[0].text == '甲'
  assert answers(reading(''), {}, {}, '')[0] == ('', -1, -1, 1.)


def test_offsets_are_those_of_the_raw_text():
  context = ' 甲\u3000\n乙\0 丙'
  window, = reading(context, (1, 5))
  assert window.target == (4, 5)
  assert answers([window], {1: 5.}, {4: 5.}, context)[0][:3] == (context[1:5], 1, 5)
