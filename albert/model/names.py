"""Names of variables in checkpoints: which are an optimizer's, which family of models and which heads they belong to.

Needs neither TensorFlow nor gin. Shapes: E embedding size, H hidden size, I intermediate size, V vocabulary, C classes.
"""

import collections
import re

GLOBAL_STEP = 'global_step'
WORD_EMBEDDINGS = 'bert/embeddings/word_embeddings'
POSITION_EMBEDDINGS = 'bert/embeddings/position_embeddings'
MLM_BIAS = 'cls/predictions/output_bias'

# Slots hang below their weight: bert/pooler/dense/kernel/adam_m.
_SLOTS = frozenset(['adam_m', 'adam_v', 'lamb_m', 'lamb_v'])  # of this library and of the published checkpoints
_OTHER_SLOTS = frozenset(['Adam', 'Adam_1', 'Momentum', 'Adagrad', 'RMSProp'])  # of TensorFlow's optimizers
# Of a dynamic loss scale, on the NPU and on a GPU.
_LOSS_SCALING = frozenset(['loss_scale', 'current_loss_scale', 'good_steps', 'bad_steps'])
# Variables of optimizers and loss scaling that belong to no single weight.
_OPTIMIZER_NAMES = frozenset(['beta1_power', 'beta2_power']) | _LOSS_SCALING
# The moving average of a weight hangs below it like a slot, but is a weight itself.
_AVERAGE = 'ExponentialMovingAverage'

ALBERT = 'ALBERT'
EARLY_CHINESE = ('early Chinese ALBERT (word_embeddings_2, layer_shared, positions of width H): '
                 'its post-LN form becomes this one with tools.checkpoints from-albert-zh')
FAST = 'fast ALBERT (kernels of rank 3: dense layers divided into groups): another model, whose weights do not fit'
KERAS_NAMES = ('ALBERT with Keras-style names (layer_normalization_N), which do not say which norm is which: '
               'give them the published names with tools.checkpoints rename')
BERT = 'BERT: layers do not share weights; another model'
UNKNOWN = 'unknown: not the names of an ALBERT checkpoint'

# The name of a family, and the variable or the absence by which it is known.
Family = collections.namedtuple('Family', ['name', 'reason'])

# Parts of a model that a checkpoint may lack.
ENCODER, POOLER, MASKED_LM, SENTENCE_ORDER = 'encoder', 'pooler', 'masked LM', 'sentence order'
CLASSIFIER, SPANS = 'classifier', 'spans'
_PREFIXES = (
    ('bert/pooler/', POOLER), ('bert/', ENCODER), ('cls/predictions/', MASKED_LM),
    ('cls/seq_relationship/', SENTENCE_ORDER), ('cls/squad/', SPANS), ('output_weights', CLASSIFIER),
    ('output_bias', CLASSIFIER))
_KERAS_NORM = re.compile(r'layer_normalization(_\d+)?$')


def is_slot(name):
  """Whether a variable is a slot of LAMB or AdamW, as this library and the published checkpoints name them."""
  weight, _, leaf = name.rpartition('/')
  return bool(weight) and leaf in _SLOTS


def is_loss_scaling(name):
  """Whether a variable is one of a dynamic loss scale."""
  return name.rpartition('/')[2] in _LOSS_SCALING


def weight_of(name):
  """The weight that a slot belongs to; the name itself of what is no slot."""
  return name.rpartition('/')[0] if is_slot(name) else name


def belongs_to_optimizer(name, all_names):
  """Whether a variable belongs to an optimizer or to loss scaling, whichever program wrote it.

  Args:
    name: of the variable.
    all_names: container of the names of all variables in its checkpoint; a name below that of a weight is a slot's.
  """
  weight, _, leaf = name.rpartition('/')
  return weight in all_names and leaf != _AVERAGE or leaf in _SLOTS | _OTHER_SLOTS | _OPTIMIZER_NAMES


def family(shapes):
  """The kind of model that {name: shape} belongs to: ALBERT, EARLY_CHINESE, FAST, KERAS_NAMES, BERT or UNKNOWN."""
  return recognise(shapes).name


def recognise(shapes):
  """The Family of {name: shape}."""
  for name, shape in sorted(shapes.items()):
    if name.endswith('/kernel') and len(shape) == 3:
      return Family(FAST, '{} is {}'.format(name, list(shape)))
    if any(_KERAS_NORM.match(component) for component in name.split('/')):
      return Family(KERAS_NAMES, 'there is {}'.format(name))
  early = _early_chinese_sign(shapes)
  if early:
    return Family(EARLY_CHINESE, early)
  for sign, family in (('/transformer/group_0/', ALBERT), ('/encoder/layer_0/', BERT)):
    signs = sorted(name for name in shapes if sign in name)
    if signs:
      return Family(family, 'there is {}'.format(signs[0]))
  return Family(UNKNOWN, 'there is neither .../transformer/group_0/... nor .../encoder/layer_0/...')


def _early_chinese_sign(shapes):
  for name in sorted(shapes):
    components = name.split('/')
    if 'word_embeddings_2' in components or any(c.startswith('layer_shared') for c in components):
      return 'there is {}'.format(name)
  word, position = [shapes.get(name) for name in (WORD_EMBEDDINGS, POSITION_EMBEDDINGS)]
  if word and position and word[1] != position[1]:
    return 'words have width {}, positions {}'.format(word[1], position[1])
  return None


def part_of_model(name):
  """ENCODER, POOLER, MASKED_LM, SENTENCE_ORDER, SPANS or CLASSIFIER; None for a variable of none of them."""
  return next((part for prefix, part in _PREFIXES if name.startswith(prefix)), None)


def rate_part(name):
  """The part that a weight belongs to as lamb.PARTS names them: 'embeddings', 'encoder', 'pooler' or 'head'."""
  for prefix, part in (('bert/embeddings/', 'embeddings'), ('bert/pooler/', 'pooler'), ('bert/', 'encoder')):
    if name.startswith(prefix):
      return part
  return 'head'


def parts_in(all_names):
  """The parts that have a variable among `all_names`, in the order of the constants, slots left aside."""
  present = {part_of_model(name) for name in all_names if not belongs_to_optimizer(name, all_names)}
  return [part for part in (ENCODER, POOLER, MASKED_LM, SENTENCE_ORDER, CLASSIFIER, SPANS) if part in present]


def model_shapes(config):
  """{name: (rows, ...)} of ENCODER, POOLER, MASKED_LM and SENTENCE_ORDER. config: AlbertConfig with vocab_size."""
  e, h, v = config.embedding_size, config.hidden_size, config.vocab_size
  shapes = collections.OrderedDict()
  for name, rows in ((WORD_EMBEDDINGS, v), ('bert/embeddings/token_type_embeddings', config.type_vocab_size),
                     (POSITION_EMBEDDINGS, config.max_position_embeddings)):
    shapes[name] = (rows, e)
  shapes.update(_norm('bert/embeddings/LayerNorm', e))
  if e != h:
    shapes.update(_dense('bert/encoder/embedding_hidden_mapping_in', e, h))
  for group in range(config.num_hidden_groups):
    for inner in range(config.inner_group_num):
      shapes.update(_block('bert/encoder/transformer/group_{}/inner_group_{}/'.format(group, inner), h,
                           config.intermediate_size))
  shapes.update(_dense('bert/pooler/dense', h, h))
  shapes.update(_dense('cls/predictions/transform/dense', h, e))
  shapes.update(_norm('cls/predictions/transform/LayerNorm', e))
  shapes[MLM_BIAS] = (v,)
  shapes['cls/seq_relationship/output_weights'] = (2, h)
  shapes['cls/seq_relationship/output_bias'] = (2,)
  return shapes


def _block(prefix, width, inner):
  for name in ('query', 'key', 'value'):
    yield from _dense(prefix + 'attention_1/self/' + name, width, width)
  yield from _dense(prefix + 'attention_1/output/dense', width, width)
  yield from _norm(prefix + 'LayerNorm', width)
  yield from _dense(prefix + 'ffn_1/intermediate/dense', width, inner)
  yield from _dense(prefix + 'ffn_1/intermediate/output/dense', inner, width)
  yield from _norm(prefix + 'LayerNorm_1', width)


def _dense(name, rows, columns):
  yield name + '/kernel', (rows, columns)
  yield name + '/bias', (columns,)


def _norm(name, width):
  yield name + '/gamma', (width,)
  yield name + '/beta', (width,)
