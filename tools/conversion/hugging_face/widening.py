"""Bytes of a tensor to an array; halves become float32, and are counted."""

import collections

import numpy as np

from albert.common.errors import UserError

# Names of types in safetensors files, and of torch's storages. bfloat16, the upper half of a float32, is read as the
# numbers of its bits.
_TYPES = {
    'F64': '<f8', 'F32': '<f4', 'F16': '<f2', 'BF16': '<u2', 'I64': '<i8', 'I32': '<i4', 'I16': '<i2', 'I8': 'i1',
    'U8': 'u1', 'BOOL': '?'}
_HALVES = {'F16': 'float16', 'BF16': 'bfloat16', 'F64': 'float64'}


def item_size(kind):
  """Bytes of one element of a type, or None for an unknown one."""
  return np.dtype(_TYPES[kind]).itemsize if kind in _TYPES else None


class Counts(collections.Counter):
  """How many tensors of which type were converted to float32."""

  def array(self, data, kind, shape, where):
    """The array of little-endian bytes. Raises UserError for a type of no weights. where: names it."""
    if kind not in _TYPES:
      raise UserError('{}: expected float32, float16 or bfloat16, found {}, a type of compressed weights; use the '
                      'model in float32 or float16'.format(where, kind))
    array = np.frombuffer(data, _TYPES[kind]).reshape(shape)
    if kind == 'BF16':
      array = (array.astype(np.uint32) << 16).view(np.float32)
    if kind in _HALVES:
      self[_HALVES[kind]] += 1
      array = array.astype(np.float32)
    return array
