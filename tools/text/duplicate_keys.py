"""What finding duplicates needs to know of documents, in files of a unit of text."""

import os

import numpy as np

from tools.text import cleaning

# Line of the unit, hash and signature of each document.
LINES, HASHES, SIGNATURES = '.lines', '.hashes', '.signatures'

_TYPES = {LINES: np.int64, HASHES: np.uint64, SIGNATURES: np.uint32}
_FUNCTIONS = {LINES: lambda document: document.line, HASHES: cleaning.text_hash, SIGNATURES: cleaning.signature}
_WANTED = {'keep': (), 'exact': (LINES, HASHES), 'near': (LINES, HASHES, SIGNATURES)}


class Writer:
  """Writes traits of documents; use it in a `with` statement. The files have their names when it ends well.

  Args:
    path: what the files' names begin with.
    duplicates: of `cleaning.Options`; which traits are needed.
  """

  def __init__(self, path, duplicates):
    self._path = path
    self._wanted = _WANTED[duplicates]
    self._files = {}

  def __enter__(self):
    self._files = {suffix: open(self._path + suffix + '.tmp', 'wb') for suffix in self._wanted}
    return self

  def add(self, documents):
    """Writes those of some `corpus.Document`s."""
    documents = list(documents) if self._files else []
    for suffix, target in self._files.items():
      np.array([_FUNCTIONS[suffix](document) for document in documents], _TYPES[suffix]).tofile(target)

  def __exit__(self, *exception):
    for suffix, target in self._files.items():
      target.close()
      if exception[0] is None:
        os.replace(self._path + suffix + '.tmp', self._path + suffix)
