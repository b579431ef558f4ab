"""What the text is: settings that the vocabulary and the records share, and the reader that follows from them."""

import codecs
import collections

from albert.common import checks
from albert.common.errors import UserError
from albert.common import files
from tools.text import cleaning
from tools.text import corpus
from tools.text import encodings
from tools.text import hints
from tools.text import json_lines
from tools.text import layouts
from tools.text import streams

Source = collections.namedtuple('Source', ['encoding', 'skip_errors', 'cleaning'],
                                defaults=['utf-8', False, cleaning.Options()])
Source.__doc__ = """How text is read.

encoding: of the files; skip_errors: whether lines that are not in it are left out; cleaning: `cleaning.Options`.
"""


def define_flags(flags):
  """Defines the flags of a `Source` and of the input. flags: the module absl.flags, which only programs import."""
  flags.DEFINE_list('input_files', None, 'Text: files, globs and folders, separated by commas; .gz, .bz2, .xz, .zst '
                    'are unpacked, rows of .parquet, .csv and .tsv are JSON objects.')
  flags.DEFINE_alias('input_file', 'input_files')
  flags.DEFINE_string('encoding', 'utf-8', 'Encoding of the text, e.g. gb18030; auto: of each file, what its '
                      'beginning looks like. A byte-order mark says more.')
  flags.DEFINE_enum('errors', 'strict', ['strict', 'skip'], 'Lines that are not in the encoding: stop, or leave them '
                    'out and count them.')
  flags.DEFINE_enum('documents', None, corpus.DOCUMENTS, 'A document is what stands between two blank lines, a line, '
                    'or a file. By default blank_line, if the text does not look otherwise.')
  flags.DEFINE_string('text_field', '', 'The corpus is JSON lines; this field of each object is a document. Several, '
                      'separated by commas, are joined: title,content. A dot leads into objects: data.text.')
  flags.DEFINE_enum('normalization', 'none', cleaning.NORMALIZATIONS, 'width: full-width letters and digits become '
                    'half-width. nfkc: as Unicode says, without full-width punctuation.')
  flags.DEFINE_bool('drop_control_characters', False, 'Drop control characters before segmentation.')
  flags.DEFINE_bool('split_sentences', False, 'For text that is not one sentence per line.')
  flags.DEFINE_integer('min_characters', 0, 'Leave out documents with fewer.', lower_bound=0)
  flags.DEFINE_float('min_han_share', 0.0, 'Leave out documents with a smaller share of Han characters.', lower_bound=0,
                     upper_bound=1)
  flags.DEFINE_enum('duplicates', 'keep', cleaning.DUPLICATES, 'exact: leave out documents that came before. near: '
                    'also those that resemble one before.')
  flags.DEFINE_float('near_duplicate_threshold', 0.8, 'Jaccard similarity of near duplicates.', lower_bound=0.1,
                     upper_bound=1)


def of_flags(values):
  """The `Source` of the flags of `define_flags`. values: of absl.flags."""
  options = {name: getattr(values, name) for name in cleaning.Options._fields}
  options['documents'] = options['documents'] or corpus.BLANK_LINE
  return Source(values.encoding, values.errors == 'skip', cleaning.Options(**options))


def find_files(patterns, source, documents_given):
  """The paths of a corpus, as `corpus.find_files` finds them, after a look at what is in them.

  Args:
    patterns: files, globs and folders.
    source: `Source`.
    documents_given: whether its `documents` was asked for.

  Raises:
    UserError: there are none, or they look as if they were meant to be read otherwise.
  """
  check(source)
  paths = corpus.find_files(patterns)
  layouts.check(paths, source.encoding, source.cleaning, documents_given)
  check_not_misread(paths, source.encoding)
  return paths


def check_not_misread(paths, named):
  """Raises UserError if text can be read in an encoding that it is not in: as Latin-1 any bytes can be."""
  if named == streams.AUTO or codecs.lookup(named).name == 'utf-8':  # as which no other text can be read
    return
  for path in layouts.spread(paths):
    start = streams.beginning(path)
    other = None if streams.says_its_encoding(path, start) else encodings.misread(start, named)
    if other:
      raise UserError('{}: expected text in {}, found what is Chinese in {} and nothing that is read in {}; say '
                      '--encoding={}'.format(files.shown(path), named, other, named, other))


def hints_for(paths, source, documents_given):
  """What may be meant otherwise in a corpus that can be read as it is: list of str. See `hints.of_corpus`."""
  return hints.of_corpus(paths, source.encoding, source.cleaning, documents_given)


def check(source):
  """Raises UserError for an encoding that is not known, shares that are none, or settings that exclude each other."""
  streams.check_encoding(source.encoding)
  options = source.cleaning
  checks.number('--min_han_share', options.min_han_share, most=1)  # the flag's own bounds let NaN through
  checks.number('--near_duplicate_threshold', options.near_duplicate_threshold, least=0.1, most=1)
  if options.text_field and options.documents == corpus.FILE:
    raise UserError('expected --documents=file or --text_field, found both; of JSON lines each object is a document: '
                    'leave out --documents')
  if options.text_field and not json_lines.field_names(options.text_field):
    raise UserError('expected the names of fields, such as --text_field=title,content, found {!r}; correct it'.format(
        options.text_field))


def units(paths, source):
  """The `corpus.Unit`s of the files."""
  documents = corpus.LINE if source.cleaning.text_field else source.cleaning.documents
  return corpus.units(paths, source.encoding, documents)


def reader(source):
  """A reader of units: `corpus.Reader` or `json_lines.Reader`."""
  if source.cleaning.text_field:
    return json_lines.Reader(source.cleaning.text_field, source.encoding, source.skip_errors)
  return corpus.Reader(source.encoding, source.skip_errors, source.cleaning.documents)
