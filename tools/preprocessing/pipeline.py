"""Data creation from end to end: the stages in order, and what is decided between them. Any engine does the work.

    units of text -> encode_unit -> held-out threshold -> assemble_unit -> merge_runs -> shards cut -> write_shard
"""

import collections
import os

import numpy as np

from albert.common.errors import UserError
from albert.common import files
from albert.dataset import contract
from tools.preprocessing import shuffle
from tools.preprocessing import stages
from tools.text import corpus
from tools.text import duplicate_keys
from tools.text import duplicates
from tools.workers import progress

# Every line and document that was left out, with its file and line: beside the shards, if there are any.
SKIPPED_FILE = 'skipped.tsv'

# Statistics of cleaning.
CLEANED = ('normalized_sentences', 'control_characters', 'split_sentences', 'documents_few_characters',
           'documents_little_Han_text', 'duplicate_documents', 'near_duplicate_documents')

_BUCKET_TOKENS = 1 << 21
# Number of texts that became [UNK], in the report.
_UNKNOWN_SHOWN = 40
# More runs than this are merged first, up to this number into one: to write a shard, all of them are opened.
_MAX_RUNS = 128
# The held-out threshold is found by counting hashes with the same first bits.
_HASH_BITS = 16

Built = collections.namedtuple('Built', ['shards', 'statistics', 'token_counts', 'histograms'])
Built.__doc__ = """The shards ({split: [contract.Shard]}), statistics and token counts (int64 [V]) of a data set.

histograms: for `report.make`.
"""


def build(settings, vocabulary, paths, heldout_fraction, kept, engine):
  """Runs the stages; the shards are in the folder of `kept`: `Built`.

  Args:
    settings: `stages.Settings`.
    vocabulary: `tokenization.Vocabulary`.
    paths: the text files, sorted.
    heldout_fraction: share of the documents that is held out.
    kept: `kept_results.KeptResults`.
    engine: see tools/workers/local.py.
  """
  units = corpus.units(paths, settings.encoding, at_any_line=bool(settings.cleaning.text_field))
  encoded = _encode(settings, units, kept, engine)
  counts = sum((unit.counts for unit in encoded), collections.Counter())
  if settings.cleaning.duplicates != 'keep':
    counts.update(_find_duplicates(encoded, settings.cleaning))
  _write_skipped(encoded, units, kept.path(SKIPPED_FILE))
  threshold, heldout_documents = choose_heldout([unit.path for unit in encoded], heldout_fraction, paths)
  buckets = 1 + counts['tokens'] * settings.dupe_factor // _BUCKET_TOKENS
  runs, token_counts, skipped_chunks = _assemble(
      settings, encoded, len(vocabulary), threshold, buckets, kept, engine)
  runs = {split: _merge(split, split_runs, buckets, kept, engine) for split, split_runs in runs.items()}
  shards, written = _write_shards(settings, runs, buckets, kept, engine)
  statistics = _statistics(counts, heldout_documents, skipped_chunks, written)
  return Built(shards, statistics, token_counts, _histograms(encoded, written[contract.TRAIN]))


def _encode(settings, units, kept, engine):
  """The `EncodedUnit`s, in order."""
  stages.warm_up(settings)
  sizes = [corpus.unit_bytes(unit) for unit in units]
  names = ['text-{:06d}'.format(number) for number in range(len(units))]
  tasks = [(name, (settings, unit, kept.path(name))) for name, unit in zip(names, units)]
  encoded = [None] * len(units)
  with progress.Progress('reading', sum(sizes), 'B') as bar:
    for number, result in kept.run(engine, stages.encode_unit, tasks):
      encoded[number] = result
      bar.add(sizes[number])
  return encoded


def _find_duplicates(encoded, options):
  """Marks the documents of each unit that are duplicates, in files; returns counts. options: `cleaning.Options`."""
  all_marks = duplicates.find([unit.path + duplicate_keys.HASHES for unit in encoded],
                          [unit.path + duplicate_keys.SIGNATURES for unit in encoded], options)
  for unit, marks in zip(encoded, all_marks):
    marks.tofile(unit.path + stages.DUPLICATES)
  exact, near = (int(sum((marks == mark).sum() for marks in all_marks)) for mark in (1, 2))
  return {'duplicate_documents': exact, 'near_duplicate_documents': near, 'documents': -exact - near}


def _assemble(settings, encoded, vocab_size, threshold, buckets, kept, engine):
  """The runs {split: [path]}, in order; token counts int64 [V]; the number of skipped chunks."""
  names = ['examples-{:06d}'.format(number) for number in range(len(encoded))]
  tasks = [(name, (settings, unit.path, threshold, buckets, kept.path(name))) for name, unit in zip(names, encoded)]
  runs = [None] * len(encoded)
  token_counts, skipped_chunks = np.zeros(vocab_size, np.int64), 0
  with progress.Progress('arranging', len(tasks)) as bar:
    for number, unit in kept.run(engine, stages.assemble_unit, tasks):
      runs[number] = unit.runs
      token_counts += unit.token_counts
      skipped_chunks += unit.skipped_chunks
      bar.add(1)
  by_split = {split: [run for unit in runs for run in unit[split]] for split in (contract.TRAIN, contract.HELDOUT)}
  return by_split, token_counts, skipped_chunks


def _merge(split, runs, buckets, kept, engine):
  """At most _MAX_RUNS runs with the content of all."""
  level = 0
  while len(runs) > _MAX_RUNS:
    groups = [runs[first:first + _MAX_RUNS] for first in range(0, len(runs), _MAX_RUNS)]
    names = ['{}-merged-{}-{:06d}'.format(split, level, number) for number in range(len(groups))]
    tasks = [(name, (group, kept.path(name), buckets)) for name, group in zip(names, groups)]
    with progress.Progress('merging', len(tasks)) as bar:
      for _ in kept.run(engine, shuffle.merge_runs, tasks):
        bar.add(1)
    runs = [kept.path(name) for name in names]
    level += 1
  return runs


def _write_shards(settings, runs, buckets, kept, engine):
  """{split: [contract.Shard]} and {split: [stages.WrittenShard]}."""
  tasks, splits = [], []
  for split in (contract.TRAIN, contract.HELDOUT):
    places = stages.cut_shards(shuffle.bucket_counts(runs[split], buckets), settings.records_per_shard)
    names = [contract.shard_name(split, number, len(places)) for number in range(len(places))]
    tasks += [(name, (settings, split, runs[split], buckets, place, kept.path(name)))
              for name, place in zip(names, places)]
    splits += [split] * len(places)
  results = [None] * len(tasks)
  with progress.Progress('writing', len(tasks), ' files') as bar:
    for number, result in kept.run(engine, stages.write_shard, tasks):
      results[number] = result
      bar.add(1)
  shards, written = {contract.TRAIN: [], contract.HELDOUT: []}, {contract.TRAIN: [], contract.HELDOUT: []}
  for split, (name, _), result in zip(splits, tasks, results):
    shards[split].append(contract.Shard(name, result.records, result.sha256, result.bytes, result.packed_rows))
    written[split].append(result)
  return shards, written


def choose_heldout(encoded_paths, fraction, paths=()):
  """Chooses the held-out documents: those with the lowest hashes, `fraction` of all, at least one and never all.

  Args:
    encoded_paths: of the encoded units.
    fraction: float.
    paths: names the corpus in errors.

  Returns:
    The largest hash that is held out (int), and the number of documents that are.

  Raises:
    UserError: fewer than two documents.
  """
  histogram = np.zeros(1 << _HASH_BITS, np.int64)
  for hashes in _hashes(encoded_paths):
    histogram += np.bincount(_first_bits(hashes), minlength=len(histogram))
  total = int(histogram.sum())
  if not total:
    raise UserError('expected text, a sentence per line and a blank line between documents, found no document of two '
                    'or more words in {}; is that the right file?'.format(', '.join(paths)))
  if total < 2:
    raise UserError('expected at least 2 documents of two or more words, as one of them is held out, found {}; put a '
                    'blank line between documents, or add text'.format(total))
  count = min(total - 1, max(1, int(total * fraction)))
  before = np.append(0, np.cumsum(histogram))
  place = int(np.searchsorted(before, count, 'left')) - 1
  candidates = np.concatenate([hashes[_first_bits(hashes) == place] for hashes in _hashes(encoded_paths)])
  rank = count - 1 - int(before[place])
  return int(np.partition(candidates, rank)[rank]), count


def _hashes(encoded_paths):
  return (stages.heldout_hashes(stages.kept_keys(path)) for path in encoded_paths)


def _first_bits(hashes):
  return (hashes >> np.uint64(64 - _HASH_BITS)).astype(np.int64)


def _statistics(counts, heldout_documents, skipped_chunks, written):
  statistics = collections.OrderedDict((name, counts[name]) for name in (
      'documents', 'sentences', 'words', 'tokens', 'unknown_tokens'))
  statistics['heldout_documents'] = heldout_documents
  for split in (contract.TRAIN, contract.HELDOUT):
    for name, values in zip(stages.WrittenShard._fields, zip(*written[split])):
      if name in ('records', 'bytes', 'tokens', 'masked_tokens'):
        statistics['{}_{}'.format(split, name)] = sum(values)
  for name in ('documents_too_short', 'divided_documents', 'divided_lines', 'skipped_lines') + CLEANED:
    statistics[name] = counts[name]
  statistics['skipped_chunks'] = skipped_chunks
  return statistics


def _histograms(encoded, written):
  unknown = sum((unit.unknown for unit in encoded), collections.Counter())
  return {'lengths': sum(shard.length_counts for shard in written).tolist(),
          'masked_as': sum(shard.masked_as for shard in written).tolist(),
          'word_lengths': sum(unit.word_lengths for unit in encoded).tolist(),
          'unknown': sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:_UNKNOWN_SHOWN]}


def _write_skipped(encoded, units, path):
  """Writes SKIPPED_FILE, unless nothing was left out: file name, line from 1, why; tab-separated."""
  if os.path.exists(path):
    os.remove(path)
  line = 0
  for number, (result, unit) in enumerate(zip(encoded, units)):
    if number and units[number - 1].file != unit.file:
      line = 0
    entries = _skipped_entries(result.path)
    if entries:
      with open(path, 'a', encoding='utf-8', newline='\n') as target:
        target.writelines('{}\t{}\t{}\n'.format(files.shown(os.path.basename(unit.path)), line + place + 1, why)
                          for place, why in entries)
    line += result.lines


def _skipped_entries(path):
  """[(line of the unit, why)] of an encoded unit."""
  with open(path + stages.SKIPPED, encoding='utf-8') as source:
    entries = [(int(place), why) for place, why in (entry.rstrip('\n').split('\t', 1) for entry in source)]
  if os.path.exists(path + stages.DUPLICATES):
    marks, lines = np.fromfile(path + stages.DUPLICATES, np.uint8), np.fromfile(path + duplicate_keys.LINES, np.int64)
    entries += [(int(lines[number]), 'document that is {} to an earlier one'.format(
        'equal' if marks[number] == 1 else 'similar')) for number in np.flatnonzero(marks)]
  return sorted(entries)
