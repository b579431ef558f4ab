"""Sequences of different lengths, one after the other in one array or string."""

import numpy as np


def index(begins, lengths):
  """The indices begin, ..., begin + length - 1 of each sequence, concatenated: int64."""
  ends = np.cumsum(lengths)
  total = int(ends[-1]) if len(ends) else 0
  return np.repeat(begins - (ends - lengths), lengths) + np.arange(total)


def split(data, sizes):
  """The sequences of `sizes` items, a list of slices of `data`."""
  ends = np.cumsum(sizes).tolist()
  return [data[begin:end] for begin, end in zip([0] + ends, ends)]
