"""The variables of a small ALBERT as an optimizer leaves them, without its configuration."""

import numpy as np

from tools.conversion import writing

LAYER = 'bert/encoder/transformer/group_0/inner_group_0/'


def small_model(kernel=1.0, step=7):
  """The names of a small ALBERT, all dimensions unequal, with slots of both kinds."""
  weights = {
      'bert/embeddings/word_embeddings': np.full([5, 2], 0.5, np.float32),
      'bert/embeddings/position_embeddings': np.full([4, 2], 0.25, np.float32),
      LAYER + 'ffn_1/intermediate/dense/kernel': np.full([3, 7], kernel, np.float32),
      'cls/predictions/output_bias': np.zeros([5], np.float32),
  }
  slots = {name + '/adam_' + kind: np.full_like(value, 9) for name, value in weights.items() for kind in 'mv'}
  return dict(weights, global_step=np.int64(step), beta1_power=np.float32(0.9), **slots)


def save(tmp_path, name, tensors):
  """Writes them as the checkpoint of a folder. Returns its prefix."""
  prefix = str(tmp_path / name / 'model.ckpt')
  writing.write_checkpoint(prefix, tensors)
  return prefix
