"""Measures how fast records are made: whole commands, where their time goes, and the gain of a second worker.

  python -m tools.benchmarks.data --input_files=news.txt --vocab_file=data/vocab.txt

Without --input_files: the bundled sample, repeated to about 2 MB. CPU seconds are those of the command and its workers;
unlike elapsed time they hardly depend on what else the machine does.
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
from albert.dataset import contract
from albert.dataset import record_format
from tools.benchmarks import stopwatch
from tools.text import corpus
from tools.text import origin
from tools.text import segmentation
from tools.text import streams

FLAGS = flags.FLAGS

_SAMPLE = os.path.join(ROOT, 'data', 'sample_zh.txt')
_SAMPLE_BYTES = 2 << 20

Run = collections.namedtuple('Run', ['seconds', 'cpu_seconds', 'megabytes', 'examples'])
Run.__doc__ = """One command: elapsed and CPU seconds, largest resident memory of a process, examples written."""


def define_flags():
  """Not at import: two programs may be imported into one test."""
  flags.DEFINE_list('input_files', None, 'Text; by default the sample, repeated.')
  flags.DEFINE_string('vocab_file', None, 'Vocabulary; by default built from the text.')
  flags.DEFINE_integer('copies', 10, 'Copies of the text for the comparison of one and two workers; 0: none.',
                       lower_bound=0)
  flags.DEFINE_multi_string('data_args', [], 'More flags for the data tool, such as --max_seq_length=128.')


def main(argv):
  """Runs and prints."""
  cli.no_positional_arguments(argv)
  with tempfile.TemporaryDirectory(prefix='bench-data-') as folder:
    paths = corpus.find_files(FLAGS.input_files) if FLAGS.input_files else [repeated([_SAMPLE], folder, _SAMPLE_BYTES)]
    text_bytes = sum(len(block) for path in paths for block in _blocks(path))
    vocab_file = FLAGS.vocab_file or build_vocabulary(paths, folder)
    print('text {:,.2f} MB, {} cores'.format(text_bytes / 1e6, len(os.sched_getaffinity(0))))
    print('\nwhole command, one worker    examples        s    CPU s  examples/s  text MB/s  peak MB')
    commands = {}
    for segmenter in installed_segmenters():
      for kind in record_format.RECORD_FORMATS:
        name = '{}, {}'.format(segmenter, kind)
        commands[name] = [
            '--input_files=' + ','.join(paths), '--vocab_file=' + vocab_file, '--segmenter=' + segmenter,
            '--record_format=' + kind] + FLAGS.data_args
        print(line(name, run(commands[name] + ['--num_workers=1'], folder), text_bytes))
    for name, command in commands.items():
      print('\n' + where_time_goes(name, command, folder))
    if FLAGS.copies:
      large = repeated(paths, folder, text_bytes * FLAGS.copies)
      print('\n' + scaling(['--input_files=' + large] + next(iter(commands.values()))[1:], folder))


def installed_segmenters():
  """The default one first."""
  default = segmentation.default()
  return [default] + [name for name in segmentation.SEGMENTERS if name != default and segmentation.is_installed(name)]


def repeated(paths, folder, size):
  """A file of at least `size` bytes with the text of `paths`, again and again: its path."""
  path = os.path.join(folder, 'text-{}.txt'.format(size))
  with open(path, 'wb') as target:
    while target.tell() < size:
      for name in paths:
        target.writelines(_blocks(name))
        target.write(b'\n\n')
  return path


def _blocks(path):
  """Yields the text of a file, unpacked, a block of bytes at a time."""
  with streams.open_text(path, 'utf-8').file as source:
    yield from iter(lambda: source.read(1 << 20), b'')


def build_vocabulary(paths, folder):
  """A vocabulary of the text, read as the flags of the data tool say: its path."""
  path = os.path.join(folder, 'vocab.txt')
  command = ['bash', os.path.join(ROOT, 'tools', 'vocabulary.sh'), ','.join(paths), path] + FLAGS.data_args
  if subprocess.call(command, stdout=subprocess.DEVNULL):
    raise UserError('expected a vocabulary to be built, found that it failed; its message is above')
  os.remove(path + origin.SUFFIX)  # copies of the text are other text, which is no news here
  return path


def start(arguments, folder):
  """Starts the data tool: (process, output folder, start time)."""
  output = tempfile.mkdtemp(dir=folder)
  command = [sys.executable, '-m', 'tools.create_pretraining_data', '--output_dir=' + output] + arguments
  environment = dict(os.environ, PYTHONPATH=ROOT)
  return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL), output, time.time()


def finish(process, output, begin):
  """Waits for the process of `start`: `Run`; removes the output."""
  _, status, usage = os.wait4(process.pid, 0)
  seconds = time.time() - begin
  process.returncode = status
  if status:
    raise UserError('expected the data tool to succeed, found that it failed; its message is above')
  info = contract.DatasetInfo.load(output)
  subprocess.check_call(['rm', '-rf', output])
  # Of forked workers the largest one counts.
  return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024,
             info.records(contract.TRAIN) + info.records(contract.HELDOUT))


def run(arguments, folder):
  """One command from start to end: `Run`."""
  return finish(*start(arguments, folder))


def line(name, result, text_bytes):
  """A line of the table."""
  return '{:<26} {:>10,} {:>8.2f} {:>8.2f} {:>11,.0f} {:>10.2f} {:>8.0f}'.format(
      name, result.examples, result.seconds, result.cpu_seconds, result.examples / result.seconds,
      text_bytes / 1e6 / result.seconds, result.megabytes)


def where_time_goes(name, arguments, folder):
  """CPU seconds of the parts of a command, measured in a process of its own: str."""
  output = tempfile.mkdtemp(dir=folder)
  report = subprocess.check_output(
      [sys.executable, '-m', 'tools.benchmarks.stopwatch', '--num_workers=1', '--output_dir=' + output] + arguments,
      env=dict(os.environ, PYTHONPATH=ROOT), universal_newlines=True)
  seconds = stopwatch.parse(report)
  total = sum(seconds.values())
  return '\n'.join(['where the CPU time goes: ' + name] + [
      '  {:<16} {:>6.2f} s {:>6.1%}'.format(part, spent, spent / total) for part, spent in seconds.items()])


def scaling(arguments, folder):
  """The gain of a second worker, against that of two independent commands: str."""
  one = run(arguments + ['--num_workers=1'], folder)
  two = run(arguments + ['--num_workers=2'], folder)
  pair = [start(arguments + ['--num_workers=1'], folder) for _ in range(2)]
  pair = [finish(*each) for each in pair]
  together = max(each.seconds for each in pair)
  speed_up, ideal = one.seconds / two.seconds, 2 * one.seconds / together
  return '\n'.join([
      '{} copies of the text             s    CPU s  peak MB'.format(FLAGS.copies),
      'one worker               {:>8.2f} {:>8.2f} {:>8.0f}'.format(one.seconds, one.cpu_seconds, one.megabytes),
      'two workers              {:>8.2f} {:>8.2f} {:>8.0f}   speed-up {:.2f}'.format(
          two.seconds, two.cpu_seconds, two.megabytes, speed_up),
      'two commands together    {:>8.2f} {:>8.2f} {:>8.0f}   speed-up {:.2f}'.format(
          together, sum(each.cpu_seconds for each in pair), max(each.megabytes for each in pair), ideal),
      'two workers reach {:.2f} of what two commands do'.format(speed_up / ideal)])


if __name__ == '__main__':
  define_flags()
  cli.run(main)
