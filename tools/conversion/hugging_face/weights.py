"""The weights of an ALBERT as transformers stores them: which class they make, and from one form to the other."""

import collections
import re

import numpy as np

from albert.common.errors import first_of
from albert.common.errors import UserError
from albert.dataset import record_format
from albert.model import hugging_face
from albert.model import names

# The classes of transformers and the parts that they have, first the one that says most of what a checkpoint has.
CLASSES = collections.OrderedDict([
    ('AlbertForPreTraining', (names.ENCODER, names.POOLER, names.MASKED_LM, names.SENTENCE_ORDER)),
    ('AlbertForMaskedLM', (names.ENCODER, names.MASKED_LM)),
    ('AlbertForSequenceClassification', (names.ENCODER, names.POOLER, names.CLASSIFIER)),
    ('AlbertForTokenClassification', (names.ENCODER, names.CLASSIFIER)),
    ('AlbertForQuestionAnswering', (names.ENCODER, names.SPANS)),
    ('AlbertModel', (names.ENCODER, names.POOLER)),
])
ENCODER_CLASS = 'AlbertModel'  # its names have no `albert.` in front
OF_TASK = {record_format.CLASSIFY: 'AlbertForSequenceClassification',
           record_format.REGRESS: 'AlbertForSequenceClassification',
           record_format.TAG: 'AlbertForTokenClassification', record_format.READ: 'AlbertForQuestionAnswering'}

# What older versions saved besides weights: the numbers 0, 1, 2, ...
_BUFFERS = ('embeddings.position_ids', 'embeddings.token_type_ids')
_PREFIX = 'albert.'
_OF_ENCODER = ('embeddings.', 'encoder.', 'pooler.')

# tensors: {name: array}. mapped: [(old name, new name)]. left_out: [(name or names in words, why)].
Converted = collections.namedtuple('Converted', ['tensors', 'mapped', 'left_out'])


def class_for(parts, task, where):
  """The class of transformers for a checkpoint.

  Args:
    parts: of albert.model.names, those that it has.
    task: one of fine_tuned.KINDS or None.
    where: names the checkpoint in errors.

  Raises:
    UserError: no encoder, or the head of the task is not there, or the task of a classifier is not known.
  """
  if names.ENCODER not in parts:
    raise UserError('{}: expected the variables of an ALBERT encoder (bert/...), found none; see inspect'.format(where))
  if task is not None:
    model_class = OF_TASK[task]
  elif names.CLASSIFIER in parts:
    raise UserError('{}: expected to know what output_weights is for, found nothing beside it that says so; add '
                    '--task=classify, --task=regress or --task=tag'.format(where))
  else:
    wanted = ['AlbertForQuestionAnswering', 'AlbertForPreTraining', 'AlbertForMaskedLM']
    model_class = next((name for name in wanted if set(CLASSES[name]) <= set(parts)), ENCODER_CLASS)
  missing = [part for part in CLASSES[model_class] if part not in parts]
  if missing and model_class != ENCODER_CLASS:
    raise UserError('{}: expected the parts of {} ({}), found none of {}; choose a task that it has a head for'.format(
        where, model_class, ', '.join(CLASSES[model_class]), ', '.join(missing)))
  return model_class


def to_hugging_face(tensors, config, kind, ignore, where):
  """Converted of this library's variables.

  Args:
    tensors: {name: array}, without the optimizer's.
    config: AlbertConfig. kind: a key of CLASSES.
    ignore: regular expression of variables that may be left out, or None. where: names the checkpoint in errors.

  Raises:
    UserError: a variable without a counterpart, or a contradiction to the configuration.
  """
  made, mapped, left_out, unknown = {}, [], [], []
  for name, value in sorted(tensors.items()):
    translated = hugging_face.to_hugging_face(name)
    if translated is None or not is_known(name, config):
      unknown.append(name)
    elif names.part_of_model(name) not in CLASSES[kind]:
      left_out.append((name, '{} has no {}'.format(kind, names.part_of_model(name))))
    else:
      theirs = translated[0][len(_PREFIX):] if kind == ENCODER_CLASS else translated[0]
      made[theirs] = value.T if translated[1] else value
      mapped.append((name, theirs))
  left_out += ignored(unknown, ignore, where)
  check_shapes({name: value for name, value in tensors.items() if name not in unknown}, config, where)
  if config.embedding_size == config.hidden_size:
    prefix = hugging_face.MAPPING[len(_PREFIX):] if kind == ENCODER_CLASS else hugging_face.MAPPING
    made[prefix + '.weight'] = np.eye(config.hidden_size, dtype=np.float32)
    made[prefix + '.bias'] = np.zeros(config.hidden_size, np.float32)
    mapped += [('(E = H: identity)', prefix + '.weight'), ('(E = H: zeros)', prefix + '.bias')]
  return Converted(made, mapped, left_out)


def from_hugging_face(tensors, config, ignore, where):
  """Converted of tensors of any class of CLASSES to this library's variables.

  Arguments as for to_hugging_face; where: names the folder.

  Raises:
    UserError: also for an untied decoder, a mapping that is no identity where E = H, and a missing encoder.
  """
  tensors, left_out = _without_copies(_usual_names(tensors), config, where)
  made, mapped, unknown = {}, [], []
  for name, value in sorted(tensors.items()):
    translated = hugging_face.from_hugging_face(name)
    if translated is None or not is_known(translated[0], config):
      unknown.append(name)
      continue
    made[translated[0]] = np.ascontiguousarray(value.T if translated[1] else value)
    mapped.append((name, translated[0]))
  left_out += ignored(unknown, ignore, where)
  check_shapes(made, config, where)
  return Converted(made, mapped, left_out)


def _usual_names(tensors):
  """Names as the newest class with heads has them: with `albert.`, norms with weight and bias."""
  renamed = {}
  for name, value in tensors.items():
    name = _PREFIX + name if name.startswith(_OF_ENCODER) else name
    if 'LayerNorm.' in name or 'layer_norm.' in name:
      name = re.sub(r'\.gamma$', '.weight', re.sub(r'\.beta$', '.bias', name))
    renamed[name] = value
  return renamed


def _without_copies(tensors, config, where):
  """Leaves out what says nothing new: (tensors, [(name, why)])."""
  tensors, left_out = dict(tensors), []

  def drop(name, why):
    if tensors.pop(name, None) is not None:
      left_out.append((name, why))

  for name in _BUFFERS:
    drop(_PREFIX + name, 'numbers of positions, not weights')
  _check_tied(tensors, where)
  for name in (hugging_face.DECODER_WEIGHT, hugging_face.DECODER_BIAS):
    drop(name, 'equal to what it is tied to')
  if config.embedding_size == config.hidden_size:
    _check_identity(tensors, config, where)
    for ending in ('.weight', '.bias'):
      drop(hugging_face.MAPPING + ending, 'identity: E = H')
  return tensors, left_out


def _check_tied(tensors, where):
  """Raises UserError if the decoder is another matrix than the embeddings. A bias that is only there is taken."""
  if hugging_face.DECODER_BIAS in tensors:
    tensors.setdefault(hugging_face.MLM_BIAS, tensors[hugging_face.DECODER_BIAS])
  for copy, original in ((hugging_face.DECODER_WEIGHT, hugging_face.WORD_EMBEDDINGS),
                         (hugging_face.DECODER_BIAS, hugging_face.MLM_BIAS)):
    if copy in tensors and not np.array_equal(tensors[copy], tensors.get(original)):
      raise UserError('{}: expected {} to be equal to {}, to which it is tied, found another; an untied model is not '
                      'this architecture'.format(where, copy, original))


def _check_identity(tensors, config, where):
  weight, bias = [tensors.get(hugging_face.MAPPING + ending) for ending in ('.weight', '.bias')]
  if weight is None and bias is None:
    return
  if not (np.array_equal(weight, np.eye(config.hidden_size)) and bias is not None and not np.any(bias)):
    raise UserError('{}: expected {} to be the identity, since embedding_size = hidden_size = {}, found another '
                    'matrix; this architecture has no place for it'.format(
                        where, hugging_face.MAPPING, config.hidden_size))


def is_known(name, config):
  """Whether a model of this configuration, or a fine-tuned one, has a variable of this name."""
  return name in names.model_shapes(config) or names.part_of_model(name) in (names.CLASSIFIER, names.SPANS)


def check_shapes(tensors, config, where):
  """Raises UserError unless encoder variables are all there, no part is there by half, and shapes are the config's."""
  wanted = names.model_shapes(config)
  present = set(names.parts_in(tensors)) | {names.ENCODER}
  missing = [name for name in wanted if names.part_of_model(name) in present and name not in tensors]
  if missing:
    raise UserError('{}: expected the variables of its configuration, found {} missing: {}; is it the whole '
                    'model?'.format(where, len(missing), first_of(missing)))
  other = ['{} is {} instead of {}'.format(name, list(np.shape(value)), list(wanted[name]))
           for name, value in sorted(tensors.items()) if name in wanted and np.shape(value) != wanted[name]]
  if other:
    raise UserError('{}: expected shapes as its configuration says, found {} others: {}; use the configuration of '
                    'these weights'.format(where, len(other), first_of(other)))


def ignored(unknown, ignore, where):
  """[(name, why)] of variables without a counterpart. Raises UserError unless `ignore` matches each."""
  left = [name for name in unknown if ignore is None or not re.search(ignore, name)]
  if left:
    raise UserError('{}: expected variables that have a counterpart, found {} without: {}; leave them out with '
                    '--ignore=REGEX, or give them their names with rename'.format(
                        where, len(left), first_of(left)))
  return [(name, '--ignore={}'.format(ignore)) for name in unknown]
