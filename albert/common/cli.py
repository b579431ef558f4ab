"""How every program of this repository starts: flags are parsed, a `UserError` becomes one line and exit code 1."""

import logging
import os
import sys
import warnings

from absl import app
from absl import flags
from absl import logging as absl_logging

from albert.common import address_space
from albert.common.errors import UserError

# TensorFlow 1.15 under numpy 1.21 prints a page of FutureWarnings when it is imported.
warnings.filterwarnings('ignore', category=FutureWarning)
# Its C++ half reports an absent CUDA as an error; real errors come as Python exceptions.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# Its warnings, and its estimator's, are mostly about their own deprecations.
logging.getLogger('tensorflow').setLevel(logging.ERROR)


def run(main):
  """Runs `main(argv)`, where argv[1:] are positional arguments, and exits with its return value (None: 0)."""
  if 'tensorflow' in sys.modules:
    address_space.check('tensorflow')
  logging.getLogger('albert').setLevel(logging.INFO)
  handler = logging.StreamHandler()
  handler.setFormatter(logging.Formatter('%(asctime)s %(message)s', '%H:%M:%S'))
  logging.getLogger('albert').addHandler(handler)
  logging.getLogger('albert').propagate = False
  app.run(_one_line_errors(main), flags_parser=_parse_flags)


def no_positional_arguments(argv):
  """Raises UserError if anything but flags was given: absl itself accepts leftovers silently."""
  if len(argv) > 1:
    raise UserError('expected only --flag=value arguments, found {!r}; '
                    'was a "--" or a quote forgotten?'.format(' '.join(argv[1:])))


def _parse_flags(argv):
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    _fail(' '.join(str(error).split()) + '; see --help')


def _one_line_errors(main):
  def guarded(argv):
    # gin logs each folder in which an included file is not; a file that is in none of them raises an exception.
    absl_logging.set_verbosity(absl_logging.FATAL)
    try:
      return main(argv)
    except UserError as error:
      # gin adds lines about the call to any exception that passes through it.
      _fail(str(error).split('\n')[0])
    except MemoryError:
      _fail('expected enough memory, found none left; ' + address_space.remedy())
    except BrokenPipeError:  # of `program | head`; without this the interpreter complains again when it closes stdout
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
      print('interrupted', file=sys.stderr)
      sys.exit(130)
  return guarded


def _fail(message):
  print('error: ' + message, file=sys.stderr)
  sys.exit(1)
