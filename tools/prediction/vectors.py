"""Texts to vectors, and a .npy file that is written row by row.

Shapes: S tokens of a text, H hidden size.
"""

import contextlib

import numpy as np

from albert.common.errors import UserError
from albert.common import files
from tools.prediction import lines

MEAN, CLS, POOLER = 'mean', 'cls', 'pooler'
# What each pool is made of: an output of the signature 'features'.
OUTPUTS = {MEAN: 'sequence_output', CLS: 'sequence_output', POOLER: 'pooled_output'}

_HEADER_BYTES = 128
_MAGIC = b'\x93NUMPY\x01\x00'


def row(text, model):
  """(fields of a text's row or None for one without tokens, how many of its tokens had no room).

  Args:
    text: str. model: prediction.Model.
  """
  ids = [piece.id for piece in model.tokenizer.tokenize(text)]
  room = model.config.max_position_embeddings - 2
  return (lines.row(ids[:room], model.vocabulary) if ids else None), max(0, len(ids) - room)


def pooled(fields, answer, pool):
  """The vector of a text: float32 [H].

  Args:
    fields: its row.
    answer: {output: array} of the signature 'features'; sequence_output float32 [at least S, H].
    pool: MEAN, over all tokens with [CLS] and [SEP]; CLS, the one of [CLS]; or POOLER, what the sentence order is
      told by.
  """
  vectors = answer[OUTPUTS[pool]]
  if pool == MEAN:
    return vectors[:len(fields['input_ids'])].mean(axis=0, dtype=np.float64).astype(np.float32)
  # A copy: a view would keep the whole batch.
  return np.array(vectors[0] if pool == CLS else vectors)


class Writer:
  """Appends rows to an open .npy file whose number of rows is known at its end.

  Attributes:
    rows: int, those so far.
  """

  def __init__(self, target, width):
    self._target, self._width, self.rows = target, width, 0
    target.write(_header(0, width))

  def add(self, vector):
    """Appends float32 [width]."""
    self._target.write(np.ascontiguousarray(vector, '<f4').tobytes())
    self.rows += 1

  def finish(self):
    """Writes how many rows there are."""
    self._target.seek(0)
    self._target.write(_header(self.rows, self._width))


def _header(rows, width):
  """The first 128 bytes of a .npy file, float32 [rows, width], format 1.0 of numpy.lib.format."""
  words = "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}".format(rows, width).encode('ascii')
  room = _HEADER_BYTES - len(_MAGIC) - 2
  return _MAGIC + room.to_bytes(2, 'little') + words.ljust(room - 1) + b'\n'


@contextlib.contextmanager
def writing(path, width):
  """Yields the Writer of a file that appears, complete, at the end.

  Raises:
    UserError: it cannot be written.
  """
  try:
    with files.atomic(path, 'wb') as target:
      writer = Writer(target, width)
      yield writer
      writer.finish()
  except OSError as error:
    raise UserError('{}: expected a file that can be written, found: {}; make room or name another'.format(
        files.shown(path), error.strerror or error))
