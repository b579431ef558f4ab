"""config.json of transformers, from and to AlbertConfig."""

import collections
import dataclasses

from albert.common.errors import UserError
from albert.model.config import ACTIVATIONS
from albert.model.config import AlbertConfig

# gelu_new, gelu_fast and gelu_pytorch_tanh are one function, this library's `gelu`. Their `gelu` is the erf form.
_TO_OURS = {'gelu_new': 'gelu', 'gelu_fast': 'gelu', 'gelu_pytorch_tanh': 'gelu', 'relu': 'relu'}
_TO_THEIRS = {'gelu': 'gelu_new', 'relu': 'relu'}
_ERF = ('gelu', 'gelu_python')

# Keys with an effect on the outputs, and the only value that this architecture has. Missing means this value.
_FIXED = {'model_type': 'albert', 'layer_norm_eps': 1e-12, 'position_embedding_type': 'absolute', 'is_decoder': False,
          'add_cross_attention': False, 'is_encoder_decoder': False, 'tie_word_embeddings': True, 'pruned_heads': {},
          'ln_type': 'postln', 'quantization_config': None}
# Without an effect on weights or outputs: the original release's, and those of transformers 2 to 5.
_WITHOUT_EFFECT = frozenset((
    'layers_to_keep down_scale_factor gap_size net_structure_type num_memory_blocks directionality pooler_fc_size '
    'pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head pooler_type classifier_dropout_prob '
    'architectures auto_map tokenizer_class torch_dtype dtype transformers_version _name_or_path name_or_path '
    '_num_labels num_labels id2label label2id problem_type finetuning_task task_specific_params use_cache use_bfloat16 '
    'bos_token_id eos_token_id pad_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id '
    'forced_bos_token_id forced_eos_token_id output_attentions output_hidden_states output_past output_scores '
    'return_dict return_dict_in_generate torchscript tf_legacy_loss xla_device chunk_size_feed_forward '
    'cross_attention_hidden_size tie_encoder_decoder prefix bad_words_ids begin_suppress_tokens suppress_tokens '
    'do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p '
    'repetition_penalty length_penalty exponential_decay_length_penalty no_repeat_ngram_size '
    'encoder_no_repeat_ngram_size max_length min_length num_return_sequences remove_invalid_values '
    'attn_implementation _attn_implementation _attn_implementation_autoset experts_implementation '
    'gradient_checkpointing language author vocab_type').split())


def read(values, hidden_act, where):
  """AlbertConfig of a dict of config.json.

  Args:
    values: dict. where: names the file in errors.
    hidden_act: of albert.model.config.ACTIVATIONS, if the file's own is not to be believed, else None.

  Raises:
    UserError: another model, a key or a value that this architecture does not have, the erf gelu.
  """
  if values.get('model_type', 'albert') != 'albert':
    raise UserError('{}: expected model_type albert, found {!r}; only an ALBERT can be converted'.format(
        where, values['model_type']))
  for key, only in _FIXED.items():
    if values.get(key) not in (only, None):
      raise UserError('{}: expected {} {!r}, the only one of this architecture, found {!r}; this model cannot be '
                      'converted'.format(where, key, only, values[key]))
  known = [field.name for field in dataclasses.fields(AlbertConfig)]
  unknown = sorted(set(values) - set(known) - set(_FIXED) - _WITHOUT_EFFECT)
  if unknown:
    raise UserError('{}: expected keys of an ALBERT, found {}, whose effect is not known; remove them if they have '
                    'none'.format(where, ', '.join(unknown)))
  kept = {key: values[key] for key in known if key in values}
  kept['hidden_act'] = hidden_act or _activation(values.get('hidden_act', 'gelu_new'), where)
  try:
    return AlbertConfig.from_dict(kept, where)
  except UserError as error:
    # gin adds lines about the call; the class does not know of the file.
    message = str(error).split('\n')[0]
    raise UserError(message if message.startswith(where) else '{}: {}'.format(where, message))


def _activation(theirs, where):
  if theirs in _ERF:
    raise UserError('{}: expected hidden_act gelu_new or relu, found {!r}, which is the erf form, and in early '
                    'conversions a mistake for gelu_new; say which the weights were trained with: --hidden_act=gelu '
                    '(tanh form) or --hidden_act=relu'.format(where, theirs))
  if not isinstance(theirs, str) or theirs not in _TO_OURS:
    raise UserError('{}: expected hidden_act {}, found {!r}; this library has {}'.format(
        where, ', '.join(sorted(_TO_OURS)), theirs, ', '.join(ACTIVATIONS)))
  return _TO_OURS[theirs]


def make(config, kind, vocabulary, labels, problem_type):
  """OrderedDict of config.json.

  Args:
    config: AlbertConfig. kind: class of transformers.
    vocabulary: tokenization.Vocabulary, whose special tokens have the ids; HF's defaults belong to another vocabulary.
    labels: list of str, or None for a model that has none.
    problem_type: as transformers names it, or None.
  """
  values = collections.OrderedDict([('model_type', 'albert'), ('architectures', [kind])])
  values.update(config.to_dict())
  values['hidden_act'] = _TO_THEIRS[config.hidden_act]
  values.update([
      ('layer_norm_eps', 1e-12), ('classifier_dropout_prob', 0.1), ('pad_token_id', vocabulary.pad_id),
      ('bos_token_id', vocabulary.cls_id), ('eos_token_id', vocabulary.sep_id), ('tie_word_embeddings', True),
      ('tokenizer_class', 'BertTokenizer')])
  if labels is not None:
    values['id2label'] = collections.OrderedDict((str(index), label) for index, label in enumerate(labels))
    values['label2id'] = collections.OrderedDict((label, index) for index, label in enumerate(labels))
  if problem_type is not None:
    values['problem_type'] = problem_type
  return values


def labels_in(values):
  """List of str of a config.json's id2label, or None if it has none or only the names that transformers makes up."""
  by_number = values.get('id2label')
  if not isinstance(by_number, dict) or sorted(map(str, by_number)) != sorted(map(str, range(len(by_number)))):
    return None
  labels = [str(by_number[key]) for key in sorted(by_number, key=int)]
  return None if labels == ['LABEL_{}'.format(index) for index in range(len(labels))] else labels
