"""Runs the tasks of data creation on Spark, for a corpus that is too large for one machine. See tools/workers/local.py.

The text, the vocabulary and the output folder must have the same paths on all machines (a shared file system), and
their Python needs the packages of requirements.txt, except TensorFlow. Spark itself shows progress and failed tasks.
"""

import glob
import os
import sys
import tempfile
import zipfile

from albert.common.errors import UserError
from albert.common.files import ROOT
from tools.workers import local

# Number of tasks of a Spark job; their results come back together.
_TASKS_OF_A_JOB = 1024


class Spark:
  """Runs tasks on a Spark master.

  Args:
    master: such as local[*], spark://host:7077 or yarn.

  Raises:
    UserError: PySpark or Java is absent, or the master cannot be reached.
  """

  def __init__(self, master):
    try:
      import pyspark
    except ImportError:
      raise UserError('expected PySpark for --engine=spark, found none installed; pip install -r '
                      'requirements-spark.txt, or use --engine=local')
    os.environ.setdefault('PYSPARK_PYTHON', sys.executable)
    configuration = pyspark.SparkConf().setAppName('albert data').setMaster(master)
    try:
      self._context = pyspark.SparkContext.getOrCreate(configuration)
    except Exception as error:  # Java's own, by many names
      raise UserError('expected Spark at {} and Java 17, found that it does not start ({}); check JAVA_HOME and '
                      '--spark_master'.format(master, str(error).split('\n')[0]))
    self._context.setLogLevel('WARN')
    self._ship_code()

  def _ship_code(self):
    """Sends albert/ and tools/ to the workers, which need not have this repository."""
    # Machines fetch it when their first task comes, so it stays until the end.
    self._folder = tempfile.TemporaryDirectory()
    path = os.path.join(self._folder.name, 'albert_data_tools.zip')
    with zipfile.ZipFile(path, 'w') as archive:
      for package in ('albert', 'tools'):
        for source in sorted(glob.glob(os.path.join(ROOT, package, '**', '*.py'), recursive=True)):
          archive.write(source, os.path.relpath(source, ROOT))
    self._context.addPyFile(path)

  def run(self, function, tasks):
    """Yields (number, function(*tasks[number])); raises UserErrors of tasks, WorkerLost for all other failures."""
    for first in range(0, len(tasks), _TASKS_OF_A_JOB):
      numbered = list(enumerate(tasks))[first:first + _TASKS_OF_A_JOB]
      try:
        answers = self._context.parallelize(numbered, len(numbered)).map(_Answer(function)).collect()
      except Exception as error:
        raise local.WorkerLost(
            'expected Spark to finish all tasks, found that a job failed ({}); its log is above; the same command '
            'continues after the finished tasks'.format(_cause(error)))
      for number, failure, result in answers:
        if failure:
          raise UserError(failure)
        yield number, result

  def close(self):
    """Ends the application."""
    self._context.stop()
    self._folder.cleanup()


def _cause(error):
  """The line of a Java exception that names the error."""
  lines = [line.strip() for line in str(error).split('\n') if line.strip()]
  return next((line for line in lines if 'Error: ' in line and not line.startswith('py4j')), lines[0] if lines else '?')


class _Answer:
  """Calls a function in a worker. A UserError comes back as a value: Spark would try again, and bury it."""

  def __init__(self, function):
    self._function = function

  def __call__(self, numbered_task):
    number, task = numbered_task
    try:
      return number, None, self._function(*task)
    except UserError as error:
      return number, str(error), None
