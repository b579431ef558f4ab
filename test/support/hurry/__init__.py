"""What tests leave out that takes most of their time, and that what they assert does not depend on."""

import os

# As in `make test-faults`, where runs are compiled and rewritten as they are shipped.
THOROUGH = 'FAULT_KILLS' in os.environ


def forget_power_cuts():
  """From now on nothing waits until a file is on the disk: its thousands of files are all that a test reads again."""
  def pass_over(file):
    os.fstat(file if isinstance(file, int) else file.fileno())  # raises what fsync raises of a closed one

  if not THOROUGH:
    os.fsync = pass_over
