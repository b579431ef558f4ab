"""Runs in this process that are small enough to be made by the dozen."""

import os

import gin
import tensorflow as tf

from albert.common import gin_settings
from albert import pretraining

# A model that takes no time to build or to train, on a CPU.
BINDINGS = ('AlbertConfig.embedding_size = 6', 'AlbertConfig.hidden_size = 8', 'AlbertConfig.num_hidden_layers = 2',
            'AlbertConfig.num_attention_heads = 2', 'AlbertConfig.intermediate_size = 12',
            "SessionOptions.device = 'cpu'", 'SessionOptions.cpu_towers = 1')


def pretrain(data, out, bindings, **arguments):
  """One start of pre-training, as in a process of its own. Returns its exit code.

  Args:
    data, out: paths of the data set and of the run.
    bindings: list of str, of gin.
    **arguments: of pretraining.pretrain.
  """
  tf.reset_default_graph()
  gin.clear_config()
  gin_settings.parse([], list(bindings))
  return pretraining.pretrain(str(data), str(out), **arguments)


def weights(folder, step):
  """{name: array} of the checkpoint of a step."""
  reader = tf.train.load_checkpoint(os.path.join(str(folder), 'model.ckpt-{}'.format(step)))
  return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
