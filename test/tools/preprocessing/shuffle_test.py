"""tools.preprocessing.shuffle: the order is that of the keys, whoever wrote which run and however it was cut."""

import numpy as np
import pytest

from tools.preprocessing import assembly
from tools.preprocessing import shuffle

import random_examples


def split(examples, bounds):
  """`assembly.Examples` cut into consecutive parts."""
  ends = np.append(0, np.cumsum(examples.heads['lengths'].sum(axis=1)))
  return [assembly.Examples(examples.heads[a:b], examples.tokens[ends[a]:ends[b]]) for a, b in zip(bounds, bounds[1:])]


def as_list(examples):
  parts = split(examples, range(len(examples.heads) + 1))
  return [(part.heads['key'][0], part.tokens.tolist()) for part in parts]


def shuffled_examples(count=300):
  examples = random_examples.make(count)
  examples.heads['key'] = np.random.RandomState(3).randint(0, 2**63, size=count).astype(np.uint64) * np.uint64(2)
  return examples


def write_runs(folder, parts, buckets):
  paths = [str(folder / str(number)) for number in range(len(parts))]
  for path, part in zip(paths, parts):
    shuffle.write_run(path, part, buckets)
  return paths


@pytest.mark.parametrize('buckets', [1, 2, 7, 1000])
@pytest.mark.parametrize('bounds', [[0, 300], [0, 1, 100, 101, 300]])
def test_the_order_is_that_of_the_keys(tmp_path, buckets, bounds):
  examples = shuffled_examples()
  runs = write_runs(tmp_path, split(examples, bounds), buckets)
  assert shuffle.bucket_counts(runs, buckets).sum() == 300
  expected = sorted(as_list(examples))
  records = shuffle.read_buckets(runs, 0, buckets, buckets)
  blocks = list(shuffle.blocks(records, 0, 300, 64))
  assert [len(block.heads) for block in blocks] == [64, 64, 64, 64, 44]
  assert sum(map(as_list, blocks), []) == expected
  assert expected != as_list(examples)
  # A bucket holds a range of the order.
  middle = buckets // 2
  before = int(shuffle.bucket_counts(runs, buckets)[:middle].sum())
  rest = shuffle.read_buckets(runs, middle, buckets, buckets)
  assert sum(map(as_list, shuffle.blocks(rest, 0, 300, 50)), []) == expected[before:]
  assert sum(map(as_list, shuffle.blocks(rest, 5, 10, 4)), []) == expected[before:][5:15]


@pytest.mark.parametrize('merged_tokens', [1, 500, 10**6])
def test_a_merged_run_is_that_of_all_examples(tmp_path, monkeypatch, merged_tokens):
  monkeypatch.setattr(shuffle, '_MERGED_TOKENS', merged_tokens)
  examples = shuffled_examples()
  shuffle.write_run(str(tmp_path / 'whole'), examples, 7)
  shuffle.merge_runs(write_runs(tmp_path, split(examples, [0, 10, 150, 300]), 7), str(tmp_path / 'merged'), 7)
  assert (tmp_path / 'merged').read_bytes() == (tmp_path / 'whole').read_bytes()


def test_a_run_has_its_name_only_when_it_is_complete(tmp_path, monkeypatch):
  def fail(*_):
    raise OSError(28, 'No space left on device')
  monkeypatch.setattr(shuffle.ragged, 'index', fail)
  with pytest.raises(OSError):
    shuffle.write_run(str(tmp_path / 'run'), shuffled_examples(10), 1)
  assert not (tmp_path / 'run').exists()


def test_nothing():
  assert len(shuffle.concatenate([]).heads) == 0 == len(shuffle.concatenate([]).tokens)
