"""Writes report.html into the folder of a run: curves, held-out figures in words, predictions, settings, data, losses.

    python -m tools.report --output_dir=out

Also of a run in progress, which it does not disturb. One file that loads nothing from elsewhere.
"""

import logging
import os

from absl import flags

from albert.common import cli  # before TensorFlow: silences the warnings of its import
from albert.common.errors import UserError
from albert.common import files
from albert.device.session_options import SessionOptions
from albert import npu_session
from albert import prediction
from albert.run import names
from albert.tasks.pretraining import Pretraining
from tools.prediction import heldout
from tools.reporting import material
from tools.reporting import page

FLAGS = flags.FLAGS

def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_string('output_dir', 'out', 'Folder of the run.')
  flags.DEFINE_string('input_file', None, 'Its data set, where it is not found by itself.')
  flags.DEFINE_integer('num_examples', 8, 'How many held-out sentences are tried.', lower_bound=0)


def main(argv):
  """Reads, tries the best checkpoint, writes."""
  cli.no_positional_arguments(argv)
  run = material.read(FLAGS.output_dir, FLAGS.input_file)
  logging.getLogger('albert').setLevel(logging.WARNING)
  guesses, problem = _guesses(run)
  path = os.path.join(FLAGS.output_dir, names.REPORT_FILE)
  try:
    files.write_atomically(path, page.make(run, guesses, problem))
  except OSError as error:
    raise UserError('{}: expected a file that can be written, found: {}; make room'.format(path, error.strerror))
  print('wrote {}{}'.format(path, '' if guesses or not problem else '; no predictions: ' + problem))


def _guesses(run):
  """(list of heldout.Guessed of the best checkpoint, None), or ([], why there is none)."""
  if run.task != Pretraining.name:
    return [], None
  if run.info is None:
    return [], run.info_problem
  try:
    model = prediction.find(FLAGS.output_dir)
    device = npu_session.start(SessionOptions(device='cpu'))  # another device belongs to a run in progress
    with prediction.Predictor(Pretraining(model.config), 'masked_lm', model, device, batch_size=8) as predictor:
      return heldout.guesses(predictor, model, run.info, FLAGS.num_examples), None
  except UserError as error:
    return [], str(error)


if __name__ == '__main__':
  define_flags()
  cli.run(main)
