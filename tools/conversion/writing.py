"""New checkpoints and folders: written under a temporary name, renamed last, never over something that is there."""

import collections
import contextlib
import glob
import json
import os
import shutil

import numpy as np
import tensorflow.compat.v1 as tf

from albert.common.errors import UserError
from albert.common import files
from albert.model.names import GLOBAL_STEP
from albert.run import belonging
from albert.run import checkpoints
from albert.run.directory import description_folders
from albert.run.names import CONFIG_FILE
from albert.run.names import DESCRIPTION
from albert.run.names import POINTER_FILE
from albert.run.names import SOURCE_FILE
from albert.run.names import VOCAB_FILE


def check_output(prefix):
  """Raises UserError if no checkpoint can be written at `prefix`: not given, a folder, or already there."""
  if not prefix:
    raise UserError('expected --output=PREFIX, the prefix of the new checkpoint, found none; '
                    'add e.g. --output=release/model.ckpt')
  if prefix.endswith('/') or os.path.isdir(prefix):
    raise UserError('--output: expected a prefix such as {}, found the folder {}; add a name'.format(
        os.path.join(prefix, 'model.ckpt'), prefix))
  checkpoints.check_path('--output', prefix)
  if os.path.exists(prefix + '.index'):
    raise UserError('--output: expected a new name, found a checkpoint at {}; choose another or remove it'.format(
        prefix))


def write_checkpoint(prefix, tensors):
  """Saves {name: array} at `prefix`: under a temporary name, then renamed, the index last, so never half of it.

  Also writes a `checkpoint` file if the folder has none, so that the folder can be named instead of the prefix.

  Raises:
    UserError: it cannot be written.
  """
  folder = os.path.dirname(os.path.abspath(prefix))
  temporary = '{}.tmp-{}'.format(os.path.abspath(prefix), os.getpid())
  try:
    os.makedirs(folder, exist_ok=True)
    _save(temporary, tensors)
    for suffix in ('.data-00000-of-00001', '.index'):
      os.replace(temporary + suffix, prefix + suffix)
  except (OSError, tf.errors.OpError) as error:
    raise _cannot_write(prefix, error)
  finally:
    for leftover in glob.glob(glob.escape(temporary) + '*'):
      os.remove(leftover)
  if not os.path.exists(os.path.join(folder, POINTER_FILE)):
    tf.train.update_checkpoint_state(folder, os.path.basename(prefix))


def _cannot_write(path, error):
  reason = getattr(error, 'strerror', None) or ' '.join(str(error).split('\n')[0].split())
  return UserError('{}: expected a place that can be written, found: {}; free space or name another'.format(
      path, reason))


def _save(prefix, tensors):
  with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={'GPU': 0})) as session:
    # Fed, not constants: a graph must stay below 2 GB.
    feeds = [tf.placeholder(tf.as_dtype(np.asarray(value).dtype), np.shape(value)) for value in tensors.values()]
    save = tf.raw_ops.SaveV2(prefix=prefix, tensor_names=list(tensors), shape_and_slices=[''] * len(feeds),
                             tensors=feeds)
    session.run(save, dict(zip(feeds, tensors.values())))


def write_run(run, tensors, config, vocabulary, note):
  """Makes a run's folder of weights: model.ckpt-0 with a manifest, albert_config.json, vocab.txt, source.json.

  Args:
    run: path, absent or empty.
    tensors: {name: array}. config: AlbertConfig. vocabulary: tokenization.Vocabulary.
    note: dict of plain values, where the weights come from.

  Raises:
    UserError: as new_folder.
  """
  tensors = collections.OrderedDict(sorted(tensors.items()))
  tensors[GLOBAL_STEP] = np.int64(0)
  with new_folder(run) as new:
    files.write_atomically(os.path.join(new, CONFIG_FILE), config.to_json_string())
    files.write_atomically(os.path.join(new, VOCAB_FILE), ''.join(token + '\n' for token in vocabulary.tokens))
    write_json(os.path.join(new, SOURCE_FILE), note)
    temporary = checkpoints.temporary_prefix(new, 0)
    _save(temporary, tensors)
    checkpoints.commit(new, temporary, 0, {})


def write_json(path, values):
  """Writes plain values as a file for people and programs."""
  files.write_atomically(path, json.dumps(values, indent=2, ensure_ascii=False) + '\n')


def check_description(sources, target):
  """Checks that what describes checkpoints may describe one that is made of them.

  Args:
    sources: prefixes. target: prefix that is going to be written.

  Raises:
    UserError: a file is not what its checkpoint was trained with, checkpoints differ in configuration or vocabulary, or
      other files lie beside the target already.
  """
  for name in DESCRIPTION:
    paths = [path for path in (_description(source, name) for source in sources) if path]
    for source, path in zip(sources, paths):
      belonging.check_beside(source, path if name == CONFIG_FILE else None, path if name == VOCAB_FILE else None)
    new = os.path.join(os.path.dirname(os.path.abspath(target)), name)
    for other in paths[1:] + [new] * bool(paths and os.path.exists(new)):
      if _content(other) != _content(paths[0]):
        raise UserError('{}: expected the same as {}, found another content; {}'.format(
            other, paths[0], 'name another folder' if other == new else 'name checkpoints of one kind'))


def _description(checkpoint, name):
  """Path of a file that describes a checkpoint, or None."""
  paths = [os.path.join(folder, name) for folder in description_folders(checkpoint)]
  return next((path for path in paths if os.path.isfile(path)), None)


def _content(path):
  """What a description says, however its lines end and its keys are ordered."""
  with open(path, encoding='utf-8', errors='replace') as source:
    text = source.read()
  try:
    return sorted(json.loads(text).items()) if path.endswith('.json') else text.strip()
  except (ValueError, AttributeError):
    return text


def copy_description(source, target):
  """Copies albert_config.json and vocab.txt of a checkpoint's run beside a new checkpoint that has none.

  Args:
    source, target: prefixes. Of a checkpoint in best/ the files may also lie in the folder above.

  Returns:
    A list of the paths that were copied.
  """
  new_folder = os.path.dirname(os.path.abspath(target))
  copied = []
  for name in DESCRIPTION:
    described, new = _description(source, name), os.path.join(new_folder, name)
    if described and not os.path.exists(new):
      files.copy_atomically(described, new)
      copied.append(described)
  return copied


def check_new_folder(folder):
  """Raises UserError unless `folder` is absent or empty."""
  if os.path.lexists(folder) and not (os.path.isdir(folder) and not os.listdir(folder)):
    raise UserError('{}: expected the name of a new folder, found something there; choose another or remove it'.format(
        folder))


@contextlib.contextmanager
def new_folder(folder):
  """Yields the path of an empty folder, which gets the name `folder` when the body of the `with` statement ends.

  Raises:
    UserError: there is something of this name already, or it cannot be written. Then nothing is left.
  """
  folder = os.path.abspath(folder)
  check_new_folder(folder)
  temporary = '{}.tmp-{}'.format(folder, os.getpid())
  try:
    os.makedirs(temporary)
    yield temporary
    os.rename(temporary, folder)
  except (OSError, tf.errors.OpError) as error:
    raise _cannot_write(folder, error)
  finally:
    shutil.rmtree(temporary, ignore_errors=True)
