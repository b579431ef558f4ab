"""What differs between two checkpoints."""

import numpy as np
import pytest

from albert.common.errors import UserError
import named_variables
import random_models
from tools.conversion import comparing
from tools.conversion.reading import Checkpoint


def test_diff_of_equal_checkpoints(tmp_path):
  model = named_variables.small_model()
  model['cls/predictions/output_bias'][0] = np.nan  # the same NaN on both sides is no difference
  first, second = [Checkpoint(named_variables.save(tmp_path, name, model)) for name in 'ab']
  result = comparing.diff(first, second)
  assert result['identical'] and not result['changed'] and result['equal'] == len(model)


def test_diff_finds_every_kind_of_difference(tmp_path):
  first, second = named_variables.small_model(), named_variables.small_model(step=8)
  del second['cls/predictions/output_bias']
  second['new'] = np.zeros([1], np.float32)
  second['bert/embeddings/position_embeddings'] = np.zeros([4, 3], np.float32)
  second[named_variables.LAYER + 'ffn_1/intermediate/dense/kernel'][0, 1] = 1.5
  second['bert/embeddings/word_embeddings'][0, 0] = np.nan
  result = comparing.diff(*[Checkpoint(named_variables.save(tmp_path, name, model))
                              for name, model in (('a', first), ('b', second))])
  assert not result['identical']
  assert result['only_in_first'] == ['cls/predictions/output_bias'] and result['only_in_second'] == ['new']
  assert result['other_form'] == [{'name': 'bert/embeddings/position_embeddings', 'first': 'float32 [4, 2]',
                                   'second': 'float32 [4, 3]'}]
  # The NaN comes first: it is the worst difference.
  assert [change['name'] for change in result['changed']] == [
      'bert/embeddings/word_embeddings', named_variables.LAYER + 'ffn_1/intermediate/dense/kernel', 'global_step']
  assert result['changed'][1]['values'] == 1 and result['changed'][1]['largest'] == 0.5
  assert result['changed'][1]['relative'] == 0.5


def test_outputs_of_models_that_cannot_be_compared(tmp_path):
  for name, changes in (('a', {}), ('b', {'vocab_size': 54}), ('c', {'hidden_size': 24})):
    config = random_models.config(**changes)
    random_models.save(tmp_path / name, config, random_models.weights(config))
  first, other, wider = [Checkpoint(str(tmp_path / name)) for name in 'abc']
  with pytest.raises(UserError, match='found 53 tokens in .* and 54 in'):
    comparing.output_differences(first, other)
  differences = comparing.output_differences(first, wider)
  assert differences[0] == {'name': 'sequence_output', 'largest': None, 'relative': None}
  assert differences[-1]['name'] == 'masked_lm_logits' and differences[-1]['largest'] > 1
  (tmp_path / 'a' / 'albert_config.json').unlink()
  with pytest.raises(UserError, match='expected albert_config.json beside the checkpoint'):
    comparing.output_differences(first, wider)
