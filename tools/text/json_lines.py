"""A corpus of JSON lines: an object for each document, its text in one field or several.

A text is a sentence per line; a list of texts is a list of sentences. Fields follow each other in the order in which
they are named; one that an object lacks, or that is null, adds nothing.
"""

import json

from albert.common.errors import UserError
from tools.text import corpus


class Reader(corpus.Reader):
  """Reads documents as `corpus.Reader` does.

  Args:
    text_field: names of the fields, separated by commas.
    encoding, skip_errors: see there; lines that are not JSON objects with one of these fields are errors too.
  """

  def __init__(self, text_field, encoding='utf-8', skip_errors=False):
    super().__init__(encoding, skip_errors)
    self._fields = field_names(text_field)
    self._errors_are_skipped = skip_errors

  def _documents_of(self, part):
    """Yields the `corpus.Document`s of a part. A line of more than corpus.MAX_LINE_BYTES is an error."""
    in_long_line = -1
    for start, text, is_piece in self._lines(part):
      if is_piece:
        if in_long_line != self.lines:
          self._wrong(part, start, 'more than {:,} bytes'.format(corpus.MAX_LINE_BYTES))
        in_long_line = self.lines
      elif text:
        sentences = self._sentences(part, start, text)
        if sentences:
          yield corpus.Document(part.file, start, sentences, self.lines)

  def _sentences(self, part, start, line):
    try:
      record = json.loads(line)
      texts = [text for name in self._fields if name in record for text in _texts(record[name])]
      if any(name in record for name in self._fields):
        return [sentence.strip() for text in texts for sentence in self._characters(text).split('\n')
                if sentence.strip()]
    except (ValueError, TypeError, RecursionError):
      pass
    self._wrong(part, start, repr(line[:40]))
    return None

  def _wrong(self, part, start, content):
    fields = ' or '.join('"{}"'.format(name) for name in self._fields)
    if self._errors_are_skipped:
      self.skipped.append((self.lines, 'no JSON object with a text {}'.format(fields)))
      return
    raise UserError('{}: expected a JSON object with a text {} in each line, found {} in line {}; name the field '
                    '(--text_field) or leave such lines out (--errors=skip)'.format(
                        part.path, fields, content, corpus.line_number(part.path, self._encoding, start)))


def field_names(text_field):
  """The names in a --text_field: list of str."""
  return [name.strip() for name in text_field.split(',') if name.strip()]


def holds_text(value):
  """Whether a field's value is a text or a list of texts, empty or not."""
  try:
    return value is not None and _texts(value) is not None
  except TypeError:
    return False


def _texts(value):
  """The texts of a field's value; raises TypeError if it is no text, no list of texts and not null."""
  texts = [value] if isinstance(value, str) else value or [] if isinstance(value, (list, type(None))) else None
  if texts is None or not all(isinstance(text, str) for text in texts):
    raise TypeError('no text')
  return texts
