"""The exceptions whose message is for the user, and how a message lists many things."""

# sysexits.h, EX_TEMPFAIL: a signal came, nothing is wrong, start the same command again to go on.
STOPPED_EXIT_CODE = 75
# The same command would not help.
DIVERGED_EXIT_CODE = 76
# sysexits.h, EX_UNAVAILABLE: nothing is wrong here, but with another process. The same command goes on.
RANKS_LOST_EXIT_CODE = 69


class UserError(Exception):
  """Bad input: one line that says what was expected, what was found and what to do.

  Entry points (see `cli.run`) print it as `error: <message>` and exit with `exit_code`, without a traceback.
  """

  exit_code = 1


class Diverged(UserError):
  """The numbers of a run are not finite any more: losses, gradients, weights or held-out figures."""

  exit_code = DIVERGED_EXIT_CODE


class RanksLost(UserError):
  """Another of the processes that train together is gone: this one ends too."""

  exit_code = RANKS_LOST_EXIT_CODE


def first_of(things, most=3):
  """'a, b, c and 4 more' of a list of strings. most: how many are named."""
  more = ' and {} more'.format(len(things) - most) if len(things) > most else ''
  return ', '.join(things[:most]) + more
