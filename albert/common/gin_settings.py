"""Parsing gin settings, and the mistakes that gin itself accepts silently: an unused scope, an unread macro."""

import os

import gin
from gin import config_parser

from albert.common.errors import UserError
from albert.common.files import ROOT


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
    raise UserError('expected gin bindings separated by ";", found an open quote in {!r}; close it'.format(text))
  return [binding.strip() for binding in bindings + [current] if binding.strip()]


def parse(gin_files, bindings):
  """Parses and locks the configuration.

  Args:
    gin_files: paths, relative to the current folder or the repository.
    bindings: list of bindings, which go before those of the files.

  Raises:
    UserError: a file that is absent, a name that nothing has or reads, or a value that cannot be read.
  """
  gin.add_config_file_search_path(ROOT)
  try:
    gin.parse_config_files_and_bindings(gin_files, bindings, skip_unknown=False)
  except Exception as error:  # gin raises what it likes: ValueError, SyntaxError, IOError, NameError, TypeError
    raise UserError('expected gin settings as in gin/*.gin, found a mistake: {}'.format(' '.join(str(error).split())))
  _check(gin_files, bindings)


class _Names(config_parser.ParserDelegate):
  """Collects the names in gin text.

  Attributes:
    scoped: bindings with a scope, as written.
    macros: names of macros that are given a value, in order.
    referred: names of macros that are read, also by a binding that a later one replaces.
  """

  def __init__(self):
    self.scoped, self.macros, self.referred = [], [], set()

  def configurable_reference(self, scoped_configurable_name, evaluate):
    """Part of the parser's interface; references are checked by gin."""

  def macro(self, macro_name):
    """Called by the parser for each %NAME in a value."""
    self.referred.add(macro_name)

  def read_file(self, path):
    """path: as in an include statement, relative to the current folder or the repository."""
    with open(path if os.path.isfile(path) else os.path.join(ROOT, path), encoding='utf-8') as source:
      self.read(source)

  def read(self, source):
    """source: text, or an open file."""
    for statement in config_parser.ConfigParser(source, self):
      if isinstance(statement, config_parser.IncludeStatement):
        self.read_file(statement.filename)
      elif isinstance(statement, config_parser.BindingStatement):
        parts = [statement.selector] + ([statement.arg_name] if statement.arg_name else [])
        if statement.scope:
          self.scoped.append('{}/{}'.format(statement.scope, '.'.join(parts)))
        elif not statement.arg_name:
          self.macros.append(statement.selector)


def _check(gin_files, bindings):
  """Raises UserError for a binding with a scope and for a macro that nothing refers to.

  Args:
    gin_files: paths that gin has parsed without a complaint.
    bindings: list of bindings.
  """
  names = _Names()
  for path in gin_files:
    names.read_file(path)
  names.read('\n'.join(bindings))
  if names.scoped:
    raise UserError('expected gin bindings without scopes, which nothing here enters, found {!r}; leave out what '
                    'stands before the "/"'.format(names.scoped[0]))
  unread = [name for name in names.macros if name not in names.referred]
  if unread:
    raise UserError('expected macros that a binding refers to, found {0!r}, which none does; write the whole name, '
                    'such as pretrain.num_train_steps, or refer to it as %{0}'.format(unread[0]))
