"""albert.run.remapping: rows by token, new tokens, positions, groups, and what is refused."""

import dataclasses

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.model.config import AlbertConfig
from albert.model import names
from albert.run import remapping
from albert.training.finetune_options import FinetuneOptions

SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]']
CHARACTERS = list('天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏')
OLD = SPECIAL + CHARACTERS + ['##地', 'al', '##bert', 'b']
CONFIG = AlbertConfig(vocab_size=len(OLD), embedding_size=6, hidden_size=12, num_hidden_layers=6, num_attention_heads=2,
                      intermediate_size=17, max_position_embeddings=11)
WORDS, BIAS = names.WORD_EMBEDDINGS, 'cls/predictions/output_bias'
POSITIONS = names.POSITION_EMBEDDINGS
NAMED = FinetuneOptions.named  # of another root than most runs have


def vocabulary(tmp_path, name, tokens):
  path = tmp_path / name
  path.write_text(''.join(token + '\n' for token in tokens), encoding='utf-8')
  return str(path)


def compare(tmp_path, new, vocab_init=None, old=OLD):
  return remapping.tokens(vocabulary(tmp_path, 'old.txt', old), vocabulary(tmp_path, 'new.txt', new), vocab_init,
                          NAMED)


def rows_of(tokens, name, value):
  changes = remapping.Remapping(tokens=tokens)
  assert changes.has_other_rows(name)
  return changes.rows(name, value)


TABLE = np.random.RandomState(1).standard_normal([len(OLD), 6]).astype(np.float32)
BIASES = np.random.RandomState(2).standard_normal([len(OLD)]).astype(np.float32)


def test_an_equal_vocabulary_changes_nothing(tmp_path):
  tokens = compare(tmp_path, OLD)
  assert tokens.rows is None and tokens.line == 'vocabulary: that of the data, 33 tokens'
  changes = remapping.Remapping()
  assert not any(changes.has_other_rows(name) for name in (WORDS, BIAS, POSITIONS))


def test_a_reordered_vocabulary_takes_rows_by_token(tmp_path):
  order = np.random.RandomState(3).permutation(len(OLD))
  tokens = compare(tmp_path, [OLD[row] for row in order])
  np.testing.assert_array_equal(rows_of(tokens, WORDS, TABLE), TABLE[order])
  np.testing.assert_array_equal(rows_of(tokens, BIAS, BIASES), BIASES[order])
  np.testing.assert_array_equal(rows_of(tokens, WORDS + '/adam_m', TABLE), TABLE[order])
  assert not remapping.Remapping(tokens=tokens).has_other_rows('cls/predictions/transform/dense/bias')
  moved = np.count_nonzero(order != np.arange(len(OLD)))
  assert '33 of 33 tokens of the data are in that of the weights, {} of them in another row; 0 of'.format(
      moved) in tokens.line


def test_a_superset_of_the_data_is_cut(tmp_path):
  tokens = compare(tmp_path, SPECIAL + CHARACTERS[3:])
  np.testing.assert_array_equal(rows_of(tokens, WORDS, TABLE), TABLE[list(range(5)) + list(range(8, 29))])
  assert '26 of 26 tokens' in tokens.line and '7 of the weights are not used' in tokens.line


def test_new_tokens_begin_as_the_mean_of_their_parts(tmp_path):
  new = ['天地', 'albert', '##天'] + OLD
  tokens = compare(tmp_path, new, 'mean')
  rows = rows_of(tokens, WORDS, TABLE)
  ids = {token: row for row, token in enumerate(OLD)}
  expected = [('天', '##地'), ('al', '##bert'), ('天',)]
  for row, parts in enumerate(expected):
    np.testing.assert_allclose(rows[row], np.mean([TABLE[ids[part]] for part in parts], axis=0), rtol=1e-6)
  np.testing.assert_array_equal(rows[3:], TABLE)
  bias = rows_of(tokens, BIAS, BIASES)
  np.testing.assert_array_equal(bias, np.concatenate([[BIASES.min()] * 3, BIASES]))
  slot = rows_of(tokens, WORDS + '/adam_v', TABLE)
  assert not slot[:3].any() and (slot[3:] == TABLE).all()
  assert '3 are new: the mean of their characters or pieces; 0 of the weights' in tokens.line


@pytest.mark.parametrize('token', ['[E1]', '龘', '##龘', '##'])
def test_a_new_token_with_no_known_part_begins_as_the_mean_of_all(tmp_path, token):
  tokens = compare(tmp_path, OLD + [token], 'mean')
  np.testing.assert_allclose(rows_of(tokens, WORDS, TABLE)[-1], TABLE.mean(axis=0), rtol=1e-5)
  assert '1 are new: the mean of their characters or pieces (1 without any: of all tokens)' in tokens.line


def test_a_new_token_with_some_known_characters(tmp_path):
  tokens = compare(tmp_path, OLD + ['月龘日'], 'mean')
  expected = (TABLE[OLD.index('月')] + TABLE[OLD.index('日')]) / 2
  np.testing.assert_allclose(rows_of(tokens, WORDS, TABLE)[-1], expected, rtol=1e-5)


@pytest.mark.parametrize('new, vocab_init, message', [
    (OLD + ['天地'], None, r"found 33 without 1 of them, such as 天地; .*finetune.vocab_init='mean'"),
    (SPECIAL + ['a', 'c', 'd'] + CHARACTERS[:18], 'mean', r'at least 90% of .*, found 88.5% \(23 of 26\)'),
    (OLD[:7] + ['天'] + OLD[7:], None, 'expected a token per line, each once, found line 8 the same as line 6'),
])
def test_vocabularies_that_do_not_fit_are_refused(tmp_path, new, vocab_init, message):
  with pytest.raises(UserError, match=message) as caught:
    compare(tmp_path, new, vocab_init)
  assert '\n' not in str(caught.value)


def test_a_token_twice_in_the_vocabulary_of_the_weights_is_refused(tmp_path):
  with pytest.raises(UserError, match='old.txt: .* each once, found line 34 the same as line 6'):
    compare(tmp_path, OLD, old=OLD + ['天'])


def test_positions():
  assert remapping.positions('w', 11, 11, None) == (None, [])
  assert remapping.positions('w', 11, 7, None) == (7, ['positions: the first 7 of 11'])
  with pytest.raises(UserError, match="expected 25 position embeddings, found 11; .*finetune.position_init='repeat'"):
    remapping.positions('w', 11, 25, None, NAMED)
  count, lines = remapping.positions('w', 11, 25, 'repeat')
  assert count == 25 and lines == ['positions: 11, and 14 new ones that repeat them']
  table = np.random.RandomState(4).standard_normal([11, 6]).astype(np.float32)
  changes = remapping.Remapping(positions=25)
  assert changes.has_other_rows(POSITIONS) and not changes.has_other_rows(WORDS)
  np.testing.assert_array_equal(changes.rows(POSITIONS, table), np.concatenate([table, table, table[:3]]))
  slot = changes.rows(POSITIONS + '/adam_m', table)
  assert (slot[:11] == table).all() and not slot[11:].any()
  np.testing.assert_array_equal(remapping.Remapping(positions=7).rows(POSITIONS, table), table[:7])


def shapes(groups):
  return {'bert/encoder/transformer/group_{}/inner_group_0/LayerNorm/beta'.format(group): [12]
          for group in range(groups)}


def config(**keywords):
  return dataclasses.replace(CONFIG, **keywords)


@pytest.mark.parametrize('there, found, asked, expected', [
    (1, config(), config(), {}),
    (1, config(), config(num_hidden_layers=9), {}),
    (1, None, config(num_hidden_groups=3), {1: 0, 2: 0}),
    (2, config(num_hidden_groups=2), config(num_hidden_groups=2), {}),
    (2, None, config(num_hidden_groups=2), {}),
    # Layers 0 to 2 are the weights' group 0, 3 to 5 their group 1; the model has a group for each two, or each.
    (2, config(num_hidden_groups=2), config(num_hidden_groups=3), {1: 0, 2: 1}),
    (2, config(num_hidden_groups=2), config(num_hidden_groups=6), {1: 0, 2: 0, 3: 1, 4: 1, 5: 1}),
])
def test_groups_begin_as_that_of_their_layer(there, found, asked, expected):
  assert remapping.groups('weights', shapes(there), found, asked) == expected


@pytest.mark.parametrize('there, found, asked, message', [
    (2, config(num_hidden_groups=2), config(), 'expected weights of at most 1 hidden groups, found 2'),
    (2, None, config(num_hidden_groups=3), 'found no albert_config.json; put it beside the weights'),
    (2, config(num_hidden_groups=2), config(num_hidden_groups=2, num_hidden_layers=8),
     'expected weights of 8 layers, as 2 groups belong to certain layers, found 6'),
])
def test_groups_that_cannot_be_told_are_refused(there, found, asked, message):
  with pytest.raises(UserError, match=message):
    remapping.groups('weights', shapes(there), found, asked)


def test_variables_of_a_new_group_have_the_name_of_the_old():
  changes = remapping.Remapping(groups={2: 1})
  name = 'bert/encoder/transformer/group_{}/inner_group_0/ffn_1/intermediate/dense/kernel{}'
  assert changes.source(name.format(2, '')) == name.format(1, '')
  assert changes.source(name.format(2, '/adam_m')) == name.format(1, '/adam_m')
  assert changes.source(name.format(1, '')) == name.format(1, '') and changes.source(WORDS) == WORDS


def test_what_shapes_do_not_show_is_compared():
  other = config(num_hidden_layers=9, hidden_dropout_prob=0.1, vocab_size=7, max_position_embeddings=99,
                 num_hidden_groups=2)
  assert remapping.check_architecture('w', config(), other) == []
  with pytest.raises(UserError) as caught:
    remapping.check_architecture('w', config(), config(num_attention_heads=3, hidden_act='relu'), named=NAMED)
  assert str(caught.value) == (
      'w: expected weights of the requested architecture, found num_attention_heads 2 (here: 3), hidden_act gelu '
      '(here: relu); train with SET="AlbertConfig.num_attention_heads = 2; AlbertConfig.hidden_act = \'gelu\'", or say '
      'that it is meant: SET="finetune.init_partial=True"')


def test_another_configuration_of_the_same_shapes_may_be_meant():
  lines = remapping.check_architecture('w', config(), config(num_attention_heads=3), True, NAMED)
  assert len(lines) == 1 and 'as finetune.init_partial=True allows: num_attention_heads 2 (here: 3)' in lines[0]
  with pytest.raises(UserError, match='found hidden_size 12 .here: 24.; train with [^,]*$'):
    remapping.check_architecture('w', config(), config(hidden_size=24), is_partial=True)
  assert remapping.check_architecture('w', config(), config()) == []
