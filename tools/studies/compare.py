"""Are these fine-tuned models better than those? Compares runs of make finetune, each with several seeds.

    python -m tools.studies.compare --runs=pretrained=out/tnews,random=out/tnews-random [--figure=accuracy]
        [--picture=tnews.png --lines=regression=0.431]

Each folder is one run or has one in seed-<n>/ for each seed, or in fold-<n>/ for each fold. Prints, as a Markdown
table, mean, standard deviation and standard error of the figure on test (on dev where test has no labels), and how many
standard errors of the difference lie between each run and the first. The picture has the figure on dev over steps, a
line for each seed. No TensorFlow.
"""

import collections
import glob
import os
import statistics

from absl import flags

from albert.common import cli
from albert.common.errors import UserError
from albert.common import json_text
from albert.run import names
from albert.run import results
from tools.studies import picture

FLAGS = flags.FLAGS


def define_flags():
  flags.DEFINE_list('runs', None, 'NAME=FOLDER of each run; the others are compared with the first.')
  flags.DEFINE_string('figure', 'accuracy', 'The figure, as results.json and heldout_history.tsv name it.')
  flags.DEFINE_string('picture', None, 'PNG to write: the figure on dev over steps.')
  flags.DEFINE_list('lines', [], 'NAME=VALUE of horizontal lines in the picture, such as a baseline.')


def pairs(flag, words):
  """OrderedDict of name to value from words NAME=VALUE.

  Raises:
    UserError: a word is not of that form, or a name stands there twice.
  """
  named = collections.OrderedDict()
  for word in words:
    name, sign, value = word.partition('=')
    if not (name and sign and value) or name in named:
      raise UserError('--{}: expected NAME=VALUE, each name once, found {!r}; correct it'.format(flag, word))
    named[name] = value
  return named


def folders_of(folder):
  """Folders of the runs with each seed, or of each fold, in order; the folder itself where it is a single run."""
  runs = [path for kind in (names.SEED_FOLDER, names.FOLD_FOLDER)
          for path in glob.glob(os.path.join(glob.escape(folder), kind.format('*')))]
  return sorted(runs, key=lambda path: (len(path), path)) or [folder]


def final_figures(folder, figure):
  """(split, [float of each seed]) of a run: the figure on test, on dev where test has none.

  Raises:
    UserError: a seed is not finished, or has no such figure.
  """
  written = [(path, results.read(path)) for path in folders_of(folder)]
  for path, entry in written:
    if 'dev' not in entry:
      raise UserError('{}: expected the results of a finished fine-tuning, found none; finish it with make '
                      'finetune'.format(path))
  split = 'test' if all(figure in entry.get('test', ()) for _, entry in written) else 'dev'
  for path, entry in written:
    if not isinstance(entry[split].get(figure), float):
      raise UserError('{}: expected a figure among {}, found {!r}; correct --figure'.format(
          path, ', '.join(name for name, value in entry[split].items() if isinstance(value, float)), figure))
  return split, [entry[split][figure] for _, entry in written]


def standard_error(values):
  """Of the mean of floats; None of a single one."""
  return statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None


def distance(first, other):
  """Difference of the means of two lists of floats, first - other, in standard errors of it; None if unknown."""
  errors = [standard_error(first), standard_error(other)]
  if None in errors or not any(errors):
    return None
  return (statistics.mean(first) - statistics.mean(other)) / sum(error ** 2 for error in errors) ** 0.5


def as_table(figure, split, of_runs):
  """Lines of a Markdown table. of_runs: OrderedDict of name to list of floats; the first is the one to compare with."""
  first = next(iter(of_runs))
  lines = ['| {} {} | mean | standard deviation | standard error | seeds | {} is better by |'.format(
      split, figure.replace('_', ' '), first), '| --- | --- | --- | --- | --- | --- |']
  for name, values in of_runs.items():
    apart = None if name == first else distance(of_runs[first], values)
    spread = ['{:.3f}'.format(value) for value in (
        (statistics.stdev(values), standard_error(values)) if len(values) > 1 else ())] or ['', '']
    lines.append('| {} |'.format(' | '.join(
        [name, '{:.3f}'.format(statistics.mean(values))] + spread
        + [', '.join('{:.3f}'.format(value) for value in values),
           '' if apart is None else '{:.3f}, {:.1f} standard errors'.format(
               statistics.mean(of_runs[first]) - statistics.mean(values), apart)])))
  return lines


def histories(folder, figure):
  """[(steps, values)] of each seed of a run, two lists: the figure on dev whenever it was evaluated."""
  return [results.columns(os.path.join(path, names.HELDOUT_HISTORY_FILE), figure) for path in folders_of(folder)]


def numbers(flag, named):
  """The values of pairs() as floats. Raises UserError for anything else."""
  try:
    values = collections.OrderedDict((name, float(value)) for name, value in named.items())
  except ValueError as error:
    raise UserError('--{}: expected NAME=NUMBER, found {}; correct it'.format(flag, error))
  if not json_text.all_finite(values.values()):
    raise UserError('--{}: expected finite numbers, found {}; correct it'.format(flag, ','.join(
        '{}={}'.format(name, value) for name, value in values.items())))
  return values


def main(argv):
  """Prints the table; writes the picture."""
  cli.no_positional_arguments(argv)
  if not FLAGS.runs:
    raise UserError('--runs: expected NAME=FOLDER of each run, found none; name them')
  folders, lines = pairs('runs', FLAGS.runs), numbers('lines', pairs('lines', FLAGS.lines))
  final = collections.OrderedDict((name, final_figures(path, FLAGS.figure)) for name, path in folders.items())
  if len({split for split, _ in final.values()}) > 1:
    raise UserError('--runs: expected all of them to have labels in test, or none, found {}; compare those of the same '
                    'data'.format(', '.join('{} on {}'.format(name, split) for name, (split, _) in final.items())))
  split = next(iter(final.values()))[0]
  print('\n'.join(as_table(FLAGS.figure, split, collections.OrderedDict(
      (name, values) for name, (_, values) in final.items()))))
  if FLAGS.picture:
    of_runs = collections.OrderedDict((name, histories(path, FLAGS.figure)) for name, path in folders.items())
    picture.draw_fine_tuning(FLAGS.picture, of_runs, FLAGS.figure.replace('_', ' '), lines)
    print('written: ' + FLAGS.picture)


if __name__ == '__main__':
  define_flags()
  cli.run(main)
