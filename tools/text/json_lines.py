"""A corpus of JSON lines: an object for each document, its text in one field or several.

A text is a sentence per line; a list of texts, or of such lists, is a list of sentences. Fields follow each other in
the order in which they are named; one that an object lacks, or that is null (NaN, as pandas writes it), adds nothing. A
dot leads into an object, or into each of a list of them: data.text, conversations.value.
"""

import json
import math

from albert.common.errors import UserError
from albert.common import files
from tools.text import corpus
from tools.text import streams

# Of a list of objects so many are looked at for the names of their fields.
_LOOKED_AT = 5
# Of a line that is none so much is shown.
_SHOWN = 60
# A longer line is an error: it is in memory as a whole.
LONGEST_LINE = 1 << 26


class Reader(corpus.Reader):
  """Reads documents as `corpus.Reader` does.

  Args:
    text_field: names of the fields, separated by commas.
    encoding, skip_errors: see there; lines that are not JSON objects with one of these fields are errors too.
  """

  def __init__(self, text_field, encoding='utf-8', skip_errors=False):
    super().__init__(encoding, skip_errors)
    self._longest_line = LONGEST_LINE
    self._fields = field_names(text_field)
    self._errors_are_skipped = skip_errors

  def _documents_of(self, part):
    """Yields the `corpus.Document`s of a part. A line of more than LONGEST_LINE bytes is an error."""
    in_long_line = -1
    for start, text, is_piece in self._lines(part):
      if is_piece:
        if in_long_line != self.lines:
          self._wrong(part, start, 'more than {:,} bytes'.format(LONGEST_LINE))
        in_long_line = self.lines
      elif text:
        sentences = self.sentences(text)
        if sentences is None:
          self._wrong(part, start, self._fault(text))
        if sentences:
          yield from self._divided(corpus.Document(part.file, start, sentences, self.lines), _bytes(text))

  def _divided(self, document, size):
    """Yields a document whose line has `size` bytes in UTF-8, in several if that is too long for one."""
    # Twice, as a line of MAX_LINE_BYTES in another encoding is none too long.
    if size <= 2 * corpus.MAX_LINE_BYTES:
      yield document
      return
    self.divided_lines += 1
    sentences, filled, number = [], 0, 0
    for sentence in _short_sentences(document.sentences):
      sentences.append(sentence)
      filled += _bytes(sentence)
      if filled >= corpus.MAX_DOCUMENT_BYTES:
        yield document._replace(offset=document.offset + number, sentences=sentences)
        sentences, filled, number = [], 0, number + 1
    if sentences:
      yield document._replace(offset=document.offset + number, sentences=sentences)
    self.divided_documents += number - (not sentences)

  def sentences(self, line):
    """The sentences of a line, a list; None where it is no object with text in the fields."""
    try:
      record = json.loads(line.lstrip(corpus.BOM))
      found = [value for name in self._fields for value in values(record, name)]
      parts = [text for value in found for text in texts(value)]
      if found:
        return [sentence.strip() for text in parts for sentence in self._characters(text).split('\n')
                if sentence.strip()]
    except (ValueError, TypeError, RecursionError):
      pass
    return None

  def _fault(self, line):
    """What a line has instead of text: the value of a field that is none, else its beginning."""
    try:
      record = json.loads(line.lstrip(corpus.BOM))
      for name in self._fields:
        for value in values(record, name):
          if not is_null(value) and not holds_text(value):
            return '{:.40} in "{}"'.format(json.dumps(value, ensure_ascii=False), name)
    except (ValueError, TypeError, RecursionError):
      pass
    return repr(line[:_SHOWN])

  def _wrong(self, part, start, content):
    fields = ' or '.join('"{}"'.format(name) for name in self._fields)
    if self._errors_are_skipped:
      self.skipped.append((self.lines, 'no JSON object with a text {}'.format(fields)))
      return
    raise UserError('{}: expected a JSON object with a text {} in each line, found {} in {} {}; name the field '
                    '(--text_field) or only the files that are JSON, or leave such lines out (--errors=skip)'.format(
                        files.shown(part.path), fields, content,
                        'row (below the names)' if streams.is_table(part.path) else 'line',
                        corpus.line_number(part.path, self._encoding, start)))


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
  return [value for item in _objects(record.get(head) if rest else None) for value in values(item, rest)]


def _objects(value):
  """The objects that a field is, or that lie in its lists at any depth."""
  if isinstance(value, list):
    return [item for inner in value for item in _objects(inner)]
  return [value] if isinstance(value, dict) else []


def names_of_text(record):
  """The names of the fields of an object that hold text, with dots where they lie deeper: list of str."""
  names = []
  for name, value in record.items():
    if holds_text(value):
      names.append(name)
    names += ['{}.{}'.format(name, deeper) for item in _objects(value)[:_LOOKED_AT] for deeper in names_of_text(item)]
  return list(dict.fromkeys(names))


def holds_text(value):
  """Whether a field's value is a text or a list of texts, empty or not."""
  try:
    return not is_null(value) and texts(value) is not None
  except TypeError:
    return False


def texts(value):
  """The texts of a field's value; raises TypeError if it is no text, no list of texts at any depth and not null."""
  if isinstance(value, str):
    return [value]
  if isinstance(value, list):
    return [text for item in value for text in texts(item)]
  if is_null(value):
    return []
  raise TypeError('no text')


def is_null(value):
  """Whether a field's value stands for none."""
  return value is None or isinstance(value, float) and math.isnan(value)


def _short_sentences(sentences):
  """Yields sentences, those that are longer than any is in pieces of it, divided after the marks that end sentences."""
  longest = corpus.MAX_LINE_BYTES // 4
  for sentence in sentences:
    if len(sentence) <= longest:
      yield sentence
    else:
      for begin in range(0, len(sentence), longest):
        yield from corpus.split_sentences(sentence[begin:begin + longest])


def _bytes(text):
  return len(text.encode('utf-8', 'surrogatepass'))
