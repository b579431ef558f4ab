"""Other names for variables: by rules, slots along, never two variables of one name."""

import numpy as np
import pytest

from albert.common.errors import UserError
import named_variables
from tools.conversion.reading import Checkpoint
from tools.conversion import renaming


@pytest.fixture
def checkpoint(tmp_path):
  return Checkpoint(named_variables.save(tmp_path, 'a', named_variables.small_model()))


def rules(tmp_path, text):
  (tmp_path / 'map.txt').write_text(text, encoding='utf-8')
  return renaming.read_map(str(tmp_path / 'map.txt'))


def test_plain_names_and_expressions_and_slots(checkpoint, tmp_path):
  tensors, changed = renaming.renamed(checkpoint, rules(
      tmp_path, '# of a fork\ncls/predictions/output_bias\tmlm/bias\n\nbert/embeddings/(\\w+) e/\\1  # all\n'))
  assert 'e/word_embeddings' in tensors and 'e/word_embeddings/adam_m' in tensors and 'mlm/bias/adam_v' in tensors
  assert ('cls/predictions/output_bias/adam_m', 'mlm/bias/adam_m') in changed and len(changed) == 9
  assert 'global_step' in tensors and len(tensors) == len(checkpoint.shapes)
  np.testing.assert_array_equal(tensors['e/word_embeddings'], checkpoint.tensor('bert/embeddings/word_embeddings'))


@pytest.mark.parametrize('text', [
    'bert/embeddings/\\w+ e', 'cls/predictions/output_bias bert/embeddings/word_embeddings'])
def test_two_variables_of_one_name_are_refused(checkpoint, tmp_path, text):
  with pytest.raises(UserError, match='one variable for each new name, found .* given twice: .* and '):
    renaming.renamed(checkpoint, rules(tmp_path, text))


def test_names_can_be_exchanged(checkpoint, tmp_path):
  tensors, _ = renaming.renamed(checkpoint, rules(
      tmp_path, 'bert/embeddings/word_embeddings bert/embeddings/position_embeddings\n'
                'bert/embeddings/position_embeddings bert/embeddings/word_embeddings\n'))
  assert tensors['bert/embeddings/position_embeddings'].shape == (5, 2)


def test_a_rule_for_nothing_is_refused(checkpoint, tmp_path):
  with pytest.raises(UserError, match='found 1 that it has not: bert/embeddings'):
    renaming.renamed(checkpoint, rules(tmp_path, 'bert/embeddings e'))


@pytest.mark.parametrize('text', ['a', 'a b c', '( b'])
def test_a_map_of_another_form_is_refused(tmp_path, text):
  with pytest.raises(UserError, match='map.txt:2: expected "OLD NEW"'):
    rules(tmp_path, '\n' + text)
  with pytest.raises(UserError, match='expected a file of names'):
    renaming.read_map(str(tmp_path / 'none'))
