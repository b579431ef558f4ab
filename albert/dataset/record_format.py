"""The record: names, kinds and lengths of its features, for writer, reader and tests.

Legend: S = max_seq_length, P = max_predictions_per_seq, V = size of the vocabulary.
"""

import collections

# One feature of a record. kind: 'int64', 'float32' or 'bytes', as in tf.train.Feature. length: 'S', 'P' or a number; if
# kind is 'bytes', the type of the numbers in them instead. below: numbers of kind 'int64' lie from 0 to one below this,
# which is 'S', 'V' or a number; None: any that are not negative.
FeatureSpec = collections.namedtuple('FeatureSpec', ['name', 'kind', 'length', 'below'], defaults=[None])

# The text, [CLS] A [SEP] or [CLS] A [SEP] B [SEP].
_TOKENS = (
    FeatureSpec('input_ids', 'int64', 'S', 'V'),
    FeatureSpec('input_mask', 'int64', 'S', 2),
    FeatureSpec('segment_ids', 'int64', 'S', 2),
)
# The reference format. next_sentence_labels holds the sentence order: 1 = the two segments are swapped.
REFERENCE_FEATURES = _TOKENS + (
    FeatureSpec('masked_lm_positions', 'int64', 'P', 'S'),
    FeatureSpec('masked_lm_ids', 'int64', 'P', 'V'),
    FeatureSpec('masked_lm_weights', 'float32', 'P'),
    FeatureSpec('next_sentence_labels', 'int64', 1, 2),
)
# Written as well, read only by tools: 1 where a word starts.
TOKEN_BOUNDARY = FeatureSpec('token_boundary', 'int64', 'S')
WRITTEN_FEATURES = REFERENCE_FEATURES + (TOKEN_BOUNDARY,)

# The formats of training records of pre-training. Compact ones are not masked:
# albert/input/formats/dynamic_masking.py masks them anew in each epoch.
REFERENCE, COMPACT = 'reference', 'compact'
RECORD_FORMATS = (REFERENCE, COMPACT)
# That of fine-tuning, training and held-out records alike: windows of labelled text, see labelled_features().
LABELLED = 'labelled'
# kind 'bytes': little-endian numbers, one for each token of [CLS] A [SEP] B [SEP], no padding.
COMPACT_FEATURES = (
    FeatureSpec('token_ids', 'bytes', 'uint16'),
    # At the first token of a word its number of tokens, 0 at its other tokens. UNMASKABLE where a word was cut or has
    # that many tokens or more, and at [CLS] and [SEP].
    FeatureSpec('word_lengths', 'bytes', 'uint8'),
    FeatureSpec('second_segment', 'int64', 1),  # the position of the first token of B
    FeatureSpec('next_sentence_labels', 'int64', 1, 2),
    FeatureSpec('record_index', 'int64', 1),  # in its split
)
UNMASKABLE = 255
# The ids must fit into uint16.
MAX_COMPACT_VOCABULARY = 1 << 16


# What every labelled record has: a window of text and its number in its split.
WINDOW_FEATURES = _TOKENS + (FeatureSpec('window', 'int64', 1),)
# What is learned from a labelled record, as task.json and --task name it.
CLASSIFY, REGRESS, TAG, READ = KINDS = ('classify', 'regress', 'tag', 'read')


def labelled_features(kind, classes=1, multi_label=False):
  """The features of a labelled record.

  Args:
    kind: CLASSIFY: label_ids, the class, or with multi_label 0 or 1 for each class. REGRESS: label_values. TAG: for
      each token tag_ids, and tag_mask, 1 where it is scored. READ: the tokens of answer_start and answer_end,
      inclusive, both 0 where there is no answer in the window.
    classes: C, number of classes or tags.
    multi_label: whether an example may have several classes.

  Returns:
    tuple of FeatureSpec.
  """
  classes = max(1, classes)
  return WINDOW_FEATURES + {
      CLASSIFY: (FeatureSpec('label_ids', 'int64', *((classes, 2) if multi_label else (1, classes))),),
      REGRESS: (FeatureSpec('label_values', 'float32', 1),),
      TAG: (FeatureSpec('tag_ids', 'int64', 'S', classes), FeatureSpec('tag_mask', 'int64', 'S', 2)),
      READ: (FeatureSpec('answer_start', 'int64', 1, 'S'), FeatureSpec('answer_end', 'int64', 1, 'S')),
  }[kind]


def feature_length(spec, max_seq_length, max_predictions_per_seq):
  """The number of values of `spec` in a record."""
  return {'S': max_seq_length, 'P': max_predictions_per_seq}.get(spec.length, spec.length)
