"""Names of an ALBERT's weights here and in Hugging Face's transformers: a table and two functions.

A kernel is [in, out] here and [out, in] there; the weights of classifiers are [classes, H] in both. Checked with
transformers 4.57.1 and 5.24.0. Needs neither TensorFlow nor PyTorch.
"""

import functools
import glob
import os
import re

# Files of a folder of transformers: its configuration, and patterns of weights and of indexes of their shards.
CONFIG_FILE = 'config.json'
WEIGHTS_FILES = ('*.safetensors', 'pytorch_model*.bin', '*.index.json')

_BLOCK = 'bert/encoder/transformer/group_{g}/inner_group_{i}/'
_THEIR_BLOCK = 'albert.encoder.albert_layer_groups.{g}.albert_layers.{i}.'

# {g} is the number of a group of layers, {i} that of a block within it.
_TABLES = (
    ('bert/embeddings/word_embeddings', 'albert.embeddings.word_embeddings'),
    ('bert/embeddings/token_type_embeddings', 'albert.embeddings.token_type_embeddings'),
    ('bert/embeddings/position_embeddings', 'albert.embeddings.position_embeddings'),
)
_DENSE = (
    ('bert/encoder/embedding_hidden_mapping_in', 'albert.encoder.embedding_hidden_mapping_in'),
    (_BLOCK + 'attention_1/self/query', _THEIR_BLOCK + 'attention.query'),
    (_BLOCK + 'attention_1/self/key', _THEIR_BLOCK + 'attention.key'),
    (_BLOCK + 'attention_1/self/value', _THEIR_BLOCK + 'attention.value'),
    (_BLOCK + 'attention_1/output/dense', _THEIR_BLOCK + 'attention.dense'),
    (_BLOCK + 'ffn_1/intermediate/dense', _THEIR_BLOCK + 'ffn'),
    (_BLOCK + 'ffn_1/intermediate/output/dense', _THEIR_BLOCK + 'ffn_output'),
    ('bert/pooler/dense', 'albert.pooler'),
    ('cls/predictions/transform/dense', 'predictions.dense'),
)
_NORMS = (
    ('bert/embeddings/LayerNorm', 'albert.embeddings.LayerNorm'),
    (_BLOCK + 'LayerNorm', _THEIR_BLOCK + 'attention.LayerNorm'),
    (_BLOCK + 'LayerNorm_1', _THEIR_BLOCK + 'full_layer_layer_norm'),
    ('cls/predictions/transform/LayerNorm', 'predictions.LayerNorm'),
)
_CLASSIFIERS = (
    ('cls/seq_relationship/', 'sop_classifier.classifier'),
    ('cls/squad/', 'qa_outputs'),
    ('', 'classifier'),  # of whole texts and of tokens
)


def _rows():
  """(name here, name there, whether one is the other's transpose) of every variable."""
  for ours, theirs in _TABLES:
    yield ours, theirs + '.weight', False
  for ours, theirs in _DENSE:
    yield ours + '/kernel', theirs + '.weight', True
    yield ours + '/bias', theirs + '.bias', False
  for ours, theirs in _NORMS:
    yield ours + '/gamma', theirs + '.weight', False
    yield ours + '/beta', theirs + '.bias', False
  yield 'cls/predictions/output_bias', 'predictions.bias', False
  for ours, theirs in _CLASSIFIERS:
    yield ours + 'output_weights', theirs + '.weight', False
    yield ours + 'output_bias', theirs + '.bias', False


TABLE = tuple(_rows())

WORD_EMBEDDINGS = 'albert.embeddings.word_embeddings.weight'
MAPPING = 'albert.encoder.embedding_hidden_mapping_in'  # here only where E and H differ
MLM_BIAS = 'predictions.bias'
# In their state dict, tied to the two above, and in no file of theirs that is not untied.
DECODER_WEIGHT, DECODER_BIAS = 'predictions.decoder.weight', 'predictions.decoder.bias'


@functools.lru_cache(maxsize=None)
def _patterns(column):
  return [(re.compile(re.escape(row[column]).replace(r'\{g\}', r'(?P<g>\d+)').replace(r'\{i\}', r'(?P<i>\d+)')),
           row[1 - column], row[2]) for row in TABLE]


def _translated(name, column):
  for pattern, other, is_transposed in _patterns(column):
    match = pattern.fullmatch(name)
    if match:
      return other.format(**match.groupdict()), is_transposed
  return None


def is_folder(path):
  """Whether a path is a folder of transformers with weights, whatever is in them."""
  return os.path.isfile(os.path.join(path, CONFIG_FILE)) and any(
      glob.glob(os.path.join(glob.escape(path), pattern)) for pattern in WEIGHTS_FILES)


def to_hugging_face(name):
  """(their name, whether it is transposed) of a variable of this library; None if it has no counterpart."""
  return _translated(name, 0)


def from_hugging_face(name):
  """(our name, whether it is transposed) of a tensor of a transformers ALBERT; None if it has no counterpart."""
  return _translated(name, 1)
