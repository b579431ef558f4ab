"""Chinese word segmentation. jieba is the definition; rjieba is the same algorithm and dictionary in Rust.

Between Han characters both put the same boundaries (tools/agreement.py measures it); numbers and latin may differ.
"""

import functools
import importlib.util
import logging
import warnings

from albert.common import checks
from albert.common.errors import UserError

SEGMENTERS = ('jieba', 'rjieba')


def is_installed(name):
  """Whether a segmenter can be used on this machine."""
  return importlib.util.find_spec(name) is not None


def default():
  """rjieba, 7 times faster, where it is installed; it has no wheel for some machines, such as aarch64."""
  return 'rjieba' if is_installed('rjieba') else 'jieba'


@functools.lru_cache(maxsize=None)
def segmenter(name):
  """The function text -> list of words that concatenate to the text; loads the dictionary.

  Raises:
    UserError: unknown, or not installed.
  """
  checks.one_of('--segmenter', name, SEGMENTERS)
  try:
    return {'jieba': _jieba, 'rjieba': _rjieba}[name]()
  except ImportError:
    raise UserError('expected the package {0}, found none installed; pip install {0}, or use --segmenter=jieba, '
                    'which needs no compiled package'.format(name))


def _jieba():
  with warnings.catch_warnings():
    # jieba imports pkg_resources, which warns about itself.
    warnings.simplefilter('ignore')
    import jieba
  jieba.setLogLevel(logging.WARNING)
  jieba.initialize()
  return jieba.lcut


def _rjieba():
  import rjieba
  return rjieba.cut
