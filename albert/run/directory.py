"""The files of a run besides the checkpoints: what it was, how it goes, its best. No graph, no session.

    albert_config.json, vocab.txt   what the checkpoints need to be used elsewhere
    command_line.txt                each start: time, command, git commit, data
    loss_history.tsv                step, total loss: one line each time they were logged
    heldout_history.tsv             step and held-out figures, one line per evaluation
    results.json                    the latest figures; evaluation.json: those of `make eval`
    performance.json                throughput of a performance run, whose folder it marks
    best/                           the checkpoint with the lowest held-out masked-LM loss, and best.json
"""

import collections
import glob
import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
import time

import tensorflow as tf

from albert.common.errors import UserError
from albert.common import files
from albert.common.files import ROOT
from albert.dataset import contract
from albert.model.config import AlbertConfig
from albert.run import checkpoints
from albert.run import run_state

CONFIG_FILE = 'albert_config.json'
RESULTS_FILE = 'results.json'
EVALUATION_FILE = 'evaluation.json'
LOSS_HISTORY_FILE = 'loss_history.tsv'
HELDOUT_HISTORY_FILE = 'heldout_history.tsv'
BEST_FOLDER = 'best'
PERFORMANCE_FILE = 'performance.json'
BEST_METRIC = 'masked_lm_loss'

_LOG = logging.getLogger('albert')


def check(output_dir, config, info, performance=False):
  """Whether a run with this architecture and data set can go on in this folder; changes nothing.

  Raises:
    UserError: it holds a run with another architecture or vocabulary, or a full run where a performance run is
      wanted, or the other way round: it would be deleted by the next one.
  """
  if not latest_checkpoint(output_dir):
    return
  marked = os.path.exists(os.path.join(output_dir, PERFORMANCE_FILE))
  if marked != performance:
    kinds = ['a full run', 'a performance run']
    raise UserError('{}: expected an empty folder or {}, found the checkpoints of {}; use another output folder '
                    '(OUT=...)'.format(output_dir, kinds[performance], kinds[marked]))
  if performance:
    return
  _check_same_architecture(output_dir, config)
  own = os.path.join(output_dir, contract.VOCAB_FILE)
  if info.vocab_sha256 and os.path.exists(own) and files.file_sha256(own) != info.vocab_sha256:
    raise UserError('{}: expected the vocabulary of the data set {}, found another; use another output folder or the '
                    'data set made with it'.format(own, info.folder))


def prepare(output_dir, config, info):
  """Makes the folder self-contained."""
  os.makedirs(output_dir, exist_ok=True)
  files.write_atomically(os.path.join(output_dir, CONFIG_FILE), config.to_json_string())
  if info.vocab_sha256 and os.path.exists(info.vocab_file):
    files.copy_atomically(info.vocab_file, os.path.join(output_dir, contract.VOCAB_FILE))
  _append_command_line(output_dir, info)


def _check_same_architecture(output_dir, config):
  path = os.path.join(output_dir, CONFIG_FILE)
  if not os.path.exists(path):
    return
  different = differences(AlbertConfig.from_json_file(path), config)
  if different:
    raise UserError('{}: expected checkpoints of the architecture asked for, found those of another: {}; '
                    'use another output folder (OUT=...)'.format(output_dir, different))


def differences(found, asked):
  """What two AlbertConfigs differ in, in words; empty if in nothing. A vocabulary size that is not said fits all."""
  asked = asked.to_dict()
  return ', '.join('{} {} (asked: {})'.format(key, value, asked[key]) for key, value in found.to_dict().items()
                   if asked[key] != value and not (key == 'vocab_size' and asked[key] is None))


def _append_command_line(output_dir, info):
  command = ' '.join(shlex.quote(word) for word in [os.path.basename(sys.executable)] + sys.argv)
  lines = [time.strftime('%Y-%m-%d %H:%M:%S ') + command, '  git commit: ' + _git_commit(),
           '  data: {} ({:,} training and {:,} held-out records, vocabulary {})'.format(
               info.folder, info.records(contract.TRAIN), info.records(contract.HELDOUT),
               (info.vocab_sha256 or 'unknown')[:12])]
  with open(os.path.join(output_dir, 'command_line.txt'), 'a', encoding='utf-8') as target:
    target.write('\n'.join(lines) + '\n')


def _git_commit():
  try:
    return subprocess.check_output(['git', '-C', ROOT, 'describe', '--always', '--dirty', '--abbrev=40'],
                                   stderr=subprocess.DEVNULL).decode().strip()
  except (OSError, subprocess.CalledProcessError):
    return 'unknown'


def latest_checkpoint(folder):
  """Prefix of the newest checkpoint in `folder`, or None. The newest with an index if TensorFlow's own is gone."""
  prefixes = [checkpoints.prefix_of(folder, step) for step in reversed(checkpoints.steps_in(folder))]
  return tf.train.latest_checkpoint(folder) or next(
      (prefix for prefix in prefixes if os.path.exists(prefix + '.index')), None)


def step_of(checkpoint):
  """Global step of a checkpoint prefix, from its name; 0 for None."""
  if checkpoint is None:
    return 0
  digits = checkpoint.rsplit('-', 1)[-1]
  if digits.isdigit():
    return int(digits)
  reader = tf.train.load_checkpoint(checkpoint)
  return int(reader.get_tensor('global_step')) if reader.has_tensor('global_step') else 0


def find_checkpoint(path):
  """Prefix of a checkpoint: `path` itself, or the newest in the folder `path`.

  Raises:
    UserError: there is none.
  """
  found = tf.train.latest_checkpoint(path) if os.path.isdir(path) else path
  for ending in ('.index', '.meta', '.data-00000-of-00001'):
    if found and found.endswith(ending):
      found = found[:-len(ending)]
  if not found or not os.path.exists(found + '.index'):
    raise UserError('expected a TensorFlow checkpoint at {}, found none; '
                    'name its prefix (such as out/model.ckpt-1000) or its folder'.format(path))
  return found


def config_beside(checkpoint):
  """AlbertConfig of the run that a checkpoint belongs to, from its folder or, in best/, the one above; or None."""
  folder = os.path.dirname(os.path.abspath(checkpoint))
  candidates = [folder] + ([os.path.dirname(folder)] if os.path.basename(folder) == BEST_FOLDER else [])
  for candidate in candidates:
    if os.path.exists(os.path.join(candidate, CONFIG_FILE)):
      return AlbertConfig.from_json_file(os.path.join(candidate, CONFIG_FILE))
  return None


def best_checkpoint(output_dir):
  """(prefix, figures) of the best checkpoint of a run, or (None, None) where there is none or a damaged best.json."""
  try:
    with open(os.path.join(output_dir, BEST_FOLDER, 'best.json'), encoding='utf-8') as source:
      best = json.load(source)
    prefix, _ = os.path.join(output_dir, BEST_FOLDER, best['checkpoint']), float(best[BEST_METRIC])
  except (OSError, ValueError, KeyError, TypeError):
    return None, None
  return prefix, best


def keep_if_best(output_dir, checkpoint, step, figures):
  """Copies `checkpoint` to best/ if its held-out masked-LM loss is the lowest of the run. Returns whether it is."""
  _, best = best_checkpoint(output_dir)
  if best and best[BEST_METRIC] <= figures[BEST_METRIC]:
    return False
  folder = os.path.join(output_dir, BEST_FOLDER)
  os.makedirs(folder, exist_ok=True)
  name = os.path.basename(checkpoint)
  _copy(checkpoint, folder)
  files.write_atomically(os.path.join(folder, 'best.json'),
                         json.dumps(dict(figures, checkpoint=name, global_step=step), indent=1, sort_keys=True) + '\n')
  _tidy_best(folder, name)
  return True


def _copy(checkpoint, folder):
  for path in sorted(glob.glob(glob.escape(checkpoint) + '.*')):
    files.copy_atomically(path, os.path.join(folder, os.path.basename(path)))


def _tidy_best(folder, name):
  """Leaves in best/ what best.json names, and makes it the checkpoint that TensorFlow takes."""
  files.write_atomically(os.path.join(folder, 'checkpoint'),
                         'model_checkpoint_path: "{0}"\nall_model_checkpoint_paths: "{0}"\n'.format(name))
  for path in _others(folder, name):
    files.remove(path)


def _others(folder, name):
  """The files of checkpoints in `folder` that do not belong to the one called `name`."""
  return [path for path in glob.glob(os.path.join(glob.escape(folder), 'model.ckpt-*'))
          if not os.path.basename(path).startswith(name + '.')]


def mend_best(output_dir):
  """Finishes what a killed process left of keep_if_best(); a damaged best is copied again, or else is no best."""
  checkpoint, best = best_checkpoint(output_dir)
  folder = os.path.join(output_dir, BEST_FOLDER)
  if not checkpoint:
    if os.path.exists(os.path.join(folder, 'best.json')):
      _forget_best(folder, 'best.json cannot be read')
    return
  own = os.path.join(output_dir, best['checkpoint'])
  if not checkpoints.is_good(checkpoint):
    if not checkpoints.read_manifest(own) or not checkpoints.is_good(own):
      _forget_best(folder, checkpoints.problem_with(checkpoint))
      return
    _LOG.warning('DAMAGED BEST CHECKPOINT %s: %s; copied again from %s', checkpoint,
                 checkpoints.problem_with(checkpoint), own)
    _copy(own, folder)
  if tf.train.latest_checkpoint(folder) != checkpoint or _others(folder, best['checkpoint']):
    _tidy_best(folder, best['checkpoint'])


def _forget_best(folder, problem):
  _LOG.warning('DAMAGED BEST CHECKPOINT %s: %s; the next evaluation chooses another', folder, problem)
  os.remove(os.path.join(folder, 'best.json'))


def is_damaged(output_dir):
  """Whether the newest or the best checkpoint of a run is not what its manifest says."""
  newest, (best, _) = latest_checkpoint(output_dir), best_checkpoint(output_dir)
  return not all(checkpoints.is_good(checkpoint) for checkpoint in (newest, best) if checkpoint)


def read_results(output_dir):
  """results.json as a dict, empty if there is none."""
  path = os.path.join(output_dir, RESULTS_FILE)
  if not os.path.exists(path):
    return {}
  with open(path, encoding='utf-8') as source:
    return json.load(source)


def keep_evaluation(output_dir, **figures):
  """Writes evaluation.json, and results.json unless a training with evaluation wrote it. Returns what was written."""
  figures = collections.OrderedDict(sorted(figures.items()))
  files.write_atomically(os.path.join(output_dir, EVALUATION_FILE), json.dumps(figures, indent=1) + '\n')
  results = read_results(output_dir)
  if 'train' not in results or 'heldout' not in results:
    update_results(output_dir, **figures)
  return figures


def update_results(output_dir, **figures):
  """Replaces top-level entries of results.json."""
  results = collections.OrderedDict(sorted(dict(read_results(output_dir), **figures).items()))
  files.write_atomically(os.path.join(output_dir, RESULTS_FILE), json.dumps(results, indent=1) + '\n')


def start_afresh(output_dir):
  """Removes what an earlier performance run left: each one measures from step 0. See check()."""
  marker = os.path.join(output_dir, PERFORMANCE_FILE)
  os.makedirs(output_dir, exist_ok=True)
  files.write_atomically(marker, '{}\n')
  shutil.rmtree(os.path.join(output_dir, BEST_FOLDER), ignore_errors=True)
  for pattern in ('checkpoint', 'model.ckpt-*', RESULTS_FILE, run_state.STATE_FILE, '*_history.tsv',
                  'events.out.tfevents.*'):
    for path in glob.glob(os.path.join(output_dir, pattern)):
      os.remove(path)


def write_performance(output_dir, figures):
  """Writes performance.json; figures: dict of floats."""
  files.write_atomically(os.path.join(output_dir, PERFORMANCE_FILE),
                         json.dumps(figures, indent=1, sort_keys=True) + '\n')


class History:
  """A tab-separated file with a header and a line per step, shortened to the step that a run goes on from."""

  def __init__(self, output_dir, name, columns):
    """columns: names of the values after the first column, which is the step."""
    self._path = os.path.join(output_dir, name)
    self._columns = columns

  def steps(self):
    """The steps that have a line."""
    return [int(line.split('\t')[0]) for line in self._lines()]

  def forget_after(self, step):
    """Drops lines of steps that a killed run reached after its last checkpoint."""
    kept = [line for line in self._lines() if int(line.split('\t')[0]) <= step]
    files.write_atomically(self._path, '\n'.join(['\t'.join(['step'] + self._columns)] + kept) + '\n')

  def add(self, step, values):
    """Appends the line of `step`; values: dict with the columns as keys."""
    with open(self._path, 'a', encoding='utf-8') as target:
      target.write('\t'.join([str(step)] + ['{:.6f}'.format(values[column]) for column in self._columns]) + '\n')
      target.flush()
      os.fsync(target.fileno())

  def _lines(self):
    if not os.path.exists(self._path):
      return []
    with open(self._path, encoding='utf-8') as source:
      return source.read().split('\n')[1:-1]  # a line without an end was not written to its end
