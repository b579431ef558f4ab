"""Parsing gin settings: every mistake is one line that says where it is and what was probably meant."""

import gin

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.common.gin_statements import Statements
from albert.common import wide_marks


def split(text):
  """Splits 'a.b=1; c.d="x;y"' at the semicolons outside quotes. Returns a list of bindings."""
  bindings, quote, escaped, current = [], None, False, ''
  for character in text:
    if escaped:
      escaped = False
    elif quote:
      escaped = character == '\\'
      quote = None if character == quote else quote
    elif character in '\'"':
      quote = character
    elif character == ';':
      bindings.append(current)
      current = ''
      continue
    current += character
  if quote:
    raise UserError('expected gin bindings separated by ";", found an open quote in {!r}; {}'.format(
        text, wide_marks.advice(text, 'close it')))
  return [binding.strip() for binding in bindings + [current] if binding.strip()]


def bindings_of(texts):
  """The bindings of all values of --gin_param, a list. texts: list of str, or None."""
  return [binding for text in texts or [] for binding in split(text)]


def parse(gin_files, bindings):
  """Parses and locks the configuration.

  Args:
    gin_files: paths, relative to the current folder or the repository.
    bindings: list of bindings, which go before those of the files.

  Raises:
    UserError: a file that is absent, a name that nothing has or reads, or a value that cannot be read.
  """
  statements = Statements()
  for path in gin_files:
    statements.read_file(path)
  for binding in bindings:
    statements.read(binding, repr(binding))
  statements.check()
  gin.add_config_file_search_path(ROOT)
  try:
    gin.parse_config_files_and_bindings(gin_files, bindings, skip_unknown=False)
  except Exception as error:  # gin raises what it likes: ValueError, SyntaxError, IOError, NameError, TypeError
    raise UserError('expected gin settings as in gin/*.gin, found some that gin refuses: {}'.format(
        str(error).strip().split('\n')[0]))
