"""Measures how far two segmenters agree on real text, at the boundaries between Han characters.

  python -m tools.agreement --input_files=data/sample_zh.txt
"""

import collections

from absl import flags

from albert.common import cli
from albert.common.errors import UserError
from albert.dataset import tokenization
from tools.text import corpus
from tools.text import segmentation
from tools.text import streams

FLAGS = flags.FLAGS

Agreement = collections.namedtuple('Agreement', ['pairs', 'same', 'lines', 'same_lines', 'examples'])
Agreement.__doc__ = """pairs: neighbouring Han characters; same: those where both see a word boundary or neither does.

lines: with Han characters; same_lines: those where all pairs are the same; examples: some lines that differ, as both
segmenters divide them, [(str, str)].
"""


def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_list('input_files', None, 'Text: files, globs and folders, separated by commas; .gz is unpacked.')
  flags.DEFINE_string('encoding', 'utf-8', 'Encoding of the text.')


def main(argv):
  """Prints the agreement of jieba and rjieba."""
  cli.no_positional_arguments(argv)
  if not FLAGS.input_files:
    raise UserError('expected --input_files=..., found none; see --help')
  streams.check_encoding(FLAGS.encoding)
  lines = (line for unit in corpus.units(corpus.find_files(FLAGS.input_files), FLAGS.encoding)
           for document in corpus.Reader(FLAGS.encoding).documents(unit) for line in document.sentences)
  print(report(measure(lines, segmentation.segmenter('jieba'), segmentation.segmenter('rjieba'))))


def measure(lines, first, second, max_examples=5):
  """The `Agreement` of two functions text -> words over lines of text."""
  pairs = same = count = same_lines = 0
  examples = []
  for line in lines:
    words = first(line), second(line)
    places = [place for place in range(1, len(line))
              if tokenization.is_han(line[place - 1]) and tokenization.is_han(line[place])]
    if not places:
      continue
    cuts, other_cuts = map(_boundaries, words)
    agreeing = sum((place in cuts) == (place in other_cuts) for place in places)
    pairs += len(places)
    same += agreeing
    count += 1
    same_lines += agreeing == len(places)
    if agreeing < len(places) and len(examples) < max_examples:
      examples.append(tuple('/'.join(part) for part in words))
  return Agreement(pairs, same, count, same_lines, examples)


def _boundaries(words):
  """The offsets at which words end."""
  ends, position = set(), 0
  for word in words:
    position += len(word)
    ends.add(position)
  return ends


def report(agreement):
  """An `Agreement` as text to print."""
  lines = ['Han word boundaries: {:,} of {:,} the same ({:.4%}); lines: {:,} of {:,} ({:.2%})'.format(
      agreement.same, agreement.pairs, agreement.same / max(1, agreement.pairs), agreement.same_lines,
      agreement.lines, agreement.same_lines / max(1, agreement.lines))]
  for words in agreement.examples:
    lines += ['  jieba   ' + words[0], '  rjieba  ' + words[1]]
  return '\n'.join(lines)


if __name__ == '__main__':
  define_flags()
  cli.run(main)
