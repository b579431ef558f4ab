"""Figures of a fine-tuned model on labelled text, by the code that training evaluates with.

    python -m tools.evaluate_task --init=out --data=shared/tnews

--data is a file, or a folder of which dev and test are taken. A line that cannot be read is an error: figures of what
is left would be too good. --json prints everything, the confusion matrix too.
"""

import collections
import os
import sys

from absl import flags

from albert.common import cli  # before TensorFlow: silences the warnings of its import
from albert.answers import fine_tuned
from albert.answers import inputs
from albert.answers import outcome as outcomes
from albert.common.errors import UserError
from albert.common import files
from albert.common import gin_settings
from albert.common import json_text
from albert.labelled.example import BadLine
from albert.labelled.example import EMPTY_LINE
from albert.labelled import split_files
from albert import npu_session
from tools.prediction import figures

FLAGS = flags.FLAGS


def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_string('init', None, 'The model: folder of a fine-tuned run, its best/ or a prefix.')
  flags.DEFINE_string('data', None, 'A labelled file, or a folder with dev and test.')
  flags.DEFINE_bool('json', False, 'A JSON object with the figures of each file.')
  flags.DEFINE_multi_string('gin_param', None, 'Bindings such as "SessionOptions.device=\'cpu\'", separated by ";".')


def main(argv):
  """Prints the figures of each file."""
  cli.no_positional_arguments(argv)
  for name, variable in (('init', 'INIT'), ('data', 'DATA')):
    if not FLAGS[name].value:
      raise UserError('expected --{}=... ({}=...), found none; see --help'.format(name, variable))
  gin_settings.parse([], gin_settings.bindings_of(FLAGS.gin_param))
  model = fine_tuned.find(FLAGS.init)
  paths = _paths(FLAGS.data)
  told = collections.OrderedDict()
  with model.predictor(npu_session.start()) as predictor:
    for title, path in paths.items():
      _, entries = inputs.read_file(path, model.kind, model.data, model.labels, is_labelled=True)
      judge = outcomes.Judge(model)
      for _ in outcomes.answered(model, model.logits(predictor, _good(entries, path)), None, judge):
        pass
      told[title] = judge.figures()
      if not FLAGS.json:
        print('\n'.join(figures.lines(title, judge)))
  if FLAGS.json:
    print(json_text.line(told, sys.stdout.encoding))


def _paths(path):
  """{title: path} of the files to evaluate."""
  if not os.path.isdir(path):
    return {os.path.basename(path): path}
  splits = split_files.named_like_splits(path)
  splits.pop('train', None)
  if not splits:
    raise UserError('{}: expected dev or test, found neither; name a file'.format(files.shown(path)))
  return splits


def _good(entries, path):
  """The Examples of a file; an error for a line that is none."""
  for entry in entries:
    if not isinstance(entry, BadLine):
      yield entry
    elif entry.error != EMPTY_LINE:
      raise UserError('{}:{}: {}; correct the line, or leave it out'.format(
          files.shown(path), entry.line, entry.error))


if __name__ == '__main__':
  define_flags()
  cli.run(main)
