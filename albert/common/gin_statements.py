"""The statements of gin text, and whether their names exist: gin accepts some mistakes silently."""

import collections
import difflib
import inspect
import os
import re

import gin
from gin import config_parser

from albert.common.errors import UserError
from albert.common import files
from albert.common.files import ROOT
from albert.common import wide_marks

# Words of other languages for Python's values.
_VALUES = {'true': 'True', 'yes': 'True', 'on': 'True', 'false': 'False', 'no': 'False', 'off': 'False',
           'none': 'None', 'null': 'None'}
_EXPECTED_VALUE = "expected a value such as 3, 1e-5, True, None, 'text' or [1, 2], found {}; {}"

# where: str, where it is written. parts: of the name, ['pretrain', 'num_train_steps']; one part is a macro. scope: str.
_Binding = collections.namedtuple('_Binding', ['where', 'parts', 'scope'])


class Statements(config_parser.ParserDelegate):
  """Reads gin text without effect, then checks its names."""

  def __init__(self):
    self._bindings = []
    self._macros_read = {}  # {name: where}, also by a binding that a later one replaces
    self._references = {}
    self._where = ''

  def configurable_reference(self, scoped_configurable_name, evaluate):
    """Called by the parser for each @NAME in a value."""
    self._references.setdefault(scoped_configurable_name.split('/')[-1], self._where)

  def macro(self, macro_name):
    """Called by the parser for each %NAME in a value."""
    self._macros_read.setdefault(macro_name, self._where)

  def read_file(self, path, included_by=''):
    """path: as in an include statement, relative to the current folder or the repository.

    Raises:
      UserError: the file is absent, or as for read.
    """
    try:
      with open(path if os.path.isfile(path) else os.path.join(ROOT, path), encoding='utf-8') as source:
        self.read(source.read(), path)
    except UnicodeDecodeError:
      raise UserError('{}{}: expected a gin file in UTF-8, found other bytes; save it as UTF-8'.format(
          included_by, files.shown(path)))
    except OSError as error:
      raise UserError('{}{}: expected a gin file, found {}; name one, such as gin/1p.gin'.format(
          included_by, files.shown(path), files.found(error)))

  def read(self, text, where):
    """Reads text. where: str, how an error names it.

    Raises:
      UserError: it is no gin, or a file that it includes is absent.
    """
    self._where = where
    try:
      for statement in config_parser.ConfigParser(text, self):
        if isinstance(statement, config_parser.IncludeStatement):
          self.read_file(statement.filename, _place(where, text, statement.location) + ': ')
          self._where = where
        elif isinstance(statement, config_parser.BindingStatement):
          parts = [statement.selector] + ([statement.arg_name] if statement.arg_name else [])
          self._bindings.append(_Binding(_place(where, text, statement.location), parts, statement.scope))
    except UserError:
      raise
    except SyntaxError as error:
      place = config_parser.Location(None, error.lineno or 1, None, '')
      raise UserError('{}: {}'.format(_place(where, text, place), _explain(error, text)))
    except Exception as error:  # of Python's tokenizer
      raise UserError('{}: expected complete bindings, found an end in the middle of one ({}); {}'.format(
          where, str(error.args[0] if error.args else error),
          wide_marks.advice('' if '\n' in text else text, 'close the bracket or the quote')))

  def check(self):
    """Raises UserError for a name that nothing has, a binding with a scope, and a macro that nothing reads or gives."""
    given = [binding.parts[0] for binding in self._bindings if len(binding.parts) == 1]
    for name, where in self._macros_read.items():
      if name not in given:
        raise UserError('{}: expected a binding that gives %{} a value, found none; {}'.format(
            where, name, _did_you_mean(name, given, '%') or 'add {} = ...'.format(name)))
    for name, where in self._references.items():
      if not gin.config._REGISTRY.matching_selectors(name):
        raise UserError('{}: expected the name of something that gin knows after "@", found {!r}; write a value '
                        'instead'.format(where, name))
    known = _all_parameters()
    for binding in self._bindings:
      self._check_binding(binding, known)

  def _check_binding(self, binding, known):
    name = '.'.join(binding.parts)
    if binding.scope:
      raise UserError('{}: expected gin bindings without scopes, which nothing here enters, found {!r}; leave out what '
                      'stands before the "/"'.format(binding.where, '{}/{}'.format(binding.scope, name)))
    if len(binding.parts) == 1 and name not in self._macros_read:
      raise UserError('{0}: expected the name of a setting or of a macro that a binding refers to, found {1!r}; '
                      '{2}'.format(binding.where, name, _suggestion(name, known) or 'write the whole name, '
                                   'such as pretrain.num_train_steps, or refer to it as %' + name))
    if len(binding.parts) == 2 and name.split('.')[-2:] not in [full.split('.') for full in known]:
      raise UserError('{}: expected the name of a setting, found {!r}; {}'.format(
          binding.where, name, _suggestion(name, known) or _settings_of(binding.parts[0], known)))


def _place(where, text, location):
  """Where a statement is: a file's line, or the binding itself."""
  return '{} line {}'.format(where, location.line_num) if '\n' in text else where


def _explain(error, text):
  """The meaning of a SyntaxError of the parser, as 'expected ..., found ...; ...'. text: of the bindings."""
  line = (text.splitlines() + [''])[(error.lineno or 1) - 1].split('#')[0]
  wide = wide_marks.advice(line, '')
  if wide:
    return 'expected punctuation of ASCII outside quotes, found that of Chinese; ' + wide
  unread = re.search(r"Failed to parse token '(.*)'", str(error.msg))
  if unread:
    word = unread.group(1)
    value = _VALUES.get(word.lower())
    return _EXPECTED_VALUE.format(word, 'did you mean {}?'.format(value) if value else
                                  'put text into quotes: {!r}'.format(word))
  if 'Unable to parse value' in error.msg:
    return _EXPECTED_VALUE.format('none after "="', 'write one')
  return 'expected bindings such as pretrain.num_train_steps=100, found "{}" ({}); see gin/*.gin'.format(
      (error.text or '').strip(), error.msg.rstrip('.'))


def _all_parameters():
  """'Name.parameter' of everything that a binding can set."""
  return ['{}.{}'.format(selector.split('.')[-1], parameter)
          for selector, configurable in gin.config._REGISTRY.items() if not selector.startswith('gin.')
          for parameter in inspect.signature(configurable.wrapped).parameters]


def _suggestion(name, known):
  """'did you mean ...?' with a parameter of this name elsewhere, or of a similar one; '' if there is none."""
  parameter = name.split('.')[-1]
  same = [full for full in known if full.split('.')[1] == parameter]
  owner = [full for full in known if full.split('.')[0] == name.split('.')[0]]
  close = difflib.get_close_matches(parameter, [full.split('.')[1] for full in owner or known], 1)
  if same:
    meant = difflib.get_close_matches(name, same, 1, cutoff=0.0)
  elif close:
    meant = [full for full in owner or known if full.split('.')[1] == close[0]][:1]
  else:
    meant = []
  return 'did you mean {}?'.format(meant[0]) if meant else ''


def _settings_of(owner, known):
  """The settings of an owner, in words."""
  own = [full.split('.')[1] for full in known if full.split('.')[0] == owner]
  return '{} has {}'.format(owner, ', '.join(own)) if own else 'see "Configuration" in the README'


def _did_you_mean(name, known, prefix):
  close = difflib.get_close_matches(name, known, 1)
  return close and 'did you mean {}{}?'.format(prefix, close[0])
