"""Prints records as readable Chinese: words, masks, labels, sentence order.

  python -m tools.inspect_records --input_files=data/records --num_examples=2

--input_files: a data set's folder, or shards with --vocab_file. Records in the compact format have no masks yet.
"""

import glob
import itertools
import os

from absl import flags

from albert.common import cli
from albert.common.errors import UserError
from albert.common import files
from albert.dataset import contract
from albert.dataset import example_writer
from albert.dataset import examples
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert.dataset import tokenization
from tools.preprocessing import readable

FLAGS = flags.FLAGS

def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_list('input_files', None, 'A data set folder, or TFRecord files and globs, separated by commas.')
  flags.DEFINE_string('vocab_file', None, 'Vocabulary; by default the vocab.txt beside the records.')
  flags.DEFINE_integer('num_examples', 3, 'How many records to print.', lower_bound=1)
  flags.DEFINE_integer('skip', 0, 'How many to pass over first.', lower_bound=0)


def main(argv):
  """Prints records."""
  cli.no_positional_arguments(argv)
  if not FLAGS.input_files:
    raise UserError('expected --input_files=FOLDER or files, found none; see --help')
  paths = find_records(FLAGS.input_files)
  vocabulary = find_vocabulary(paths[0], FLAGS.vocab_file)
  print(readable.LEGEND)
  last = FLAGS.skip + FLAGS.num_examples
  for path, number, record in itertools.islice(numbered_records(paths), FLAGS.skip, last):
    place = '{} record {}'.format(files.shown(path), number)
    print('\n' + place + '\n' + readable.describe(_checked(record, len(vocabulary), place), vocabulary, place))


def find_records(names):
  """The record files that folders (by their dataset.json), files and globs name.

  Raises:
    UserError: there are none.
  """
  paths = []
  for name in names:
    if os.path.isdir(name):
      info = contract.DatasetInfo.load(name)
      paths.extend(info.paths(contract.TRAIN) + info.paths(contract.HELDOUT))
    else:
      paths.extend([name] if os.path.exists(name) else sorted(glob.glob(name)))
  if not paths:
    raise UserError('expected TFRecord files or a data set at {}, found none; make one with "make data"'.format(
        ', '.join(names)))
  return paths


def find_vocabulary(path, vocab_file):
  """The vocabulary of the records at `path`: the given one if it fits, else the one beside them.

  Raises:
    UserError: there is none, or the given one is not the data set's.
  """
  folder = os.path.dirname(path)
  beside = os.path.join(folder, contract.VOCAB_FILE)
  if not vocab_file and not os.path.exists(beside):
    raise UserError('expected the vocabulary of {} beside it, found no {}; name it with --vocab_file'.format(
        path, contract.VOCAB_FILE))
  vocabulary = tokenization.Vocabulary.load(vocab_file or beside)
  if os.path.exists(os.path.join(folder, contract.DATASET_FILE)):
    info = contract.DatasetInfo.load(folder)
    if info.vocab_sha256 != vocabulary.sha256:
      raise UserError('{}: expected the vocabulary that the data set in {} was made with ({} tokens), found another '
                      'one ({} tokens); use {}'.format(vocab_file or beside, folder, info.vocab_size,
                                                       len(vocabulary), beside))
  return vocabulary


def numbered_records(paths):
  """Yields (path, number in the file, record)."""
  for path in paths:
    for number, record in enumerate(tfrecord.read_records(path)):
      yield path, number, record


def _checked(record, vocab_size, place):
  """The features of a record whose numbers lead nowhere else, for describe()."""
  example = example_writer.parse_example(record, place)
  is_compact = record_format.COMPACT_FEATURES[0].name in example
  sizes = [len(example.get(name, ())) for name in (
      'word_lengths' if is_compact else 'input_ids', 'masked_lm_positions')]
  form = examples.Form(record_format.COMPACT_FEATURES if is_compact else record_format.REFERENCE_FEATURES, *sizes,
                       vocab_size=vocab_size)
  problem = form.problem_with(record)
  if problem is not None:
    raise UserError('{}: expected a record in the reference or the compact format, found {}; make the data set again, '
                    'or name the vocabulary that it was made with'.format(place, problem))
  return example


if __name__ == '__main__':
  define_flags()
  cli.run(main, prints_result=True)
