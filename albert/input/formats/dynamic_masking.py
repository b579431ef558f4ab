"""Whole-word masking of compact records in the graph: new masks in each epoch, and the same ones if a run is repeated.

The masks are a function of (seed, epoch, record index) alone: neither the batch a record is in nor an earlier stop
changes them. The rules are albert/dataset/masking_rules.py, which tools/preprocessing/masking.py follows too.

Shapes: B batch, S sequence, P masked predictions, K words that are considered, N masked tokens of a batch.
"""

import numpy as np
import tensorflow as tf

from albert.dataset import contract
from albert.dataset import masking_rules
from albert.dataset import random_bits
from albert.dataset import record_format
from albert.dataset import tokenization
from albert.input import checking

# As int64, whose product has the same 64 bits: TensorFlow 1.15 does not multiply uint64.
_GAMMA, _FACTOR_1, _FACTOR_2 = (np.uint64(number).astype(np.int64) for number in (
    random_bits.GAMMA, random_bits.FACTOR_1, random_bits.FACTOR_2))
# Words that are considered beyond the first P, to fill what is left of the budget, and rounds in which they are taken.
_SPARE_WORDS, _ROUNDS = 16, 4


def masking_options(info):
  """The `masking_rules.MaskingOptions` of a contract.DatasetInfo with compact records.

  Raises:
    UserError: the vocabulary beside the records is not theirs.
  """
  checking.check_vocabulary(info)
  vocabulary = tokenization.Vocabulary.load(info.vocab_file)
  return masking_rules.options(vocabulary, info.max_seq_length, info.max_predictions_per_seq,
                               info.settings['masked_lm_prob'], info.settings.get('max_ngram', 1))


def masked_batches(batches, info, seed, position_of, num_parallel_calls=None):
  """Compact records to batches as input_pipeline.Batch describes them.

  Args:
    batches: tf.data.Dataset of serialized records, string [B], each with B static.
    info: contract.DatasetInfo.
    seed: Python int.
    position_of: function of int64 [B], numbers of records as they come in these batches, to their positions in the
      sequence of all ranks, int64 [B].
    num_parallel_calls: threads that mask.
  """
  epoch_records = info.records(contract.TRAIN)
  mask = masker(masking_options(info), seed)

  def numbered(number, serialized):
    size = tf.shape(serialized, out_type=tf.int64)[0]
    return mask(serialized, position_of(number * size + tf.range(size)) // epoch_records)

  return batches.apply(tf.data.experimental.enumerate_dataset()).map(numbered, num_parallel_calls)


def masker(options, seed):
  """A function from serialized compact records, string [B], and their epochs, int64 [B], to a dict of tensors.

  The tensors are those of the reference format: int32 [B, S] and [B, P], float32 [B, P], int32 [B, 1].
  """
  specs = {spec.name: tf.io.FixedLenFeature(*(([], tf.string) if spec.kind == 'bytes' else ([1], tf.int64)))
           for spec in record_format.COMPACT_FEATURES}

  def mask(serialized, epochs):
    parsed = tf.io.parse_example(serialized, specs)
    ids, sizes, lengths = _decode(parsed, options)
    keys = _derive(_derive(_derive(tf.constant(seed, tf.int64), 0), epochs[:, None]), parsed['record_index'])
    is_masked = _choose_tokens(sizes, lengths, keys, options)
    batch = _mask_chosen(ids, is_masked, keys, options)
    # Row n of the table is n ones, then zeros. Copying rows is faster than comparing columns.
    ones = tf.constant(np.tri(options.max_seq_length + 1, options.max_seq_length, -1, np.int32))
    input_mask = tf.gather(ones, lengths)
    batch.update(input_mask=input_mask, segment_ids=input_mask - tf.gather(ones, parsed['second_segment'][:, 0]),
                 next_sentence_labels=tf.cast(parsed['next_sentence_labels'], tf.int32))
    return batch

  return mask


def _decode(parsed, options):
  """ids int32 [B, S]; word lengths uint8 [B, S]; tokens of each record, [CLS] and [SEP] included, int32 [B]."""
  width = options.max_seq_length
  decode_raw = tf.compat.v2.io.decode_raw
  # As bytes first: decode_raw(tf.uint16, fixed_length) writes beyond its output.
  pairs = tf.reshape(decode_raw(parsed['token_ids'], tf.uint8, fixed_length=2 * width), [-1, width, 2])
  ids = tf.cast(tf.bitcast(pairs, tf.uint16), tf.int32)
  lengths = tf.strings.length(parsed['token_ids']) // 2
  if options.pad_id:
    ids = tf.where(tf.range(width) < lengths[:, None], ids, tf.fill(tf.shape(ids), options.pad_id))
  return ids, decode_raw(parsed['word_lengths'], tf.uint8, fixed_length=width), lengths


def _choose_tokens(sizes, lengths, keys, options):
  """Which tokens are masked: bool [B * S].

  Args:
    sizes: uint8 [B, S], word lengths.
    lengths: int32 [B], tokens of each record.
    keys: int64 [B, 1].
    options: MaskingOptions.
  """
  width, slots = options.max_seq_length, options.max_predictions_per_seq
  is_word = (sizes > 0) & (sizes <= min(slots, record_format.UNMASKABLE - 1))
  if options.max_ngram > 1:
    sizes, is_word = _join_words(tf.cast(sizes, tf.int32), is_word, keys, options)
  bits = _derive(_derive(keys, masking_rules.CHOICE), tf.range(width, dtype=tf.int64))
  # The lowest byte says how long the word is, the 23 bits before it are its place in the random order.
  order = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, tf.constant(33, tf.int64)), 0x7FFFFF00)
  order = tf.where(is_word, tf.bitwise.bitwise_or(order, tf.cast(sizes, tf.int64)), tf.zeros_like(order))
  order, starts = tf.nn.top_k(order, min(width, slots + _SPARE_WORDS))
  sizes = tf.cast(tf.bitwise.bitwise_and(order, 255), tf.int32)
  shortest = tf.reduce_min(tf.where(sizes > 0, sizes, tf.fill(tf.shape(sizes), slots)), axis=1, keepdims=True)
  left = tf.maximum(_budgets(lengths - 3, keys, options), shortest)
  chosen = _fill(sizes, left)
  starts += width * tf.range(tf.shape(sizes)[0])[:, None]
  starts, sizes = tf.boolean_mask(starts, chosen), tf.boolean_mask(sizes, chosen)
  places = tf.ragged.range(starts, starts + sizes).flat_values
  return tf.scatter_nd(places[:, None], tf.ones_like(places, tf.bool), [tf.shape(order)[0] * width])


def _join_words(sizes, is_word, keys, options):
  """Joins words to n-grams, as the data tool does: (lengths int32 [B, S], bool [B, S], where one begins).

  Args:
    sizes: int32 [B, S], word lengths.
    is_word: bool [B, S], where a word begins that may be masked.
    keys: int64 [B, 1].
    options: MaskingOptions.
  """
  width, longest = options.max_seq_length, min(options.max_predictions_per_seq, record_format.UNMASKABLE)
  keys = _derive(keys, masking_rules.NGRAM)
  number = tf.cumsum(tf.cast(sizes > 0, tf.int64), axis=1, exclusive=True)
  number += _below(_derive(keys, tf.constant(masking_rules.NGRAM_PHASE, tf.int64)), options.max_ngram)
  case = _below(_derive(keys, number // options.max_ngram), masking_rules.NGRAM_PARTS)
  cuts = tf.constant(np.array(masking_rules.NGRAM_CUTS[options.max_ngram], bool))
  starts = tf.gather_nd(cuts, tf.stack([case, number % options.max_ngram], axis=-1))
  # The next word continues an n-gram only if it may be masked too; [SEP] may not.
  added = tf.reshape(tf.where(is_word & ~starts, sizes, tf.zeros_like(sizes)), [-1])
  rows = width * tf.range(tf.shape(sizes)[0])[:, None]
  ends, lengths = tf.range(width) + sizes, sizes
  for _ in range(options.max_ngram - 1):
    following = tf.gather(added, rows + tf.minimum(ends, width - 1)) * tf.cast(ends < width, tf.int32)
    lengths += following
    # Where no word was added, the end moves out of the row, so that none is added later.
    ends = tf.where(following > 0, ends + following, tf.fill(tf.shape(ends), width))
  before = _follows_word(sizes, is_word, rows)
  return tf.minimum(lengths, 255), is_word & (starts | ~before) & (lengths <= longest)


def _follows_word(sizes, is_word, rows):
  """Where the token before is the last one of a word that may be masked: bool [B, S]."""
  width = sizes.shape[1].value
  ends = tf.boolean_mask(rows + tf.range(width) + sizes, is_word & (tf.range(width) + sizes < width))
  return tf.reshape(tf.scatter_nd(ends[:, None], tf.ones_like(ends), [tf.size(sizes)]) > 0, [-1, width])


def _below(bits, limit):
  """random_bits.below_array of int64 bits: int64."""
  return _shift(_shift(bits, 64 - random_bits.LIMIT_BITS) * limit, random_bits.LIMIT_BITS)


def _unit(bits):
  """random_bits.unit_array of int64 bits: float64."""
  return tf.cast(_shift(bits, 64 - random_bits.UNIT_BITS), tf.float64) * 2.0 ** -random_bits.UNIT_BITS


def _budgets(totals, keys, options):
  """The number of tokens of each record that may be masked, int32 [B, 1], as in the data tool. totals: int32 [B]."""
  chance = _unit(_derive(keys, masking_rules.BUDGET))
  budgets = tf.floor(tf.cast(totals[:, None], tf.float64) * options.masked_lm_prob
                     - masking_rules.BUDGET_REDUCTION + chance)
  return tf.clip_by_value(tf.cast(budgets, tf.int32), 1, options.max_predictions_per_seq)


def _fill(sizes, left):
  """Takes words in order as long as they fit, and passes over the others: bool [B, K].

  sizes: int32 [B, K], 0 where there is no word; left: int32 [B, 1], tokens that may be taken.
  """
  chosen = tf.zeros_like(sizes, tf.bool)
  for _ in range(_ROUNDS):
    # Takes all words up to the first that does not fit; the budget that is left is less than that word's length.
    fitting = tf.where(sizes <= left, sizes, tf.zeros_like(sizes))
    taken = (fitting > 0) & (tf.cumsum(fitting, axis=1) <= left)
    chosen |= taken
    left -= tf.reduce_sum(tf.where(taken, sizes, tf.zeros_like(sizes)), axis=1, keepdims=True)
    sizes = tf.where(taken, tf.zeros_like(sizes), fitting)
  return chosen


def _mask_chosen(ids, is_masked, keys, options):
  """input_ids, masked_lm_positions, masked_lm_ids and masked_lm_weights.

  Args:
    ids: int32 [B, S].
    is_masked: bool [B * S].
    keys: int64 [B, 1].
    options: MaskingOptions.
  """
  width, slots = options.max_seq_length, options.max_predictions_per_seq
  places = tf.cast(tf.where(is_masked), tf.int32)  # [N, 1], sorted
  rows = places[:, 0] // width
  columns = places[:, 0] - width * rows
  labels = tf.gather(tf.reshape(ids, [-1]), places[:, 0])
  inputs = _replacements(tf.gather(keys[:, 0], rows), tf.cast(columns, tf.int64), labels, options)
  input_ids = tf.tensor_scatter_nd_update(tf.reshape(ids, [-1]), places, inputs)
  counts = tf.cast(tf.math.count_nonzero(tf.reshape(is_masked, [-1, width]), axis=1), tf.int32)
  is_used = tf.range(slots) < counts[:, None]
  # `labels` holds those of all rows, one after the other; the zero that spread() appends is for unused slots.
  number = tf.cumsum(counts, exclusive=True)[:, None] + tf.range(slots)
  number = tf.where(is_used, number, tf.fill(tf.shape(number), tf.size(labels)))

  def spread(values):
    return tf.ensure_shape(tf.gather(tf.pad(values, [[0, 1]]), number), [ids.shape[0], slots])

  return {'input_ids': tf.ensure_shape(tf.reshape(input_ids, [-1, width]), [ids.shape[0], width]),
          'masked_lm_positions': spread(columns), 'masked_lm_ids': spread(labels),
          'masked_lm_weights': tf.cast(is_used, tf.float32)}


def _replacements(keys, columns, labels, options):
  """The input ids of masked tokens, int32 [N]. keys, columns: int64 [N]; labels: int32 [N]."""
  bits = _derive(_derive(keys, masking_rules.REPLACEMENT), columns)
  share = _unit(bits)
  choices = tf.constant(options.replacement_ids, tf.int32)
  random_tokens = tf.gather(choices, _below(_derive(bits, masking_rules.RANDOM_TOKEN), len(options.replacement_ids)))
  is_random = share < masking_rules.MASK_SHARE + masking_rules.RANDOM_SHARE
  return tf.where(share < masking_rules.MASK_SHARE, tf.fill(tf.shape(labels), options.mask_id),
                  tf.where(is_random, random_tokens, labels))


def _derive(keys, parts):
  """random_bits.derive_array of int64 keys: int64. parts: int64 tensor, broadcast, or int."""
  values = keys + _GAMMA * (parts + 1) if not isinstance(parts, int) else keys + np.int64(
      (int(_GAMMA) * (parts + 1) + 2 ** 63) % 2 ** 64 - 2 ** 63)
  values = tf.bitwise.bitwise_xor(values, _shift(values, random_bits.SHIFT_1)) * _FACTOR_1
  values = tf.bitwise.bitwise_xor(values, _shift(values, random_bits.SHIFT_2)) * _FACTOR_2
  return tf.bitwise.bitwise_xor(values, _shift(values, random_bits.SHIFT_3))


def _shift(values, places):
  """Shifts int64 to the right as if they had no sign."""
  shifted = tf.bitwise.right_shift(tf.bitcast(values, tf.uint64), tf.constant(places, tf.uint64))
  return tf.bitcast(shifted, tf.int64)
