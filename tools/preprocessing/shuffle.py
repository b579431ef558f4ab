"""External shuffle: the order of a data set is the order of its examples' random keys, found by sorting in pieces.

Every worker writes sorted runs. A run is cut into buckets, equal ranges of keys, so that the examples of a bucket can
be picked out of all runs; many runs are merged first. The order depends neither on which worker wrote a run nor on
the number of buckets.

A run file: int64 [buckets + 1, 2], the examples and tokens before each bucket and in all; heads; tokens.
"""

import numpy as np

from albert.common import files
from albert.common import ragged
from tools.preprocessing import assembly

_INDEX = np.dtype('<i8')
_TOKENS = np.dtype('<u4')
# Examples are put in order and written this many at a time: the index of a gather takes twice the tokens' memory.
_SLICE = 2048
# About this number of tokens is in memory when runs are merged.
_MERGED_TOKENS = 1 << 21


def write_run(path, examples, buckets):
  """Writes `assembly.Examples` as a run."""
  order = np.argsort(examples.heads['key'], kind='stable')
  heads = examples.heads[order]
  lengths = examples.heads['lengths'].sum(axis=1, dtype=np.int64)
  begins = np.cumsum(lengths) - lengths
  bounds = np.searchsorted(_bucket_of(heads['key'], buckets), np.arange(buckets + 1))
  tokens_before = np.append(0, np.cumsum(lengths[order]))[bounds]
  with files.atomic(path, 'wb', durable=False) as target:
    np.stack([bounds, tokens_before], axis=1).astype(_INDEX).tofile(target)
    heads.tofile(target)
    for first in range(0, len(order), _SLICE):
      part = order[first:first + _SLICE]
      examples.tokens[ragged.index(begins[part], lengths[part])].tofile(target)


def bucket_counts(paths, buckets):
  """The number of examples of all runs in each bucket: int64 [buckets]."""
  before = np.zeros(buckets + 1, np.int64)
  for path in paths:
    before += np.fromfile(path, _INDEX, 2 * (buckets + 1))[::2]
  return np.diff(before)


def merge_runs(paths, path, buckets):
  """Makes one run of several, a stretch of buckets of bounded size at a time."""
  index = sum(np.fromfile(run, _INDEX, 2 * (buckets + 1)) for run in paths).reshape(-1, 2)
  heads_at = index.nbytes
  tokens_at = heads_at + int(index[-1, 0]) * assembly.HEAD.itemsize
  with files.atomic(path, 'wb', durable=False) as target:
    index.astype(_INDEX).tofile(target)
    first = 0
    while first < buckets:
      last = max(first + 1, int(np.searchsorted(index[:, 1], index[first, 1] + _MERGED_TOKENS, 'right')) - 1)
      examples = read_buckets(paths, first, last, buckets)
      tokens = [block.tokens for block in blocks(examples, 0, len(examples.heads), _SLICE)]
      target.seek(heads_at + int(index[first, 0]) * assembly.HEAD.itemsize)
      np.sort(examples.heads, order='key', kind='stable').tofile(target)
      target.seek(tokens_at + int(index[first, 1]) * _TOKENS.itemsize)
      for part in tokens:
        part.tofile(target)
      first = last


def _bucket_of(keys, buckets):
  """The bucket of each key; monotone in the key. buckets: under 2**31."""
  return (((keys >> np.uint64(32)) * np.uint64(buckets)) >> np.uint64(32)).astype(np.int64)


def read_buckets(runs, first, last, buckets):
  """The examples of buckets [first, last) of all runs, run after run: `assembly.Examples`."""
  return concatenate([part for part in (_read_run(run, first, last, buckets) for run in runs) if len(part.heads)])


def _read_run(path, first, last, buckets):
  row = 2 * _INDEX.itemsize
  with open(path, 'rb') as source:
    total_heads = _read(source, _INDEX, 1, buckets * row)[0]
    head, token = _read(source, _INDEX, 2, first * row)
    head_end, token_end = _read(source, _INDEX, 2, last * row)
    heads_at = (buckets + 1) * row
    tokens_at = heads_at + total_heads * assembly.HEAD.itemsize
    return assembly.Examples(
        _read(source, assembly.HEAD, head_end - head, heads_at + head * assembly.HEAD.itemsize),
        _read(source, _TOKENS, token_end - token, tokens_at + token * _TOKENS.itemsize))


def _read(source, dtype, count, position):
  source.seek(position)
  return np.fromfile(source, dtype, count)


def concatenate(parts):
  """Several `assembly.Examples` as one."""
  if not parts:
    return assembly.Examples(np.empty(0, assembly.HEAD), np.empty(0, _TOKENS))
  return assembly.Examples(*(np.concatenate(arrays) for arrays in zip(*parts)))


def blocks(examples, first, count, block):
  """Yields the examples with ranks [first, first + count) in the order of their keys, `block` at a time."""
  order = np.argsort(examples.heads['key'], kind='stable')[first:first + count]
  lengths = examples.heads['lengths'].sum(axis=1, dtype=np.int64)
  begins = np.cumsum(lengths) - lengths
  for start in range(0, len(order), block):
    part = order[start:start + block]
    yield assembly.Examples(examples.heads[part], examples.tokens[ragged.index(begins[part], lengths[part])])
