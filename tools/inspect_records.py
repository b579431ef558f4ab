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
from albert.dataset import examples
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert.dataset import tokenization
from tools.preprocessing import compact
from tools.preprocessing import example_writer

FLAGS = flags.FLAGS

LEGEND = ('words are set apart by spaces; 【词】 is masked, 【词→字】 is replaced by another token, 【词=】 is to be '
          'predicted but left as it is')


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
  print(LEGEND)
  last = FLAGS.skip + FLAGS.num_examples
  for path, number, record in itertools.islice(numbered_records(paths), FLAGS.skip, last):
    place = '{} record {}'.format(files.shown(path), number)
    print('\n' + place + '\n' + describe(_checked(record, len(vocabulary), place), vocabulary, place))


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


def describe(example, vocabulary, place='record'):
  """A record as text to print.

  Args:
    example: of example_writer.parse_example, with at least the features of the reference or of the compact format.
    vocabulary: `tokenization.Vocabulary`.
    place: names the record in errors.
  """
  if record_format.COMPACT_FEATURES[0].name in example:
    example = compact.unpack(example, len(example['word_lengths']))
  missing = [spec.name for spec in record_format.REFERENCE_FEATURES if spec.name not in example]
  if missing:
    raise UserError('{}: expected the features of the reference format, found no {}; make the data set '
                    'again'.format(place, ', '.join(missing)))
  length = int(example['input_mask'].sum())
  weights = example['masked_lm_weights'] > 0
  labels = dict(zip(example['masked_lm_positions'][weights].tolist(), example['masked_lm_ids'][weights].tolist()))
  ids = example['input_ids'][:length].tolist()
  if max(ids + list(labels.values())) >= len(vocabulary):
    raise UserError('{}: expected ids below {}, the size of the vocabulary, found {}; name the vocabulary that the '
                    'records were made with'.format(place, len(vocabulary), max(ids + list(labels.values()))))
  words = words_of(ids, example.get(record_format.TOKEN_BOUNDARY.name), vocabulary)
  segments = [[], []]
  for word in words:
    segments[int(example['segment_ids'][word[0]])].append(_word_text(word, ids, labels, vocabulary))
  order = 'swapped: B comes before A in the text' if example['next_sentence_labels'][0] else 'as in the text'
  return '\n'.join([
      '{} of {} positions used, {} masked ({:.1%}); sentence order {}'.format(
          length, len(example['input_ids']), len(labels), len(labels) / max(1, length), order),
      'A       ' + ' '.join(segments[0]),
      'B       ' + ' '.join(segments[1]),
      'labels  ' + _labels_text(words, ids, labels, vocabulary)])


def words_of(ids, boundary, vocabulary):
  """The words as lists of positions, without [CLS] and [SEP]. boundary: 1 where a word starts, or None: by `##`."""
  words = []
  for position, token in enumerate(ids):
    if token in (vocabulary.cls_id, vocabulary.sep_id):
      words.append([])
    elif not words or not words[-1] or _starts_word(position, token, boundary, vocabulary):
      words.append([position])
    else:
      words[-1].append(position)
  return [word for word in words if word]


def _starts_word(position, token, boundary, vocabulary):
  return boundary[position] if boundary is not None else not vocabulary.tokens[token].startswith('##')


def _word_text(word, ids, labels, vocabulary):
  """A word as it was in the text, in brackets if it is to be predicted."""
  original = _join([labels.get(position, ids[position]) for position in word], vocabulary)
  if not any(position in labels for position in word):
    return original
  changed = [ids[position] for position in word]
  if all(token == vocabulary.mask_id for token in changed):
    return '【{}】'.format(original)
  if all(labels.get(position, ids[position]) == ids[position] for position in word):
    return '【{}=】'.format(original)
  return '【{}→{}】'.format(original, _join(changed, vocabulary))


def _join(tokens, vocabulary):
  texts = (vocabulary.tokens[token] for token in tokens)
  return ''.join(text[2:] if text.startswith('##') and len(text) > 2 else text for text in texts)


def _labels_text(words, ids, labels, vocabulary):
  """Each masked word: its position, the tokens to be predicted and those of the input."""
  parts = []
  for word in words:
    masked = [position for position in word if position in labels]
    if masked:
      parts.append('{} {}←{}'.format(masked[0], ' '.join(vocabulary.tokens[labels[p]] for p in masked),
                                     ' '.join(vocabulary.tokens[ids[p]] for p in masked)))
  return '; '.join(parts) or 'none'


if __name__ == '__main__':
  define_flags()
  cli.run(main, prints_result=True)
