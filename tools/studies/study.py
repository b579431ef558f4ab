"""Which recipe learns most in an hour? Carries out a table of runs, one after the other, and compares them.

    python -m tools.studies.study --table=gin/study/levers.tsv --input_files=corpus.txt --output_dir=out/study

What a table says is described in tools/studies/table.py. The unit is CPU seconds of training (user and system, without
evaluations and starts of the process) to the held-out masked LM loss that the first run of the table ends with. The
same command again goes on where it was stopped; when all is there it only writes levers.csv, levers.png and the table
anew, for the runs that are finished so far. A run that fails, as one whose rate is too high, does not keep the others
from being made. --report_only=True waits for no run.
"""

import collections
import logging
import os

from absl import flags

from albert.common import cli
from albert.common.errors import UserError
from tools.studies import carrying_out
from tools.studies import curves
from tools.studies import picture
from tools.studies import table

FLAGS = flags.FLAGS
_LOG = logging.getLogger('albert')


def define_flags():
  flags.DEFINE_string('table', 'gin/study/levers.tsv', 'The runs.')
  flags.DEFINE_string('input_files', None, 'Text to learn from and to hold documents out of, as for the data tool.')
  flags.DEFINE_string('output_dir', None, 'Folder of the study.')
  flags.DEFINE_list('seeds', ['12345'], 'Each run is made with each of them.')
  flags.DEFINE_list('runs', None, 'Names of the runs to make; all by default.')
  flags.DEFINE_string('report', None, 'Where the CSV, the picture and the table go: a path without ending. By default '
                      'the name of the table in the folder of the study.')
  flags.DEFINE_bool('report_only', False, 'Make no run; tell of those that are there.')


def finished(study, seeds):
  """OrderedDict of name of a run to OrderedDict of seed to its points, of the runs that are finished."""
  runs = collections.OrderedDict()
  for run in study.table.runs:
    folders = [(seed, study.run_folder(run.name, seed)) for seed in seeds]
    by_seed = collections.OrderedDict(
        (seed, curves.read(folder)) for seed, folder in folders if carrying_out.is_finished(folder))
    if by_seed:
      runs[run.name] = by_seed
  return runs


def report(study, seeds, path):
  """Writes path.csv, path.png and path.md, and prints the table, if the run to compare with is finished."""
  runs = finished(study, seeds)
  first = study.table.runs[0].name
  if first not in runs:
    _LOG.info('nothing to compare with yet: %s is not finished', first)
    return
  os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
  curves.write_csv(path + '.csv', runs)
  lines = curves.as_table(curves.summary(runs))
  curves.write_text(path + '.md', lines)
  picture.draw(path + '.png', runs, os.path.basename(path))
  print('\n'.join(lines))
  print('written: {0}.csv, {0}.md, {0}.png'.format(path))


def whole_seeds(words):
  """The seeds as ints. Raises UserError for anything else."""
  try:
    return [int(word) for word in words]
  except ValueError as error:
    raise UserError('--seeds: expected whole numbers separated by commas, found {}; correct it'.format(error))


def chosen(runs, names):
  """The runs of these names, in the order of the table; all where `names` is None.

  Raises:
    UserError: there is none of a name.
  """
  unknown = sorted(set(names or ()) - {run.name for run in runs})
  if unknown:
    raise UserError('--runs: expected names among {}, found {}'.format(
        ', '.join(run.name for run in runs), ', '.join(unknown)))
  return [run for run in runs if names is None or run.name in names]


def carry_out(study, runs, seeds):
  """Makes the runs that are missing, one after the other. Returns what is wrong with those that failed: list of str.

  Args:
    study: carrying_out.Study. runs: list of table.Run. seeds: list of int.

  Raises:
    carrying_out.Stopped: a signal came; no other run is begun.
  """
  failed = []
  for run in runs:
    for seed in seeds:
      try:
        study.carry_out(run, seed)
      except carrying_out.Stopped:
        raise
      except UserError as error:
        failed.append('{}, seed {}: {}'.format(run.name, seed, error))
        _LOG.warning('%s', failed[-1])
  return failed


def main(argv):
  """Carries out what is missing, then reports."""
  cli.no_positional_arguments(argv)
  if not FLAGS.output_dir:
    raise UserError('--output_dir: expected the folder of the study, found none; name one (OUT=...)')
  if not FLAGS.input_files and not FLAGS.report_only:
    raise UserError('--input_files: expected the text to learn from, found none; name it (CORPUS=...)')
  seeds = whole_seeds(FLAGS.seeds)
  study = carrying_out.Study(table.read(FLAGS.table), FLAGS.input_files, FLAGS.output_dir)
  failed = carry_out(study, [] if FLAGS.report_only else chosen(study.table.runs, FLAGS.runs), seeds)
  name = os.path.splitext(os.path.basename(FLAGS.table))[0]
  report(study, seeds, FLAGS.report or os.path.join(FLAGS.output_dir, name))
  if failed:
    raise UserError('expected every run of {} to succeed, found {} that did not; the first: {}'.format(
        FLAGS.table, len(failed), failed[0]))


if __name__ == '__main__':
  define_flags()
  cli.run(main)
