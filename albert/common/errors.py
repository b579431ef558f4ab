"""The exception whose message is for the user."""


class UserError(Exception):
  """Bad input: one line that says what was expected, what was found and what to do.

  Entry points (see `cli.run`) print it as `error: <message>` and exit with code 1, without a traceback.
  """
