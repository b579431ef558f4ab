"""Runs the tasks of data creation in this process or in several (tools/workers/spark.py: in a cluster).

An engine has `run(function, tasks)`, which yields (number of the task, its result) as tasks finish, in any order.
Functions and arguments are pickled; the results depend on nothing else.
"""

import multiprocessing
from multiprocessing import connection
import os
import signal

from albert.common.errors import UserError
from albert.common import processes


class WorkerLost(UserError):
  """A worker process ended without a result. The tasks that were finished before are kept."""


class Local:
  """Worker processes on this machine, forked, so that they share the dictionary that the first process has loaded.

  Args:
    num_workers: number of processes; 1: everything runs in this process.
  """

  def __init__(self, num_workers=1):
    self._num_workers = num_workers

  def close(self):
    """Does nothing: `run` ends its workers itself."""

  def run(self, function, tasks):
    """Yields (number, function(*tasks[number])) as they finish; raises the exception of a task, or WorkerLost."""
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
    """Starts a task."""
    self.number = number
    try:
      self.connection.send(task)
    except OSError:
      pass  # the process is gone: `result` raises

  def result(self):
    """The result of the task; raises its exception, or WorkerLost."""
    try:
      succeeded, value = self.connection.recv()
    except (EOFError, OSError):
      self._process.join(5)
      raise WorkerLost('expected all workers to finish, found that a process was ended ({}); if memory is short, use '
                       'fewer with --num_workers; the same command continues after the finished tasks'.format(
                           _cause(self._process.exitcode)))
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
  """The loop of a worker: receives tasks, sends (whether it succeeded, result or exception)."""
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
    except Exception as error:  # any exception: the first process raises it again
      answer = False, error
    link.send(answer)


def _end_with(parent):
  """Makes this process end when the one that started it is killed, as no one would read its result."""
  if processes.end_with_parent(signal.SIGKILL) and os.getppid() != parent:
    os._exit(1)
