"""Everything that the folder of a run says of itself, read without changing anything; what is damaged is absent."""

import collections
import os
import re

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.dataset import contract
from albert.dataset import lost_records
from albert.model.config import AlbertConfig
from albert.run import checkpoints
from albert.run.logs import event_files
from albert.run import names
from albert.run import results
from albert.run import run_files
from albert.run.run_state import RunState

_DATA_LINE = re.compile(r'^  data: (.*) \([\d,]+ training and [\d,]+ held-out records, vocabulary .*\)$')
_COMMIT_LINE = re.compile('^  git commit: (.*)$')
_STEP_LINE = re.compile(r'^\S+ \S+ step [\d,]+/[\d,]+  ')

# folder: of the run. name: of the run. task: str. step, steps: ints, the newest one that is known and the last one
# to make, None if not known. heard: str, time of the last line of the log, or None. curves: {tag: [(step, value)]} of
# training. heldout: {figure: [(step, value)]}. results: dict of results.json. best: dict of best.json, or {}. config:
# AlbertConfig or None. schedule, settings: dicts of run_state.json, whose entries are `state`. info: DatasetInfo or
# None, problem with it in words or None. commands: [line]. commit: str or None. lost: lines of lost_records.tsv.
# last_line: of the log about a step, or None. gin: text of the operative configuration, or None. checkpoints: steps.
Material = collections.namedtuple('Material', [
    'folder', 'name', 'task', 'step', 'steps', 'heard', 'last_line', 'curves', 'heldout', 'results', 'best', 'config',
    'schedule', 'settings', 'state', 'info', 'info_problem', 'commands', 'commit', 'lost', 'gin', 'checkpoints'])


def read(folder, data=None):
  """The Material of a run.

  Args:
    folder: of the run.
    data: folder of its data set; None: the one that the run names, if it is still there.

  Raises:
    UserError: there is no run, or there are several.
  """
  known = (names.STATE_FILE, names.RESULTS_FILE, names.LOG_FILE, names.LOSS_HISTORY_FILE, names.CONFIG_FILE)
  if not any(os.path.exists(os.path.join(folder, name)) for name in known):
    raise UserError('{}: expected the folder of a run, found {}; train one first (make train-full), or name it: '
                    'OUT=...'.format(folder, 'none of {}'.format(', '.join(known)) if os.path.isdir(folder)
                                     else 'a file' if os.path.exists(folder) else 'none'))
  own = results.read(folder)
  if isinstance(own.get('seeds'), dict):
    raise UserError('{}: expected the folder of a run, found that of several ({}), whose means are in report.md; name '
                    'one of them: OUT=...'.format(folder, ', '.join(own['seeds'])))
  state = RunState(folder)
  curves = event_files.series(folder)
  told, steps = checkpoints.steps_in(folder), state.schedule.get('num_train_steps')
  command_lines = _lines(folder, names.COMMAND_LINE_FILE)
  log = _lines(folder, names.LOG_FILE)
  step = max([0] + told + [points[-1][0] for points in curves.values() if points] + [own.get('trained_steps', 0)])
  info, problem = _data_set(folder, data, command_lines, state)
  config_file = os.path.join(folder, names.CONFIG_FILE)
  return Material(
      folder=folder, name=os.path.basename(os.path.abspath(folder)), task=state.task or 'pretraining', step=step,
      steps=steps, heard=_time_of(log[-1]) if log else None,
      last_line=next((line.split(' ', 2)[2] for line in reversed(log) if _STEP_LINE.match(line)), None),
      curves=curves or _history(folder, names.LOSS_HISTORY_FILE, 'pretraining/'),
      heldout=_history(folder, names.HELDOUT_HISTORY_FILE), results=own,
      best=run_files.read_json(os.path.join(folder, names.BEST_FOLDER, names.BEST_FILE), run_files.is_best)[0] or {},
      config=AlbertConfig.from_json_file(config_file) if os.path.exists(config_file) else None,
      schedule=state.schedule, settings=state.settings, state=state.entries(), info=info, info_problem=problem,
      commands=[line for line in command_lines if not line.startswith('  ')],
      commit=next((match.group(1) for match in map(_COMMIT_LINE.match, reversed(command_lines)) if match), None),
      lost=_lines(folder, lost_records.LOST_RECORDS_FILE)[1:], gin=_operative(folder), checkpoints=told)


def _lines(folder, name):
  """The lines of a text file, none where there is none that can be read."""
  text, _ = run_files.read_text(os.path.join(folder, name))
  return (text or '').splitlines()


def _time_of(line):
  match = re.match(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d', line)
  return match.group(0) if match else None


def _history(folder, name, before=''):
  """{before + column: [(step, value)]} of a history, without lines that are damaged."""
  lines = _lines(folder, name)
  columns = lines[0].split('\t')[1:] if lines else []
  series = {before + column: [] for column in columns}
  for line in lines[1:]:
    step = run_files.history_step(line, len(columns))
    for column, value in zip(columns, line.split('\t')[1:] if step is not None else []):
      series[before + column].append((step, float(value)))
  return series


def _operative(folder):
  """The newest operative configuration, as gin wrote it."""
  configs = [(int(match.group(1)), match.group(0)) for match in map(
      re.compile(r'operative_config-(\d+)\.gin').fullmatch, os.listdir(folder)) if match]
  return '\n'.join(_lines(folder, max(configs)[1])) if configs else None


def _data_set(folder, given, command_lines, state):
  """(DatasetInfo of the run's training data, None), or (None, why there is none)."""
  named = next((match.group(1) for match in map(_DATA_LINE.match, reversed(command_lines)) if match), None)
  places = [given] if given else [os.path.join(place, named) for place in (os.getcwd(), ROOT)] if named else []
  if named and not given:  # records of fine-tuning lie in the run, and move with it
    places.append(os.path.join(folder, os.path.basename(named)))
  wanted = state.settings.get('data_set')
  for place in places:
    if not os.path.exists(os.path.join(place, contract.DATASET_FILE)):
      continue
    info = contract.DatasetInfo.load(place)
    if wanted in (None, info.fingerprint()):
      return info, None
    return None, 'The data set in {} is another than the one of this run.'.format(place)
  if given:
    raise UserError('{}: expected the data set of the run, found none; name its folder: DATA=...'.format(given))
  return None, 'The data set{} was not found from here; DATA=... names it.'.format(' ' + named if named else '')
