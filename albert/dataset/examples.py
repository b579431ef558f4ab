"""Serialized tf.train.Examples, read without TensorFlow: is each record what its features say?

TensorFlow 1.15's parse_example ends the whole process (SIGSEGV) where it is given something else, because it puts the
bytes into an error message that must be UTF-8; and where a number is too large, a model reads another row than it
should. So records are looked at before they reach it. That is done for many records at once: they have one layout,
whose headers (see protobuf.py) are read for all of them together. A block that is not surely good is looked at record
by record.

Shapes: n records, S sequence, P masked predictions, V vocabulary.
"""

import collections
import hashlib

import numpy as np

from albert.common import ragged
from albert.dataset import contract
from albert.dataset import protobuf
from albert.dataset.protobuf import TAGS
from albert.dataset import record_format

# Bytes of a varint: no number that may be in a record needs more.
_VARINT_BYTES = 4
# [CLS] A [SEP] B [SEP]
_LEAST_TOKENS = 3

# Values of kind 'bytes' of n records, one after the other: uint8; and how many bytes each has, int64 [n].
Ragged = collections.namedtuple('Ragged', ['data', 'sizes'])


class Form:
  """The features and ranges that the records of a split must have.

  Attributes:
    digest: str, the same for the same form.
  """

  def __init__(self, features, max_seq_length, max_predictions_per_seq, vocab_size=None):
    """features: record_format.FeatureSpecs; the rest: S, P and V, or None for any ids that are not negative."""
    self._features = features
    self._sizes = {'S': max_seq_length, 'P': max_predictions_per_seq, 'V': vocab_size}
    self._counts = {spec.name: record_format.feature_length(spec, max_seq_length, max_predictions_per_seq)
                    for spec in features}
    self.digest = hashlib.sha256(repr((tuple(features), sorted(self._sizes.items()))).encode('utf-8')).hexdigest()

  @classmethod
  def of(cls, info, split, features=record_format.REFERENCE_FEATURES, vocab_size=None):
    """Of a split of a contract.DatasetInfo. features: of a record that is not compact. vocab_size: if not the info's.
    """
    if info.record_format == record_format.COMPACT and split == contract.TRAIN:
      features = record_format.COMPACT_FEATURES
    return cls(features, info.max_seq_length, info.max_predictions_per_seq, vocab_size or info.vocab_size)

  def misfits(self, records):
    """{place in the list: what is wrong, in words} of serialized records that do not have this form."""
    columns = _columns(records, self._features, self._counts)
    if columns is not None and self._problem(columns) is None:
      return {}
    problems = ((place, self.problem_with(record)) for place, record in enumerate(records))
    return {place: problem for place, problem in problems if problem is not None}

  def problem_with(self, record):
    """The problem with a serialized record, in words; None for a good one."""
    try:
      values = protobuf.parse(record)
    except ValueError as error:
      return 'no tf.train.Example: {}'.format(error)
    columns = {}
    for spec in self._features:
      if spec.name not in values:
        return 'no feature {}'.format(spec.name)
      columns[spec.name] = _as_column(values[spec.name], spec, self._counts[spec.name])
      if isinstance(columns[spec.name], str):
        return columns[spec.name]
    return self._problem(columns)

  def _problem(self, columns):
    """The problem with the values of n records. columns: {feature: array [n, count] or Ragged}."""
    for spec in self._features:
      values, limit = columns[spec.name], self._sizes.get(spec.below, spec.below)
      if spec.kind == 'int64' and values.size:
        lowest, highest = int(values.min()), int(values.max())
        if lowest < 0 or limit is not None and highest >= limit:
          return '{} holds {}, {}'.format(spec.name, lowest if lowest < 0 else highest, _expected(spec, limit))
      if spec.kind == 'float32' and not np.isfinite(values).all():
        return '{} holds {}, expected finite numbers'.format(spec.name, values[~np.isfinite(values)][0])
    if {'input_mask', 'masked_lm_positions', 'masked_lm_weights'} <= set(columns):
      return _problem_with_labels(columns)
    return _problem_with_words(columns, self._sizes) if 'word_lengths' in columns else None


def _expected(spec, limit):
  if limit is None:
    return 'expected at least 0'
  name = {'V': ' (vocab_size={})', 'S': ' (max_seq_length={})'}.get(spec.below, '')
  return 'expected 0 to {}'.format(limit - 1) + name.format(limit)


def _problem_with_labels(columns):
  lightest = columns['masked_lm_weights'].min(initial=0)
  if lightest < 0:
    return 'masked_lm_weights holds {}, expected at least 0'.format(lightest)
  lengths = columns['input_mask'].sum(axis=1)
  beyond = (columns['masked_lm_positions'] >= lengths[:, None]) & (columns['masked_lm_weights'] != 0)
  if beyond.any():
    row, place = np.argwhere(beyond)[0]
    return 'masked_lm_positions holds {}, behind the {} tokens of the record'.format(
        columns['masked_lm_positions'][row, place], lengths[row])
  return None


def _problem_with_words(columns, sizes):
  """Of compact records. sizes: {'S', 'V'}."""
  tokens, words = columns['token_ids'], columns['word_lengths']
  if not ((tokens.sizes == 2 * words.sizes) & (words.sizes >= _LEAST_TOKENS) & (words.sizes <= sizes['S'])).all():
    return '{} bytes of token_ids and {} of word_lengths, expected 2 and 1 for each of {} to {} tokens'.format(
        tokens.sizes[0], words.sizes[0], _LEAST_TOKENS, sizes['S'])
  ids = tokens.data.view('<u2')
  if sizes['V'] is not None and ids.size and ids.max() >= sizes['V']:
    return 'token_ids holds {}, expected 0 to {} (vocab_size={})'.format(ids.max(), sizes['V'] - 1, sizes['V'])
  ends = np.repeat(np.cumsum(words.sizes), words.sizes)
  reach = np.arange(len(words.data)) + np.where(words.data == record_format.UNMASKABLE, 0, words.data)
  if (reach > ends).any():
    return 'word_lengths holds a word that leaves the record'
  if (columns['second_segment'][:, 0] > words.sizes).any():
    return 'second_segment holds {}, behind the record'.format(columns['second_segment'].max())
  return None


def _as_column(values, spec, count):
  """The values of one record as a column of n = 1; what is wrong with them, a str, if they are of another kind."""
  kind = next(name for name, dtype in (('int64', np.int64), ('float32', np.float32), ('bytes', None))
              if dtype is None or getattr(values, 'dtype', None) == dtype)
  if kind != spec.kind:
    return '{} holds {} values, expected {}'.format(spec.name, kind, spec.kind)
  if kind == 'bytes':
    if len(values) != 1:
      return '{} holds {} values, expected 1'.format(spec.name, len(values))
    data = np.frombuffer(values[0], np.uint8)
    # An odd byte is no number; _problem_with_words finds it by the sizes.
    return Ragged(data, np.array([len(data)]))
  return values[None] if len(values) == count else '{} holds {} values, expected {}'.format(
      spec.name, len(values), count)


# Many records at once.

def _columns(records, features, counts):
  """{feature: array [n, count] or Ragged} of serialized records, or None if one of them is not of the usual layout."""
  sizes = np.fromiter(map(len, records), np.int64, len(records))
  ends = np.cumsum(sizes)
  # Some bytes more, so that a header at the end can be looked at.
  data = np.frombuffer(b''.join(list(records) + [bytes(64)]), np.uint8)
  spans = _spans(data, ends - sizes, ends, features)
  if spans is None:
    return None
  columns = {}
  for spec, begins, ends in spans:
    part = data[ragged.index(begins, ends - begins)]
    columns[spec.name] = _decoded(part, ends - begins, spec, counts[spec.name])
    if columns[spec.name] is None:
      return None
  return columns


def _decoded(data, sizes, spec, count):
  """Payloads of a feature, one after the other, as array [n, count] or Ragged; None if they are not that."""
  if spec.kind == 'bytes':
    return Ragged(data, sizes)
  if spec.kind == 'float32':
    return data.view('<f4').reshape(-1, count) if (sizes == 4 * count).all() else None
  if (sizes == count).all() and (not data.size or data.max() < 128):  # each number is one byte
    return data.reshape(-1, count)
  ends = np.flatnonzero(data < 128)
  if len(ends) != count * len(sizes) or (ends[count - 1::count] != np.cumsum(sizes) - 1).any():
    return None
  lengths = np.diff(ends, prepend=-1)
  if lengths.max() > _VARINT_BYTES:
    return None
  values = data[ends].astype(np.int32) << (7 * (lengths - 1)).astype(np.int32)
  for back in range(1, int(lengths.max())):
    longer = np.flatnonzero(lengths > back)
    values[longer] |= (data[ends[longer] - back] & 127).astype(np.int32) << (7 * (lengths[longer] - 1 - back)).astype(
        np.int32)
  return values.reshape(-1, count)


def _spans(data, begins, ends, features):
  """[(FeatureSpec, begins, ends)], int64 [n] each, of the features' payloads, or None where the layout is another.

  Entries may come in any order. begins, ends: of the records.
  """
  position, good = _open(data, begins, ends, TAGS[1])
  payloads = {spec: np.full([2, len(begins)], -1) for spec in features}
  while good.all():
    rows = np.flatnonzero(position < ends)
    if not len(rows):
      break
    entry_ends, good = _read_entries(data, position[rows], ends[rows], rows, payloads)
    position = position.copy()
    position[rows] = entry_ends
  if not good.all() or any((places < 0).any() for places in payloads.values()):
    return None
  return [(spec, places[0], places[1]) for spec, places in payloads.items()]


def _read_entries(data, position, ends, rows, wanted):
  """Reads an entry of each of some records: (where they end, whether each is of the usual layout).

  wanted: {FeatureSpec: [2, n]}, gets begin and end of the payloads of what is wanted.
  """
  begins, entry_ends, fits = _header(data, position, TAGS[1])
  good = fits & (entry_ends <= ends)
  names, name_ends, fits = _header(data, begins, TAGS[1])
  good &= fits & (name_ends <= entry_ends)
  features, feature_ends, fits = _header(data, name_ends, TAGS[2])
  good &= fits & (feature_ends == entry_ends)
  kinds = data[np.minimum(features, len(data) - 1)]
  lists, fits = _open(data, features, entry_ends, kinds)
  good &= fits
  payloads, fits = _open(data, lists, entry_ends, TAGS[1])
  # A list that has its numbers one by one, or none, is left to protobuf.parse().
  good &= fits
  if good.all():
    for spec in wanted:
      is_it = np.flatnonzero(name_ends - names == len(spec.name))
      letters = data[names[is_it][:, None] + np.arange(len(spec.name))]
      is_it = is_it[(letters == np.frombuffer(spec.name.encode('ascii'), np.uint8)).all(axis=1)]
      good[is_it] &= (kinds[is_it] == TAGS[protobuf.KIND_FIELDS[spec.kind]]) & (wanted[spec][0, rows[is_it]] < 0)
      wanted[spec][:, rows[is_it]] = payloads[is_it], entry_ends[is_it]
  return entry_ends, good


def _open(data, position, ends, tag):
  """(where the content begins, whether it does) of a field that reaches to `ends`."""
  begins, field_ends, fits = _header(data, position, tag)
  return begins, fits & (field_ends == ends)


def _header(data, position, tag):
  """(begin of the content, its end, whether the field has this tag) of the field at each position: int64, bool [n]."""
  last = len(data) - 1
  position = np.minimum(position, last)
  fits = data[position] == tag
  sizes, open_ = np.zeros_like(position), np.ones_like(fits)
  for place in range(_VARINT_BYTES):
    position = np.minimum(position + open_, last)
    byte = data[position].astype(np.int64)
    sizes += np.where(open_, (byte & 127) << (7 * place), 0)
    open_ &= byte > 127
  return position + 1, position + 1 + sizes, fits & ~open_
