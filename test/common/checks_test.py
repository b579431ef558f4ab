"""Options refuse values of another type or range in one line that names the option."""

import numpy as np
import pytest

from albert.common import checks
from albert.common.errors import UserError
from albert import input_pipeline
from albert import lamb
from albert.model.config import AlbertConfig

SIZES = ('vocab_size', 'embedding_size', 'hidden_size', 'num_hidden_layers', 'num_hidden_groups',
         'num_attention_heads', 'intermediate_size', 'inner_group_num', 'max_position_embeddings', 'type_vocab_size')
BAD_SIZES = ('a', -8, 0, 4.0, True, float('nan'), [1], {})
BAD_NUMBERS = ('a', -0.5, True, None, float('nan'), float('inf'), [0.1])


def _expect_refusal(make, name, value):
  # Of what gin makes of the exception the user sees the first line.
  with pytest.raises(UserError, match=r'^{}\.{}: expected .*found '.format(make.__name__, name)):
    make(**{name: value})


@pytest.mark.parametrize('name', SIZES)
@pytest.mark.parametrize('value', BAD_SIZES + (None,))
def test_sizes_of_the_architecture(name, value):
  if (name, value) != ('vocab_size', None):
    _expect_refusal(AlbertConfig, name, value)


@pytest.mark.parametrize('value', BAD_NUMBERS + (1, 1.5))
def test_dropout_is_a_probability(value):
  _expect_refusal(AlbertConfig, 'hidden_dropout_prob', value)
  _expect_refusal(AlbertConfig, 'attention_probs_dropout_prob', value)


def test_the_rest_of_the_architecture():
  for value in BAD_NUMBERS + (0, 0.0):
    _expect_refusal(AlbertConfig, 'initializer_range', value)
  for value in ('swish', 3, None, ['gelu'], {}):
    _expect_refusal(AlbertConfig, 'hidden_act', value)
  AlbertConfig(hidden_size=np.int64(128), hidden_dropout_prob=0, initializer_range=np.float32(0.1))


def test_a_json_file_that_is_no_object(tmp_path):
  path = tmp_path / 'config.json'
  path.write_text('[1]')
  with pytest.raises(UserError, match='JSON object.*found a list'):
    AlbertConfig.from_json_file(str(path))


@pytest.mark.parametrize('name', ['learning_rate', 'poly_power', 'weight_decay_rate', 'beta_1', 'beta_2', 'epsilon',
                                  'clip_norm'])
@pytest.mark.parametrize('value', BAD_NUMBERS)
def test_numbers_of_the_optimizer(name, value):
  _expect_refusal(lamb.OptimizerOptions, name, value)


@pytest.mark.parametrize('name,value', [
    ('beta_1', 1.0), ('beta_2', 1), ('epsilon', 0.0), ('clip_norm', 0), ('num_warmup_steps', 2.5),
    ('num_warmup_steps', -1), ('num_warmup_steps', True), ('num_warmup_steps', 'a'), ('optimizer', None)])
def test_ranges_of_the_optimizer(name, value):
  _expect_refusal(lamb.OptimizerOptions, name, value)


def test_good_values_of_the_optimizer():
  assert lamb.OptimizerOptions('adamw', 0, 0, 0, 0, 0, 0.9, 1e-8, 2).beta_2 == 0.9


@pytest.mark.parametrize('name', ['shuffle_buffer_records', 'num_parallel_calls', 'prefetch_batches'])
@pytest.mark.parametrize('value', ('x', 0, -1, True, None, 1.0))
def test_input_options(name, value):
  _expect_refusal(input_pipeline.InputOptions, name, value)


def test_the_messages():
  for check, message in (
      (lambda: checks.whole_number('a.b', True, 2), 'a.b: expected a whole number of at least 2, found True'),
      (lambda: checks.number('a.b', '1\n', below=1), r"a.b: expected a number of at least 0 and below 1, found '1\\n'"),
      (lambda: checks.whole_number('a.b', 4, 1, most=3), 'a.b: expected a whole number from 1 to 3, found 4;'),
      (lambda: checks.number('a.b', 1.5, most=1), 'a.b: expected a number from 0 to 1, found 1.5; correct it'),
      (lambda: checks.flag('a.b', 1), 'a.b: expected True or False, found 1; correct it'),
      (lambda: checks.positive_number('a.b', 0), 'a.b: expected a number above 0, found 0')):
    with pytest.raises(UserError, match=message):
      check()


def test_the_ends_of_a_range_belong_to_it():
  for value in (1, 3, np.int64(2)):
    assert checks.whole_number('a.b', value, 1, most=3) is None
  for value in (0, 0.5, 1):
    assert checks.number('a.b', value, most=1) is None
  for value in (True, False):
    assert checks.flag('a.b', value) is None
