"""The small files of a data set, and those that a run keeps of it, checked where they are read.

Any of them may be damaged or forged, down to each byte. Without dataset.json nothing can be done, so that what is wrong
with it is an error. The others can be made again or done without: their readers say what does not fit.

    dataset.json             the contract              read_description
    token_counts.txt         V counts                  read_token_counts
    *.lengths.npy            of a shard's records      read_lengths
    lost_records.tsv         of a run: records that could not be read
                                                       read_lost_records
    checked_records.tsv      of a run: regions that were checked and are good
                                                       read_checked_records
"""

import hashlib
import io
import json
import os
import re
import reprlib

import numpy as np

from albert.common.errors import UserError
from albert.common import files
from albert.common import json_text
from albert.dataset import masking_rules
from albert.dataset import packing
from albert.dataset import record_format
from albert.dataset import tfrecord

FORMAT_VERSION = 1
# What a run keeps of its data set, in its own folder. The last: lengths that were counted, where the data set has none,
# by the beginning of its fingerprint.
LOST_RECORDS_FILE = 'lost_records.tsv'
CHECKED_RECORDS_FILE = 'checked_records.tsv'
COUNTED_FILE = 'record_lengths-{}.npz'
# The splits of a data set.
TRAIN = 'train'
HELDOUT = 'heldout'

_MOST_TOKENS, _MOST_IDS, _MOST = 1 << 20, 1 << 31, 1 << 62
# A number of more digits is none; the conversion of a million of them takes minutes.
_MOST_DIGITS = 20
_KEYS = ('format_version', 'max_seq_length', 'max_predictions_per_seq', 'vocab_size', 'vocab_sha256', 'settings',
         'statistics', 'shards')
_SHARD_KEYS = ('file', 'records', 'sha256')


class _Unfit(Exception):
  """A value that is not as expected; its text is 'expected ..., found ...'."""


def read_description(path):
  """The content of a dataset.json, which is what `describe` gives: dict.

  Raises:
    UserError: absent, no JSON, changed since it was written, or a value that cannot be.
  """
  try:
    content = files.read_small(path)
    raw = json.loads(content.decode('utf-8'), parse_int=_whole_number, parse_constant=_no_number)
    _check_description(raw)
    return raw
  except OSError as error:
    problem = files.found(error)
  except RecursionError:
    problem = 'one that is nested too deep'
  except _Unfit as error:
    problem = str(error)
  except ValueError as error:
    problem = 'one that cannot be read ({})'.format(error)
  raise UserError('{}: expected the output of tools.create_pretraining_data, found {}; restore it or make the data set '
                  'again'.format(files.shown(path), ' '.join(problem.split())))


def _whole_number(digits):
  if len(digits) > _MOST_DIGITS:
    raise ValueError('a number of {:,} digits'.format(len(digits)))
  return int(digits)


def _no_number(word):
  raise ValueError('{} instead of a number'.format(word))


def description_sha256(raw):
  """Hex SHA-256 of what a dataset.json says, besides this checksum itself."""
  said = {name: value for name, value in raw.items() if name != 'sha256'}
  return json_text.sha256(said)


def _check_description(raw):
  """Raises _Unfit. Data sets from before there were checksums, sizes and digests lack those."""
  _expect(isinstance(raw, dict), 'an object', raw)
  missing = [key for key in _KEYS if key not in raw]
  _expect(not missing, 'a description with {}'.format(', '.join(missing)), list(raw))
  # A key that is misspelled may be the one that would give a change away.
  unknown = sorted(set(raw) - set(_KEYS) - {'digests', 'sha256'})
  _expect(not unknown, 'nothing else', unknown)
  version = raw['format_version']
  _expect(version == FORMAT_VERSION, 'format_version {}'.format(FORMAT_VERSION), version)
  if 'sha256' in raw:
    _expect(raw['sha256'] == description_sha256(raw), 'the checksum of what it says: it was changed since',
            raw['sha256'])
  _expect_number('max_seq_length', raw['max_seq_length'], 1, _MOST_TOKENS)
  _expect_number('max_predictions_per_seq', raw['max_predictions_per_seq'], 1, raw['max_seq_length'])
  _expect_number('vocab_size', raw['vocab_size'], 1, _MOST_IDS)
  _expect(isinstance(raw['vocab_sha256'], str), 'text in vocab_sha256', raw['vocab_sha256'])
  _check_settings(raw['settings'])
  _check_statistics(raw['statistics'])
  _check_digests(raw.get('digests', {}))
  _check_shards(raw['shards'])


def _expect(is_so, expected, value):
  if not is_so:
    raise _Unfit('{} where there should be {}'.format(reprlib.repr(value), expected))


def _expect_number(name, value, least, most=_MOST):
  _expect(isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
          'a whole number from {} to {} in {}'.format(least, most, name), value)


def _check_settings(settings):
  _expect(isinstance(settings, dict), 'an object in settings', settings)
  chosen = settings.get('record_format', record_format.REFERENCE)
  known = record_format.RECORD_FORMATS + (record_format.LABELLED,)
  _expect(chosen in known, 'one of {} in record_format'.format(', '.join(known)), chosen)
  if chosen == record_format.COMPACT:
    share = settings.get('masked_lm_prob')
    _expect(type(share) in (int, float) and 0 <= share <= 1, 'a number from 0 to 1 in masked_lm_prob', share)
    _expect_number('max_ngram', settings.get('max_ngram', 1), 1, max(masking_rules.NGRAM_CUTS))
  inputs = settings.get('inputs', [])
  _expect(isinstance(inputs, list) and all(
      isinstance(entry, dict) and isinstance(entry.get('file'), str) and isinstance(entry.get('sha256'), str)
      for entry in inputs), 'a list of files with checksums in inputs', inputs)


def _check_statistics(statistics):
  _expect(isinstance(statistics, dict), 'an object in statistics', statistics)
  for name, value in statistics.items():
    _expect_number('statistics: ' + name[:40], value, 0)


def _check_digests(digests):
  _expect(isinstance(digests, dict), 'an object in digests', digests)
  for name, value in digests.items():
    _expect(files.is_plain_name(name) and isinstance(value, str), 'the names of files in this folder in digests', name)


def _check_shards(shards):
  _expect(isinstance(shards, dict) and sorted(shards) == [HELDOUT, TRAIN], 'the shards of {} and {}'.format(
      TRAIN, HELDOUT), shards)
  names = set()
  for split, entries in shards.items():
    _expect(isinstance(entries, list), 'a list of shards in {}'.format(split), entries)
    for entry in entries:
      _check_shard(entry, 'shards: {}'.format(split))
      _expect(entry['file'] not in names, 'another file for each shard', entry['file'])
      names.add(entry['file'])


def _check_shard(entry, where):
  _expect(isinstance(entry, dict), 'an object in ' + where, entry)
  missing = [key for key in _SHARD_KEYS if key not in entry]
  _expect(not missing, 'a shard with {}'.format(', '.join(missing)), entry)
  unknown = sorted(set(entry) - set(_SHARD_KEYS) - {'bytes', 'packed_rows'})
  _expect(not unknown, 'nothing else in a shard', unknown)
  _expect(files.is_plain_name(entry['file']), 'the name of a file in this folder in ' + where, entry['file'])
  _expect_number(where + ': records', entry['records'], 1)
  _expect(entry['sha256'] is None or isinstance(entry['sha256'], str), 'text in sha256', entry['sha256'])
  size, rows, records = entry.get('bytes'), entry.get('packed_rows'), entry['records']
  if size is not None:
    _expect_number(where + ': bytes, with {:,} records'.format(records), size, tfrecord.FRAME_BYTES * records)
  if rows is not None:
    _expect_number(where + ': packed_rows', rows, -(-records // packing.MAX_EXAMPLES), records)


def read_token_counts(path, vocab_size, sha256=None):
  """How often each token occurs in the training documents: int64 [V].

  Args:
    path: token_counts.txt, a count per line.
    vocab_size: V.
    sha256: of the file, or None if it is not known.

  Raises:
    UserError: anything else is in it.
  """
  try:
    content = files.read_small(path)
    lines = content.split(b'\n')
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
      problem = 'another content than was written'
    elif lines[-1] or len(lines) - 1 != vocab_size:
      problem = '{:,}'.format(len(lines) - 1)
    elif not all(re.fullmatch(rb'[0-9]{1,15}', line) for line in lines[:-1]):
      problem = 'a line that is no count'
    else:
      return np.array(lines[:-1]).astype(np.int64)
  except OSError as error:
    problem = 'a file that cannot be read ({})'.format(error.strerror)
  raise UserError('{}: expected {:,} counts, found {}; restore it or make the data set again'.format(
      files.shown(path), vocab_size, problem))


def read_lengths(path, records, max_seq_length, max_predictions_per_seq, sha256=None):
  """Lengths of the records of a training shard: uint16 [records, 2], tokens and labels; None if the file is not that.

  sha256: of the file, or None if it is not known.
  """
  head = io.BytesIO()
  np.lib.format.write_array_header_1_0(head, {'descr': '<u2', 'fortran_order': False, 'shape': (records, 2)})
  head = head.getvalue()
  try:
    content = files.read_small(path, len(head) + 4 * records)
  except OSError:
    return None
  # Headers say what is to be read and how: only the one is taken that belongs to this array.
  if not content.startswith(head) or len(content) != len(head) + 4 * records:
    return None
  if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
    return None
  lengths = np.frombuffer(content, '<u2', offset=len(head)).reshape(records, 2)
  return lengths if are_possible(lengths, max_seq_length, max_predictions_per_seq) else None


def are_possible(lengths, max_seq_length, max_predictions_per_seq):
  """Whether records can have these tokens and labels: [records, 2]."""
  return bool(np.all(lengths[:, 0] > 0) and np.all(lengths <= [max_seq_length, max_predictions_per_seq]))


def read_lost_records(path):
  """([(shard file as files.shown() has it, index, stamp)], other lines: int) of a lost_records.tsv, if there is one."""
  lines = _lines(path)[1:]
  split = [line.split('\t', 3) for line in lines]
  entries = [(parts[0], int(parts[1]), parts[2]) for parts in split
             if len(parts) == 4 and files.is_plain_name(parts[0]) and re.fullmatch('[0-9]{1,15}', parts[1])]
  return entries, len(lines) - len(entries)


def read_checked_records(path):
  """The keys in a checked_records.tsv, a set: its last column. Others than were written mean nothing to its reader."""
  return {line.rsplit('\t', 1)[-1] for line in _lines(path)}


def _lines(path):
  """The lines of a text file; none if it is absent; one that fits nowhere, after the head, if it cannot be read."""
  if not os.path.lexists(path):
    return []
  try:
    lines = files.read_small(path).decode('utf-8', 'replace').split('\n')
  except OSError:
    return ['', '']
  return lines[:-1] if not lines[-1] else lines
