"""A process that starts itself again, with settings that interpreter or libraries read only when they begin."""

import os
import sys


def start_again(environment):
  """Replaces this process by itself with another environment.

  Returns, having done nothing, where the words that started it, interpreter options included, cannot be read.

  Args:
    environment: mapping of str to str, all of it.
  """
  try:
    with open('/proc/self/cmdline', 'rb') as source:
      command = source.read().split(b'\0')[:-1]
  except OSError:
    return
  if command:
    os.execve(sys.executable, command, environment)
