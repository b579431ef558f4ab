"""The three stages of data creation, each a pure function of plain values that any process on any machine may run.

    encode_unit    text of a unit     -> encoded documents
    assemble_unit  encoded documents  -> sorted runs of examples, training and held out
    write_shard    runs               -> one shard of records

Between the first two the held-out documents are chosen, between the last two the shards are cut: see pipeline.py.
"""

import collections
import functools
import hashlib
import itertools
import os

import numpy as np

from albert.common import files
from albert.dataset import contract
from albert.dataset import example_writer
from albert.dataset import masking_rules
from albert.dataset import packing
from albert.dataset import random_bits
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert.dataset import tokenization
from tools.preprocessing import assembly
from tools.preprocessing import compact
from tools.preprocessing import encoding
from tools.preprocessing import masking
from tools.preprocessing import shuffle
from tools.text import cleaning
from tools.text import duplicate_keys
from tools.text import segmentation
from tools.text import source

# Everything that determines the bytes of a data set, besides the corpus; see the flags of create_pretraining_data.
Settings = collections.namedtuple('Settings', [
    'vocab_file', 'do_lower_case', 'do_whole_word_mask', 'segmenter', 'encoding', 'skip_errors', 'max_seq_length',
    'max_predictions_per_seq', 'masked_lm_prob', 'dupe_factor', 'short_seq_prob', 'random_seed', 'records_per_shard',
    'record_format', 'max_ngram', 'cleaning'], defaults=[1, cleaning.Options()])

# Held-out documents are masked in at least this number of ways, so that their loss varies less.
MIN_HELDOUT_DUPLICATES = 5

# Sizes of the report: word lengths of 1, 2, ... tokens, the last for longer words; documents of 1, 2-3, 4-7, ...
# tokens, the last for longer ones; steps in which records are counted by their lengths; texts that became [UNK], of
# each unit.
WORD_LENGTHS, DOCUMENT_LENGTHS, LENGTH_STEPS, UNKNOWN_TEXTS = 10, 16, 32, 1000

# Part of the key of a document's text, see heldout_hashes.
_HELDOUT = 1 << 40
# Sizes that bound a worker's memory; the output does not depend on them.
_BLOCK_CHARACTERS = 1 << 17
_DUPLICATES_AT_ONCE = 10
_RUN_TOKENS = 1 << 22
_BLOCK_RECORDS = 256

EncodedUnit = collections.namedtuple('EncodedUnit', ['path', 'counts', 'lines', 'unknown'])
EncodedUnit.__doc__ = """Result of encode_unit.

path: prefix of its files (see there); counts: Counter of tokens, what was left out, ...; lines: of each part of the
unit, list of int; unknown: Counter of texts that became [UNK].
"""
DOCUMENTS, KEYS, SKIPPED = '.documents', '.keys', '.skipped'
# Marks of the unit's documents, uint8: see tools/text/duplicates.py.
DUPLICATES = '.duplicates'

AssembledUnit = collections.namedtuple('AssembledUnit', [
    'runs', 'token_counts', 'counts', 'word_lengths', 'document_lengths'])
AssembledUnit.__doc__ = """Result of assemble_unit. Duplicates that were left out are not counted.

runs: {'train': [path], 'heldout': [path]}; token_counts: int64 [V], over the training documents; counts: Counter of
documents, sentences, words, tokens, unused tokens, ...; word_lengths: int64 [WORD_LENGTHS], words by their tokens, from
1; document_lengths: int64 [DOCUMENT_LENGTHS], documents by the bits of their number of tokens.
"""

WrittenShard = collections.namedtuple('WrittenShard', [
    'records', 'sha256', 'bytes', 'packed_rows', 'tokens', 'masked_tokens', 'length_counts', 'masked_as'])
WrittenShard.__doc__ = """Result of write_shard.

tokens: of text, without [CLS], [SEP] and padding; length_counts: int64 [LENGTH_STEPS], records by their tokens in equal
steps up to S; masked_as: int64 [3], masked tokens that became [MASK], another token, or stayed.
"""


@functools.lru_cache(maxsize=4)
def _vocabulary(path):
  return tokenization.Vocabulary.load(path)


@functools.lru_cache(maxsize=1)
def _encoder(vocab_file, do_lower_case, do_whole_word_mask, segmenter):
  tokenizer = tokenization.Tokenizer(_vocabulary(vocab_file), do_lower_case)
  segment = segmentation.segmenter(segmenter) if do_whole_word_mask else None
  return encoding.Encoder(tokenizer, segment, do_whole_word_mask)


def document_key(seed, document):
  """The 64-bit key of a `corpus.Document`, a function of seed, file number and byte offset."""
  return random_bits.derive(seed, document.file, document.offset)


def content_key(seed, document):
  """The 64-bit key of a document's text: repeats of it anywhere in the corpus share it."""
  return random_bits.derive(seed, cleaning.content_hash(document))


def heldout_hashes(content_keys):
  """The numbers by which texts are held out, lowest first: uint64. content_keys: uint64."""
  return random_bits.derive_array(content_keys, _HELDOUT)


def warm_up(settings):
  """Loads the dictionary, so that processes forked afterwards share it."""
  _encoder(settings.vocab_file, settings.do_lower_case, settings.do_whole_word_mask, settings.segmenter)


def encode_unit(settings, unit, path):
  """Reads, segments and tokenizes the documents of a `corpus.Unit`: `EncodedUnit`.

  Documents of fewer than two words are left out and counted: no two segments can be made of them.

  Files: path + DOCUMENTS, blocks of `assembly.Documents`; path + KEYS, uint64, their content keys; path + SKIPPED, a
  line for each line or document that was left out: its line in the unit, from 0, and why, tab-separated; and those of
  `duplicate_keys.Writer`.
  """
  encoder = _encoder(settings.vocab_file, settings.do_lower_case, settings.do_whole_word_mask, settings.segmenter)
  reader = source.reader(text_source(settings))
  unk_id = _vocabulary(settings.vocab_file).unk_id
  counts = collections.Counter()
  encoder.take_unknown(0)  # forgets those of a unit that failed
  skipped = []
  cleaned = cleaning.clean(reader.documents(unit), settings.cleaning, counts, skipped)
  with _open_part(path + DOCUMENTS) as target, _open_part(path + KEYS) as keys, \
      duplicate_keys.Writer(path, settings.cleaning.duplicates) as duplicate_writer:
    for block in _blocks(cleaned):
      documents, is_kept = _encode_block(encoder, block, settings.random_seed, counts, skipped)
      duplicate_writer.add(itertools.compress(block, is_kept))
      counts['unknown_tokens'] += int(np.count_nonzero(encoding.ids_of(documents.tokens) == unk_id))
      for array in documents:
        np.save(target, array)
      documents.content_keys.tofile(keys)
  skipped += reader.skipped
  counts['skipped_lines'] = len(reader.skipped)
  counts['divided_documents'] = reader.divided_documents
  counts['divided_lines'] = reader.divided_lines
  counts['replaced_surrogates'] = reader.replaced_surrogates
  with _open_part(path + SKIPPED, 'w') as target:
    target.writelines('{}\t{}\n'.format(*place) for place in sorted(skipped))
  return EncodedUnit(path, counts, reader.part_lines, encoder.take_unknown(UNKNOWN_TEXTS))


def _open_part(path, mode='wb'):
  # Not durable: there are many, and kept_results makes a part again whose size is not what it was.
  return files.atomic(path, mode, durable=False)


def _word_lengths(tokens):
  """int64 [WORD_LENGTHS], of packed tokens."""
  heads = np.flatnonzero(encoding.words_of(tokens))
  sizes = np.diff(np.append(heads, len(tokens)))
  return np.bincount(np.minimum(sizes, WORD_LENGTHS) - 1, minlength=WORD_LENGTHS)


def text_source(settings):
  """The `source.Source` of the settings."""
  return source.Source(settings.encoding, settings.skip_errors, settings.cleaning)


def kept_keys(path):
  """Content keys of the documents of an `EncodedUnit` that are no duplicates: uint64."""
  keys = np.fromfile(path + KEYS, np.uint64)
  return keys[np.fromfile(path + DUPLICATES, np.uint8) == 0] if os.path.exists(path + DUPLICATES) else keys


def _blocks(documents):
  """Groups documents into lists of about _BLOCK_CHARACTERS."""
  block, size = [], 0
  for document in documents:
    block.append(document)
    size += sum(map(len, document.sentences))
    if size >= _BLOCK_CHARACTERS:
      yield block
      block, size = [], 0
  if block:
    yield block


def _encode_block(encoder, block, seed, counts, skipped):
  """Encodes `corpus.Document`s. Adds to counts (Counter) and skipped ([(line, why)]).

  Returns:
    `assembly.Documents` without empty sentences and documents that are too short; bool array, the documents to keep.
  """
  encoded = encoder.encode([sentence for document in block for sentence in document.sentences])
  keys, content_keys = (np.array([key(seed, document) for document in block], np.uint64)
                        for key in (document_key, content_key))
  sentence_counts = np.fromiter((len(document.sentences) for document in block), np.int64, len(block))
  owners = np.repeat(np.arange(len(block)), sentence_counts)
  owners, lengths = owners[encoded.lengths > 0], encoded.lengths[encoded.lengths > 0]
  starts = encoding.words_of(encoded.tokens) & encoding.STARTS
  words = np.bincount(np.repeat(owners, lengths), weights=starts, minlength=len(block))
  documents = assembly.Documents(keys, content_keys, np.bincount(owners, minlength=len(block)).astype(np.int32),
                                 lengths.astype(np.int32), encoded.tokens)
  kept = select_documents(documents, words >= 2)
  skipped += [(document.line, 'document of fewer than two words')
              for document, number in zip(block, words.tolist()) if number < 2]
  counts.update(documents=len(kept.keys), documents_too_short=len(block) - len(kept.keys), tokens=len(kept.tokens),
                tokens_too_short=len(documents.tokens) - len(kept.tokens))
  return kept, words >= 2


def select_documents(documents, chosen):
  """The `assembly.Documents` where `chosen` (bool) is true."""
  owners = np.repeat(np.arange(len(chosen)), documents.sentence_counts)
  sentences = chosen[owners]
  tokens = np.repeat(sentences, documents.lengths)
  return assembly.Documents(documents.keys[chosen], documents.content_keys[chosen], documents.sentence_counts[chosen],
                            documents.lengths[sentences], documents.tokens[tokens])


def assemble_unit(settings, encoded_path, heldout_threshold, buckets, run_prefix):
  """Makes the examples of encoded documents, in runs named `run_prefix`...: `AssembledUnit`.

  heldout_threshold: the largest of `heldout_hashes` that is held out.
  """
  vocabulary = _vocabulary(settings.vocab_file)
  token_counts = np.zeros(len(vocabulary), np.int64)
  word_lengths, document_lengths = np.zeros(WORD_LENGTHS, np.int64), np.zeros(DOCUMENT_LENGTHS, np.int64)
  writers = {split: _RunWriter('{}.{}'.format(run_prefix, split), buckets) for split in duplicates(settings)}
  counts = collections.Counter()
  for documents in _read_documents(encoded_path):
    held_out = heldout_hashes(documents.content_keys) <= np.uint64(heldout_threshold)
    counts.update(_counts(documents, vocabulary.unk_id))
    word_lengths += _word_lengths(documents.tokens)
    document_lengths += _document_lengths(documents)
    for split, chosen in ((contract.TRAIN, ~held_out), (contract.HELDOUT, held_out)):
      part = select_documents(documents, chosen)
      counts.update(_add_examples(part, split, settings, writers[split]))
      if split == contract.TRAIN:
        token_counts += np.bincount(encoding.ids_of(part.tokens), minlength=len(vocabulary))
  return AssembledUnit({split: writer.close() for split, writer in writers.items()}, token_counts, counts,
                       word_lengths, document_lengths)


def _add_examples(documents, split, settings, writer):
  """Writes the examples of documents; returns counts: dict."""
  shape = assembly.Shape(settings.max_seq_length, settings.short_seq_prob)
  tallies = []
  for some in _duplicate_ranges(duplicates(settings)[split]):
    examples, tally = assembly.examples_of(documents, some, shape)
    tallies.append(tally)
    writer.add(examples)
  sums = assembly.Tally(*map(sum, zip(*tallies)))
  return {split + '_documents': len(documents.keys), split + '_document_tokens': len(documents.tokens),
          split + '_unused_tokens': sums.skipped_tokens, 'skipped_chunks': sums.skipped_chunks,
          'divided_sentences': sums.divided_sentences}


def _counts(documents, unk_id):
  """Statistics of `assembly.Documents`: dict."""
  return {'documents': len(documents.keys), 'sentences': len(documents.lengths), 'tokens': len(documents.tokens),
          'words': int(np.count_nonzero(encoding.words_of(documents.tokens))),
          'unknown_tokens': int(np.count_nonzero(encoding.ids_of(documents.tokens) == unk_id))}


def _document_lengths(documents):
  """int64 [DOCUMENT_LENGTHS]."""
  tokens = np.bincount(np.repeat(np.arange(len(documents.keys)), documents.sentence_counts), documents.lengths,
                       len(documents.keys)).astype(np.int64)
  return np.bincount(np.minimum(np.frexp(tokens)[1] - 1, DOCUMENT_LENGTHS - 1), minlength=DOCUMENT_LENGTHS)


def duplicates(settings):
  """The number of times that a document of each split is used: {split: int}."""
  return {contract.TRAIN: settings.dupe_factor,
          contract.HELDOUT: max(MIN_HELDOUT_DUPLICATES, settings.dupe_factor)}


def _duplicate_ranges(count):
  return [range(first, min(count, first + _DUPLICATES_AT_ONCE)) for first in range(0, count, _DUPLICATES_AT_ONCE)]


def _read_documents(path):
  """Yields the `assembly.Documents` of an `EncodedUnit`, without duplicates."""
  size = os.path.getsize(path + DOCUMENTS)
  duplicates = np.fromfile(path + DUPLICATES, np.uint8) if os.path.exists(path + DUPLICATES) else None
  before = 0
  with open(path + DOCUMENTS, 'rb') as source:
    while source.tell() < size:
      documents = assembly.Documents(*(np.load(source) for _ in assembly.Documents._fields))
      if duplicates is not None:
        count = len(documents.keys)
        documents, before = select_documents(documents, duplicates[before:before + count] == 0), before + count
      yield documents


class _RunWriter:
  """Collects examples and writes them as runs of bounded size."""

  def __init__(self, prefix, buckets):
    self._prefix = prefix
    self._buckets = buckets
    self._parts = []
    self._tokens = 0
    self._runs = []

  def add(self, examples):
    self._parts.append(examples)
    self._tokens += len(examples.tokens)
    if self._tokens >= _RUN_TOKENS:
      self._flush()

  def close(self):
    if self._tokens:
      self._flush()
    return self._runs

  def _flush(self):
    self._runs.append('{}-{:05d}.run'.format(self._prefix, len(self._runs)))
    shuffle.write_run(self._runs[-1], shuffle.concatenate(self._parts), self._buckets)
    self._parts, self._tokens = [], 0


def masking_options(settings):
  """The `masking_rules.MaskingOptions` for the settings and their vocabulary."""
  return masking_rules.options(_vocabulary(settings.vocab_file), settings.max_seq_length,
                               settings.max_predictions_per_seq, settings.masked_lm_prob, settings.max_ngram)


def write_shard(settings, split, runs, buckets, place, path):
  """Writes a shard to `path`, masked unless its format is compact: `WrittenShard`.

  place: `ShardPlace` of the shard. Beside a training shard in the reference format goes its contract.lengths_file.
  """
  options = masking_options(settings)
  is_compact = split == contract.TRAIN and settings.record_format == record_format.COMPACT
  writer = example_writer.ExampleWriter(
      record_format.COMPACT_FEATURES if is_compact else record_format.WRITTEN_FEATURES)
  examples = shuffle.read_buckets(runs, place.first_bucket, place.last_bucket, buckets)
  digest = hashlib.sha256()
  lengths = []
  written = first = 0
  masked_as = np.zeros(3, np.int64)
  with _open_part(path) as target:
    for block in shuffle.blocks(examples, place.skip, place.count, _BLOCK_RECORDS):
      batch, block_lengths = _block_of_records(block, options, is_compact, place.first_record + first)
      data = b''.join(map(tfrecord.frame, writer.records(batch)))
      target.write(data)
      digest.update(data)
      written += len(data)
      first += len(block.heads)
      lengths.append(block_lengths)
      masked_as += 0 if is_compact else masking.outcomes(batch, options)
  lengths = np.concatenate(lengths)
  packed_rows = None
  if split == contract.TRAIN and not is_compact:
    packed_rows = len(packing.fill_rows(lengths[:, 0], lengths[:, 1], options.max_seq_length,
                                        options.max_predictions_per_seq))
    with _open_part(contract.lengths_file(path)) as target:
      np.save(target, lengths.astype(np.uint16))
  tokens, masked = lengths.sum(axis=0).tolist()
  return WrittenShard(place.count, digest.hexdigest(), written, packed_rows,
                      tokens - assembly.SPECIAL_TOKENS_PER_EXAMPLE * place.count, masked,
                      np.bincount((lengths[:, 0] - 1) * LENGTH_STEPS // options.max_seq_length,
                                  minlength=LENGTH_STEPS), masked_as)


def _block_of_records(block, options, is_compact, first_record):
  """Features of `assembly.Examples` for ExampleWriter, {name: values}, and int64 [N, 2], tokens and labels of each."""
  tokens = block.heads['lengths'].sum(axis=1, dtype=np.int64) + assembly.SPECIAL_TOKENS_PER_EXAMPLE
  if is_compact:
    return compact.pack(block, options, first_record), np.stack([tokens, np.zeros_like(tokens)], axis=1)
  batch = masking.mask(block, options)
  labels = batch.masked_lm_weights.sum(axis=1).astype(np.int64)
  return batch._asdict(), np.stack([tokens, labels], axis=1)


ShardPlace = collections.namedtuple('ShardPlace', ['first_bucket', 'last_bucket', 'skip', 'count', 'first_record'])
ShardPlace.__doc__ = """Which examples a shard holds: `count`, after the first `skip`, of buckets [first, last).

first_record: the number of its first record in the split.
"""


def cut_shards(counts, records_per_shard):
  """The `ShardPlace`s of all shards, in order: each has `records_per_shard` records, the last may have fewer.

  counts: int64, the examples in each bucket.
  """
  before = np.append(0, np.cumsum(counts))
  places = []
  for first in range(0, int(before[-1]), records_per_shard):
    last = min(int(before[-1]), first + records_per_shard)
    first_bucket = int(np.searchsorted(before, first, 'right')) - 1
    last_bucket = int(np.searchsorted(before, last, 'left'))
    places.append(ShardPlace(first_bucket, last_bucket, first - int(before[first_bucket]), last - first,
                             first))
  return places
