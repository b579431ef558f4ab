"""Finds documents that are duplicates of earlier ones in the corpus, however its parts are spread over workers.

Hashes and signatures are in files, one for each unit of text; they are taken a part at a time, so that memory does not
grow with the corpus.
"""

import numpy as np

from albert.dataset import random_bits
from tools.text import cleaning

# Above it a signature would be a single band, which datasketch refuses: two find more pairs than are similar enough.
_MOST_BANDED = 0.95
# Documents whose hashes, or signatures, are in memory at a time.
_HASHES_AT_ONCE, _SIGNATURES_AT_ONCE = 1 << 22, 1 << 18


def find(hash_files, signature_files, options):
  """Finds duplicates.

  Args:
    hash_files: paths of uint64 [D] files, `cleaning.text_hash` of the documents of each unit.
    signature_files: paths of uint32 [D, cleaning.SIGNATURE] files; read only if near-duplicates count.
    options: `cleaning.Options`.

  Returns:
    A uint8 array for each unit: 0 for a document to keep, 1 for an exact duplicate, 2 for a near one.
  """
  sizes = [len(np.fromfile(path, np.uint64)) for path in hash_files]
  marks = np.zeros(sum(sizes), np.uint8)
  if options.duplicates == 'near':
    _mark_similar(signature_files, options.near_duplicate_threshold, marks)
  if options.duplicates != 'keep':
    _mark_same(hash_files, marks)
  return np.split(marks, np.cumsum(sizes)[:-1])


def _mark_same(hash_files, marks):
  parts = 1 + len(marks) // _HASHES_AT_ONCE
  for part in range(parts):
    hashes, numbers = _of_part(((hashes, hashes) for hashes in _hashes(hash_files)), part, parts)
    order = np.argsort(hashes, kind='stable')
    is_repeated = hashes[order][1:] == hashes[order][:-1]
    marks[numbers[order][1:][is_repeated]] = 1


def _mark_similar(signature_files, threshold, marks):
  """Locality-sensitive hashing: similar documents agree in at least one band of their signatures."""
  import datasketch  # with scipy 0.5 s, and only here
  bands = datasketch.MinHashLSH(min(threshold, _MOST_BANDED), cleaning.SIGNATURE)
  parts = 1 + len(marks) // _SIGNATURES_AT_ONCE
  for band in range(bands.b):
    columns = slice(band * bands.r, (band + 1) * bands.r)
    for part in range(parts):
      keyed = ((_row_hashes(rows[:, columns]), rows) for rows in _signatures(signature_files))
      _mark_similar_part(*_keyed_part(keyed, part, parts), threshold=threshold, marks=marks)


def _mark_similar_part(keys, rows, numbers, threshold, marks):
  """Marks documents that are similar to the first one of those with the same key."""
  order = np.argsort(keys, kind='stable')
  keys, rows, numbers = keys[order], rows[order], numbers[order]
  is_first = np.append(True, keys[1:] != keys[:-1])[:len(keys)]
  first = np.flatnonzero(is_first)[np.cumsum(is_first) - 1] if len(keys) else order
  similar = (rows == rows[first]).mean(axis=1) >= threshold if len(keys) else np.zeros(0, bool)
  marks[numbers[similar & ~is_first]] = 2


def _row_hashes(rows):
  hashes = np.zeros(len(rows), np.uint64)
  for column in rows.T:
    hashes = random_bits.derive_array(hashes, column)
  return hashes


def _of_part(keyed, part, parts):
  keys, _, numbers = _keyed_part(keyed, part, parts)
  return keys, numbers


def _keyed_part(keyed, part, parts):
  """Keys, rows and document numbers of those whose key belongs to a part. keyed: (keys, rows) of each unit."""
  keys, rows, numbers, before = [], [], [], 0
  for some_keys, some_rows in keyed:
    chosen = np.flatnonzero(some_keys % np.uint64(parts) == part)
    keys.append(some_keys[chosen])
    rows.append(some_rows[chosen])
    numbers.append(chosen + before)
    before += len(some_keys)
  return np.concatenate(keys), np.concatenate(rows), np.concatenate(numbers)


def _hashes(paths):
  return (np.fromfile(path, np.uint64) for path in paths)


def _signatures(paths):
  return (np.fromfile(path, np.uint32).reshape(-1, cleaning.SIGNATURE) for path in paths)
