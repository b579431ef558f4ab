"""Makes the data sets of a study and carries out its runs, each in a process of its own. No TensorFlow.

    FOLDER/vocab.txt    data/NAME, data/NAME-heldout    runs/NAME/SEED, a run's usual folder, with its log SEED.log

What is there is recognised: a finished data set or run takes no time, one that was killed goes on.
"""

import json
import logging
import os
import shlex
import signal
import subprocess
import sys

from albert.common.errors import STOPPED_EXIT_CODE
from albert.common.errors import UserError
from albert.common import files
from albert.common import processes
from albert.run import names
from albert.run import results
from albert.run import run_files
from tools.studies import table as tables

_LOG = logging.getLogger('albert')
# Beside the folder of a run: the line of the table that made it, and the CPU seconds of each start.
_NOTE = '.study.json'


class Stopped(UserError):
  """A signal has stopped a program of the study: nothing else of it is to be started."""

  exit_code = STOPPED_EXIT_CODE


class Study:
  """A study in its folder."""

  def __init__(self, table, corpus, folder):
    """Does nothing yet.

    Args:
      table: tables.Table.
      corpus: --input_files of the data tool.
      folder: of the study.
    """
    self.table = table
    self._corpus = corpus
    self._folder = os.path.abspath(folder)

  def run_folder(self, name, seed):
    return os.path.join(self._folder, 'runs', name, str(seed))

  def carry_out(self, run, seed):
    """Makes the data sets of a tables.Run, trains it from a seed, an int, and evaluates it, unless all is there.

    Raises:
      UserError: a program failed; the last line that it said. Stopped: a signal came.
    """
    folder = self.run_folder(run.name, seed)
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    self._check_same(folder, run)
    if is_finished(folder):
      return
    _note(folder, run, cpu_seconds_of_starts(folder))
    paths = {name: self._data_set(name, self.table.data[name]) for name in tables.data_sets(run)}
    heldout = self._data_set(run.data + '-heldout', self.table.data[run.data] + ' ' + self.table.heldout)
    settings = tables.REFERENCE.sub(lambda found: repr(paths[found.group(1)]), run.settings)
    _LOG.info('%s, seed %d: training, see %s.log', run.name, seed, folder)
    with open(folder + '.log', 'ab') as log:
      used = _call(['albert.run_pretraining', '--input_file=' + paths[run.data], '--eval_input_file=' + heldout,
                    '--output_dir=' + folder, '--gin_file=' + self.table.base,
                    '--gin_param=pretrain.random_seed={}; {}'.format(seed, settings)], log)
    _note(folder, run, cpu_seconds_of_starts(folder) + [used])

  def _check_same(self, folder, run):
    """Raises UserError where a run was made by another line of the table."""
    noted = _noted(folder)
    if noted and any(noted[name] != value for name, value in run._asdict().items()):
      raise UserError('{}: expected the run that the table describes, found one of {} {!r}; remove the folder or give '
                      'the line another name'.format(folder, noted['data'], noted['settings']))

  def _data_set(self, name, flags):
    """Makes a data set, if it is not there, and returns its folder."""
    path, vocabulary = os.path.join(self._folder, 'data', name), os.path.join(self._folder, 'vocab.txt')
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + '.log', 'ab') as log:
      if not os.path.exists(vocabulary):
        _call(['tools.build_vocab', '--input_files=' + self._corpus, '--output_file=' + vocabulary], log)
      # Also where it is there: another table may mean another one by this name, and the tool compares.
      _call(['tools.create_pretraining_data', '--input_files=' + self._corpus, '--vocab_file=' + vocabulary,
             '--output_dir=' + path] + shlex.split(flags), log)
    return path


def is_finished(folder):
  """Whether a run has made all of its steps and evaluated the last one."""
  state, _ = run_files.read_json(os.path.join(folder, names.STATE_FILE), run_files.is_run_state)
  written = results.read(folder)
  steps = (state or {}).get('schedule', {}).get('num_train_steps')
  return steps is not None and steps == written.get('trained_steps') == written.get('global_step') \
      and bool(written.get('heldout'))


def cpu_seconds_of_starts(folder):
  """List of floats: CPU seconds, user and system, of each process that has worked on a run and come to its end."""
  return (_noted(folder) or {}).get('cpu_seconds', [])


def _noted(folder):
  try:
    with open(folder + _NOTE, encoding='utf-8') as source:
      return json.load(source)
  except FileNotFoundError:
    return None


def _note(folder, run, cpu_seconds):
  files.write_atomically(folder + _NOTE, json.dumps(dict(run._asdict(), cpu_seconds=cpu_seconds)) + '\n')


def _call(words, log):
  """Runs a program of this repository, its output to a file. Returns CPU seconds; raises UserError where it fails."""
  before = os.times()
  process = subprocess.Popen([sys.executable, '-W', 'ignore', '-m'] + words, cwd=files.ROOT, stdout=log, stderr=log,
                             preexec_fn=_end_with_the_study)
  try:
    code = process.wait()
  except KeyboardInterrupt:
    process.wait()  # it has got the signal too, and saves
    raise
  if code:
    kind = Stopped if code == STOPPED_EXIT_CODE else UserError
    raise kind('{}: expected it to succeed, found exit code {}: {}; correct it and start again: what is there is '
               'kept'.format(words[0], code, _last_line(log.name)))
  after = os.times()
  return after.children_user + after.children_system - before.children_user - before.children_system


def _end_with_the_study():
  """In the new process: a study that is killed leaves no training behind, which would hold the folder of its run."""
  processes.end_with_parent(signal.SIGTERM)


def _last_line(path):
  with open(path, encoding='utf-8', errors='replace') as source:
    lines = [line.strip() for line in source if line.strip()]
  return lines[-1] if lines else 'it said nothing'
