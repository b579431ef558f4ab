"""Checks of option values; each failure is one line. Needs no TensorFlow."""

import math
import numbers

from albert.common.errors import UserError


def fits(name, value, is_good, expected):
  """Raises UserError unless `is_good`.

  Args:
    name: of the option, as the user writes it, such as pretrain.packing.
    value: of the option.
    is_good: bool, whether it will do.
    expected: the values that will do, in words.
  """
  if not is_good:
    raise UserError('{}: expected {}, found {!r}; correct it'.format(name, expected, value))


def flag(name, value):
  """Raises UserError unless `value` is True or False."""
  fits(name, value, isinstance(value, bool), 'True or False')


def whole_number(name, value, least=1, most=None):
  """Raises UserError unless `value` is an integer, not a bool, in [least, most]."""
  fits(name, value, _is(numbers.Integral, value) and value >= least and (most is None or value <= most),
       'a whole number ' + _range(least, most))


def number(name, value, least=0, below=None, most=None):
  """Raises UserError unless `value` is a finite number, not a bool, in [least, below), or in [least, most]."""
  fits(name, value, _is_finite(value) and value >= least and (below is None or value < below)
       and (most is None or value <= most),
       'a number ' + _range(least, most) + ('' if below is None else ' and below {}'.format(below)))


def positive_number(name, value):
  """Raises UserError unless `value` is a finite number, not a bool, above 0."""
  fits(name, value, _is_finite(value) and value > 0, 'a number above 0')


def one_of(name, value, choices):
  """Raises UserError unless `value` is one of `choices`, strings or None."""
  fits(name, value, value in choices, 'one of ' + ', '.join(map(str, choices)))


def _range(least, most):
  return 'of at least {}'.format(least) if most is None else 'from {} to {}'.format(least, most)


def _is_finite(value):
  return _is(numbers.Real, value) and math.isfinite(value)


def _is(kind, value):
  return isinstance(value, kind) and not isinstance(value, bool)
