"""Randomness as a pure function of its purpose: the splitmix64 generator, for one number and for arrays.

A key is a 64-bit number that names a thing (a document, an example); `derive` names a part of it. Nothing here has a
state that other work could disturb: the same document gets the same bits in any process, at any time.
albert/input/formats/dynamic_masking.py computes the same numbers in TensorFlow.
Source: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
"""

import numpy as np

GAMMA = 0x9E3779B97F4A7C15  # what the state grows by
# Rounds of mixing: the value is combined with itself, shifted to the right, and multiplied; the last does not multiply.
SHIFT_1, FACTOR_1 = 30, 0xBF58476D1CE4E5B9
SHIFT_2, FACTOR_2 = 27, 0x94D049BB133111EB
SHIFT_3 = 31
# How many of 64 bits, the upper ones, make a float64 in [0, 1), and an integer below a limit.
UNIT_BITS, LIMIT_BITS = 53, 32

_MASK = (1 << 64) - 1


def mix(value):
  """Scrambles an int: 64 bits, as int."""
  value &= _MASK
  value = ((value ^ (value >> SHIFT_1)) * FACTOR_1) & _MASK
  value = ((value ^ (value >> SHIFT_2)) * FACTOR_2) & _MASK
  return value ^ (value >> SHIFT_3)


def derive(key, *parts):
  """The key of part (a, b, ...) of the thing that `key` names; all ints."""
  for part in parts:
    key = mix(key + GAMMA * (part + 1))
  return key


def derive_array(keys, parts):
  """`derive(key, part)` for each pair: uint64 array. keys: uint64 array; parts: integers, an array or a number."""
  with np.errstate(over='ignore'):
    values = keys + np.uint64(GAMMA) * (np.asarray(parts).astype(np.uint64) + np.uint64(1))
    values ^= values >> np.uint64(SHIFT_1)
    values *= np.uint64(FACTOR_1)
    values ^= values >> np.uint64(SHIFT_2)
    values *= np.uint64(FACTOR_2)
    values ^= values >> np.uint64(SHIFT_3)
  return values


def below_array(bits, limit):
  """Maps uint64 bits to integers in [0, limit), int64; limit: a number or an array, under 2**LIMIT_BITS."""
  high = bits >> np.uint64(64 - LIMIT_BITS)
  return ((high * np.asarray(limit).astype(np.uint64)) >> np.uint64(LIMIT_BITS)).astype(np.int64)


def unit_array(bits):
  """Maps uint64 bits to float64 in [0, 1)."""
  return (bits >> np.uint64(64 - UNIT_BITS)).astype(np.float64) * 2.0 ** -UNIT_BITS


class Stream:
  """An endless sequence of random numbers that a key determines."""

  def __init__(self, key):
    self._state = key

  def bits(self):
    """64 random bits, as int."""
    self._state = (self._state + GAMMA) & _MASK
    return mix(self._state)

  def below(self, limit):
    """A number in [0, limit)."""
    return (self.bits() * limit) >> 64

  def chance(self, probability):
    """True with this probability."""
    return self.bits() < probability * 2.0 ** 64
