"""tools.shuffle: the order is that of the keys, whoever wrote which run and however it was cut."""

import numpy as np
import pytest

from tools import assembly
from tools import shuffle

import masking_test


def split(examples, bounds):
  """`assembly.Examples` cut into consecutive parts."""
  ends = np.append(0, np.cumsum(examples.heads['lengths'].sum(axis=1)))
  return [assembly.Examples(examples.heads[a:b], examples.tokens[ends[a]:ends[b]]) for a, b in zip(bounds, bounds[1:])]


def as_list(examples):
  parts = split(examples, range(len(examples.heads) + 1))
  return [(part.heads['key'][0], part.tokens.tolist()) for part in parts]


def random_examples(count=300):
  examples = masking_test.make(count)
  examples.heads['key'] = np.random.RandomState(3).randint(0, 2**63, size=count).astype(np.uint64) * np.uint64(2)
  return examples


@pytest.mark.parametrize('buckets', [1, 2, 7, 1000])
@pytest.mark.parametrize('bounds', [[0, 300], [0, 1, 100, 101, 300]])
def test_the_order_is_that_of_the_keys(tmp_path, buckets, bounds):
  examples = random_examples()
  runs = [shuffle.write_run(str(tmp_path / str(number)), part, buckets)
          for number, part in enumerate(split(examples, bounds))]
  assert sum(run.counts for run in runs).sum() == 300
  expected = sorted(as_list(examples))
  found = shuffle.read_buckets(runs, 0, buckets, buckets)
  blocks = list(shuffle.blocks(found, 0, 300, 64))
  assert [len(block.heads) for block in blocks] == [64, 64, 64, 64, 44]
  assert sum(map(as_list, blocks), []) == expected
  assert expected != as_list(examples)
  # A bucket holds a range of the order.
  middle = buckets // 2
  before = sum(int(run.counts[:middle].sum()) for run in runs)
  rest = shuffle.read_buckets(runs, middle, buckets, buckets)
  assert sum(map(as_list, shuffle.blocks(rest, 0, 300, 50)), []) == expected[before:]
  assert sum(map(as_list, shuffle.blocks(rest, 5, 10, 4)), []) == expected[before:][5:15]


def test_a_run_has_its_name_only_when_it_is_complete(tmp_path, monkeypatch):
  def fail(*_):
    raise OSError(28, 'No space left on device')
  monkeypatch.setattr(shuffle.ragged, 'index', fail)
  with pytest.raises(OSError):
    shuffle.write_run(str(tmp_path / 'run'), random_examples(10), 1)
  assert not (tmp_path / 'run').exists()


def test_nothing():
  assert len(shuffle.concatenate([]).heads) == 0 == len(shuffle.concatenate([]).tokens)
