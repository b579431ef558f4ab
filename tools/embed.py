"""Vectors of texts from a pre-trained model: a line of text each, a row of a .npy file each.

    python -m tools.embed --init=out --input_file=texts.txt --output_file=vectors.npy --pool=mean

The file has float32 [lines, H]: numpy.load('vectors.npy'). A line without text keeps its place, with zeros.
"""

import collections
import logging
import time

from absl import flags

from albert.common import cli  # before TensorFlow: silences the warnings of its import
from albert.common.errors import UserError
from albert.common import files
from albert.common import gin_settings
from albert import npu_session
from albert import prediction
from albert.tasks.pretraining import Pretraining
from tools.prediction import lines
from tools.prediction import vectors

FLAGS = flags.FLAGS
_QUIET_SECONDS = 10.0
_NAMED = 5  # lines of a kind that are named by their numbers

_LOG = logging.getLogger('albert')


def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_string('init', None, 'The model: folder of a run, best/, prefix of a checkpoint or unpacked release.')
  flags.DEFINE_string('input_file', None, 'Texts, one in each line; - is the standard input.')
  flags.DEFINE_string('output_file', None, 'The .npy file to write.')
  flags.DEFINE_string('pool', vectors.MEAN, 'mean: of all tokens; cls: the output at [CLS]; pooler: what the sentence '
                      'order is told by.')
  flags.DEFINE_multi_string('gin_param', None, 'Bindings such as "SessionOptions.device=\'cpu\'", separated by ";".')


class _Told:
  """Which lines were special, and how many lines there were."""

  def __init__(self):
    self.numbers = collections.defaultdict(list)
    self.counts = collections.Counter()
    self._started = self._told = time.time()

  def note(self, kind, number):
    self.counts[kind] += 1
    if len(self.numbers[kind]) < _NAMED:
      self.numbers[kind].append(number)

  def progress(self, rows):
    """Says how far it is, now and then."""
    if time.time() - self._told >= _QUIET_SECONDS:
      self._told = time.time()
      _LOG.info('%s so far, %s a second', '{:,}'.format(rows), '{:,.0f}'.format(rows / (self._told - self._started)))

  def lines_of(self, kind):
    """'2 (line 3, 17)', the first ones by their numbers."""
    shown = ', '.join('{:,}'.format(number) for number in self.numbers[kind])
    return '{:,} (line {}{})'.format(
        self.counts[kind], shown, ', ...' if self.counts[kind] > len(self.numbers[kind]) else '')


def main(argv):
  """Writes the vectors and says how many there are."""
  cli.no_positional_arguments(argv)
  for name, variable in (('init', 'INIT'), ('input_file', 'INPUT'), ('output_file', 'OUTPUT')):
    if not getattr(FLAGS, name):
      raise UserError('expected --{}=... ({}=...), found none; see --help'.format(name, variable))
  if FLAGS.pool not in vectors.OUTPUTS:
    raise UserError('POOL: expected one of {}, found {!r}; correct it'.format(
        ', '.join(vectors.OUTPUTS), FLAGS.pool))
  gin_settings.parse([], gin_settings.bindings_of(FLAGS.gin_param))
  files.make_way(FLAGS.output_file, 'OUTPUT')
  model, told = prediction.find(FLAGS.init), _Told()
  width = model.config.hidden_size
  with prediction.Predictor(Pretraining(model.config), 'features', model, npu_session.start(),
                            outputs=[vectors.OUTPUTS[FLAGS.pool]]) as predictor:
    with vectors.writing(FLAGS.output_file, width) as writer:
      blank = [0.0] * width
      for vector in predictor.answers(_rows(FLAGS.input_file, model, told), lambda fields, answer: (
          blank if answer is None else vectors.pooled(fields, answer, FLAGS.pool))):
        writer.add(vector)
        told.progress(writer.rows)
  print('wrote {}: {:,} vector{} of {:,} numbers, {} of {}'.format(
      FLAGS.output_file, writer.rows, '' if writer.rows == 1 else 's', width, FLAGS.pool, model.prefix))
  if told.counts['blank']:
    print('lines without text, whose vectors are zeros: ' + told.lines_of('blank'))
  if told.counts['long']:
    print('lines of more than {:,} tokens, whose first ones count: {}'.format(
        predictor.longest - 2, told.lines_of('long')))


def _rows(path, model, told):
  """Yields (fields, fields) of each line, None for one without text."""
  for number, text in enumerate(lines.read(path), 1):
    fields, left_out = vectors.row(text, model)
    if fields is None:
      told.note('blank', number)
    if left_out:
      told.note('long', number)
    yield fields, fields


if __name__ == '__main__':
  define_flags()
  cli.run(main)
