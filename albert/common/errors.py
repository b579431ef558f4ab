"""The exceptions whose message is for the user."""

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
  """Training has left the numbers that a computer has: losses, gradients, weights or held-out figures not finite."""

  exit_code = DIVERGED_EXIT_CODE


class RanksLost(UserError):
  """Another of the processes that train together is gone: this one ends too."""

  exit_code = RANKS_LOST_EXIT_CODE
