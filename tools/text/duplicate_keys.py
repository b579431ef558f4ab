"""Per-document hashes and signatures for the duplicate search, written per unit of text."""

import contextlib

import numpy as np

from albert.common import files
from tools.text import cleaning

# Line of the unit, hash and signature of each document.
LINES, HASHES, SIGNATURES = '.lines', '.hashes', '.signatures'

_TYPES = {LINES: np.int64, HASHES: np.uint64, SIGNATURES: np.uint32}
_FUNCTIONS = {LINES: lambda document: document.line, HASHES: cleaning.text_hash, SIGNATURES: cleaning.signature}
_WANTED = {'keep': (), 'exact': (LINES, HASHES), 'near': (LINES, HASHES, SIGNATURES)}


class Writer:
  """Writes the files of a unit; use it in a `with` statement.

  Args:
    path: what the files' names begin with.
    duplicates: of `cleaning.Options`; it determines which files are needed.
  """

  def __init__(self, path, duplicates):
    self._path = path
    self._wanted = _WANTED[duplicates]
    self._files = {}
    self._stack = contextlib.ExitStack()

  def __enter__(self):
    self._files = {suffix: self._stack.enter_context(files.atomic(self._path + suffix, 'wb', durable=False))
                   for suffix in self._wanted}
    return self

  def add(self, documents):
    """Writes line, hash and signature, as far as they are needed, of some `corpus.Document`s."""
    documents = list(documents) if self._files else []
    for suffix, target in self._files.items():
      np.array([_FUNCTIONS[suffix](document) for document in documents], _TYPES[suffix]).tofile(target)

  def __exit__(self, *exception):
    return self._stack.__exit__(*exception)
