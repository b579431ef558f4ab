"""Windows as records: the data set that fine-tuning trains on, OUT/records, made anew whenever its content is another.

The contract is that of albert/dataset: shards and dataset.json, whose settings say of what text, vocabulary and options
they were made. Beside each shard lie the lengths of its records; their second column is 1 where an example begins and 0
for its further windows.
"""

import collections
import os

import numpy as np

from albert.common.errors import UserError
from albert.common import files
from albert.common import json_text
from albert.dataset import contract
from albert.dataset import example_writer
from albert.dataset import record_format
from albert.dataset import tfrecord

# Increased when a change of the code changes the records of the same text and options.
RECIPE = 1
_SHARD_RECORDS = 8192

# What records are made of. kind: one of options.KINDS. classes: C. multi_label: bool. max_seq_length: S. vocab_file:
# path. vocab_size: V. sources: dict for JSON: text and options, by which the records would change.
Recipe = collections.namedtuple('Recipe', [
    'kind', 'classes', 'multi_label', 'max_seq_length', 'vocab_file', 'vocab_size', 'sources'])


def key_of(recipe):
  """Hex SHA-256 of the content of records that are not made yet."""
  said = dict(recipe._asdict(), recipe=RECIPE, vocab_file=files.file_sha256(recipe.vocab_file))
  return json_text.sha256(said)


def existing(folder, recipe):
  """contract.DatasetInfo of whole records of this content in a folder, or None."""
  try:
    info = contract.DatasetInfo.load(folder)
    is_whole = info.settings.get('key') == key_of(recipe) and all(
        os.path.getsize(path) == shard.bytes and info.lengths(number, split) is not None
        for split, shards in info.shards.items() for number, (shard, path) in enumerate(zip(shards, info.paths(split))))
    return info if is_whole and files.file_sha256(info.vocab_file) == info.vocab_sha256 else None
  except (OSError, UserError):
    return None


def write(folder, recipe, train, heldout, statistics=None):
  """Writes records, dataset.json last: a folder without it is not finished. What was there is replaced.

  Args:
    folder: path.
    recipe: Recipe.
    train, heldout: lists of encoding.Window, those of an example one behind the other.
    statistics: dict of whole numbers, for dataset.json.

  Returns:
    contract.DatasetInfo.
  """
  os.makedirs(folder, exist_ok=True)
  files.remove(os.path.join(folder, contract.DATASET_FILE))
  files.copy_atomically(recipe.vocab_file, os.path.join(folder, contract.VOCAB_FILE))
  shards = {split: _write_split(folder, split, windows, recipe)
            for split, windows in ((contract.TRAIN, train), (contract.HELDOUT, heldout))}
  kept = {shard.file for entries in shards.values() for shard in entries}
  for name in os.listdir(folder):
    if '.tfrecord' in name and name.replace(contract.lengths_file(''), '') not in kept:
      files.remove(os.path.join(folder, name))
  info = contract.DatasetInfo(
      folder, recipe.max_seq_length, 1, recipe.vocab_size, files.file_sha256(recipe.vocab_file), shards,
      {'record_format': record_format.LABELLED, 'kind': recipe.kind, 'key': key_of(recipe), 'sources': recipe.sources},
      statistics)
  info.save()
  return info


def _write_split(folder, split, windows, recipe):
  """Writes the shards of a split. Returns a list of contract.Shard."""
  writer = example_writer.ExampleWriter(record_format.labelled_features(
      recipe.kind, recipe.classes, recipe.multi_label))
  count, shards = -(-len(windows) // _SHARD_RECORDS), []
  for number in range(count):
    first = number * _SHARD_RECORDS
    part = windows[first:first + _SHARD_RECORDS]
    name = contract.shard_name(split, number, count)
    path = os.path.join(folder, name)
    with files.atomic(path, 'wb') as target:
      for record in writer.records(_columns(part, first, recipe)):
        target.write(tfrecord.frame(record))
    with files.atomic(contract.lengths_file(path), 'wb') as target:
      before = windows[first - 1].example if first else None
      np.save(target, _lengths(part, before))
    shards.append(contract.Shard(name, len(part), files.file_sha256(path), os.path.getsize(path)))
  return shards


def _lengths(windows, before):
  """uint16 [records, 2]. before: number of the example of the window before them, or None."""
  owners = [before] + [window.example for window in windows]
  begins = [owner != following for owner, following in zip(owners, owners[1:])]
  return np.array([[len(window.input_ids), begin] for window, begin in zip(windows, begins)], np.uint16)


def _columns(windows, first, recipe):
  """{feature name: array [records, length]} of windows, the first of which has this number in its split."""
  samples = [features_of(window, first + place, recipe.kind, recipe.max_seq_length)
             for place, window in enumerate(windows)]
  return {name: np.array([sample[name] for sample in samples]) for name in samples[0]}


def features_of(window, number, kind, max_seq_length):
  """The features of a record, {name: list}, without those of a label that is not known.

  Args:
    window: encoding.Window.
    number: of the window in its split.
    kind: one of options.KINDS.
    max_seq_length: S.
  """
  def padded(values):
    return list(values) + [0] * (max_seq_length - len(values))
  features = {'input_ids': padded(window.input_ids), 'input_mask': padded([1] * len(window.input_ids)),
              'segment_ids': padded(window.segment_ids), 'window': [number]}
  target = window.target
  if kind == record_format.READ:
    # Without an answer anywhere, for evaluation only: that of a text that has none.
    start, end = target or (0, 0)
    features.update(answer_start=[start], answer_end=[end])
  elif target is None:
    return features
  elif kind == record_format.CLASSIFY:
    features.update(label_ids=list(target) if isinstance(target, (list, tuple)) else [target])
  elif kind == record_format.REGRESS:
    features.update(label_values=np.array([target], np.float32))
  else:
    features.update(tag_ids=padded([max(0, tag) for tag in target]), tag_mask=padded([int(tag >= 0) for tag in target]))
  return features
