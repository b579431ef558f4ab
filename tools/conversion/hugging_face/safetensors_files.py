"""Files of the safetensors format, https://github.com/huggingface/safetensors: tensors and nothing else."""

import safetensors
from safetensors import numpy as safetensors_numpy
import numpy as np

from albert.common.errors import UserError
from albert.common import files
from tools.conversion.hugging_face import widening


def read(path):
  """Reads a file into memory.

  Returns:
    ({name: array}, {type: number of its tensors} of those that were widened to float32).

  Raises:
    UserError: it cannot be read.
  """
  try:
    with open(path, 'rb') as source:
      entries = safetensors.deserialize(source.read())
  except (OSError, safetensors.SafetensorError, ValueError) as error:
    raise UserError('{}: expected a safetensors file, found a damaged one ({}); download it again'.format(
        path, str(error).split('\n')[0]))
  tensors, widened = {}, widening.Counts()
  for name, entry in entries:
    tensors[name] = widened.array(entry['data'], entry['dtype'], entry['shape'], '{}: {}'.format(path, name))
  return tensors, dict(widened)


def write(path, tensors):
  """Writes {name: array} as float32. Raises OSError if there is no room."""
  values = {name: np.ascontiguousarray(value, np.float32) for name, value in tensors.items()}
  try:
    # transformers before 4.50 refuse a file that does not say which program's layout it has.
    safetensors_numpy.save_file(values, path, metadata={'format': 'pt'})
  except safetensors.SafetensorError as error:
    raise OSError(str(error))
  files.sync(path)
