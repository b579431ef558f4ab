"""Processes that other processes start."""

import ctypes

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent(number):
  """Has this process get a signal when the one that started it has ended, however that was.

  Args:
    number: of the signal.

  Returns:
    Whether it will; not on other systems than Linux.
  """
  try:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
  except (AttributeError, OSError):
    return False
  return True
