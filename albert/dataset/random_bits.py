"""Randomness as a pure function of what it is for: the splitmix64 generator, for one number and for arrays.

A key is a 64-bit number that names a thing (a document, an example); `derive` names a part of it. Nothing here has
a state that other work could disturb, so the same document gets the same bits whoever works on it, and when.
Source: Steele, Lea and Flood, Fast Splittable Pseudorandom Number Generators, OOPSLA 2014.
"""

import numpy as np

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_FACTOR_1 = 0xBF58476D1CE4E5B9
_FACTOR_2 = 0x94D049BB133111EB


def mix(value):
  """Scrambles an int: 64 bits, as int."""
  value &= _MASK
  value = ((value ^ (value >> 30)) * _FACTOR_1) & _MASK
  value = ((value ^ (value >> 27)) * _FACTOR_2) & _MASK
  return value ^ (value >> 31)


def derive(key, *parts):
  """The key of part (a, b, ...) of the thing that `key` names; all ints."""
  for part in parts:
    key = mix(key + _GAMMA * (part + 1))
  return key


def derive_array(keys, parts):
  """`derive(key, part)` for each pair: uint64 array. keys: uint64 array; parts: integers, an array or a number."""
  with np.errstate(over='ignore'):
    values = keys + np.uint64(_GAMMA) * (np.asarray(parts).astype(np.uint64) + np.uint64(1))
    values ^= values >> np.uint64(30)
    values *= np.uint64(_FACTOR_1)
    values ^= values >> np.uint64(27)
    values *= np.uint64(_FACTOR_2)
    values ^= values >> np.uint64(31)
  return values


def below_array(bits, limit):
  """Maps uint64 bits to integers in [0, limit), int64; limit: a number or an array, under 2**32."""
  high = bits >> np.uint64(32)
  return ((high * np.asarray(limit).astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def unit_array(bits):
  """Maps uint64 bits to float64 in [0, 1)."""
  return (bits >> np.uint64(11)).astype(np.float64) * 2.0 ** -53


class Stream:
  """An endless row of random numbers that a key determines."""

  def __init__(self, key):
    self._state = key

  def bits(self):
    """64 random bits, as int."""
    self._state = (self._state + _GAMMA) & _MASK
    return mix(self._state)

  def below(self, limit):
    """A number in [0, limit)."""
    return (self.bits() * limit) >> 64

  def chance(self, probability):
    """True with this probability."""
    return self.bits() < probability * 2.0 ** 64
