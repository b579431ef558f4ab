"""A corpus of JSON lines: an object for each document, its text in one field, whose lines are sentences."""

import json

from albert.common.errors import UserError
from tools.text import corpus


class Reader(corpus.Reader):
  """Reads documents as `corpus.Reader` does.

  Args:
    text_field: name of the field.
    encoding, skip_errors: see there; lines that are not JSON objects with that field are errors too.
  """

  def __init__(self, text_field, encoding='utf-8', skip_errors=False):
    super().__init__(encoding, skip_errors)
    self._text_field = text_field
    self._errors_are_skipped = skip_errors

  def documents(self, unit):
    """Yields the `corpus.Document`s of a unit. A line of more than corpus.MAX_LINE_BYTES is an error."""
    in_long_line = -1
    for start, text, is_piece in self._lines(unit):
      if is_piece:
        if in_long_line != self.lines:
          self._wrong(unit, start, 'more than {:,} bytes'.format(corpus.MAX_LINE_BYTES))
        in_long_line = self.lines
      elif text:
        sentences = self._sentences(unit, start, text)
        if sentences:
          yield corpus.Document(unit.file, start, sentences, self.lines)

  def _sentences(self, unit, start, line):
    try:
      text = json.loads(line)[self._text_field]
      if isinstance(text, str):
        return [sentence.strip() for sentence in text.split('\n') if sentence.strip()]
    except (ValueError, KeyError, TypeError, RecursionError):
      pass
    self._wrong(unit, start, repr(line[:40]))
    return None

  def _wrong(self, unit, start, content):
    if self._errors_are_skipped:
      self.skipped.append((self.lines, 'no JSON object with a text "{}"'.format(self._text_field)))
      return
    raise UserError('{}: expected a JSON object with a text "{}" in each line, found {} in line {}; name the field '
                    '(--text_field) or leave such lines out (--errors=skip)'.format(
                        unit.path, self._text_field, content, corpus.line_number(unit.path, start)))
