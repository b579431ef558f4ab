"""The data set: its files, and `dataset.json`, which describes them.

Legend: S = max_seq_length, P = max_predictions_per_seq. A data set is a folder:

    dataset.json                    the contract, written last: a folder without it is not finished
    vocab.txt                       the vocabulary that the ids refer to
    token_counts.txt                line i: how often token i occurs in the training documents
    train-00000-of-00002.tfrecord   shards in the reference format of google-research/albert, or in the compact one
    train-00000-of-00002.tfrecord.lengths.npy  uint16 [records, 2], tokens and labels of each record, for packing them
    data_report.html                settings and statistics to read, with histograms
    skipped.tsv                     file, line and reason of each line and document left out, if there are any
    heldout-00000-of-00001.tfrecord documents that training never sees, always in the reference format
"""

import collections
import copy
import hashlib
import json
import os

from albert.common import checks
from albert.common.errors import UserError
from albert.common import files
from albert.dataset import data_files
from albert.dataset.data_files import FORMAT_VERSION
from albert.dataset.data_files import HELDOUT
from albert.dataset.data_files import TRAIN
from albert.dataset.record_format import COMPACT
from albert.dataset.record_format import REFERENCE

DATASET_FILE = 'dataset.json'
VOCAB_FILE = 'vocab.txt'
TOKEN_COUNTS_FILE = 'token_counts.txt'
# Settings of compact records that may differ from those that they were made with, as they are masked while they are
# read, each with its check(name, value). See DatasetInfo.read_otherwise.
READ_OTHERWISE = {'masked_lm_prob': lambda name, value: checks.number(name, value, least=0.01, below=1)}


def shard_name(split, index, count):
  """File name of shard `index` of `count`, e.g. train-00000-of-00064.tfrecord."""
  return '{}-{:05d}-of-{:05d}.tfrecord'.format(split, index, count)


def lengths_file(shard_path):
  """Path of the lengths of a shard's records; pre-training has none of held-out ones."""
  return shard_path + '.lengths.npy'


Shard = collections.namedtuple('Shard', ['file', 'records', 'sha256', 'bytes', 'packed_rows'], defaults=[None, None])
Shard.__doc__ = """One file of records: name relative to the data set's folder, record count, hex SHA-256, size.

packed_rows: rows that albert.dataset.packing.fill_rows distributes the records over; None for held-out and compact
records. bytes and packed_rows are None in data sets that are older than these fields.
"""


class DatasetInfo:
  """The content of `dataset.json`.

  Attributes:
    folder: the data set's folder (not stored).
    max_seq_length, max_predictions_per_seq, vocab_size: int.
    vocab_sha256: hex SHA-256 of vocab.txt.
    shards: {'train': [Shard], 'heldout': [Shard]}, in order.
    settings: how it was made (masked_lm_prob, dupe_factor, short_seq_prob, random_seed, ...).
    statistics: counts of documents, tokens, records, ... that were read, written or skipped.
    digests: {name: hex SHA-256} of token counts and lengths; empty in data sets that are older.
  """

  def __init__(self, folder, max_seq_length, max_predictions_per_seq, vocab_size, vocab_sha256, shards,
               settings=None, statistics=None, digests=None):
    self.folder = folder
    self.max_seq_length = max_seq_length
    self.max_predictions_per_seq = max_predictions_per_seq
    self.vocab_size = vocab_size
    self.vocab_sha256 = vocab_sha256
    self.shards = shards
    self.settings = settings or {}
    self.statistics = statistics or {}
    self.digests = digests or {}

  @property
  def record_format(self):
    """'reference' or 'compact': of the training records."""
    return self.settings.get('record_format', REFERENCE)

  @property
  def vocab_file(self):
    return os.path.join(self.folder, VOCAB_FILE)

  @property
  def token_counts_file(self):
    return os.path.join(self.folder, TOKEN_COUNTS_FILE)

  def paths(self, split):
    """Paths of the shards of 'train' or 'heldout', in order."""
    return [os.path.join(self.folder, shard.file) for shard in self.shards[split]]

  def records(self, split):
    """How many records 'train' or 'heldout' has."""
    return sum(shard.records for shard in self.shards[split])

  def with_vocab_size(self, vocab_size):
    """This, or a copy with a vocabulary size where it has none: bare files do not say theirs."""
    if self.vocab_size:
      return self
    other = copy.copy(self)
    other.vocab_size = vocab_size
    return other

  def read_otherwise(self, settings):
    """A DatasetInfo of the same compact records, masked otherwise, with room for the labels.

    Args:
      settings: dict of some of READ_OTHERWISE.

    Raises:
      UserError: the records were masked when they were made.
    """
    if self.record_format != COMPACT:
      raise UserError('expected compact records, which are masked while they are read, found others in {}; make the '
                      'data with --record_format=compact, or another data set for this phase'.format(self.folder))
    other = copy.copy(self)
    other.settings = dict(self.settings, **settings)
    other.max_predictions_per_seq = max(1, int(round(other.settings['masked_lm_prob'] * self.max_seq_length)))
    return other

  def fingerprint(self):
    """Identifies the training records: hex SHA-256 of the shards' names, counts and checksums, in order."""
    described = [[shard.file, shard.records, shard.sha256] for shard in self.shards[TRAIN]]
    return hashlib.sha256(json.dumps(described).encode('utf-8')).hexdigest()

  def save(self):
    """Writes `dataset.json`, which exists only when it is complete; notes digests of the small files that are there."""
    names = [TOKEN_COUNTS_FILE] + [os.path.basename(lengths_file(path)) for split in (TRAIN, HELDOUT)
                                   for path in self.paths(split)]
    self.digests = {name: files.file_sha256(os.path.join(self.folder, name)) for name in names
                    if os.path.exists(os.path.join(self.folder, name))}
    said = self._to_json()
    with files.atomic(os.path.join(self.folder, DATASET_FILE)) as target:
      json.dump(dict(said, sha256=data_files.description_sha256(said)), target, ensure_ascii=False, indent=1)
      target.write('\n')

  def _to_json(self):
    return collections.OrderedDict([
        ('format_version', FORMAT_VERSION),
        ('max_seq_length', self.max_seq_length),
        ('max_predictions_per_seq', self.max_predictions_per_seq),
        ('vocab_size', self.vocab_size),
        ('vocab_sha256', self.vocab_sha256),
        ('settings', self.settings),
        ('statistics', self.statistics),
        ('shards', {split: [shard._asdict() for shard in shards] for split, shards in self.shards.items()}),
        ('digests', self.digests),
    ])

  @classmethod
  def load(cls, folder):
    """Reads `folder`/dataset.json.

    Raises:
      UserError: absent, or anything that the data tool does not write, see data_files.read_description.
    """
    path = os.path.join(folder, DATASET_FILE)
    if not os.path.lexists(path):
      raise UserError('expected a data set with {} in {}, found none; make one with "make data" '
                      'or name its folder (DATA=...)'.format(DATASET_FILE, files.shown(folder)))
    raw = data_files.read_description(path)
    shards = {split: [Shard(**shard) for shard in entries] for split, entries in raw['shards'].items()}
    return cls(folder, raw['max_seq_length'], raw['max_predictions_per_seq'], raw['vocab_size'],
               raw['vocab_sha256'], shards, raw['settings'], raw['statistics'], raw.get('digests'))

  def lengths(self, number, split=TRAIN):
    """Lengths of the records of a shard, uint16 [records, 2] of tokens and labels; None without good ones."""
    path = lengths_file(self.paths(split)[number])
    return data_files.read_lengths(path, self.shards[split][number].records, self.max_seq_length,
                                    self.max_predictions_per_seq, self.digests.get(os.path.basename(path)))
