"""albert.dataset.random_bits: known values, arrays equal single numbers, and numbers look random."""

import numpy as np
import pytest

from albert.dataset import random_bits


def test_splitmix64():
  # The first outputs for seed 1234567, as published with the generator.
  stream = random_bits.Stream(1234567)
  assert [stream.bits() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_arrays_equal_numbers():
  keys = [0, 1, 2**63, 2**64 - 1, 123456789]
  for part in (0, 7, 2**40):
    derived = random_bits.derive_array(np.array(keys, np.uint64), part)
    assert derived.tolist() == [random_bits.derive(key, part) for key in keys]
  parts = np.arange(len(keys))
  derived = random_bits.derive_array(np.array(keys, np.uint64), parts)
  assert derived.tolist() == [random_bits.derive(key, part) for part, key in enumerate(keys)]


def test_parts_differ_from_each_other_and_in_order():
  assert len({random_bits.derive(5, a, b) for a in range(50) for b in range(50)}) == 2500


@pytest.mark.parametrize('limit', [1, 3, 10, 1000])
def test_numbers_below_a_limit_are_even(limit):
  stream = random_bits.Stream(1)
  numbers = [stream.below(limit) for _ in range(20000)]
  bits = random_bits.derive_array(np.full(20000, 9, np.uint64), np.arange(20000))
  for drawn in (np.array(numbers), random_bits.below_array(bits, limit)):
    assert drawn.min() >= 0 and drawn.max() < limit
    assert abs(drawn.mean() - (limit - 1) / 2) <= 0.02 * limit


def test_chance_and_unit():
  stream = random_bits.Stream(2)
  assert abs(sum(stream.chance(0.1) for _ in range(20000)) / 20000 - 0.1) < 0.01
  assert not any(stream.chance(0.0) for _ in range(100)) and all(stream.chance(1.0) for _ in range(100))
  unit = random_bits.unit_array(random_bits.derive_array(np.full(20000, 3, np.uint64), np.arange(20000)))
  assert unit.min() >= 0 and unit.max() < 1 and abs(unit.mean() - 0.5) < 0.01
