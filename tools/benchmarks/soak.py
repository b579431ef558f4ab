"""Does a run grow? Trains a tiny model on the sample with an evaluation every few steps, and watches it from outside.

  python -m tools.benchmarks.soak --evaluations=60

Prints resident memory, descriptors and threads of the process after evaluations, as the kernel counts them, and ends
with 1 if memory has grown by more than 3% since the second evaluation, or descriptors by one.
"""

import collections
import os
import subprocess
import sys
import tempfile
import time

from absl import flags

from albert.common import cli
from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.run import names

FLAGS = flags.FLAGS

# The second evaluation: the first builds the graph and its session.
_SETTLED = 2
_LAST = 5
MOST_GROWTH = 0.03
_SAMPLE = os.path.join(ROOT, 'data', 'sample_zh.txt')
_SECONDS_BETWEEN_LOOKS = 0.02

Usage = collections.namedtuple('Usage', ['megabytes', 'descriptors', 'threads'])
Usage.__doc__ = """What a process has of the machine: resident memory, open files, threads."""


def usage_of(process):
  """Usage of a process by its number, or None if it has ended."""
  folder = '/proc/{}'.format(process)
  try:
    with open(os.path.join(folder, 'statm'), encoding='ascii') as source:
      pages = int(source.read().split()[1])
    return Usage(pages * os.sysconf('SC_PAGE_SIZE') / 1e6, *[
        len(os.listdir(os.path.join(folder, name))) for name in ('fd', 'task')])
  except OSError:
    return None


def verdict(usages):
  """What to say of the Usages after each evaluation, in order: (line, whether the process has not grown)."""
  settled, last = usages[_SETTLED - 1], usages[-1]
  growth = last.megabytes / settled.megabytes - 1.0
  # A look may find a file that is just being read: what leaks is open at each of the last looks.
  opened = min(usage.descriptors for usage in usages[-_LAST:]) - settled.descriptors
  is_flat = growth <= MOST_GROWTH and opened <= 0
  return '{}: memory {:+.1%}, descriptors {:+d} between evaluations {} and {}; at most {:+.0%} and +0'.format(
      'flat' if is_flat else 'GROWS', growth, opened, _SETTLED, len(usages), MOST_GROWTH), is_flat


def watch(command, history, count):
  """Runs a training.

  Args:
    command: list of str. history: path of its heldout_history.tsv. count: int, evaluations that it makes.

  Returns:
    List of Usage, one after each evaluation that was seen.

  Raises:
    UserError: it failed, or was too fast to be watched.
  """
  usages, shown = [], {1, _SETTLED} | set(range(5, count, 5)) | {count}
  with tempfile.TemporaryFile() as log:
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    while process.poll() is None:
      usage = usage_of(process.pid)
      for number in range(len(usages) + 1, _lines(history) + 1) if usage else ():
        usages.append(usage)
        if number in shown:
          print('{:>11}  {:>9.1f}  {:>11}  {:>7}'.format(number, *usage), flush=True)
      time.sleep(_SECONDS_BETWEEN_LOOKS)
    if process.returncode:
      log.seek(0)
      raise UserError('expected a run that ends well, found exit code {}: {}'.format(
          process.returncode, log.read().decode('utf-8', errors='replace').strip().split('\n')[-1]))
  if len(usages) < count - 1:  # the last one may end with the process
    raise UserError('expected to see {} evaluations, found {}; make the steps between them longer'.format(
        count, len(usages)))
  return usages


def _lines(history):
  try:
    with open(history, encoding='utf-8') as source:
      return max(0, source.read().count('\n') - 1)
  except FileNotFoundError:
    return 0


def make_data(folder):
  """A small data set from the sample. Returns its folder."""
  vocabulary, records = os.path.join(folder, 'vocab.txt'), os.path.join(folder, 'records')
  for arguments in (['tools.build_vocab', '--input_files=' + _SAMPLE, '--output_file=' + vocabulary],
                    ['tools.create_pretraining_data', '--input_files=' + _SAMPLE, '--vocab_file=' + vocabulary,
                     '--output_dir=' + records, '--max_seq_length=64', '--max_predictions_per_seq=10',
                     '--dupe_factor=1']):
    done = subprocess.run([sys.executable, '-W', 'ignore', '-m'] + arguments, cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True)
    if done.returncode:
      raise UserError('expected data, found: {}'.format(done.stdout.strip().split('\n')[-1]))
  return records


def command_of(records, out, evaluations, steps_between, layers):
  """The command that trains."""
  settings = {
      'AlbertConfig.embedding_size': 32, 'AlbertConfig.hidden_size': 64, 'AlbertConfig.num_hidden_layers': layers,
      'AlbertConfig.num_attention_heads': 4, 'AlbertConfig.intermediate_size': 128, 'pretrain.train_batch_size': 8,
      'pretrain.eval_batch_size': 8, 'pretrain.max_eval_steps': 5, 'pretrain.log_every_steps': 10**6,
      'pretrain.num_train_steps': evaluations * steps_between, 'pretrain.save_checkpoints_steps': steps_between,
      'OptimizerOptions.num_warmup_steps': 10, 'OptimizerOptions.learning_rate': 0.001,
      'SessionOptions.device': "'cpu'"}
  bindings = '; '.join('{} = {}'.format(name, value) for name, value in settings.items())
  return [sys.executable, '-W', 'ignore', '-m', 'albert.run_pretraining', '--input_file=' + records,
          '--output_dir=' + out, '--gin_param=' + bindings]


def main(argv):
  """Runs and prints."""
  cli.no_positional_arguments(argv)
  with tempfile.TemporaryDirectory(prefix='soak-') as folder:
    out = os.path.join(folder, 'out')
    command = command_of(make_data(folder), out, FLAGS.evaluations, FLAGS.steps, FLAGS.layers)
    print(' evaluation  memory MB  descriptors  threads')
    line, is_flat = verdict(watch(command, os.path.join(out, names.HELDOUT_HISTORY_FILE), FLAGS.evaluations))
  print(line)
  return None if is_flat else 1


if __name__ == '__main__':
  flags.DEFINE_integer('evaluations', 60, 'Evaluations, each with a checkpoint.', lower_bound=_SETTLED + 1)
  flags.DEFINE_integer('steps', 5, 'Steps between them.', lower_bound=1)
  flags.DEFINE_integer('layers', 2, 'Layers of the model.', lower_bound=1)
  cli.run(main)
