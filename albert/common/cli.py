"""How every program of this repository starts: flags are parsed, a `UserError` becomes one line and its exit code.

A program whose work is in files goes on when its output is not read any more: `make data | head`, a closed terminal,
a full disk behind `>`. One whose result is what it prints ends instead.
"""

import difflib
import errno
import logging
import os
import re
import sys
import warnings

from absl import app
from absl import flags
from absl import logging as absl_logging

from albert.common import address_space
from albert.common.errors import UserError
from albert.common import locales
from albert.common import wide_marks

# TensorFlow 1.15 under numpy 1.21 prints a page of FutureWarnings when it is imported.
warnings.filterwarnings('ignore', category=FutureWarning)
# Its C++ half reports an absent CUDA as an error; real errors come as Python exceptions.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# Its warnings, and its estimator's, are mostly about their own deprecations.
logging.getLogger('tensorflow').setLevel(logging.ERROR)
_hook_before = sys.excepthook


def _end_quietly_if_interrupted(kind, error, trace):
  """As sys.excepthook: Ctrl-C while TensorFlow is imported, which takes seconds, is no page of its modules."""
  if not issubclass(kind, KeyboardInterrupt):
    _hook_before(kind, error, trace)  # that of address_space knows why TensorFlow cannot start
    return
  print('interrupted', file=sys.stderr)
  sys.stderr.flush()
  os._exit(130)  # the interpreter would exit with 1


sys.excepthook = _end_quietly_if_interrupted

# What writing raises when there is no reader any more: a pipe that was closed, a terminal that was.
_NOBODY_READS = (errno.EPIPE, errno.EIO)


class _OutputLost(Exception):
  """The result of the program, which it prints, cannot be written. error: OSError."""

  def __init__(self, error):
    super().__init__(str(error))
    self.error = error


class _Output:
  """A text stream that survives whoever reads it.

  Attributes:
    lost: the OSError after which nothing is written any more, or None.
  """

  def __init__(self, stream, is_result):
    """is_result: whether _OutputLost is raised, once, when the stream cannot be written."""
    self._stream = stream
    self._is_result = is_result
    self.lost = None

  def __getattr__(self, name):
    return getattr(self._stream, name)

  def write(self, text):
    return self._attempt(lambda: self._stream.write(text))

  def writelines(self, lines):
    self.write(''.join(lines))

  def flush(self):
    self._attempt(self._stream.flush)

  def _attempt(self, action):
    if self.lost is not None:
      return None
    try:
      return action()
    except OSError as error:
      self.lost = error
    self._drop_the_rest()
    if self._is_result:
      raise _OutputLost(self.lost)
    return None

  def _drop_the_rest(self):
    """What the stream still holds must go somewhere when the interpreter closes it, or it exits with 120."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, self._stream.fileno())
    os.close(nowhere)


def run(main, prints_result=False):
  """Runs `main(argv)`, where argv[1:] are positional arguments, and exits with its return value (None: 0).

  Args:
    main: the program.
    prints_result: whether what it prints is its result: then it ends when nobody reads on, and fails when that cannot
      be written. Else it goes on.
  """
  locales.start_again_in_utf8()
  locales.replace_what_cannot_be_printed()
  if 'tensorflow' in sys.modules:
    address_space.check('tensorflow')
  if sys.stdout is not None:
    sys.stdout = _Output(sys.stdout, prints_result)
  if sys.stderr is not None:
    sys.stderr = _Output(sys.stderr, is_result=False)
  logging.getLogger('albert').setLevel(logging.DEBUG)
  handler = logging.StreamHandler()
  handler.setLevel(logging.INFO)  # what is below goes to the log file of a run
  handler.setFormatter(logging.Formatter('%(asctime)s %(message)s', '%H:%M:%S'))
  logging.getLogger('albert').addHandler(handler)
  logging.getLogger('albert').propagate = False
  if 'tensorflow' in sys.modules and address_space.note():
    logging.getLogger('albert').warning('%s', address_space.note())
  app.run(_guarded(main), flags_parser=_parse_flags)


def say_only_warnings():
  """From now on only warnings are printed: another process prints the rest."""
  for handler in logging.getLogger('albert').handlers:
    if type(handler) is logging.StreamHandler:  # not what writes to files
      handler.setLevel(logging.WARNING)


def no_positional_arguments(argv):
  """Raises UserError if anything but flags was given: absl itself accepts leftovers silently."""
  if len(argv) > 1:
    given = ' '.join(argv[1:])
    raise UserError('expected only --flag=value arguments, found {!r}; {}'.format(given, wide_marks.advice(
        given, 'was a "--" or a quote forgotten?', ('—', '——', '－', '＝', '“', '”', '\u3000'))))


def _parse_flags(argv):
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    _fail(_explain(error) + '; see --help')
  except (SystemExit, _OutputLost):  # absl has printed its help, and counts that as a failure
    _finish_output()
    sys.exit(0)


def _explain(error):
  """The problem with a flag in one line. error: flags.Error."""
  if not isinstance(error, flags.UnrecognizedFlagError):
    return ' '.join(str(error).split())
  # absl's suggestions are in the text only, its own flags among them, in the order of the alphabet.
  meant = re.search(r'Did you mean: (.*) \?', str(error))
  near = difflib.get_close_matches(error.flagname, meant.group(1).split(', ') if meant else [], 1, cutoff=0)
  return 'expected the name of a flag, found --{}{}'.format(
      error.flagname, '; did you mean --{}?'.format(near[0]) if near else '')


def _guarded(main):
  """main() with its exceptions turned into one line and an exit code."""
  def guarded(argv):
    # gin logs each folder in which an included file is not; a file that is in none of them raises an exception.
    absl_logging.set_verbosity(absl_logging.FATAL)
    try:
      code = main(argv)
      _finish_output()
      return code
    except UserError as error:
      _finish_output()
      # gin adds lines about the call to any exception that passes through it.
      _fail(str(error).split('\n')[0], error.exit_code)
    except UnicodeEncodeError as error:
      if not locales.explain(error):
        raise
      _fail(locales.explain(error))
    except MemoryError:
      _fail('expected enough memory, found none left; ' + address_space.remedy())
    except _OutputLost as lost:
      if lost.error.errno not in _NOBODY_READS:
        _fail('standard output: expected room to write, found {}; write somewhere else'.format(lost.error.strerror))
    except KeyboardInterrupt:
      print('interrupted', file=sys.stderr)
      sys.exit(130)
  return guarded


def _finish_output():
  """Writes what is still in the buffer, and says if something was lost that a reader may miss."""
  if sys.stdout is None:
    return
  try:
    sys.stdout.flush()
  except _OutputLost as lost:
    if lost.error.errno not in _NOBODY_READS:
      raise
  lost = getattr(sys.stdout, 'lost', None)
  if lost is not None and lost.errno not in _NOBODY_READS:
    print('standard output could not be written ({}); what this program printed is not complete'.format(
        lost.strerror), file=sys.stderr)


def _fail(message, code=1):
  print('error: ' + message, file=sys.stderr)
  sys.exit(code)
