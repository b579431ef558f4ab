"""Exits with code 1 unless a run predicts masked tokens better than a unigram model.

The held-out loss must be --required_nats below the cross-entropy of the same labels under the training token counts.
"""

import os

from absl import flags

from albert.common import cli
from albert.common.errors import UserError
from albert.run import names
from albert.run import run_files
from albert.tasks import unigram

FLAGS = flags.FLAGS


def define_flags():
  flags.DEFINE_string('output_dir', None, 'Folder of the run.')
  flags.DEFINE_float('required_nats', 0.3, 'How far the held-out loss must be below the unigram cross-entropy.')


def nats_gained(results):
  """How far the held-out masked-LM loss is below the unigram cross-entropy, in nats.

  Args:
    results: dict, the content of results.json.

  Raises:
    UserError: a figure is missing.
  """
  heldout = results.get('heldout', {})
  # null: it was not finite.
  missing = [name for name in ('masked_lm_loss', 'unigram_cross_entropy') if heldout.get(name) is None]
  if missing:
    raise UserError('expected held-out figures, found none of {}; evaluate the run first: make eval'.format(
        ', '.join('heldout.' + name for name in missing)))
  return unigram.better_by(heldout)


def main(argv):
  """Reads results.json and prints one line."""
  cli.no_positional_arguments(argv)
  path = os.path.join(FLAGS.output_dir or '', names.RESULTS_FILE)
  written, problem = run_files.read_json(path, run_files.is_results)
  if written is None:
    raise UserError('expected the results of a run in {}, found {}; name its folder with --output_dir'.format(
        path, 'that ' + problem if problem else 'none'))
  gained = nats_gained(written)
  if not gained >= FLAGS.required_nats:  # NaN has not learned either
    raise UserError('expected a held-out masked-LM loss at least {:.2f} nats below the unigram cross-entropy, found '
                    '{:.4f}; train longer or look at the loss in TensorBoard'.format(FLAGS.required_nats, gained))
  print('it has learned: {:.4f} nats better than a unigram model (at least {:.2f} expected)'.format(
      gained, FLAGS.required_nats))


if __name__ == '__main__':
  define_flags()
  cli.run(main)
