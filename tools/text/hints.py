"""What may be meant otherwise in a corpus, though it can be read as it is."""

from tools.text import corpus
from tools.text import json_lines
from tools.text import layouts

# Fewer lines say nothing about a file.
_ENOUGH_LINES = 20
# Documents of more lines between two blank ones are hardly meant.
_MANY_LINES = 100
# The most characters of a cell that is shown.
_SHOWN = 10


def of_corpus(paths, encoding, options, documents_given):
  """Hints for whoever named a corpus: list of str, a line each. Arguments: as of `layouts.check`."""
  files = [(path, layouts.first_lines(path, encoding)) for path in layouts.spread(paths)]
  lines = [line.strip('\r\n') for _, lines in files for line in lines if line.strip()]
  found = []
  if options.text_field:
    reader = json_lines.Reader(options.text_field, skip_errors=True)
    lines = [sentence for line in lines for sentence in reader.sentences(line) or []]
  else:
    found.append(_columns(lines))
    if options.documents == corpus.BLANK_LINE and not documents_given:
      found += [_long_document(path, lines) for path, lines in files if layouts.is_alone_or_large(path, paths)][:1]
  if not options.split_sentences:
    found.append(_sentences(lines))
  return [hint for hint in found if hint]


def _sentences(lines):
  """Lines of several sentences."""
  if not lines:
    return None
  characters, sentences = layouts.sizes(lines)
  if characters < layouts.LONG_ENOUGH or sentences < layouts.SENTENCES:
    return None
  return ('lines have {:.0f} characters and {:.1f} sentences; a line is taken for one sentence: --split_sentences '
          'divides them'.format(characters, sentences))


def _columns(lines):
  """Lines with the same number of tabs: a table without a name."""
  numbers = {line.count('\t') for line in lines}
  if len(lines) < _ENOUGH_LINES or len(numbers) > 1 or not numbers.pop():
    return None
  cells = lines[0].split('\t')
  return ('each line has {} columns divided by tabs ({}), and all of them are taken for text; to keep one: cut -f{} '
          'FILE > NEW'.format(len(cells), ' | '.join(cell[:_SHOWN] + '...' * (len(cell) > _SHOWN) for cell in cells),
                       1 + max(range(len(cells)), key=lambda number: len(cells[number]))))


def _long_document(path, lines):
  """Few blank lines or none, which would divide documents."""
  lines = layouts.body(lines)
  blank = sum(not line.strip() for line in lines)
  if len(lines) - blank < _MANY_LINES * (blank + 1):
    return None
  return ('{}: {:,} lines at its beginning, {} of them blank, so that documents are long; --documents=line, if each '
          'line is one'.format(path, len(lines), blank or 'none'))
