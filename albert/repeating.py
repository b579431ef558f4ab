"""The same fine-tuning several times: with several seeds, or over folds of train, each in a folder of its own.

A run that is finished is recognised, one that was killed goes on; what they say together is written at the end. One
that diverges does not keep the others from being made; the exit code says it in the end.
"""

import collections
import functools
import logging
import os

from albert.answers import closing
from albert.answers import fine_tuned
from albert.answers import outcome as outcomes
from albert.answers import series
from albert.common.errors import Diverged
from albert.common.errors import UserError
from albert import finetuning
from albert.labelled import folds
from albert.labelled import sources
from albert.run import checkpoints

SEED_FOLDER = 'seed-{}'
FOLD_FOLDER = 'fold-{}'
AVERAGED_FILE = 'predictions-test.jsonl'

_LOG = logging.getLogger('albert')


def over_seeds(seeds, data_dir, output_dir, init=None, vocab_file=None):
  """One run for each seed. seeds: list of int. The rest, what it returns and raises: as for finetuning.finetune().

  Diverged: one of the runs has, after all of them were made and told.
  """
  of_runs = collections.OrderedDict()
  _check(output_dir)
  for number, seed in enumerate(seeds, 1):
    name = SEED_FOLDER.format(seed)
    _LOG.info('seed %d (run %d of %d): %s', seed, number, len(seeds), os.path.join(output_dir, name))
    code, closed = _attempt(data_dir, os.path.join(output_dir, name), init, vocab_file, seed=seed)
    if code is not None:
      return code
    of_runs[name] = closed
  series.write(output_dir, 'seed', of_runs)
  _check_finite(output_dir, of_runs)
  return None


def over_folds(count, data_dir, output_dir, init=None, vocab_file=None):
  """One run for each of `count` folds of train, of which that one is dev; predictions on test are averaged."""
  of_runs, average, folders = collections.OrderedDict(), series.Average(), []
  _check(output_dir)
  for number in range(count):
    name = FOLD_FOLDER.format(number + 1)
    folder = os.path.join(output_dir, name)
    _LOG.info('fold %d of %d: %s', number + 1, count, folder)
    code, closed = _attempt(data_dir, folder, init, vocab_file,
                            divide=functools.partial(folds.divide, number=number, count=count))
    if code is not None:
      return code
    of_runs[name] = closed
    if closed.test_logits:
      average.add(closed.test_logits)
      folders.append(folder)
  series.write(output_dir, 'fold', of_runs, _average(data_dir, output_dir, folders, average))
  _check_finite(output_dir, of_runs)
  return None


def _average(data_dir, output_dir, folders, average):
  """Figures of the averaged predictions on test, whose windows are those of every run; None where none has any."""
  if not folders:
    return None
  model = fine_tuned.averaged([fine_tuned.find(folder) for folder in folders])
  examples = sources.open_splits(data_dir, model.kind, finetuning.DataOptions()).test
  return series.write_averaged(os.path.join(output_dir, AVERAGED_FILE), model, examples, average,
                               outcomes.Judge(model))


def _attempt(*arguments, **more):
  """finetuning.run_once(), for one whose numbers are not finite with results that say so: the others go on."""
  try:
    return finetuning.run_once(*arguments, **more)
  except Diverged as error:
    _LOG.warning('%s', error)
    return None, closing.Closed({'failed': str(error), 'learned': False}, None, None)


def _check_finite(output_dir, of_runs):
  """Raises Diverged, when all is written, if one of the runs has. of_runs: as for series.write."""
  failed = [name for name, closed in of_runs.items() if 'failed' in closed.results]
  if failed:
    raise Diverged('{}: expected runs whose numbers stay finite, found {} of {} that have diverged ({}), whose figures '
                   'are in no mean; lower OptimizerOptions.learning_rate, or look at them'.format(
                       output_dir, len(failed), len(of_runs), ', '.join(failed)))


def _check(output_dir):
  if checkpoints.latest(output_dir) is not None:
    raise UserError('{}: expected a folder for several runs, found a single one; use another output folder '
                    '(OUT=...)'.format(output_dir))
