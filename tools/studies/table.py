"""The table of a study: a text file of words separated by tabs, a line for each data set and each run. No TensorFlow.

    base      gin/study/mini.gin
    data      NAME    flags of tools.create_pretraining_data
    heldout   flags that replace those of each data set in the one that its runs are evaluated on
    run       NAME    data set    bindings, separated by ";"

In bindings <NAME> is the folder of that data set. The first run is the one that the others are compared with. Lines
that begin with "#" say what is studied.
"""

import collections
import re

from albert.common.errors import UserError
from albert.common import files

# base: path of the gin file of all runs. data: OrderedDict of name to str, flags of the data tool. heldout: str, flags.
# runs: list of Run.
Table = collections.namedtuple('Table', ['base', 'data', 'heldout', 'runs'])
# name: plain name. data: name of its data set. settings: str, bindings of gin.
Run = collections.namedtuple('Run', ['name', 'data', 'settings'])

_WORDS = {'base': (2, 2), 'heldout': (2, 2), 'data': (2, 3), 'run': (3, 4)}
_NAME = re.compile(r'[a-z0-9][a-z0-9._-]*')
REFERENCE = re.compile('<([^<>]*)>')


def read(path):
  """Reads a table.

  Args:
    path: of the file.

  Returns:
    Table.

  Raises:
    UserError: there is none, or a line that is not as described above; it names the line.
  """
  try:
    with open(path, encoding='utf-8') as source:
      lines = source.read().split('\n')
  except UnicodeDecodeError:
    raise UserError('{}: expected a table of runs in UTF-8, found other bytes; save it as UTF-8'.format(path))
  except OSError as error:
    raise UserError('{}: expected a table of runs, found {}; name one with --table'.format(path, files.found(error)))
  table = Table(None, collections.OrderedDict(), '', [])
  for number, line in enumerate(lines, 1):
    if line.strip() and not line.startswith('#'):
      table = _with_line(table, '{} line {}'.format(path, number), [word.strip() for word in line.split('\t')])
  if table.base is None or not table.runs:
    raise UserError('{}: expected a line "base" and a line "run" at least, found {}; add it'.format(
        path, 'no base' if table.base is None else 'no run'))
  return table


def _with_line(table, where, words):
  """The table with one line more. where: str, for messages. words: list of str."""
  kind, rest = words[0], [word for word in words[1:] if word]
  least, most = _WORDS.get(kind, (0, 0))
  if not least <= 1 + len(rest) <= most:
    raise UserError('{}: expected {}, separated by tabs, found {!r}; correct it'.format(
        where, '{} to {} words'.format(least, most) if most else 'base, data, heldout or run', '\t'.join(words)))
  if kind in ('base', 'heldout'):
    return table._replace(**{kind: rest[0]})
  name = rest[0]
  if not _NAME.fullmatch(name) or name in table.data or name in [run.name for run in table.runs]:
    raise UserError('{}: expected a name of small letters, digits, ".", "-" and "_" that is not used before, found '
                    '{!r}; correct it'.format(where, name))
  if kind == 'data':
    table.data[name] = rest[1] if rest[1:] else ''
    return table
  settings = rest[2] if rest[2:] else ''
  for needed in [rest[1]] + REFERENCE.findall(settings):
    if needed not in table.data:
      raise UserError('{}: expected a data set among {}, found {!r}; describe it in a line above'.format(
          where, ', '.join(table.data) or 'those of lines above', needed))
  return table._replace(runs=table.runs + [Run(name, rest[1], settings)])


def data_sets(run):
  """The names of the data sets that a Run reads, its own first."""
  return list(collections.OrderedDict.fromkeys([run.data] + REFERENCE.findall(run.settings)))
