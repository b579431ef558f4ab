"""Data creation from end to end: the stages in order, and what is decided between them. Any engine does the work.

    units of text -> encode_unit -> held-out threshold -> assemble_unit -> merge_runs -> shards cut -> write_shard
"""

import bisect
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
from tools.text import source
from tools.workers import progress

# Every line and document that was left out, with its file and line: beside the shards, if there are any.
SKIPPED_FILE = 'skipped.tsv'

# Statistics of cleaning.
CLEANED = ('replaced_surrogates', 'normalized_sentences', 'control_characters', 'split_sentences',
           'documents_few_characters', 'documents_little_Han_text', 'duplicate_documents', 'near_duplicate_documents')

# A larger share of the tokens that are [UNK] is a mistake; create_pretraining_data warns of WARN_UNKNOWN.
MOST_UNKNOWN, WARN_UNKNOWN = 0.10, 0.01

_BUCKET_TOKENS = 1 << 21
# Number of texts that became [UNK], in the report.
_UNKNOWN_SHOWN = 40
# More runs than this are merged first, up to this number into one: to write a shard, all of them are opened.
_MAX_RUNS = 128
# Paths of the text that an error names.
_PATHS_NAMED = 3
# Content keys that are in memory at a time.
_KEYS_AT_ONCE = 1 << 22

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
  units = source.units(paths, stages.text_source(settings))
  encoded = _encode(settings, units, kept, engine)
  counts = sum((unit.counts for unit in encoded), collections.Counter())
  if settings.cleaning.duplicates != 'keep':
    counts.update(_find_duplicates(encoded, settings.cleaning))
  _write_skipped(encoded, units, kept.path(SKIPPED_FILE))
  heldout = choose_heldout([unit.path for unit in encoded], heldout_fraction, paths)
  _check_unknown(counts, encoded)
  buckets = 1 + counts['tokens'] * settings.dupe_factor // _BUCKET_TOKENS
  assembled = _assemble(settings, encoded, heldout.threshold, buckets, kept, engine)
  runs = {split: _merge(split, [run for unit in assembled for run in unit.runs[split]], buckets, kept, engine)
          for split in (contract.TRAIN, contract.HELDOUT)}
  shards, written = _write_shards(settings, runs, buckets, kept, engine)
  for name in ('documents', 'tokens', 'unknown_tokens'):
    del counts[name]  # with duplicates; those that are left are counted where examples are made of them
  counts.update(repeated_documents=heldout.repeated_documents)
  statistics = _statistics(sum((unit.counts for unit in assembled), counts), written)
  return Built(shards, statistics, sum(unit.token_counts for unit in assembled),
               _histograms(encoded, assembled, written[contract.TRAIN]))


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


def _check_unknown(counts, encoded):
  """Raises UserError if so much is [UNK] that the vocabulary cannot be meant for this text."""
  share = counts['unknown_tokens'] / max(1, counts['tokens'])
  if share > MOST_UNKNOWN:
    raise UserError(
        'expected at most {:.0%} [UNK], found {:.1%}, most often {}; the vocabulary is of other text: build one from '
        'this (another VOCAB, or tools.build_vocab with the same flags), or correct --encoding, --text_field or '
        '--do_lower_case'.format(MOST_UNKNOWN, share, ', '.join(
            '{} ({:,})'.format(text, count) for text, count in _most_unknown(encoded)[:5])))


def _most_unknown(encoded):
  """[(text, count)] of the texts that became [UNK], the most frequent first."""
  unknown = sum((unit.unknown for unit in encoded), collections.Counter())
  return sorted(unknown.items(), key=lambda item: (-item[1], item[0]))[:_UNKNOWN_SHOWN]


def _find_duplicates(encoded, options):
  """Marks the documents of each unit that are duplicates, in files; returns counts. options: `cleaning.Options`."""
  with progress.Progress('comparing documents', 1):
    all_marks = duplicates.find([unit.path + duplicate_keys.HASHES for unit in encoded],
                                [unit.path + duplicate_keys.SIGNATURES for unit in encoded], options)
  for unit, marks in zip(encoded, all_marks):
    marks.tofile(unit.path + stages.DUPLICATES)
  exact, near = (int(sum((marks == mark).sum() for marks in all_marks)) for mark in (1, 2))
  return {'duplicate_documents': exact, 'near_duplicate_documents': near}


def _assemble(settings, encoded, threshold, buckets, kept, engine):
  """The `AssembledUnit`s, in order."""
  names = ['examples-{:06d}'.format(number) for number in range(len(encoded))]
  tasks = [(name, (settings, unit.path, threshold, buckets, kept.path(name))) for name, unit in zip(names, encoded)]
  assembled = [None] * len(encoded)
  with progress.Progress('arranging', len(tasks)) as bar:
    for number, unit in kept.run(engine, stages.assemble_unit, tasks):
      assembled[number] = unit
      bar.add(1)
  return assembled


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


Heldout = collections.namedtuple('Heldout', ['threshold', 'documents', 'repeated_documents'])
Heldout.__doc__ = """Which documents are held out.

threshold: the largest of `stages.heldout_hashes` that is; documents: how many are; repeated_documents: how many of all
documents have the text of an earlier one.
"""


def choose_heldout(encoded_paths, fraction, paths=()):
  """Chooses the held-out texts: those with the lowest hashes, `fraction` of all, at least one and never all.

  Documents of the same text are on the same side.

  Args:
    encoded_paths: of the encoded units.
    fraction: float.
    paths: names the corpus in errors.

  Returns:
    `Heldout`.

  Raises:
    UserError: fewer than two texts.
  """
  documents = sum(map(len, _hashes(encoded_paths)))
  parts = 1 + documents // _KEYS_AT_ONCE
  sizes = [len(_texts(encoded_paths, part, parts)) for part in range(parts)]
  texts = sum(sizes)
  _check_texts(documents, texts, paths)
  count = min(texts - 1, max(1, int(texts * fraction)))
  before = np.append(0, np.cumsum(sizes))
  part = int(np.searchsorted(before, count, 'left')) - 1
  threshold = _texts(encoded_paths, part, parts)[count - 1 - int(before[part])]
  return Heldout(int(threshold), int(sum((hashes <= threshold).sum() for hashes in _hashes(encoded_paths))),
                 documents - texts)


def _check_texts(documents, texts, paths):
  if not documents:
    raise UserError('expected text, a sentence per line and a blank line between documents, found no document of two '
                    'or more words in {}; is that the right file?'.format(', '.join(
                        list(map(files.shown, paths[:_PATHS_NAMED])) + ['...'] * (len(paths) > _PATHS_NAMED))))
  if documents < 2:
    raise UserError('expected at least 2 documents of two or more words, as one of them is held out, found {}; put a '
                    'blank line between documents, say --documents=line if each line is one, write JSON objects on a '
                    'line each, or add text'.format(documents))
  if texts < 2:
    raise UserError('expected at least 2 different documents, as one of them is held out, found the same text {:,} '
                    'times; add other text'.format(documents))


def _hashes(encoded_paths):
  return (stages.heldout_hashes(stages.kept_keys(path)) for path in encoded_paths)


def _texts(encoded_paths, part, parts):
  """The distinct hashes of a part, an equal range of all, in order: uint64."""
  some = [hashes[(hashes >> np.uint64(32)) * np.uint64(parts) >> np.uint64(32) == part]
          for hashes in _hashes(encoded_paths)]
  return np.unique(np.concatenate(some))


def _statistics(counts, written):
  names = ('documents', 'sentences', 'words', 'tokens', 'unknown_tokens', 'heldout_documents', 'repeated_documents')
  statistics = collections.OrderedDict((name, counts[name]) for name in names)
  for split in (contract.TRAIN, contract.HELDOUT):
    for name, values in zip(stages.WrittenShard._fields, zip(*written[split])):
      if name in ('records', 'bytes', 'tokens', 'masked_tokens'):
        statistics['{}_{}'.format(split, name)] = sum(values)
    for name in ('document_tokens', 'unused_tokens'):
      statistics['{}_{}'.format(split, name)] = counts['{}_{}'.format(split, name)]
  for name in ('documents_too_short', 'tokens_too_short', 'divided_documents', 'divided_lines', 'divided_sentences',
               'skipped_lines') + CLEANED + ('skipped_chunks',):
    statistics[name] = counts[name]
  return statistics


def _histograms(encoded, assembled, written):
  return {'lengths': sum(shard.length_counts for shard in written).tolist(),
          'masked_as': sum(shard.masked_as for shard in written).tolist(),
          'word_lengths': sum(unit.word_lengths for unit in assembled).tolist(),
          'document_lengths': sum(unit.document_lengths for unit in assembled).tolist(),
          'unknown': _most_unknown(encoded)}


def _write_skipped(encoded, units, path):
  """Writes SKIPPED_FILE, unless nothing was left out: file name, line from 1, why; tab-separated."""
  if os.path.exists(path):
    os.remove(path)
  names = corpus.short_names([part.path for unit in units for part in unit.parts])
  file, before = None, 0
  for result, unit in zip(encoded, units):
    entries = _skipped_entries(result.path)
    begins = np.cumsum([0] + result.lines).tolist()
    lines = []
    for part, begin, end in zip(unit.parts, begins, begins[1:]):
      file, before = part.file, before if part.file == file else 0
      lines += ['{}\t{}\t{}\n'.format(files.shown(names[part.path]), before + place - begin + 1, why)
                for place, why in entries[bisect.bisect_left(entries, (begin,)):bisect.bisect_left(entries, (end,))]]
      before += end - begin
    if lines:
      with open(path, 'a', encoding='utf-8', newline='\n') as target:
        target.writelines(lines)


def _skipped_entries(path):
  """[(line of the unit, why)] of an encoded unit, in order."""
  with open(path + stages.SKIPPED, encoding='utf-8') as lines:
    entries = [(int(place), why) for place, why in (entry.rstrip('\n').split('\t', 1) for entry in lines)]
  if os.path.exists(path + stages.DUPLICATES):
    marks, lines = np.fromfile(path + stages.DUPLICATES, np.uint8), np.fromfile(path + duplicate_keys.LINES, np.int64)
    entries += [(int(lines[number]), 'document that is {} to an earlier one'.format(
        'equal' if marks[number] == 1 else 'similar')) for number in np.flatnonzero(marks)]
  return sorted(entries)
