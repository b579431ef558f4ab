"""A corpus of JSON lines: an object for each document, its text in one field or several.

A text is a sentence per line; a list of texts is a list of sentences. Fields follow each other in the order in which
they are named; one that an object lacks, or that is null, adds nothing. A dot leads into an object, or into each of a
list of them: data.text, conversations.value.
"""

import json

from albert.common.errors import UserError
from tools.text import corpus

# Of a list of objects so many are looked at for the names of their fields.
_LOOKED_AT = 5


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
        sentences = self.sentences(text)
        if sentences is None:
          self._wrong(part, start, repr(text[:40]))
        if sentences:
          yield corpus.Document(part.file, start, sentences, self.lines)

  def sentences(self, line):
    """The sentences of a line, a list; None where it is no object with text in the fields."""
    try:
      record = json.loads(line.lstrip(corpus.BOM))
      found = [value for name in self._fields for value in values(record, name)]
      texts = [text for value in found for text in _texts(value)]
      if found:
        return [sentence.strip() for text in texts for sentence in self._characters(text).split('\n')
                if sentence.strip()]
    except (ValueError, TypeError, RecursionError):
      pass
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


def values(record, name):
  """The values that an object has under the name of a field, which may have dots; none if it lacks the field.

  Raises:
    TypeError: the record is no object.
  """
  if not isinstance(record, dict):
    raise TypeError('no object')
  if name in record:
    return [record[name]]
  head, _, rest = name.partition('.')
  inner = record.get(head) if rest else None
  return [value for item in (inner if isinstance(inner, list) else [inner]) if isinstance(item, dict)
          for value in values(item, rest)]


def names_of_text(record):
  """The names of the fields of an object that hold text, with dots where they lie deeper: list of str."""
  names = []
  for name, value in record.items():
    if holds_text(value):
      names.append(name)
    inner = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
    names += ['{}.{}'.format(name, deeper) for item in inner[:_LOOKED_AT] for deeper in names_of_text(item)]
  return list(dict.fromkeys(names))


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
