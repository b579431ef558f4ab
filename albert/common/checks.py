"""Type and range of option values, in one line each. Needs no TensorFlow."""

import math
import numbers

from albert.common.errors import UserError


def whole_number(name, value, least=1):
  """Raises UserError unless `value` is an integer, not a bool, of at least `least`. name: as in gin."""
  if not (_is(numbers.Integral, value) and value >= least):
    raise UserError('{}: expected a whole number of at least {}, found {!r}; correct it'.format(name, least, value))


def number(name, value, least=0, below=None):
  """Raises UserError unless `value` is a finite number, not a bool, in [least, below). name: as in gin."""
  if not (_is(numbers.Real, value) and math.isfinite(value) and value >= least and (below is None or value < below)):
    raise UserError('{}: expected a number of at least {}{}, found {!r}; correct it'.format(
        name, least, '' if below is None else ' and below {}'.format(below), value))


def positive_number(name, value):
  """Raises UserError unless `value` is a finite number, not a bool, above 0. name: as in gin."""
  if not (_is(numbers.Real, value) and math.isfinite(value) and value > 0):
    raise UserError('{}: expected a number above 0, found {!r}; correct it'.format(name, value))


def one_of(name, value, choices):
  """Raises UserError unless `value` is one of `choices`, strings. name: as in gin."""
  if value not in choices:
    raise UserError('{}: expected one of {}, found {!r}; correct it'.format(name, ', '.join(choices), value))


def _is(kind, value):
  return isinstance(value, kind) and not isinstance(value, bool)
