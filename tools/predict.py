"""What a fine-tuned model says to each line of a file, or to what somebody types.

    python -m tools.predict --init=out --input_file=titles.json --output_file=answers.jsonl
    python -m tools.predict --init=out --interactive

--input_file may have any layout that training takes, or a text in each line; - is the standard input, lines as they
are typed. Every line is answered once, in order; one that cannot be read gives {"line", "error"}, and the exit code is
1 at the end. --labelled reads labels too and tells the figures. Typed lines: a text, two with a tab between them where
the model reads two (a question, then its text), or a JSON object.
"""

import codecs
import contextlib
import logging
import sys
import time

from absl import flags

from albert.common import cli  # before TensorFlow: silences the warnings of its import
from albert.answers import fine_tuned
from albert.answers import inputs
from albert.answers import outcome as outcomes
from albert.answers import writers
from albert.common.errors import UserError
from albert.common import files
from albert.common import gin_settings
from albert.common.in_words import counted
from albert.labelled.example import BadLine
from albert import npu_session
from tools.prediction import figures
from tools.prediction import lines

FLAGS = flags.FLAGS
_QUIET_SECONDS = 10.0

_LOG = logging.getLogger('albert')


def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_string('init', None, 'The model: folder of a fine-tuned run, its best/ or a prefix.')
  flags.DEFINE_string('input_file', None, 'What is to be answered; - is the standard input.')
  flags.DEFINE_string('output_file', None, 'JSON lines; written when all are answered. None: the standard output.')
  flags.DEFINE_bool('interactive', False, 'Answers each line as it is typed.')
  flags.DEFINE_bool('labelled', False, 'Reads labels too, repeats them in each line and tells the figures.')
  flags.DEFINE_bool('clue_format', False, 'What the CLUE site takes: {"id", "label"} in each line; of `read` one '
                    'object, {id: answer}.')
  flags.DEFINE_integer('n_best', 1, 'Of `read`: how many answers to each question.', lower_bound=1)
  flags.DEFINE_multi_string('gin_param', None, 'Bindings such as "SessionOptions.device=\'cpu\'", separated by ";".')


class _Progress:
  """Counts lines, and says how far it is, now and then."""

  def __init__(self):
    self.count = self.wrong = 0
    self._began = self._told = time.time()

  def add(self, entry):
    self.count += 1
    self.wrong += isinstance(entry, BadLine)
    now = time.time()
    if now - self._told >= _QUIET_SECONDS:
      self._told = now
      _LOG.info('%s, %s', counted(self.count, 'line'), self.rate())

  def rate(self):
    """'300 a second'."""
    rate = self.count / max(1e-9, time.time() - self._began)
    return ('{:,.0f} a second' if rate >= 10 else '{:.1f} a second').format(rate)


def _is_typed():
  return FLAGS.interactive or FLAGS.input_file == lines.STANDARD_INPUT


def main(argv):
  """Loads the model once, answers every line."""
  cli.no_positional_arguments(argv)
  if not FLAGS.init:
    raise UserError('expected --init=RUN (INIT=...), the folder of a fine-tuned run, found none; name one')
  if bool(FLAGS.input_file) == FLAGS.interactive:
    raise UserError('expected --input_file=... (INPUT=...) or --interactive, found {}; give one of them'.format(
        'both' if FLAGS.interactive else 'neither'))
  if FLAGS.labelled and _is_typed():
    raise UserError('expected a file with labels (LABELLED=1), found lines that are typed; name a file')
  gin_settings.parse([], gin_settings.bindings_of(FLAGS.gin_param))
  if FLAGS.output_file:
    files.make_way(FLAGS.output_file, 'OUTPUT')
  model = fine_tuned.find(FLAGS.init)
  entries = _entries(model)
  if not FLAGS.output_file or _is_typed():
    logging.getLogger('albert').setLevel(logging.WARNING)  # the answers are what is to be read
  judge = outcomes.Judge(model) if FLAGS.labelled else None
  progress = _Progress()
  with model.predictor(npu_session.start()) as predictor, _target() as target:
    writer = writers.clue(target, model) if FLAGS.clue_format else writers.JsonLines(target)
    for entry, _, _ in outcomes.answered(model, model.logits(predictor, entries, _is_typed()), writer, judge,
                                         n_best=FLAGS.n_best):
      progress.add(entry)
      if _is_typed():
        writer.flush()
    writer.close()
  _tell(progress, judge, writer)


def _entries(model):
  """The Examples and BadLines to answer."""
  if _is_typed():
    return inputs.read_typed(_typed_lines(), model.kind, model.data, model.is_pair)
  layout, entries = inputs.read_file(FLAGS.input_file, model.kind, model.data, model.labels, FLAGS.labelled)
  _LOG.info('%s: %s', files.shown(FLAGS.input_file), layout)
  return entries


def _typed_lines():
  lines.tell_who_types()
  for number, raw in enumerate(iter(sys.stdin.buffer.readline, b'')):
    if not number and raw.startswith(codecs.BOM_UTF8):
      raw = raw[len(codecs.BOM_UTF8):]
    yield raw.decode('utf-8', 'surrogateescape').rstrip('\r\n')


@contextlib.contextmanager
def _target():
  """The file that answers are written to."""
  if not FLAGS.output_file:
    yield sys.stdout
    return
  with files.atomic(FLAGS.output_file) as target:
    yield target


def _tell(progress, judge, writer):
  """Says how many lines were answered, and the figures. writer: writers.JsonLines or one of its kinds."""
  if FLAGS.output_file:
    print('wrote {}: {:,} line{}, {}'.format(FLAGS.output_file, progress.count, '' if progress.count == 1 else 's',
                                             progress.rate()))
  if judge is not None:
    print('\n'.join(figures.lines('labelled', judge)), file=sys.stdout if FLAGS.output_file else sys.stderr)
  if progress.wrong:
    raise UserError('expected an answer to each of {:,} lines, found {:,} that could not be read, {}; correct '
                    'them'.format(progress.count, progress.wrong, writer.where_errors))


if __name__ == '__main__':
  define_flags()
  cli.run(main, prints_result=True)
