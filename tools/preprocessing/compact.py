"""Compact records: an example before masking, in about a third of the bytes. See record_format.COMPACT_FEATURES."""

import numpy as np

from albert.common import ragged
from albert.dataset import record_format
from tools.preprocessing import assembly
from tools.preprocessing import encoding


def pack(examples, options, first_record):
  """Examples as example_writer.ExampleWriter writes them with record_format.COMPACT_FEATURES.

  Args:
    examples: `assembly.Examples`.
    options: `masking_rules.MaskingOptions`.
    first_record: the number of the first one in its split.
  """
  lengths = examples.heads['lengths'].astype(np.int64)
  totals = lengths.sum(axis=1)
  begins, places = _places(lengths)
  size = int(totals.sum()) + assembly.SPECIAL_TOKENS_PER_EXAMPLE * len(totals)
  ids = np.full(size, options.sep_id, '<u2')
  ids[begins] = options.cls_id
  ids[places] = encoding.ids_of(examples.tokens)
  word_lengths = np.full(size, record_format.UNMASKABLE, np.uint8)
  word_lengths[places] = _word_lengths(encoding.words_of(examples.tokens))
  sizes = totals + assembly.SPECIAL_TOKENS_PER_EXAMPLE
  return {
      'token_ids': ragged.split(ids.tobytes(), 2 * sizes),
      'word_lengths': ragged.split(word_lengths.tobytes(), sizes),
      'second_segment': lengths[:, :1] + 2, 'next_sentence_labels': examples.heads['swapped'][:, None],
      'record_index': np.arange(first_record, first_record + len(totals))[:, None]}


def _places(lengths):
  """Where each example begins, and where each token goes, in a row of [CLS] A [SEP] B [SEP] of all examples."""
  totals = lengths.sum(axis=1)
  begins = np.append(0, np.cumsum(totals + assembly.SPECIAL_TOKENS_PER_EXAMPLE))[:-1]
  starts = np.stack([begins + 1, begins + lengths[:, 0] + 2], axis=1)
  return begins, ragged.index(starts.ravel(), lengths.ravel())


def _word_lengths(words):
  """uint8, of packed words: how many tokens a word has at its first one, 0 at the others, UNMASKABLE if it was cut."""
  heads = np.flatnonzero(words)
  sizes = np.diff(np.append(heads, len(words)))
  lengths = np.zeros(len(words), np.uint8)
  is_whole = (words[heads] == assembly.STARTS) & (sizes < record_format.UNMASKABLE)
  lengths[heads] = np.where(is_whole, sizes, record_format.UNMASKABLE)
  return lengths


def unpack(example, max_seq_length):
  """A parsed compact record as the features of an unmasked one in the reference format: {name: array [S]}."""
  ids = np.frombuffer(example['token_ids'], '<u2')
  columns = np.arange(max_seq_length)
  padding = (0, max_seq_length - len(ids))
  boundary = np.frombuffer(example['word_lengths'], np.uint8) > 0
  return {
      'input_ids': np.pad(ids.astype(np.int64), padding, 'constant'),
      'input_mask': (columns < len(ids)).astype(np.int64),
      'segment_ids': ((columns >= example['second_segment'][0]) & (columns < len(ids))).astype(np.int64),
      'token_boundary': np.pad(boundary.astype(np.int64), padding, 'constant'),
      'masked_lm_positions': np.zeros(0, np.int64), 'masked_lm_ids': np.zeros(0, np.int64),
      'masked_lm_weights': np.zeros(0, np.float32), 'next_sentence_labels': example['next_sentence_labels']}
