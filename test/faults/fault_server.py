"""Starts tiny trainings that die where they are told to, each in a process forked before TensorFlow has done anything.

    python test/faults/fault_server.py < jobs > answers        # one JSON object a line

A job: {"data", "out", "bindings": [...], "arguments": {of pretrain()}, "faults": [[name in fault_injections, argument,
...], ...], "kill": null, {"kind": "time", "seconds": 1.5} or {"kind": "save", "number": 7}}.
Its answer: {"code": exit code, negative for a signal, "seconds", "step": the last step that was made,
"points": {kind: how many points of that kind were passed}}. What the program says goes to <out>.log.
"""

import functools
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback

from albert.common import cli  # before TensorFlow, whose warnings it silences

import tensorflow as tf

import fault_injections
import fault_runs
import hurry
from hurry import graphs
from albert.common.errors import UserError
from albert.run import saver
from albert.training import evaluation
from albert.training import stopping
from albert.training.telling import progress
from albert.training import trainer

KINDS = ('step', 'save', 'eval')


class Points:
  """Places where the process may die: counts those that it passes, dies at the chosen one."""

  def __init__(self, path, kind=None, number=None):
    self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    self._chosen = (kind, number)
    self._area = 'step'
    self._step = 0
    self.counts = dict.fromkeys(KINDS, 0)

  def hit(self, kind=None, delay=0.0):
    """One more point. With a delay the process dies so much later, in the middle of what follows."""
    kind = kind or self._area
    self.counts[kind] += 1
    if (kind, self.counts[kind]) == self._chosen:
      if not delay:
        os.kill(os.getpid(), signal.SIGKILL)
      threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()

  def write(self, step=None):
    """Keeps the step and the counts for the parent process."""
    self._step = step or self._step
    os.pwrite(self._file, json.dumps({'step': self._step, 'points': self.counts}).ljust(200).encode(), 0)

  def wrap(self, owner, name, area=None, delays=()):
    """Makes a function pass a point before and after, and lie in an area."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
      before, self._area = self._area, area or self._area
      try:
        self.hit()
        for delay in delays:
          self.hit(delay=delay)
        result = function(*args, **kwargs)
        self.hit()
        return result
      finally:
        self._area = before
    setattr(owner, name, wrapped)

  def install(self):
    """Puts points into saving, evaluating and stepping, at every change of a file among others."""
    self.wrap(saver.SaverHook, '_save', 'save')
    self.wrap(trainer.Trainer, '_saved', 'step')
    self.wrap(evaluation.DueEvaluations, '_evaluate', 'eval')
    self.wrap(tf.train.Saver, 'save', delays=(0.0005, 0.002, 0.01, 0.05))
    self.wrap(stopping.Stopper, 'check')
    for name in ('replace', 'fsync', 'remove', 'rmdir', 'mkdir'):
      self.wrap(os, name)
    after_run = progress.ProgressHook.after_run

    def stepped(hook, run_context, run_values):
      self.write(int(run_values.results['step']))
      self.hit('step')
      after_run(hook, run_context, run_values)
      self.hit('step')
    progress.ProgressHook.after_run = stepped


def run(job):
  """The child process: trains and exits; with that of a UserError after one, 3 after what should not happen."""
  log = os.open(job['out'] + '.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
  os.dup2(log, 1)
  os.dup2(log, 2)
  logging.getLogger('albert').setLevel(logging.INFO)
  logging.getLogger('albert').addHandler(logging.StreamHandler())
  kill = job.get('kill') or {}
  points = Points(job['out'] + '.points', kill.get('kind'), kill.get('number'))
  points.install()
  for name, *arguments in job['faults']:
    getattr(fault_injections, name)(*arguments)
  code = 3
  try:
    code = fault_runs.train(job['data'], job['out'], *job['bindings'], **job['arguments']) or 0
    points.write()
  except UserError as error:
    print('error: ' + str(error).split('\n')[0], file=sys.stderr)
    code = error.exit_code
  except BaseException:
    traceback.print_exc()
  finally:
    sys.stdout.flush()
    os._exit(code)




def serve():
  """Answers jobs until the input ends."""
  for line in sys.stdin:
    job = json.loads(line)
    started = time.time()
    child = os.fork()
    if not child:
      run(job)
    kill = job.get('kill') or {}
    timer = threading.Timer(kill.get('seconds', 1e6), os.kill, (child, signal.SIGKILL))
    timer.start()
    _, status = os.waitpid(child, 0)
    timer.cancel()
    answer = {'step': 0, 'points': {}}
    if os.path.exists(job['out'] + '.points'):
      with open(job['out'] + '.points', encoding='utf-8') as source:
        answer.update(json.loads(source.read() or '{}'))
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    print(json.dumps(dict(answer, code=code, seconds=time.time() - started)), flush=True)


if __name__ == '__main__':
  assert cli
  if not hurry.THOROUGH:
    fault_runs.BINDINGS.append('SessionOptions.fused_ops = False')
    hurry.forget_power_cuts()
    graphs.make_graphs()
    graphs.run_graphs().start()
  serve()
