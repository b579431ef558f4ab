"""Checks of option values; each failure is one line. Needs no TensorFlow."""

import math
import numbers

from albert.common.errors import UserError


def flag(name, value):
  """Raises UserError unless `value` is True or False. name: as the user writes it, such as pretrain.packing."""
  _check(isinstance(value, bool), name, 'True or False', value)


def whole_number(name, value, least=1, most=None):
  """Raises UserError unless `value` is an integer, not a bool, in [least, most]."""
  _check(_is(numbers.Integral, value) and value >= least and (most is None or value <= most), name,
         'a whole number ' + _range(least, most), value)


def number(name, value, least=0, below=None, most=None):
  """Raises UserError unless `value` is a finite number, not a bool, in [least, below), or in [least, most]."""
  _check(_is_finite(value) and value >= least and (below is None or value < below) and (most is None or value <= most),
         name, 'a number ' + _range(least, most) + ('' if below is None else ' and below {}'.format(below)), value)


def positive_number(name, value):
  """Raises UserError unless `value` is a finite number, not a bool, above 0."""
  _check(_is_finite(value) and value > 0, name, 'a number above 0', value)


def one_of(name, value, choices):
  """Raises UserError unless `value` is one of `choices`, strings or None."""
  _check(value in choices, name, 'one of ' + ', '.join(map(str, choices)), value)


def _check(is_good, name, expected, value):
  if not is_good:
    raise UserError('{}: expected {}, found {!r}; correct it'.format(name, expected, value))


def _range(least, most):
  return 'of at least {}'.format(least) if most is None else 'from {} to {}'.format(least, most)


def _is_finite(value):
  return _is(numbers.Real, value) and math.isfinite(value)


def _is(kind, value):
  return isinstance(value, kind) and not isinstance(value, bool)
