"""The test's end of fault_server.py."""

import collections
import json
import os
import subprocess
import sys

from albert.common.files import ROOT

# code: of the exit, negative for a signal; seconds; step: the last one that was made; points: {kind: how many places to
# die were passed}; log: what this process said.
Answer = collections.namedtuple('Answer', ['code', 'seconds', 'step', 'points', 'log'])


class Server:
  """fault_server.py in a process of its own."""

  def __init__(self):
    program = os.path.join(ROOT, 'test', 'faults', 'fault_server.py')
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([ROOT, os.path.join(ROOT, 'test', 'support')]))
    self._process = subprocess.Popen([sys.executable, '-W', 'ignore', program], env=environment, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, universal_newlines=True)

  def run(self, data, out, *bindings, kill=None, faults=(), **arguments):
    """Trains in a new process.

    Args:
      data, out: folders.
      *bindings: of gin, besides those of fault_runs.
      kill: None, {'kind': 'time', 'seconds': s} or {'kind': one of fault_server.KINDS, 'number': n}.
      faults: list of (name of a function of fault_injections, arguments...).
      **arguments: of pretrain().

    Returns:
      Answer.
    """
    log = str(out) + '.log'
    before = os.path.getsize(log) if os.path.exists(log) else 0
    job = {'data': str(data), 'out': str(out), 'bindings': bindings, 'kill': kill, 'faults': faults,
           'arguments': arguments}
    self._process.stdin.write(json.dumps(job) + '\n')
    self._process.stdin.flush()
    answer = json.loads(self._process.stdout.readline())
    with open(log, 'rb') as source:
      source.seek(before)
      return Answer(log=source.read().decode('utf-8'), **answer)

  def close(self):
    """Ends the process."""
    self._process.stdin.close()
    self._process.wait()
    self._process.stdout.close()


def start_of(answer):
  """The step from which a run went on, as its log says; None if it did not train."""
  starts = [line.rsplit('from step ', 1)[1].split(' ')[0] for line in answer.log.split('\n') if '; from step ' in line]
  return int(starts[0]) if starts else None
