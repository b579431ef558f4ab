"""Finds what gin itself accepts in silence: a scope that nobody enters, a macro that nobody reads."""

import os

from gin import config_parser

from albert.common.errors import UserError


class _Names(config_parser.ParserDelegate):
  """Collects the names in gin text.

  Attributes:
    scoped: bindings with a scope, as written.
    macros: names of macros that are given a value, in order.
    referred: names of macros that are read, also by a binding that a later one replaces.
  """

  def __init__(self, root):
    self.scoped, self.macros, self.referred = [], [], set()
    self._root = root

  def configurable_reference(self, scoped_configurable_name, evaluate):
    """Part of the parser's interface; references are checked by gin."""

  def macro(self, macro_name):
    """Called by the parser for each %NAME in a value."""
    self.referred.add(macro_name)

  def read_file(self, path):
    """path: as in an include statement, relative to the current folder or the root."""
    with open(path if os.path.isfile(path) else os.path.join(self._root, path), encoding='utf-8') as source:
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


def check(gin_files, bindings, root):
  """Raises UserError for a binding with a scope and for a macro that nothing refers to.

  Args:
    gin_files: paths that gin has parsed without a complaint.
    bindings: list of bindings.
    root: folder in which files are searched besides the current one.
  """
  names = _Names(root)
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
