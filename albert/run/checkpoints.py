"""Checkpoints as files: committed with a manifest, verified by it, retained as the options say.

A checkpoint is complete when model.ckpt-<step>.manifest.json is there: it gets this name last. It names each file with
its size and SHA-256, the step, the position in the data and what else a resumed run needs. Until then, and again while
the checkpoint is removed, it is called .manifest.json.tmp: what a killed process has left is known by that name.
`checkpoint` is TensorFlow's own file, from which tf.estimator learns where to go on. The manifests are the truth: where
the file says something else, nothing, or the path of another machine, it is put right before tf.estimator looks.
"""

import difflib
import glob
import json
import logging
import os
import re
import shutil
import uuid

from google.protobuf import text_format
import tensorflow as tf
from tensorflow.python.training import checkpoint_state_pb2

from albert.common.errors import UserError
from albert.common import files
from albert.common import json_text
from albert.model.names import GLOBAL_STEP
from albert.run.names import CHECKPOINT
from albert.run.names import MANIFEST
from albert.run.names import POINTER_FILE
from albert.run.names import SAVING_FOLDER
from albert.run.names import UNFINISHED
from albert.run import run_files

# The endings of a checkpoint's files, by which a user may name it.
_ENDING = re.compile(r'\.(index|meta|data-\d{5}-of-\d{5})$')
# TensorFlow 1.15 takes the path of a checkpoint for a pattern, in Python and in its operations: a file whose path has
# one of these is not found by its own name.
_PATTERN = re.compile(r'[*?\[\]\\]')
# How many runs an error names.
_MOST_NAMED = 5

_LOG = logging.getLogger('albert')


def prefix_of(folder, step):
  """The prefix of the checkpoint of a step."""
  return os.path.join(folder, '{}-{}'.format(CHECKPOINT, step))


def steps_in(folder):
  """The steps that have a manifest in `folder`, ascending."""
  paths = glob.glob(os.path.join(glob.escape(folder), CHECKPOINT + '-*' + MANIFEST))
  matches = [re.search(r'-(\d+)' + re.escape(MANIFEST) + '$', os.path.basename(path)) for path in paths]
  return sorted(int(match.group(1)) for match in matches if match)


def step_of(checkpoint):
  """Global step of a checkpoint prefix, from its name; 0 for None."""
  if checkpoint is None:
    return 0
  digits = checkpoint.rsplit('-', 1)[-1]
  if digits.isdigit():
    return int(digits)
  reader = tf.train.load_checkpoint(checkpoint)
  return int(reader.get_tensor(GLOBAL_STEP)) if reader.has_tensor(GLOBAL_STEP) else 0


def check_path(name, path):
  """Raises UserError for a path that TensorFlow takes for something else. name: what the path was given as."""
  if '://' in path:
    raise UserError('{}: expected a path of a file system that is mounted here, found {}; TensorFlow would take what '
                    'is before "://" for another one'.format(name, path))
  signs = sorted(set(_PATTERN.findall(path)))
  if signs:
    raise UserError('{}: expected a path without * ? [ ] and \\, which TensorFlow 1.15 takes for a pattern, found {} '
                    'in {}; choose another or rename it'.format(name, ' '.join(signs), path))


def pointed_to(folder):
  """Prefix of the checkpoint in `folder` that TensorFlow's own file there names, or None.

  Of a path only the last part counts: the file of a copied or moved run still holds the old one, and one that leads
  elsewhere is not followed.
  """
  name = os.path.basename(_named_in(folder) or '')
  prefix = os.path.join(folder, name)
  # One file: the format of TensorFlow 0.x. A damaged name may be none.
  return prefix if files.is_plain_name(name) and (os.path.exists(prefix + '.index') or os.path.isfile(prefix)) else None


def _named_in(folder):
  """The path in TensorFlow's own file in `folder`, or None if there is no such file or a damaged one."""
  try:
    content = files.read_small(os.path.join(folder, POINTER_FILE), 1 << 20).decode('utf-8')
    return text_format.Merge(content, checkpoint_state_pb2.CheckpointState()).model_checkpoint_path or None
  except (OSError, ValueError, text_format.ParseError):
    return None


def latest(folder):
  """Prefix of the newest checkpoint in `folder`, or None. The newest with an index if TensorFlow's own file is no help.

  Changes nothing and verifies nothing: for a look at a run. What a run goes on from is newest_good().
  """
  prefixes = [prefix_of(folder, step) for step in reversed(steps_in(folder))]
  return pointed_to(folder) or next((prefix for prefix in prefixes if os.path.exists(prefix + '.index')), None)


def find(path, warn=_LOG.warning):
  """Prefix of a checkpoint: `path` itself, with or without the ending of a file, or the newest in the folder `path`.

  Args:
    path: str.
    warn: callable(line), for what is damaged.

  Raises:
    UserError: there is none, every one is damaged, or TensorFlow cannot open a path like this.
  """
  check_path('checkpoint', path)
  candidates = _candidates_in(path, warn) if os.path.isdir(path) else [_ENDING.sub('', path)]
  for candidate in candidates:
    if os.path.exists(candidate + '.index') or os.path.isfile(candidate):  # one file: the format of TensorFlow 0.x
      return candidate
  raise UserError('expected a TensorFlow checkpoint at {}, found {}; name its prefix (such as out/model.ckpt-1000) or '
                  'its folder{}{}'.format(path, *(('none', '') if os.path.lexists(path) else (
                      'nothing of this name', ', or train one first (make train-full)')), _meant_by(path)))


def _meant_by(path):
  """Checkpoints near a path that has none, as the end of an advice; '' if nothing is near."""
  folder = path if os.path.isdir(path) else os.path.dirname(path)
  try:
    inside = sorted(name for name in os.listdir(folder or '.')
                    if os.path.isfile(os.path.join(folder, name, POINTER_FILE)))
  except OSError:
    return ''
  if folder == path:
    shown = [os.path.join(folder, name) for name in inside[:_MOST_NAMED]] + ['...'] * (len(inside) > _MOST_NAMED)
    return '; there are runs in it: ' + ', '.join(shown) if inside else ''
  saved = [os.path.basename(prefix_of(folder, step)) for step in steps_in(folder)]
  near = difflib.get_close_matches(os.path.basename(path), inside + saved, 1)
  return '; did you mean {}?'.format(os.path.join(folder, near[0])) if near else ''


def _candidates_in(folder, warn):
  """Prefixes to try: the newest good one with a manifest; else what TensorFlow's file names; else the only one."""
  if steps_in(folder):
    return [newest_good(folder, warn)]
  pointed = pointed_to(folder)
  if pointed:
    return [pointed]
  indexes = glob.glob(os.path.join(glob.escape(folder), '*.index'))
  return [_ENDING.sub('', indexes[0])] if len(indexes) == 1 else []


def read_manifest(prefix):
  """The content of a checkpoint's manifest, a dict; None if it has none or a damaged one."""
  manifest, _ = run_files.read_json(prefix + MANIFEST, lambda value: _is_manifest_of(prefix, value))
  if manifest is None:
    return None
  said = manifest.pop('sha256')
  # A flipped digit is a position in the data too.
  return manifest if said == json_text.sha256(manifest) else None


def belongs_to(prefix):
  """The belonging.entries() of a checkpoint; empty where its manifest has none."""
  return (read_manifest(prefix) or {}).get('belongs_to') or {}


def _is_manifest_of(prefix, value):
  """Whether a JSON value is a manifest, and of this checkpoint instead of another one's under its name."""
  own = os.path.basename(prefix)
  return (run_files.is_manifest(value) and 'sha256' in value and own == '{}-{}'.format(CHECKPOINT, value['step'])
          and all(files.is_plain_name(name) and name.startswith(own + '.') for name in value['files']))


def problem_with(prefix):
  """The problem with a checkpoint that has a manifest, in words; None for a good one."""
  manifest = read_manifest(prefix)
  if manifest is None:
    return 'its manifest is damaged'
  for name, said in sorted(manifest['files'].items()):
    path = os.path.join(os.path.dirname(prefix), name)
    if not os.path.exists(path):
      return '{} is missing'.format(name)
    if os.path.getsize(path) != said['bytes']:
      return '{} has {:,} bytes instead of {:,}'.format(name, os.path.getsize(path), said['bytes'])
    if not _has_checksum(path, said['sha256']):
      return '{} has another checksum'.format(name)
  return None


def _has_checksum(path, sha256):
  try:
    return files.file_sha256(path) == sha256
  except OSError:  # a pipe, a device, or nobody's to read
    return False


def is_good(prefix):
  """Whether a checkpoint is what its manifest says; one that never had a manifest is taken for good."""
  return not os.path.exists(prefix + MANIFEST) or problem_with(prefix) is None


def newest_good(folder, warn=_LOG.warning):
  """Prefix of the newest checkpoint that is what its manifest says, or None if there is none at all.

  Changes nothing, so that every rank may ask. Where no checkpoint has a manifest, the one that TensorFlow takes.

  Args:
    folder: of the run.
    warn: as for find().

  Raises:
    UserError: there are checkpoints, and every one is damaged.
  """
  steps = steps_in(folder)
  for step in reversed(steps):
    prefix = prefix_of(folder, step)
    problem = problem_with(prefix)
    if problem is None:
      return prefix
    warn('DAMAGED CHECKPOINT {}: {}; looking for the one before'.format(prefix, problem))
  if steps:
    raise UserError('{}: expected a checkpoint that is what its manifest says, found {}, all damaged; restore one, or '
                    'move them away to start from the beginning'.format(folder, ', '.join(map(str, steps))))
  return pointed_to(folder)


def recover(folder):
  """Puts a folder right after a process was killed in it. Returns newest_good(folder), which TensorFlow then takes."""
  discard_unfinished(folder)
  for path in glob.glob(os.path.join(glob.escape(folder), '*.tmp')):
    files.remove(path)
  good = newest_good(folder)
  named = _named_in(folder)
  if good and (named is None or os.path.join(folder, named) != good):
    if good != pointed_to(folder):
      _LOG.warning('going on from %s', good)
    _point_to(folder, good)
  elif not good:
    if named:
      _LOG.warning('%s: names %s, which is not here; removed', os.path.join(folder, POINTER_FILE), named)
    files.remove(os.path.join(folder, POINTER_FILE))  # tf.estimator would look for what it names
  return good


def point_to(folder, names):
  """Makes the last of `names`, the checkpoints of `folder` from old to new, the one that TensorFlow takes."""
  lines = ['model_checkpoint_path: "{}"'.format(names[-1])]
  lines += ['all_model_checkpoint_paths: "{}"'.format(name) for name in names]
  files.write_atomically(os.path.join(folder, POINTER_FILE), '\n'.join(lines) + '\n')


def _point_to(folder, prefix):
  """As point_to, with all checkpoints that have a manifest in `folder`."""
  newest = os.path.basename(prefix)
  others = [os.path.basename(prefix_of(folder, step)) for step in steps_in(folder)]
  point_to(folder, [name for name in others if name != newest] + [newest])


def temporary_prefix(folder, step):
  """Where the files of a checkpoint are to be written before commit()."""
  saving = os.path.join(folder, SAVING_FOLDER.format(uuid.uuid4().hex))
  os.mkdir(saving)
  return os.path.join(saving, '{}-{}'.format(CHECKPOINT, step))


def commit(folder, temporary, step, entries, check_writer=lambda: None):
  """Makes the files of a temporary prefix the newest checkpoint. Returns its prefix.

  A process that was suspended in here while another one took the folder over finds its files gone: recover() of the
  other has removed them, and what that one writes has other names until it is complete.

  Args:
    folder: of the run.
    temporary: what temporary_prefix() gave, with the files written.
    step: int.
    entries: dict, what else the manifest is to say.
    check_writer: callable() that raises where this process may not write any more; called before a file gets its name.
  """
  prefix = prefix_of(folder, step)
  described = {}
  for path in sorted(glob.glob(glob.escape(temporary) + '.*')):
    files.sync(path)
    described[os.path.basename(path)] = {'bytes': os.path.getsize(path), 'sha256': files.file_sha256(path)}
  manifest = json_text.finite(dict(entries, step=step, files=described))
  manifest['sha256'] = json_text.sha256(manifest)
  check_writer()
  if os.path.exists(prefix + MANIFEST):  # of a damaged checkpoint of the same step
    os.replace(prefix + MANIFEST, prefix + UNFINISHED)
  files.write_synced(prefix + UNFINISHED, json.dumps(manifest, indent=1, sort_keys=True) + '\n')
  for name in described:
    os.replace(os.path.join(os.path.dirname(temporary), name), os.path.join(folder, name))
  files.sync(folder)
  os.replace(prefix + UNFINISHED, prefix + MANIFEST)
  files.sync(folder)
  check_writer()
  _point_to(folder, prefix)
  os.rmdir(os.path.dirname(temporary))
  return prefix


def discard_unfinished(folder):
  """Removes what an attempt to write or to remove a checkpoint left."""
  for path in glob.glob(os.path.join(glob.escape(folder), SAVING_FOLDER.format('*'))):
    shutil.rmtree(path, ignore_errors=True)
  for path in glob.glob(os.path.join(glob.escape(folder), CHECKPOINT + '-*' + UNFINISHED)):
    prefix = path[:-len(UNFINISHED)]
    if os.path.exists(prefix + MANIFEST):  # of a process that came too late, see commit()
      files.remove(path)
    else:
      _remove_files(prefix)


def _remove_files(prefix):
  """Removes a checkpoint whose manifest has its unfinished name, which goes last."""
  for path in glob.glob(glob.escape(prefix) + '.*'):
    if path != prefix + UNFINISHED:
      files.remove(path)
  files.remove(prefix + UNFINISHED)


def retain(folder, newest, keep_max, is_kept, is_regular):
  """Removes checkpoints but the newest `keep_max` and those that are kept for good.

  Args:
    folder: of the run.
    newest: int, the step of the one that was saved just now; those of later steps are damaged, the run went back.
    keep_max: int.
    is_kept: callable(step) -> bool, whether it is kept for good.
    is_regular: callable(step) -> bool; a checkpoint of another step was made to stop there and goes when a newer one
      is there, so that a stopped run keeps what an uninterrupted one does.
  """
  steps = steps_in(folder)
  regular = [step for step in steps if step < newest and is_regular(step) or step == newest]
  kept = set(regular[-keep_max:]) | {step for step in regular if is_kept(step)}
  for step in steps:
    if step not in kept:
      prefix = prefix_of(folder, step)
      os.replace(prefix + MANIFEST, prefix + UNFINISHED)
      _remove_files(prefix)
