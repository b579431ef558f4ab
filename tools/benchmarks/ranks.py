"""Two ranks with a core each against one rank with one core, and against one with both cores in two towers.

    bash tools/run.sh tools.benchmarks.ranks                                                      or: make bench-ranks

Each is a performance run of albert.run_pretraining on the sample, with the same batch. They take turns, and the
medians of the rounds count. Where the time of two ranks goes comes from Horovod's timeline of rank 0: in all-reduces,
or waiting for the other rank to come to one.
"""

import collections
import json
import os
import subprocess
import sys
import tempfile

from absl import flags
import numpy as np

from albert.common import cli
from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.run import names
from tools.benchmarks import soak

FLAGS = flags.FLAGS

# cores: those that the run may use. launcher: what stands before the program. towers: int.
Case = collections.namedtuple('Case', ['cores', 'launcher', 'towers'])


def cases(available):
  """OrderedDict of what is compared. available: list of the numbers of two cores."""
  return collections.OrderedDict([
      ('1 rank, 1 core', Case(available[:1], [], 1)),
      ('1 rank, 2 towers', Case(available[:2], [], 2)),
      ('2 ranks', Case(available[:2], ['tools.launch', '--ranks=2', '--'], 1))])


def command_of(case, records, out, options):
  """The command of one run. options: parsed flags."""
  settings = {
      'pretrain.performance': True, 'pretrain.train_batch_size': options.batch_size,
      'pretrain.num_train_steps': options.steps, 'pretrain.save_checkpoints_steps': options.steps,
      'OptimizerOptions.num_warmup_steps': 1, 'SessionOptions.cpu_towers': case.towers, 'SessionOptions.device': 'cpu'}
  return [sys.executable, '-W', 'ignore', '-m'] + case.launcher + [
      'albert.run_pretraining', '--nodo_eval', '--input_file=' + records, '--output_dir=' + out,
      '--gin_file=' + os.path.join(ROOT, 'gin', 'model', options.model + '.gin'),
      '--gin_param=' + '; '.join('{} = {!r}'.format(*item) for item in sorted(settings.items()))]


def run(case, command, out, timeline):
  """Makes one run. Returns its examples per second."""
  done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                        env=dict(os.environ, PYTHONPATH=ROOT, HOROVOD_TIMELINE=timeline),
                        preexec_fn=lambda: os.sched_setaffinity(0, case.cores))
  if done.returncode:
    raise UserError('expected a run that ends well, found: {}'.format(
        done.stdout.decode('utf-8', 'replace').strip().split('\n')[-1]))
  with open(os.path.join(out, names.PERFORMANCE_FILE), encoding='utf-8') as source:
    return json.load(source)['examples_per_second']


def shares_of(timeline):
  """(share of the time in all-reduces, share waiting for the other rank) between the first all-reduce of gradients and
  the last. timeline: path of a file of Horovod's."""
  with open(timeline, encoding='utf-8') as source:
    events = json.loads(source.read().rstrip().rstrip(',]') + ']')
  tensors = {event['pid']: event['args'].get('name', '') for event in events if event.get('name') == 'process_name'}
  spans, stacks = [], collections.defaultdict(list)
  for event in events:
    if event.get('ph') == 'B':
      stacks[event['pid']].append(event)
    elif event.get('ph') == 'E' and stacks[event['pid']]:
      begun = stacks[event['pid']].pop()
      if not stacks[event['pid']]:  # what is within an all-reduce counts with it
        spans.append((begun['name'], tensors.get(event['pid'], ''), begun['ts'], event['ts']))
  ends = [end for name, tensor, _, end in spans if name == 'ALLREDUCE' and 'gradients' in tensor]
  def total(beginning):
    return sum(end - start for name, _, start, end in spans
               if name.startswith(beginning) and start >= ends[0] and end <= ends[-1]) / (ends[-1] - ends[0])
  return total('ALLREDUCE'), total('NEGOTIATE_ALLREDUCE')


def main(argv):
  """Runs and prints."""
  cli.no_positional_arguments(argv)
  available = sorted(os.sched_getaffinity(0))
  if len(available) < 2:
    raise UserError('expected two cores, found {}; run it where there are two'.format(len(available)))
  compared, rates, shares = cases(available), collections.defaultdict(list), []
  with tempfile.TemporaryDirectory(prefix='ranks-') as folder:
    records = soak.make_data(folder)
    for number in range(FLAGS.rounds):
      for name, case in compared.items():
        out, timeline = [os.path.join(folder, '{} {} {}'.format(kind, name, number)) for kind in ('out', 'timeline')]
        rates[name].append(run(case, command_of(case, records, out, FLAGS), out, timeline))
        if case.launcher:
          shares.append(shares_of(timeline))
        print('round {}  {:<16}  {:>8.2f} examples/s'.format(number + 1, name, rates[name][-1]), flush=True)
  alone = np.median(rates['1 rank, 1 core'])
  for name in compared:
    print('median   {:<16}  {:>8.2f} examples/s  {:.2f} times one core'.format(
        name, np.median(rates[name]), np.median(rates[name]) / alone))
  print('of the time of 2 ranks: {:.1%} in all-reduces, {:.1%} waiting for the other rank'.format(
      *np.median(shares, axis=0)))


if __name__ == '__main__':
  flags.DEFINE_integer('rounds', 3, 'Runs of each kind.', lower_bound=1)
  flags.DEFINE_integer('steps', 8, 'Steps of each run, the first two of which are warm-up.', lower_bound=4)
  flags.DEFINE_integer('batch_size', 8, 'Sequences of 64 tokens in a step, of all ranks together.', lower_bound=2)
  flags.DEFINE_string('model', 'base', 'Name of a file in gin/model.')
  cli.run(main)
