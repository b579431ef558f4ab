"""The lines of a file or of the standard input, one after the other in little memory; and rows of tokens."""

import sys

from albert.common.errors import UserError
from albert.common import files
from tools.text import streams

STANDARD_INPUT = '-'
_LONGEST = 1 << 20  # bytes of a line


def read(path):
  """Yields the lines of a text file in UTF-8, without their ends. A packed file (.gz, ...) is unpacked.

  Args:
    path: str, or STANDARD_INPUT, of which a line is given as soon as it is there.

  Raises:
    UserError: there is no line, one is too long or not UTF-8, or the file cannot be read.
  """
  shown = 'standard input' if path == STANDARD_INPUT else files.shown(path)
  stream = (streams.Stream(sys.stdin.buffer, 'utf-8', 'utf-8') if path == STANDARD_INPUT
            else streams.open_text(path, 'utf-8'))
  if path == STANDARD_INPUT:
    tell_who_types()
  number = 0
  with stream.file as source:
    try:
      for number, raw in enumerate(iter(lambda: source.readline(_LONGEST + 1), b''), 1):
        yield _text(raw, '{} line {:,}'.format(shown, number), number == 1)
    except streams.READ_ERRORS as error:
      raise UserError('{}: expected a text file, found one that cannot be read after line {:,} ({}); copy it '
                      'again'.format(shown, number, getattr(error, 'strerror', None) or error))
  if not number:
    raise UserError('{}: expected text, a line each, found nothing in it; name another file'.format(shown))


def tell_who_types():
  """Says to somebody at a terminal that lines are awaited; silence looks like a program that hangs."""
  if sys.stdin is not None and sys.stdin.isatty():
    print('write a text and Enter; Ctrl-D ends', file=sys.stderr, flush=True)


def _text(raw, place, is_first):
  if len(raw) > _LONGEST:
    raise UserError('{}: expected lines of text, found one of more than {:,} bytes; divide it'.format(place, _LONGEST))
  try:
    return raw.decode('utf-8-sig' if is_first else 'utf-8').rstrip('\r\n')
  except UnicodeDecodeError as error:
    raise UserError('{}: expected text in UTF-8, found an invalid byte at {}; convert the file'.format(
        place, error.start))


def row(ids, vocabulary):
  """The fields of a row that is one segment, [CLS] text [SEP], without padding: {name: list of ints}."""
  ids = [vocabulary.cls_id] + ids + [vocabulary.sep_id]
  return {'input_ids': ids, 'input_mask': [1] * len(ids), 'segment_ids': [0] * len(ids)}
