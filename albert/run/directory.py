"""The description of a run in its folder: architecture, vocabulary, command lines. For all its files see names.py."""

import glob
import os
import shlex
import shutil
import subprocess
import sys
import time

from albert.common.errors import UserError
from albert.common import files
from albert.common.files import ROOT
from albert.dataset import contract
from albert.dataset.tokenization import guessed_lower_case
from albert.model.config import AlbertConfig
from albert.run import checkpoints
from albert.run import names
from albert.run import run_files

# What published folders call these files, if there is one such file and none of the usual name.
_OTHER_NAMES = {names.CONFIG_FILE: '*config*.json', names.VOCAB_FILE: '*vocab*.txt'}


def check(output_dir, config, info, performance=False):
  """Whether a run with this architecture and data set can go on in this folder; changes nothing.

  Raises:
    UserError: it holds a run with another architecture or vocabulary, or a full run where a performance run is
      wanted, or the other way round: it would be deleted by the next one.
  """
  if not checkpoints.latest(output_dir):
    return
  marked = os.path.exists(os.path.join(output_dir, names.PERFORMANCE_FILE))
  if marked != performance:
    kinds = ['a full run', 'a performance run']
    raise UserError('{}: expected an empty folder or {}, found the checkpoints of {}; use another output folder '
                    '(OUT=...)'.format(output_dir, kinds[performance], kinds[marked]))
  if performance:
    return
  _check_same_architecture(output_dir, config)
  _check_same_vocabulary(output_dir, info)


def _check_same_vocabulary(output_dir, info):
  """The newest manifest says it; in runs from before it did, vocab.txt. prepare() writes a damaged file again."""
  own = os.path.join(output_dir, names.VOCAB_FILE)
  said = checkpoints.belongs_to(checkpoints.latest(output_dir)).get('vocabulary')
  recorded = said or (files.file_sha256(own) if os.path.exists(own) else None)
  if info.vocab_sha256 and recorded not in (None, info.vocab_sha256):
    raise UserError('{}: expected the vocabulary of the data set {} (SHA-256 {:.12}...), found another ({:.12}...); '
                    'use another output folder or the data set made with it'.format(
                        output_dir if said else own, info.folder, info.vocab_sha256, recorded))


def lower_case(prefixes, tokens):
  """Whether text is read in lower case, as is said beside the first of several checkpoints that says it.

  Args:
    prefixes: of checkpoints. tokens: list of str, the vocabulary, by which it is guessed where nothing says it.
  """
  said = [lower for lower in map(said_lower_case, prefixes) if lower is not None]
  return said[0] if said else guessed_lower_case(tokens)


def said_lower_case(prefix):
  """Whether a checkpoint's texts are in lower case, or None if nothing beside it says so."""
  for folder in description_folders(prefix):
    for name in (names.TASK_FILE, names.SOURCE_FILE):
      said, _ = run_files.read_json(os.path.join(folder, name), lambda value: isinstance(value, dict))
      if said and isinstance(said.get('do_lower_case'), bool):
        return said['do_lower_case']
  return None


def prepare(output_dir, config, info):
  """Makes the folder self-contained."""
  os.makedirs(output_dir, exist_ok=True)
  files.write_atomically(os.path.join(output_dir, names.CONFIG_FILE), config.to_json_string())
  if info.vocab_sha256 and os.path.exists(info.vocab_file):
    files.copy_atomically(info.vocab_file, os.path.join(output_dir, names.VOCAB_FILE))
  _append_command_line(output_dir, info)


def _check_same_architecture(output_dir, config):
  own = config_of(checkpoints.latest(output_dir)) or config_beside(os.path.join(output_dir, names.CHECKPOINT))
  different = own and differences(own, config)
  if different:
    raise UserError('{}: expected checkpoints of the requested architecture, found those of another: {}; '
                    'use another output folder (OUT=...)'.format(output_dir, different))


def differences(own, wanted):
  """The differences of two AlbertConfigs in words, empty if there are none. A vocabulary size of None fits all."""
  wanted = wanted.to_dict()
  return ', '.join('{} {} (here: {})'.format(key, value, wanted[key]) for key, value in own.to_dict().items()
                   if wanted[key] != value and not (key == 'vocab_size' and wanted[key] is None))


def _append_command_line(output_dir, info):
  command = ' '.join(shlex.quote(word) for word in [os.path.basename(sys.executable)] + sys.argv)
  lines = [time.strftime('%Y-%m-%d %H:%M:%S ') + command, '  git commit: ' + _git_commit(),
           '  data: {} ({:,} training and {:,} held-out records, vocabulary {})'.format(
               info.folder, info.records(contract.TRAIN), info.records(contract.HELDOUT),
               '{} {:.12}'.format(info.vocab_file, info.vocab_sha256) if info.vocab_sha256 else 'unknown')]
  with open(os.path.join(output_dir, names.COMMAND_LINE_FILE), 'a', encoding='utf-8') as target:
    target.write('\n'.join(lines) + '\n')


def _git_commit():
  try:
    return subprocess.check_output(['git', '-C', ROOT, 'describe', '--always', '--dirty', '--abbrev=40'],
                                   stderr=subprocess.DEVNULL).decode().strip()
  except (OSError, subprocess.CalledProcessError):
    return 'unknown'


def description_folders(checkpoint):
  """The folders that may hold names.DESCRIPTION: that of the checkpoint, and of best/ also the one above."""
  folder = os.path.dirname(os.path.abspath(checkpoint))
  return [folder] + ([os.path.dirname(folder)] if os.path.basename(folder) == names.BEST_FOLDER else [])


def file_beside(checkpoint, name):
  """Path of the file `name` that describes a checkpoint, or None.

  Args:
    checkpoint: prefix. Of one in best/ the file may also lie in the folder above.
    name: names.CONFIG_FILE or VOCAB_FILE, any other is looked for under this name only. Published folders have other
      names: the only file like *config*.json or *vocab*.txt is taken.
  """
  for folder in description_folders(checkpoint):
    path = os.path.join(folder, name)
    if os.path.isfile(path):
      return path
    alike = glob.glob(os.path.join(glob.escape(folder), _OTHER_NAMES[name])) if name in _OTHER_NAMES else []
    if len(alike) == 1:
      return alike[0]
  return None


def config_of(checkpoint):
  """AlbertConfig that a checkpoint was made with, as its manifest or else a file beside it says; None if neither."""
  said = checkpoints.belongs_to(checkpoint).get('config')
  return AlbertConfig.from_dict(said, checkpoint + names.MANIFEST) if said else config_beside(checkpoint)


def config_beside(checkpoint):
  """AlbertConfig of the run that a checkpoint belongs to, as the file there says, or None."""
  paths = [os.path.join(folder, names.CONFIG_FILE) for folder in description_folders(checkpoint)]
  return next((AlbertConfig.from_json_file(path) for path in paths if os.path.exists(path)), None)


def start_afresh(output_dir):
  """Removes what an earlier performance run left: each one measures from step 0. See check()."""
  marker = os.path.join(output_dir, names.PERFORMANCE_FILE)
  os.makedirs(output_dir, exist_ok=True)
  files.write_atomically(marker, '{}\n')
  shutil.rmtree(os.path.join(output_dir, names.BEST_FOLDER), ignore_errors=True)
  for pattern in (names.POINTER_FILE, names.CHECKPOINT + '-*', names.RESULTS_FILE, names.STATE_FILE,
                  names.LOSS_HISTORY_FILE, names.HELDOUT_HISTORY_FILE, names.EVENT_FILES):
    for path in glob.glob(os.path.join(output_dir, pattern)):
      os.remove(path)
