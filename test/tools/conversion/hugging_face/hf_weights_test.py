"""Weights there and back, bit by bit; and by meaning: a forward pass over the names of transformers gives the same."""

import glob
import math
import os

import numpy as np
import pytest
from scipy import special

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.model.config import AlbertConfig
from albert.model import hugging_face
from albert.model import names
import random_models
from tools.conversion.hugging_face import weights

SIZES = sorted(glob.glob(os.path.join(ROOT, 'albert', 'albert_config', 'albert_config_*.json')))
ALL = (names.ENCODER, names.POOLER, names.MASKED_LM, names.SENTENCE_ORDER)


def scaled_down(path):
  """The architecture of a published size, an eighth as wide."""
  values = AlbertConfig.from_json_file(path).to_dict()
  values.update({key: values[key] // 8 for key in ('embedding_size', 'hidden_size', 'intermediate_size')},
                vocab_size=31, max_position_embeddings=19,
                num_attention_heads=math.gcd(values['num_attention_heads'], values['hidden_size'] // 8))
  return AlbertConfig(**values)


CONFIGS = [('size ' + os.path.basename(path)[14:-5], scaled_down(path)) for path in SIZES] + [
    ('E = H', random_models.config(embedding_size=21)), ('2 groups', random_models.config(num_hidden_groups=2)),
    ('2 inner groups', random_models.config(inner_group_num=2)),
    ('3 segments', random_models.config(type_vocab_size=3)),
    ('positions', random_models.config(max_position_embeddings=29))]
PARTS = {'AlbertForPreTraining': ALL, 'AlbertForMaskedLM': (names.ENCODER, names.MASKED_LM),
         'AlbertModel': (names.ENCODER, names.POOLER)}


def there(tensors, config, kind, ignore=None):
  return weights.to_hugging_face(tensors, config, kind, ignore, 'here').tensors


def back(tensors, config, ignore=None):
  return weights.from_hugging_face(tensors, config, ignore, 'there')


def assert_same(values, expected):
  assert sorted(values) == sorted(expected)
  for name, value in expected.items():
    assert values[name].dtype == value.dtype and values[name].shape == value.shape
    assert values[name].tobytes() == value.tobytes(), name


@pytest.mark.parametrize('kind', sorted(PARTS))
@pytest.mark.parametrize('name, config', CONFIGS)
def test_there_and_back_is_bit_identical(name, config, kind):
  tensors = random_models.weights(config, PARTS[kind])
  assert weights.class_for(names.parts_in(tensors), None, 'here') == kind
  assert_same(back(there(tensors, config, kind), config).tensors, tensors)


def test_numbers_of_tensors():
  config = random_models.config()
  counts = {kind: len(there(random_models.weights(config, parts), config, kind)) for kind, parts in PARTS.items()}
  assert counts == {'AlbertForPreTraining': 32, 'AlbertForMaskedLM': 28, 'AlbertModel': 25}
  encoder = there(random_models.weights(config, PARTS['AlbertModel']), config, 'AlbertModel')
  assert not [name for name in encoder if name.startswith('albert.')] and 'pooler.bias' in encoder


@pytest.mark.parametrize('task, kind, head, part', [
    ('classify', 'AlbertForSequenceClassification', 'output', names.CLASSIFIER),
    ('regress', 'AlbertForSequenceClassification', 'output', names.CLASSIFIER),
    ('tag', 'AlbertForTokenClassification', 'output', names.CLASSIFIER),
    ('read', 'AlbertForQuestionAnswering', 'cls/squad/output', names.SPANS), (None, None, 'cls/squad/output', None)])
def test_fine_tuned_heads(task, kind, head, part):
  config = random_models.config()
  tensors = random_models.weights(config, (names.ENCODER, names.POOLER))
  tensors.update({head + '_weights': np.float32(np.arange(2 * 21).reshape(2, 21)), head + '_bias': np.float32([1, 2])})
  kind = kind or 'AlbertForQuestionAnswering'
  assert weights.class_for(names.parts_in(tensors), task, 'here') == kind
  converted = weights.to_hugging_face(tensors, config, kind, None, 'here')
  without_pooler = [name for name in tensors if names.part_of_model(name) == names.POOLER]
  if kind == 'AlbertForSequenceClassification':
    without_pooler = []
  assert sorted(name for name, _ in converted.left_out) == sorted(without_pooler)
  assert_same(back(converted.tensors, config).tensors,
              {name: value for name, value in tensors.items() if name not in without_pooler})


def test_a_classifier_needs_a_task_and_a_class_its_parts():
  with pytest.raises(UserError, match='add --task=classify'):
    weights.class_for([names.ENCODER, names.POOLER, names.CLASSIFIER], None, 'here')
  with pytest.raises(UserError, match='found none of pooler'):
    weights.class_for([names.ENCODER, names.CLASSIFIER], 'classify', 'here')
  with pytest.raises(UserError, match='found none of spans'):
    weights.class_for([names.ENCODER, names.CLASSIFIER], 'read', 'here')
  with pytest.raises(UserError, match='expected the variables of an ALBERT encoder'):
    weights.class_for([names.MASKED_LM], None, 'here')


def numpy_forward(w, config, batch):
  """The forward pass over the names of transformers, written down from its documentation alone.

  w: {their name: array}, those of AlbertForPreTraining. Returns {name: array} as random_models.graph_outputs.
  """
  heads = config.num_attention_heads

  def linear(x, name):
    return np.einsum('...i,oi->...o', x, w[name + '.weight']) + w[name + '.bias']

  def norm(x, name):
    centred = x - x.mean(-1, keepdims=True)
    return (centred / np.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-12)
            * w[name + '.weight'] + w[name + '.bias'])

  def act(x):
    if config.hidden_act == 'relu':
      return np.maximum(x, 0)
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))

  def split(x):
    return x.reshape(x.shape[:2] + (heads, -1))

  def layer(x, name):
    query, key, value = [split(linear(x, name + 'attention.' + part)) for part in ('query', 'key', 'value')]
    scores = np.einsum('bqnd,bknd->bnqk', query, key) / math.sqrt(query.shape[-1])
    scores = np.where(np.asarray(batch.input_mask)[:, None, None, :], scores, scores - 10000)
    context = np.einsum('bnqk,bknd->bqnd', special.softmax(scores, -1), value).reshape(x.shape)
    x = norm(x + linear(context, name + 'attention.dense'), name + 'attention.LayerNorm')
    inner = act(linear(x, name + 'ffn'))
    return norm(x + linear(inner, name + 'ffn_output'), name + 'full_layer_layer_norm')

  embeddings = 'albert.embeddings.'
  x = (w[embeddings + 'word_embeddings.weight'][batch.input_ids]
       + w[embeddings + 'token_type_embeddings.weight'][batch.segment_ids]
       + w[embeddings + 'position_embeddings.weight'][np.arange(batch.input_ids.shape[1])])
  x = linear(norm(x, embeddings + 'LayerNorm'), 'albert.encoder.embedding_hidden_mapping_in')
  for number in range(config.num_hidden_layers):
    group = int(number / (config.num_hidden_layers / config.num_hidden_groups))
    for inner in range(config.inner_group_num):
      x = layer(x, 'albert.encoder.albert_layer_groups.{}.albert_layers.{}.'.format(group, inner))
  pooled = np.tanh(linear(x[:, 0], 'albert.pooler'))
  hidden = norm(act(linear(x, 'predictions.dense')), 'predictions.LayerNorm')
  logits = hidden @ w[embeddings + 'word_embeddings.weight'].T + w['predictions.bias']
  return {'sequence_output': x, 'pooled_output': pooled, 'masked_lm_logits': logits.reshape(-1, config.vocab_size),
          'sentence_order_logits': linear(pooled, 'sop_classifier.classifier')}


@pytest.mark.parametrize('changes', [
    {}, {'hidden_act': 'relu', 'embedding_size': 21},
    {'num_hidden_groups': 2, 'inner_group_num': 2, 'type_vocab_size': 3}])
def test_the_names_mean_what_the_graph_computes(tmp_path, changes):
  config = random_models.config(**changes)
  tensors = random_models.weights(config)
  batch = random_models.batch(config)
  expected = random_models.graph_outputs(random_models.save(tmp_path, config, tensors), config, batch)
  outputs = numpy_forward(there(tensors, config, 'AlbertForPreTraining'), config, batch)
  for name, value in expected.items():
    random_models.assert_close(outputs[name], value)


def test_what_older_versions_saved_is_no_obstacle():
  config = random_models.config()
  tensors = random_models.weights(config)
  theirs = there(tensors, config, 'AlbertForPreTraining')
  theirs['albert.embeddings.position_ids'] = np.arange(17)[np.newaxis]
  theirs[hugging_face.DECODER_WEIGHT] = theirs[hugging_face.WORD_EMBEDDINGS].copy()
  theirs[hugging_face.DECODER_BIAS] = theirs.pop(hugging_face.MLM_BIAS)
  theirs = {name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta'): value
            for name, value in theirs.items()}
  ours = back(theirs, config)
  assert_same(ours.tensors, tensors)
  assert len(ours.left_out) == 3


@pytest.mark.parametrize('name', [hugging_face.DECODER_WEIGHT, hugging_face.DECODER_BIAS])
def test_an_untied_decoder_is_refused(name):
  config = random_models.config()
  theirs = there(random_models.weights(config), config, 'AlbertForPreTraining')
  original = hugging_face.WORD_EMBEDDINGS if name == hugging_face.DECODER_WEIGHT else hugging_face.MLM_BIAS
  theirs[name] = theirs[original] + np.float32(1e-6)
  with pytest.raises(UserError, match='to which it is tied'):
    back(theirs, config)


@pytest.mark.parametrize('ending', ['.weight', '.bias'])
def test_a_mapping_that_is_no_identity_is_refused_where_e_is_h(ending):
  config = random_models.config(embedding_size=21)
  theirs = there(random_models.weights(config), config, 'AlbertForPreTraining')
  theirs[hugging_face.MAPPING + ending] = theirs[hugging_face.MAPPING + ending] + np.float32(1e-6)
  with pytest.raises(UserError, match='to be the identity'):
    back(theirs, config)


def test_missing_and_surplus_variables_are_counted_and_named():
  config = random_models.config()
  tensors = random_models.weights(config)
  without = {name: value for name, value in tensors.items() if '/self/' not in name}
  with pytest.raises(UserError, match=r'found 6 missing: \S+query/kernel, \S+query/bias, \S+key/kernel and 3 more'):
    there(without, config, 'AlbertForPreTraining')
  for surplus in ('bert/new/kernel', 'bert/encoder/transformer/group_1/inner_group_0/LayerNorm/beta', 'crf'):
    with pytest.raises(UserError, match='found 1 without: {}'.format(surplus)):
      there(dict(tensors, **{surplus: np.float32([1])}), config, 'AlbertForPreTraining')
    converted = weights.to_hugging_face(dict(tensors, **{surplus: np.float32([1])}), config, 'AlbertForPreTraining',
                                        'new|group_1|^crf$', 'here')
    assert converted.left_out == [(surplus, '--ignore=new|group_1|^crf$')]


def test_a_part_by_half_is_refused_and_a_part_that_is_not_there_is_not():
  config = random_models.config()
  theirs = there(random_models.weights(config), config, 'AlbertForPreTraining')
  del theirs['predictions.LayerNorm.bias']
  with pytest.raises(UserError, match='cls/predictions/transform/LayerNorm/beta'):
    back(theirs, config)
  encoder = {name: value for name, value in theirs.items() if name.startswith('albert.') and 'pooler' not in name}
  assert names.parts_in(back(encoder, config).tensors) == [names.ENCODER]


def test_shapes_that_contradict_the_configuration_are_refused():
  config = random_models.config()
  tensors = random_models.weights(config)
  with pytest.raises(UserError, match=r'found 1 others: bert/embeddings/token_type_embeddings is \[2, 10\] instead'):
    there(tensors, random_models.config(type_vocab_size=3), 'AlbertForPreTraining')
