"""AlbertConfig: the architecture of an ALBERT, from gin or JSON and to JSON. Needs no TensorFlow."""

import collections
import dataclasses
import json

import gin

from albert.common import checks
from albert.common.errors import UserError

# Keys of the original release's JSON files that no published model uses.
_IGNORED_KEYS = frozenset([
    'down_scale_factor', 'net_structure_type', 'gap_size', 'num_memory_blocks', 'layers_to_keep', 'directionality',
    'pooler_fc_size', 'pooler_num_attention_heads', 'pooler_num_fc_layers', 'pooler_size_per_head', 'pooler_type'])
_SIZES = ('embedding_size', 'hidden_size', 'num_hidden_layers', 'num_hidden_groups', 'num_attention_heads',
          'intermediate_size', 'inner_group_num', 'max_position_embeddings', 'type_vocab_size')
_PROBABILITIES = ('hidden_dropout_prob', 'attention_probs_dropout_prob')
ACTIVATIONS = ('gelu', 'relu')


@gin.configurable(module='albert.modeling')
@dataclasses.dataclass(frozen=True)
class AlbertConfig:
  """The architecture (Lan et al. 2019, table 1), with the keys of the published albert_config.json. Immutable.

  Attributes:
    vocab_size: V, rows of the word-embedding table; None until the data set or a JSON file gives it.
    embedding_size: E, width of the factorised embeddings (section 3.1).
    hidden_size: H. num_attention_heads must divide it.
    num_hidden_layers: L, number of layers that are applied.
    num_hidden_groups: G, groups of layers that share parameters; layer l uses group int(l / L * G).
    inner_group_num: transformer blocks within one layer.
    intermediate_size: I, width of the feed-forward network.
    hidden_act: 'gelu' (tanh form) or 'relu'.
    hidden_dropout_prob, attention_probs_dropout_prob: in [0, 1).
    max_position_embeddings: length of the longest sequence, in tokens.
    type_vocab_size: number of segments.
    initializer_range: standard deviation of the truncated normal that initialises weights.

  Raises:
    UserError: a value that no ALBERT can have.
  """

  vocab_size: int = None
  embedding_size: int = 128
  hidden_size: int = 4096
  num_hidden_layers: int = 12
  num_hidden_groups: int = 1
  num_attention_heads: int = 64
  intermediate_size: int = 16384
  inner_group_num: int = 1
  hidden_act: str = 'gelu'
  hidden_dropout_prob: float = 0.0
  attention_probs_dropout_prob: float = 0.0
  max_position_embeddings: int = 512
  type_vocab_size: int = 2
  initializer_range: float = 0.02

  def __post_init__(self):
    for key in _SIZES + (() if self.vocab_size is None else ('vocab_size',)):
      checks.whole_number('AlbertConfig.' + key, getattr(self, key))
    for key in _PROBABILITIES:
      checks.number('AlbertConfig.' + key, getattr(self, key), below=1)
    checks.positive_number('AlbertConfig.initializer_range', self.initializer_range)
    checks.one_of('AlbertConfig.hidden_act', self.hidden_act, ACTIVATIONS)
    if self.hidden_size % self.num_attention_heads:
      raise UserError('AlbertConfig: expected hidden_size to be a multiple of num_attention_heads, found {} and {}; '
                      'change one of them'.format(self.hidden_size, self.num_attention_heads))
    if self.num_hidden_groups > self.num_hidden_layers:
      raise UserError('AlbertConfig.num_hidden_groups: expected 1 to num_hidden_layers ({}), found {}; change one of '
                      'them'.format(self.num_hidden_layers, self.num_hidden_groups))

  def group_of_layer(self, layer):
    """The parameter group that layer `layer` uses."""
    return int(layer / self.num_hidden_layers * self.num_hidden_groups)

  def with_vocab_size(self, vocab_size, source):
    """A copy for a data set of `vocab_size` tokens; `source` names it in the error.

    Raises:
      UserError: this configuration has another vocabulary size already.
    """
    if self.vocab_size not in (None, vocab_size):
      raise UserError('expected a vocabulary of {:,} tokens, as the model has (AlbertConfig.vocab_size), found {:,} in '
                      '{}; use the data set made with that vocabulary, or leave AlbertConfig.vocab_size out'.format(
                          self.vocab_size, vocab_size, source))
    return dataclasses.replace(self, vocab_size=vocab_size)

  def to_dict(self):
    """All attributes, in the order of the published JSON files."""
    return collections.OrderedDict(dataclasses.asdict(self))

  def to_json_string(self):
    """JSON as in the published albert_config.json."""
    return json.dumps(self.to_dict(), indent=2) + '\n'

  def bindings(self):
    """A list of gin bindings of all attributes."""
    return ['AlbertConfig.{} = {!r}'.format(key, value) for key, value in self.to_dict().items()]

  @classmethod
  def from_dict(cls, values, source='AlbertConfig'):
    """Makes a configuration from the keys of a published JSON file.

    Raises:
      UserError: a key that no ALBERT configuration has, no vocab_size, or pre-LN.
    """
    if values.get('ln_type', 'postln') != 'postln':
      raise UserError('{}: expected ln_type postln, found {!r}; pre-LN models of the early Chinese releases '
                      'are another architecture, whose weights do not fit this one'.format(source, values['ln_type']))
    # All of them are passed: gin would fill those left out with its own bindings.
    known = {field.name: field.default for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - set(known) - _IGNORED_KEYS - {'ln_type'})
    if unknown:
      raise UserError('{}: expected keys of an ALBERT configuration, found {}; known keys: {}'.format(
          source, ', '.join(unknown), ', '.join(known)))
    if 'vocab_size' not in values:
      raise UserError('{}: expected the key vocab_size, found none; add it'.format(source))
    return cls(**{key: values.get(key, default) for key, default in known.items()})

  @classmethod
  def from_json_file(cls, path):
    """Reads a published albert_config.json. Raises UserError as `from_dict`, or if it cannot be read."""
    try:
      with open(path, encoding='utf-8') as source:
        values = json.load(source)
    except (OSError, ValueError) as error:
      raise UserError('{}: expected a JSON file with an ALBERT configuration, found: {}'.format(path, error))
    if not isinstance(values, dict):
      raise UserError('{}: expected a JSON object with the keys of an ALBERT configuration, found a {}; check that it '
                      'is the right file'.format(path, type(values).__name__))
    return cls.from_dict(values, path)
