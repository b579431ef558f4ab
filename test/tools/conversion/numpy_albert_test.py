"""The forward pass in numpy against the library's graph."""

import numpy as np
import pytest

from albert.common.errors import UserError
import random_models
from tools.conversion import numpy_albert
from tools.conversion.reading import Checkpoint


@pytest.mark.parametrize('changes', [
    {}, {'hidden_act': 'relu', 'embedding_size': 21}, {'num_hidden_groups': 2, 'inner_group_num': 2}])
def test_outputs_are_those_of_the_graph(tmp_path, changes):
  config = random_models.config(**changes)
  prefix = random_models.save(tmp_path, config, random_models.weights(config))
  batch = random_models.batch(config)
  expected = random_models.graph_outputs(prefix, config, batch)
  outputs = numpy_albert.outputs(Checkpoint(prefix), config, batch)
  assert sorted(outputs) == sorted(expected)
  for name, value in expected.items():
    random_models.assert_close(outputs[name], value)


def test_what_no_shape_shows_changes_the_outputs():
  config = random_models.config(hidden_size=24)
  model, batch = numpy_albert.Model(random_models.weights(config), config), random_models.batch(config)
  given = numpy_albert.form_of(config)
  base = model.encode(batch, given)
  for change, least in (({'heads': 4}, 0.01), ({'activation': 'relu'}, 0.01), ({'activation': 'gelu erf'}, 1e-5),
                        ({'norm': numpy_albert.PRE}, 1)):
    assert np.max(np.abs(model.encode(batch, given._replace(**change)) - base)) > least


def test_variables_that_are_missing_or_of_another_shape_are_named():
  config = random_models.config()
  tensors = random_models.weights(config)
  del tensors['bert/embeddings/LayerNorm/beta']
  tensors['bert/embeddings/word_embeddings'] = np.zeros([53, 11], np.float32)
  with pytest.raises(UserError, match='found 2 variables missing or of another shape: bert/embeddings/word_embeddings'):
    numpy_albert.Model(tensors, config)
