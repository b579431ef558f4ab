"""What a user is told."""

import pytest

from albert.common.errors import UserError


def error_of(function, *args, **kwargs):
  """The one line of the UserError that a call raises."""
  with pytest.raises(UserError) as caught:
    function(*args, **kwargs)
  # gin adds a line to what is raised inside a configurable.
  message = str(caught.value).split('\n  In call to configurable')[0]
  assert '\n' not in message
  return message
