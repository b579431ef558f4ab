"""A checkpoint as a thing to read: names, shapes, values, and what describes it beside it."""


import numpy as np
import tensorflow.compat.v1 as tf

from albert.common.errors import UserError
from albert.dataset.tokenization import Vocabulary
from albert.model.config import AlbertConfig
from albert.model import names
from albert.run import belonging
from albert.run.checkpoints import find
from albert.run import directory
from albert.run.names import CONFIG_FILE
from albert.run.names import VOCAB_FILE

STEP = names.GLOBAL_STEP
SLOTS_PART = 'optimizer'


class Checkpoint:
  """One checkpoint, read lazily.

  Attributes:
    path: its prefix.
    shapes: {name: [int]}; dtypes: {name: tf.DType}.
    step: int, or None without a global_step.
  """

  def __init__(self, argument):
    """argument: prefix or folder. Raises UserError if there is no readable checkpoint."""
    self.path = find(argument)
    self._reader = self._read(tf.train.load_checkpoint, self.path)
    self.shapes = dict(sorted(self._reader.get_variable_to_shape_map().items()))
    self.dtypes = self._reader.get_variable_to_dtype_map()
    self.step = int(self.tensor(STEP)) if STEP in self.shapes else None

  def tensor(self, name):
    """The value of a variable as an array. Raises UserError if the file is damaged."""
    return self._read(self._reader.get_tensor, name)

  def _read(self, function, argument):
    try:
      return function(argument)
    except (tf.errors.OpError, ValueError) as error:
      raise UserError('{}: expected a readable checkpoint, found a damaged one ({}); copy or save it again'.format(
          self.path, ' '.join(str(error).split())))

  def weights(self):
    """Names of all variables but the optimizer's."""
    return [name for name in self.shapes if part_of(name, self.shapes) != SLOTS_PART]

  def model_weights(self):
    """Names of the variables that the model's outputs depend on: no optimizer's, no global_step."""
    return [name for name in self.weights() if name != STEP]

  def tensors(self):
    """{name: array} of model_weights()."""
    return {name: self.tensor(name) for name in self.model_weights()}

  def form(self, name):
    """Type and shape of a variable in words, to be compared and shown."""
    return '{} {}'.format(self.dtypes[name].name, self.shapes[name])


def part_of(name, all_names):
  """The part of the model that a variable belongs to, e.g. 'bert/encoder'; SLOTS_PART for the optimizer's."""
  return SLOTS_PART if names.belongs_to_optimizer(name, all_names) else '/'.join(name.split('/')[:2])


def is_float(array):
  """Whether an array holds floating-point numbers."""
  return np.issubdtype(array.dtype, np.floating)


def count_non_finite(array):
  """How many elements of an array are NaN or infinite."""
  array = np.asarray(array)
  return int(array.size - np.count_nonzero(np.isfinite(array))) if is_float(array) else 0


def config_of(checkpoint):
  """AlbertConfig of a Checkpoint. Raises UserError if none lies beside it: shapes do not tell the number of heads."""
  path = _needed(checkpoint, CONFIG_FILE, 'heads and activation show in no shape')
  belonging.check_beside(checkpoint.path, path, None)
  return AlbertConfig.from_json_file(path)


def vocabulary_of(checkpoint):
  """Vocabulary of a Checkpoint. Raises UserError if none lies beside it."""
  path = _needed(checkpoint, VOCAB_FILE, 'ids mean nothing without it')
  belonging.check_beside(checkpoint.path, None, path)
  return Vocabulary.load(path)


def _needed(checkpoint, name, why):
  path = directory.file_beside(checkpoint.path, name)
  if path is None:
    raise UserError('{}: expected {} beside the checkpoint, found none: {}; copy it there'.format(
        checkpoint.path, name, why))
  return path
