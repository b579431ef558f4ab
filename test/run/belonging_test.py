"""Weights, configuration and vocabulary that do not belong together: found by content, whatever the shapes say."""

import types

import pytest

from albert.common.errors import UserError
from albert.common import files
from albert.model.config import AlbertConfig
from albert.run import belonging
from albert.run import checkpoints
from albert.run import loading

CONFIG = AlbertConfig(vocab_size=60, hidden_size=8, num_attention_heads=2, num_hidden_layers=2)
TOKENS = ['token{}'.format(number) for number in range(60)]
REVERSED = TOKENS[:20] + TOKENS[20:30][::-1] + TOKENS[30:]


def _vocabulary(path, tokens, end='\n'):
  path.write_bytes(''.join(token + end for token in tokens).encode('utf-8'))
  return path


def _data(folder, tokens=TOKENS):
  folder.mkdir(exist_ok=True)
  path = str(_vocabulary(folder / 'vocab.txt', tokens))
  return types.SimpleNamespace(folder=str(folder), vocab_file=path, vocab_sha256=files.file_sha256(path))


def _weights(folder, belongs_to=None):
  """A checkpoint, with a manifest if it belongs to something."""
  folder.mkdir(exist_ok=True)
  if belongs_to is None:
    (folder / 'model.ckpt-best.index').write_text('weights')
    return str(folder / 'model.ckpt-best')
  temporary = checkpoints.temporary_prefix(str(folder), 8)
  with open(temporary + '.index', 'w') as target:
    target.write('weights')
  return checkpoints.commit(str(folder), temporary, 8, {'belongs_to': belongs_to})


@pytest.mark.parametrize('name', ['vocab.txt', 'vocab_chinese.txt'])
def test_a_vocabulary_beside_weights_is_compared_token_by_token(tmp_path, name):
  data, weights = _data(tmp_path / 'data'), _weights(tmp_path / 'w')
  belonging.check_vocabulary(weights, data)  # nothing says which it is
  _vocabulary(tmp_path / 'w' / name, TOKENS)
  belonging.check_vocabulary(weights, data)
  _vocabulary(tmp_path / 'w' / name, TOKENS, '\r\n')  # the same tokens
  belonging.check_vocabulary(weights, data)
  own = _vocabulary(tmp_path / 'w' / name, REVERSED)
  with pytest.raises(UserError) as caught:
    belonging.check_vocabulary(weights, data)
  for said in (weights, str(own), data.vocab_file, "10 tokens differ, the first in line 21: 'token29' instead of"):
    assert said in str(caught.value)
  _vocabulary(tmp_path / 'w' / name, TOKENS[:-1])
  with pytest.raises(UserError, match='59 tokens instead of 60'):
    belonging.check_vocabulary(weights, data)


def test_two_vocabularies_beside_weights_say_nothing(tmp_path):
  data, weights = _data(tmp_path / 'data'), _weights(tmp_path / 'w')
  for name in ('vocab_a.txt', 'vocab_b.txt'):
    _vocabulary(tmp_path / 'w' / name, REVERSED)
  belonging.check_vocabulary(weights, data)


def test_the_manifest_says_it_where_no_file_does_and_where_another_does(tmp_path):
  data, other = _data(tmp_path / 'data'), _data(tmp_path / 'other', REVERSED)
  weights = _weights(tmp_path / 'w', belonging.entries(CONFIG, data))
  belonging.check_vocabulary(weights, data)
  with pytest.raises(UserError, match='found those of another .SHA-256 {}'.format(data.vocab_sha256[:12])):
    belonging.check_vocabulary(weights, other)
  _vocabulary(tmp_path / 'w' / 'vocab.txt', REVERSED)  # put beside them later, with data made with it
  with pytest.raises(UserError, match='vocab.txt: expected the vocabulary that .* was trained with'):
    belonging.check_vocabulary(weights, other)
  belonging.check_vocabulary(weights, types.SimpleNamespace(vocab_sha256=None))


@pytest.mark.parametrize('change', [
    dict(num_attention_heads=4), dict(num_hidden_layers=3), dict(hidden_act='relu')])
@pytest.mark.parametrize('place', ['albert_config.json', 'albert_config_tiny.json', None])
def test_a_configuration_that_shapes_do_not_show(tmp_path, change, place):
  own = AlbertConfig(**dict(CONFIG.to_dict(), **change))
  data = _data(tmp_path / 'data')
  weights = _weights(tmp_path / 'w', None if place else belonging.entries(own, data))
  if place:
    (tmp_path / 'w' / place).write_text(own.to_json_string())
  belonging.check_config(weights, own)
  name, = change
  with pytest.raises(UserError, match=r'{} {} \(here: {}\); use that configuration'.format(
      name, change[name], getattr(CONFIG, name))):
    belonging.check_config(weights, CONFIG)


def test_what_is_for_training_only_may_differ_and_shapes_tell_their_own(tmp_path):
  own = AlbertConfig(**dict(CONFIG.to_dict(), hidden_dropout_prob=0.1, initializer_range=0.1, vocab_size=70,
                            intermediate_size=99))
  weights = _weights(tmp_path / 'w', belonging.entries(own, _data(tmp_path / 'data')))
  belonging.check_config(weights, CONFIG)


def test_pre_ln_weights_are_refused(tmp_path):
  weights = _weights(tmp_path / 'w')
  (tmp_path / 'w' / 'albert_config_xxlarge.json').write_text('{"ln_type": "preln", "vocab_size": 60}')
  with pytest.raises(UserError, match='pre-LN'):
    belonging.check_config(weights, CONFIG)


@pytest.mark.parametrize('change', [dict(num_attention_heads=4), dict(hidden_act='relu'), dict(num_hidden_layers=3)])
def test_what_lies_beside_weights_is_what_their_manifest_says(tmp_path, change):
  weights = _weights(tmp_path / 'w', belonging.entries(CONFIG, _data(tmp_path / 'data')))
  config, vocabulary = tmp_path / 'w' / 'albert_config.json', _vocabulary(tmp_path / 'w' / 'vocab.txt', TOKENS)
  config.write_text(AlbertConfig(**dict(CONFIG.to_dict(), hidden_dropout_prob=0.3)).to_json_string())  # may be changed
  assert loading.find(weights).vocab_file == str(vocabulary)
  _vocabulary(vocabulary, TOKENS, '\r\n')
  loading.find(weights)
  config.write_text(AlbertConfig(**dict(CONFIG.to_dict(), **change)).to_json_string())
  name, = change
  with pytest.raises(UserError, match='json: expected the configuration .*, {} {}, found {}; restore'.format(
      name, getattr(CONFIG, name), change[name])):
    loading.find(weights)
  config.write_text(CONFIG.to_json_string())
  _vocabulary(vocabulary, REVERSED)
  with pytest.raises(UserError, match='vocab.txt: expected the vocabulary that .* was trained with'):
    loading.find(weights)
