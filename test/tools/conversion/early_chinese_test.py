"""The early Chinese family: a small graph of it, written from its description, against its conversion."""

import json
import math
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from albert.common.errors import UserError
from albert.model import names
import random_models
from tools.conversion import early_chinese
from tools.conversion import numpy_albert
from tools.conversion.reading import Checkpoint
from tools.conversion import writing

V, E, H, L, N, INNER, POSITIONS = 53, 10, 24, 3, 4, 34, 17
CONFIG = {'vocab_size': V, 'embedding_size': 128, 'hidden_size': H, 'num_hidden_layers': L, 'num_attention_heads': N,
          'intermediate_size': INNER, 'hidden_act': 'gelu', 'hidden_dropout_prob': 0.0,
          'attention_probs_dropout_prob': 0.0,
          'max_position_embeddings': POSITIONS, 'type_vocab_size': 2, 'initializer_range': 0.02,
          'directionality': 'bidi', 'pooler_fc_size': 768, 'pooler_type': 'first_token_transform'}
BLOCK = 'bert/encoder/layer_shared/'


def shapes():
  by_name = {'bert/embeddings/word_embeddings': [V, E], 'bert/embeddings/word_embeddings_2': [E, H],
           'bert/embeddings/token_type_embeddings': [2, H], 'bert/embeddings/position_embeddings': [POSITIONS, H],
           'cls/predictions/output_bias': [V], 'cls/seq_relationship/output_weights': [2, H],
           'cls/seq_relationship/output_bias': [2]}
  for name, rows, columns in [(BLOCK + 'attention/self/' + part, H, H) for part in ('query', 'key', 'value')] + [
      (BLOCK + 'attention/output/dense', H, H), (BLOCK + 'intermediate/dense', H, INNER),
      (BLOCK + 'output/dense', INNER, H),
      ('bert/pooler/dense', H, H), ('cls/predictions/transform/dense', H, H)]:
    by_name.update({name + '/kernel': [rows, columns], name + '/bias': [columns]})
  for name in ('bert/embeddings', BLOCK + 'attention/output', BLOCK + 'output', 'cls/predictions/transform'):
    by_name.update({name + '/LayerNorm/gamma': [H], name + '/LayerNorm/beta': [H]})
  return by_name


def weights():
  random = np.random.RandomState(4)
  return {name: (random.normal(size=shape) * 0.3 + name.endswith('gamma')).astype(np.float32)
          for name, shape in sorted(shapes().items())}


def graph_outputs(tensors, batch, pre_norm):
  """{name: array} of that family's model: words at width H after two matrices, then layers that share everything."""
  def norm(x, name):
    mean, variance = tf.nn.moments(x, [-1], keep_dims=True)
    return tf.nn.batch_normalization(x, mean, variance, tensors[name + '/LayerNorm/beta'],
                                     tensors[name + '/LayerNorm/gamma'], 1e-12)

  def dense(x, name):
    return tf.tensordot(x, tensors[name + '/kernel'], 1) + tensors[name + '/bias']

  def gelu(x):
    return x * 0.5 * (1.0 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * tf.pow(x, 3))))

  def attention(x):
    def split(name):
      return tf.transpose(tf.reshape(dense(x, BLOCK + 'attention/self/' + name), [4, -1, N, H // N]), [0, 2, 1, 3])
    query, key, value = split('query'), split('key'), split('value')
    mask = tf.constant(np.where(batch.input_mask, 0, -10000)[:, np.newaxis, np.newaxis], tf.float32)
    context = tf.matmul(tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / math.sqrt(H // N) + mask), value)
    return dense(tf.reshape(tf.transpose(context, [0, 2, 1, 3]), [4, -1, H]), BLOCK + 'attention/output/dense')

  def feed_forward(x):
    return dense(gelu(dense(x, BLOCK + 'intermediate/dense')), BLOCK + 'output/dense')

  table, table_2 = [tensors['bert/embeddings/word_embeddings' + ending] for ending in ('', '_2')]
  with tf.Graph().as_default(), tf.Session() as session:
    x = tf.tensordot(tf.gather(table, batch.input_ids), table_2, 1)
    x = norm(x + tf.gather(tensors['bert/embeddings/token_type_embeddings'], batch.segment_ids)
             + tensors['bert/embeddings/position_embeddings'][:batch.input_ids.shape[1]], 'bert/embeddings')
    for _ in range(L):
      if pre_norm:
        x = x + attention(norm(x, BLOCK + 'attention/output'))
        x = x + feed_forward(norm(x, BLOCK + 'output'))
      else:
        x = norm(x + attention(x), BLOCK + 'attention/output')
        x = norm(x + feed_forward(x), BLOCK + 'output')
    pooled = tf.tanh(dense(x[:, 0], 'bert/pooler/dense'))
    hidden = norm(gelu(dense(x, 'cls/predictions/transform/dense')), 'cls/predictions/transform')
    # Back through both matrices, as its run_pretraining.py does.
    logits = tf.tensordot(tf.tensordot(hidden, table_2.T, 1), table.T, 1) + tensors['cls/predictions/output_bias']
    order = tf.matmul(pooled, tensors['cls/seq_relationship/output_weights'], transpose_b=True)
    return session.run({'sequence_output': x, 'pooled_output': pooled, 'masked_lm_logits': tf.reshape(logits, [-1, V]),
                        'sentence_order_logits': order + tensors['cls/seq_relationship/output_bias']})


def save(folder, tensors=None, slots='lamb', **changes):
  """Writes such a checkpoint. Returns a Checkpoint."""
  tensors = tensors or weights()
  saved = dict(tensors, global_step=np.int64(9))
  saved.update({name + '/{}_{}'.format(slots, kind): np.zeros_like(value) for name, value in tensors.items()
                for kind in 'mv'})
  writing.write_checkpoint(os.path.join(str(folder), 'albert_model.ckpt'), saved)
  values = {key: value for key, value in dict(CONFIG, **changes).items() if value is not None}
  with open(os.path.join(str(folder), 'albert_config_tiny.json'), 'w') as target:
    json.dump(values, target)
  with open(os.path.join(str(folder), 'vocab.txt'), 'w', encoding='utf-8') as target:
    target.write(''.join(token + '\n' for token in random_models.tokens(V)))
  return Checkpoint(str(folder))


BATCH = random_models.batch(random_models.config())


@pytest.mark.parametrize('slots', ['lamb', 'adam'])
def test_outputs_are_equal_after_conversion(tmp_path, slots):
  checkpoint = save(tmp_path / 'early', slots=slots)
  report = early_chinese.make_run(checkpoint, str(tmp_path / 'run'), ln_type='postln')
  assert report['left_out'] == [['{} variables of the optimizer'.format(2 * len(shapes())), 'not weights']]
  assert len(report['mapped']) == len(shapes()) - 1
  assert '0.01 M parameters become 0.01 M' in report['notes'][0]
  converted = Checkpoint(str(tmp_path / 'run'))
  config = early_chinese.configuration(checkpoint, 'postln')
  assert config.embedding_size == config.hidden_size == H
  expected = graph_outputs(weights(), BATCH, pre_norm=False)
  ours = random_models.graph_outputs(converted.path, config, BATCH)
  for name, value in expected.items():
    random_models.assert_close(ours[name], value)


def test_a_pre_norm_model_of_the_same_weights_is_another():
  post, pre = [graph_outputs(weights(), BATCH, pre_norm) for pre_norm in (False, True)]
  for name in ('sequence_output', 'masked_lm_logits'):
    assert np.max(np.abs(post[name] - pre[name])) > 1


def test_the_forward_pass_in_numpy_knows_both(tmp_path):
  checkpoint = save(tmp_path / 'early')
  config = early_chinese.configuration(checkpoint, 'postln')
  model = numpy_albert.Model(early_chinese.convert(weights(), config, None, 'here').tensors, config)
  for norm, pre_norm in ((numpy_albert.POST, False), (numpy_albert.PRE, True)):
    sequence = model.encode(BATCH, numpy_albert.form_of(config)._replace(norm=norm))
    random_models.assert_close(sequence, graph_outputs(weights(), BATCH, pre_norm)['sequence_output'])


@pytest.mark.parametrize('said, flag, message', [
    (None, None, 'names and shapes are the same for both; add --ln_type=postln'),
    (None, 'preln', 'expected a post-LN model, found preln'), ('preln', None, 'expected a post-LN model, found preln'),
    ('preln', 'postln', 'expected --ln_type=preln, which it says, found postln')])
def test_the_place_of_the_norms_must_be_said(tmp_path, said, flag, message):
  checkpoint = save(tmp_path / 'early', ln_type=said)
  with pytest.raises(UserError, match=message):
    early_chinese.make_run(checkpoint, str(tmp_path / 'run'), ln_type=flag)
  assert os.listdir(str(tmp_path)) == ['early']


@pytest.mark.parametrize('said, flag', [('postln', None), ('postln', 'postln'), (None, 'postln')])
def test_post_norm_is_taken_from_the_json_or_the_flag(tmp_path, said, flag):
  early_chinese.make_run(save(tmp_path / 'early', ln_type=said), str(tmp_path / 'run'), ln_type=flag)
  assert 'albert_config.json' in os.listdir(str(tmp_path / 'run'))


def test_variables_that_nobody_knows_need_to_be_ignored(tmp_path):
  extra = {'bert/encoder/layer_shared/adapter/kernel': np.zeros([2, 2], np.float32), 'new': np.zeros(1, np.float32)}
  checkpoint = save(tmp_path / 'early', dict(weights(), **extra))
  with pytest.raises(UserError, match='found 2 without: bert/encoder/layer_shared/adapter/kernel, new;'):
    early_chinese.make_run(checkpoint, str(tmp_path / 'run'), ln_type='postln')
  early_chinese.make_run(checkpoint, str(tmp_path / 'run'), ln_type='postln', ignore='adapter|^new$')


def test_an_incomplete_one_and_another_family_are_refused(tmp_path):
  tensors = weights()
  del tensors['bert/encoder/layer_shared/output/LayerNorm/gamma']
  with pytest.raises(UserError, match='found 1 missing: bert/encoder/transformer/.*LayerNorm_1/gamma'):
    early_chinese.make_run(save(tmp_path / 'early', tensors), str(tmp_path / 'run'), ln_type='postln')
  config = random_models.config()
  prefix = random_models.save(tmp_path / 'ours', config, random_models.weights(config))
  with pytest.raises(UserError, match='expected an early Chinese ALBERT, found {}'.format(names.ALBERT)):
    early_chinese.make_run(Checkpoint(prefix), str(tmp_path / 'run'))
  fast = dict(weights(), **{'bert/encoder/transformer/group_0/ffn/kernel': np.zeros([2, 3, 4], np.float32)})
  with pytest.raises(UserError, match='found fast ALBERT'):
    early_chinese.make_run(save(tmp_path / 'fast', fast), str(tmp_path / 'run'))
