"""Names and files are UTF-8 whatever the locale; what a terminal cannot show is replaced.

Under a locale such as zh_CN.GBK or en_US.ISO-8859-1 Python 3.7 takes names of files and text for GBK or Latin-1, while
TensorFlow and the files of this repository are UTF-8.
"""

import os
import sys

from albert.common import restart

_SETTING = 'PYTHONUTF8'  # read by the interpreter when it starts: PEP 540


def start_again_in_utf8():
  """Replaces this process by itself in Python's UTF-8 mode, unless it is in UTF-8 already.

  Standard output keeps the locale's encoding. Does nothing where a command line cannot be read.
  """
  if sys.getfilesystemencoding() == 'utf-8' or os.environ.get(_SETTING) == '1':
    return
  environment = dict(os.environ, **{_SETTING: '1'})
  environment.setdefault('PYTHONIOENCODING', '{}:replace'.format(sys.stdout.encoding if sys.stdout else 'utf-8'))
  restart.start_again(environment)


def replace_what_cannot_be_printed():
  """Makes standard output replace characters that its encoding lacks, instead of raising an exception."""
  if hasattr(sys.stdout, 'reconfigure'):
    sys.stdout.reconfigure(errors='replace')


def explain(error):
  """The remedy for a UnicodeEncodeError: str; None if it is not about a name that is not UTF-8."""
  if not any('\udc80' <= char <= '\udcff' for char in error.object):
    return None
  name = os.fsencode(error.object).decode('utf-8', 'replace')
  return 'expected names of files in UTF-8, found {}; rename it, or give its name in UTF-8'.format(name)
