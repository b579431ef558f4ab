"""Command line of fine-tuning: `albert.run_finetuning --task=tnews --data_dir=DATA --init=RUN --output_dir=OUT`.

Later wins: gin/finetune/<task>.gin, --gin_file, --gin_param bindings, then the named flags that were given.
"""

import difflib
import logging
import os

from absl import flags

from albert.common import cli
from albert.device import allocator

if __name__ == '__main__':
  allocator.start_again_with_settings()  # before TensorFlow is imported

from albert.common.errors import UserError
from albert.common import files
from albert.common import gin_settings
from albert.common import wide_marks
from albert import finetuning
from albert.model.config import AlbertConfig
from albert import repeating
from albert.run import taking_back
from tools.conversion import published

FLAGS = flags.FLAGS
_LOG = logging.getLogger('albert')

_TASKS = os.path.join('gin', 'finetune')

flags.DEFINE_string('task', None, 'What is learned: a file of gin/finetune, such as classify, tag or tnews.')
flags.DEFINE_string('data_dir', None, 'Folder with train, dev and test.')
flags.DEFINE_string('init', None, 'Weights to start from: a run (its best checkpoint, else the newest), its best/, a '
                    'prefix or a release; a folder of transformers or an archive is made ready in OUTPUT_DIR/init. '
                    'Empty: random ones.')
flags.DEFINE_string('output_dir', None, 'Folder of the run; a run found there is continued.')
flags.DEFINE_string('vocab_file', None, 'Vocabulary of random weights; beside --init it is compared with theirs.')
flags.DEFINE_string('albert_config_file', None, 'JSON of the architecture of random weights.')
flags.DEFINE_list('seeds', None, 'One run for each of these seeds, in output_dir/seed-<n>, then their mean.')
flags.DEFINE_integer('folds', None, 'Number of folds of train: one run for each, with that fold as dev.',
                     lower_bound=2)
flags.DEFINE_multi_string('gin_file', None, 'More experiment files, after that of the task.')
flags.DEFINE_multi_string('gin_param', None, 'Bindings such as "finetune.epochs=5", separated by ";".')


def tasks():
  """The names that --task may have, sorted."""
  return sorted(name[:-len('.gin')] for name in os.listdir(os.path.join(files.ROOT, _TASKS)) if name.endswith('.gin'))


def _parse_settings():
  """Parses the gin files and bindings, in the order in which the last one wins."""
  if not FLAGS.task or FLAGS.task not in tasks():
    near = difflib.get_close_matches(FLAGS.task or '', tasks(), 1)
    raise UserError('--task (TASK): expected one of {}, found {}; {}'.format(
        ', '.join(tasks()), repr(FLAGS.task) if FLAGS.task else 'none',
        'did you mean {}?'.format(near[0]) if near else 'name one'))
  bindings = gin_settings.bindings_of(FLAGS.gin_param)
  if FLAGS.albert_config_file:
    bindings += AlbertConfig.from_json_file(FLAGS.albert_config_file).bindings()
  own = os.path.join(files.ROOT, _TASKS, FLAGS.task + '.gin')
  gin_settings.parse([own] + (FLAGS.gin_file or []), bindings)
  architecture = [binding for binding in bindings if binding.startswith('AlbertConfig.')]
  if FLAGS.init and architecture:
    _LOG.warning('%s: no effect, the architecture is that of --init (INIT); finetune.dropout sets another dropout',
                 ', '.join(architecture[:3] + ['...'] * (len(architecture) > 3)))


def main(argv):
  """Parses, then calls finetune() and returns what it returns, the exit code."""
  cli.no_positional_arguments(argv)
  for name, variable in (('data_dir', 'DATA'), ('output_dir', 'OUT')):
    if not FLAGS[name].value:
      raise UserError('expected --{}=FOLDER ({}=...), found none'.format(name, variable))
  _parse_settings()
  seeds = _seeds() if FLAGS.seeds else None
  with taking_back.unless_begun(FLAGS.output_dir, several=bool(seeds or FLAGS.folds)) as made:
    where = FLAGS.data_dir, FLAGS.output_dir, _init(made), FLAGS.vocab_file or None
    if seeds:
      return repeating.over_seeds(seeds, *where)
    if FLAGS.folds:
      return repeating.over_folds(FLAGS.folds, *where)
    return finetuning.finetune(*where)


def _init(made):
  """Weights to start from as a path, or None. made: set of what is made for that, of taking_back."""
  if not FLAGS.init:
    return None
  ready = os.path.join(FLAGS.output_dir, published.NAME)
  if not os.path.lexists(ready):
    made.add(ready)
  return published.ready(FLAGS.init, FLAGS.output_dir)


def _seeds():
  """The seeds as a list of int."""
  if FLAGS.folds:
    raise UserError('expected --seeds (SEEDS=...) or --folds (FOLDS=...), found both; give one of them')
  try:
    seeds = [int(text) for text in FLAGS.seeds]
  except ValueError:
    seeds = []
  if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
    given = ','.join(FLAGS.seeds)
    raise UserError('--seeds (SEEDS): expected different whole numbers such as 1,2,3, found {}; {}'.format(
        given, wide_marks.advice(given, 'correct it', wide_marks.SEPARATORS)))
  return seeds


if __name__ == '__main__':
  cli.run(main)
