"""Runs the data tool and prints the CPU seconds of its parts, a line each: `seconds<tab>part`. For data.py.

  python -m tools.benchmarks.stopwatch --num_workers=1 <flags of tools.create_pretraining_data>
"""

import collections
import functools
import time

from albert.common import cli
from albert.dataset import example_writer
from albert.dataset import tfrecord
from tools import create_pretraining_data
from tools.preprocessing import assembly
from tools.preprocessing import compact
from tools.preprocessing import encoding
from tools.preprocessing import masking
from tools.preprocessing import shuffle
from tools.preprocessing import stages
from tools.text import segmentation

# Parts and their functions; the time of a call from one part to another counts for the latter.
_PARTS = (
    ('tokenization', encoding.Encoder, 'encode'), ('assembly', assembly, 'examples_of'),
    ('shuffling', shuffle, 'write_run'), ('shuffling', shuffle, 'read_buckets'), ('shuffling', shuffle, 'concatenate'),
    ('masking', masking, 'mask'), ('serialization', compact, 'pack'),
    ('serialization', example_writer.ExampleWriter, 'records'), ('serialization', tfrecord, 'frame'),
    ('write', stages, 'write_shard'))


class Stopwatch:
  """Counts CPU time for the innermost part that is running.

  Attributes:
    seconds: {part: float}.
  """

  def __init__(self, clock=time.process_time):
    self._clock = clock
    self.seconds = collections.OrderedDict()
    self._running = ['start and rest']
    self._since = 0.0

  def wrap(self, part, function):
    """`function`, whose time counts for `part`."""
    @functools.wraps(function)
    def timed(*arguments, **options):
      self._change(lambda: self._running.append(part))
      try:
        return function(*arguments, **options)
      finally:
        self._change(self._running.pop)
    return timed

  def _change(self, action):
    self.stop()
    action()

  def stop(self):
    """Adds the time since the last change to the part that is running."""
    now = self._clock()
    part = self._running[-1]
    self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
    self._since = now


def main(argv):
  """Runs the data tool with watches on its parts."""
  watch = Stopwatch()
  for part, owner, name in _PARTS:
    setattr(owner, name, watch.wrap(part, getattr(owner, name)))
  whole = segmentation.segmenter
  segmentation.segmenter = lambda name: watch.wrap('segmentation', watch.wrap('dictionary', whole)(name))
  create_pretraining_data.main(argv)
  watch.stop()
  print('\n'.join('{:.6f}\t{}'.format(*reversed(item)) for item in watch.seconds.items()))


def parse(report):
  """{part: seconds} of the output of `main`."""
  fields = [line.split('\t') for line in report.split('\n')]
  return collections.OrderedDict((parts[1], float(parts[0])) for parts in fields if len(parts) == 2)


if __name__ == '__main__':
  create_pretraining_data.define_flags()
  cli.run(main)
