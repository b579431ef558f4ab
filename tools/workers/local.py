"""Where the tasks of data creation run: here, or in several processes (tools/workers/spark.py: in a cluster).

An engine has `run(function, tasks)`, which yields (number of the task, its result) as tasks finish, in any order.
Functions and arguments are pickled; what they compute depends on nothing else.
"""

import ctypes
import multiprocessing
from multiprocessing import connection
import os
import signal

from albert.common.errors import UserError

_PR_SET_PDEATHSIG = 1


class WorkerLost(UserError):
  """A worker ended without a word. What was finished before is kept."""


class Local:
  """Worker processes on this machine, forked, so that they share the dictionary that the first process has loaded.

  Args:
    num_workers: processes; with 1 there is none but this one.
  """

  def __init__(self, num_workers=1):
    self._num_workers = num_workers

  def close(self):
    """Nothing is left to end."""

  def run(self, function, tasks):
    """Yields (number, function(*tasks[number])) as they finish; raises what a task raises, or WorkerLost."""
    count = min(self._num_workers, len(tasks))
    if count < 2:
      for number, task in enumerate(tasks):
        yield number, function(*task)
      return
    workers = []
    try:
      for _ in range(count):
        workers.append(_Worker(function))
      yield from _dispatch(workers, tasks)
    finally:
      for worker in workers:
        worker.stop()


def _dispatch(workers, tasks):
  waiting = list(enumerate(tasks))[::-1]
  busy = {}
  for worker in workers:
    worker.take(*waiting.pop())
    busy[worker.connection] = worker
  while busy:
    for ready in connection.wait(list(busy)):
      worker = busy.pop(ready)
      number, result = worker.number, worker.result()
      if waiting:
        worker.take(*waiting.pop())
        busy[ready] = worker
      yield number, result


class _Worker:
  """One process, which works on one task at a time.

  Attributes:
    connection: ready to be read when the task is finished, or the process is gone.
    number: of its task.
  """

  def __init__(self, function):
    context = multiprocessing.get_context('fork')
    self.connection, other_end = context.Pipe()
    self._process = context.Process(target=_serve, args=(function, other_end, self.connection, os.getpid()),
                                    daemon=True)
    self._process.start()
    # Open only in the worker, so that its end is noticed.
    other_end.close()
    self.number = None

  def take(self, number, task):
    """Begins a task."""
    self.number = number
    try:
      self.connection.send(task)
    except OSError:
      pass  # it is gone: `result` says so

  def result(self):
    """The result of the task; raises what it raised."""
    try:
      succeeded, value = self.connection.recv()
    except (EOFError, OSError):
      self._process.join(5)
      raise WorkerLost('expected {}, found that a worker process was ended ({}); if memory is short, use fewer with '
                       '--num_workers; the same command continues with what is finished'.format(
                           'all workers to finish', _cause(self._process.exitcode)))
    if not succeeded:
      raise value
    return value

  def stop(self):
    """Ends the process."""
    self._process.terminate()
    self._process.join()
    self.connection.close()


def _cause(exitcode):
  if exitcode is not None and exitcode < 0:
    return 'by ' + signal.Signals(-exitcode).name
  return 'exit code {}'.format(exitcode)


def _serve(function, link, other_end, parent):
  """What a worker does."""
  other_end.close()
  _end_with(parent)
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  while True:
    try:
      task = link.recv()
    except EOFError:
      return
    try:
      answer = True, function(*task)
    except Exception as error:  # whatever it is, the first process raises it
      answer = False, error
    link.send(answer)


def _end_with(parent):
  """Ends this process when the one that started it is killed: nobody would read its result."""
  try:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
  except (AttributeError, OSError):
    return  # not Linux
  if os.getppid() != parent:
    os._exit(1)
