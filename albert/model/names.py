"""Names of variables in checkpoints: which are an optimizer's, and which family of models they belong to.

Needs neither TensorFlow nor gin.
"""

GLOBAL_STEP = 'global_step'

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
                 'another model, whose weights do not fit this one')
BERT = 'BERT: layers do not share weights; another model'
UNKNOWN = 'unknown: not the names of an ALBERT checkpoint'


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
  """The kind of model that {name: shape} belongs to: ALBERT, EARLY_CHINESE, BERT or UNKNOWN."""
  components = {component for name in shapes for component in name.split('/')}
  word, position = [shapes.get('bert/embeddings/' + name) for name in ('word_embeddings', 'position_embeddings')]
  if 'word_embeddings_2' in components or any(c.startswith('layer_shared') for c in components):
    return EARLY_CHINESE
  if word and position and word[1] != position[1]:
    return EARLY_CHINESE
  if any('/transformer/group_0/' in name for name in shapes):
    return ALBERT
  return BERT if any('/encoder/layer_0/' in name for name in shapes) else UNKNOWN
