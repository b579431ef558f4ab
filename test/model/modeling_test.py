"""The encoder: names that are a file format, sharing, and its mathematics against slow numpy."""

import json

import gin
import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.model import layers
from albert import modeling
from albert.modeling import AlbertConfig

B, S = 3, 7
# All dimensions unequal, so that a swapped axis fails.
SMALL = dict(vocab_size=29, embedding_size=5, hidden_size=12, num_hidden_layers=4, num_attention_heads=2,
             intermediate_size=17, max_position_embeddings=11)
BLOCK = ['attention_1/self/query/kernel', 'attention_1/self/query/bias', 'attention_1/self/key/kernel',
         'attention_1/self/key/bias', 'attention_1/self/value/kernel', 'attention_1/self/value/bias',
         'attention_1/output/dense/kernel', 'attention_1/output/dense/bias', 'LayerNorm/beta', 'LayerNorm/gamma',
         'ffn_1/intermediate/dense/kernel', 'ffn_1/intermediate/dense/bias',
         'ffn_1/intermediate/output/dense/kernel', 'ffn_1/intermediate/output/dense/bias',
         'LayerNorm_1/beta', 'LayerNorm_1/gamma']


def _inputs(seed=0):
  random = np.random.RandomState(seed)
  mask = np.ones([B, S], np.int32)
  mask[1, 4:] = 0
  return [tf.constant(random.randint(0, SMALL['vocab_size'], [B, S]), tf.int32), tf.constant(mask),
          tf.constant(np.arange(S) * np.ones([B, 1]) > 3, tf.int32)]


def _build(is_training=False, ops=None, **changes):
  return modeling.albert(*_inputs(), config=AlbertConfig(**dict(SMALL, **changes)), is_training=is_training, ops=ops)


def _run(*tensors):
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    return session.run(tensors)


def _block(group, inner=0):
  return ['bert/encoder/transformer/group_{}/inner_group_{}/{}'.format(group, inner, name) for name in BLOCK]


def test_variable_names_and_shapes_are_those_of_published_checkpoints():
  _build()
  shapes = {v.op.name: v.shape.as_list() for v in tf.global_variables()}
  embeddings = ['bert/embeddings/' + name for name in (
      'word_embeddings', 'token_type_embeddings', 'position_embeddings', 'LayerNorm/beta', 'LayerNorm/gamma')]
  mapping = ['bert/encoder/embedding_hidden_mapping_in/kernel', 'bert/encoder/embedding_hidden_mapping_in/bias']
  pooler = ['bert/pooler/dense/kernel', 'bert/pooler/dense/bias']
  assert sorted(shapes) == sorted(embeddings + mapping + pooler + _block(0))
  assert shapes['bert/embeddings/position_embeddings'] == [11, 5]
  assert shapes['bert/encoder/embedding_hidden_mapping_in/kernel'] == [5, 12]
  assert shapes[_block(0)[10]] == [12, 17]
  assert shapes[_block(0)[12]] == [17, 12]


def test_no_mapping_when_embeddings_are_as_wide_as_the_layers():
  _build(embedding_size=12)
  assert not [v for v in tf.global_variables() if 'mapping' in v.op.name]


@pytest.mark.parametrize('groups,inner,count', [(1, 1, 1), (2, 1, 2), (4, 1, 4), (2, 3, 6)])
def test_layers_share_the_variables_of_their_group(groups, inner, count):
  _build(num_hidden_groups=groups, inner_group_num=inner)
  actual = [v.op.name for v in tf.global_variables() if 'transformer' in v.op.name]
  assert sorted(actual) == sorted(name for g in range(groups) for i in range(inner) for name in _block(g, i))
  assert len(actual) == count * len(BLOCK)


def test_group_of_layer_follows_the_reference():
  config = AlbertConfig(vocab_size=9, hidden_size=4, num_attention_heads=2, num_hidden_layers=12, num_hidden_groups=5)
  assert [config.group_of_layer(layer) for layer in range(12)] == [int(layer / 12 * 5) for layer in range(12)]


def test_initial_weights_depend_on_the_seed_and_their_name_alone():
  weights = []
  for seed, before in ((5, 0), (5, 3), (6, 0)):
    with tf.Graph().as_default(), tf.Session() as session:
      tf.set_random_seed(seed)
      for _ in range(before):
        tf.random.uniform([2])
      _build()
      session.run(tf.global_variables_initializer())
      weights.append(session.run({v.op.name: v for v in tf.trainable_variables()}))
  first, same, other = weights
  kernels = [name for name in first if name.endswith(('kernel', 'embeddings'))]
  assert len(kernels) == 11
  for name in kernels:
    np.testing.assert_array_equal(first[name], same[name], name)
    assert (first[name] != other[name]).any()
  assert (first[_block(0)[0]] != first[_block(0)[2]]).any()


def test_outputs_have_their_shapes():
  outputs = _build()
  assert outputs.embedding_output.shape.as_list() == [B, S, 5]
  assert outputs.sequence_output.shape.as_list() == [B, S, 12]
  assert outputs.pooled_output.shape.as_list() == [B, 12]
  assert outputs.embedding_table.shape.as_list() == [29, 5]


def test_attention_against_numpy():
  x = np.random.RandomState(0).randn(B * S, 12).astype(np.float32)
  padding = np.zeros([B, 1, 1, S], np.float32)
  padding[1, ..., 4:] = -10000.0
  config = AlbertConfig(**SMALL)
  with tf.variable_scope('block', initializer=tf.random_normal_initializer()):
    block = modeling._block_variables(config)
  actual = modeling._self_attention(tf.constant(x), tf.constant(x), tf.constant(padding),
                                    modeling._weights(block, config), config, modeling.default_ops())
  actual, weights = _run(actual, {'q': block.query, 'k': block.key, 'v': block.value})
  expected = np.zeros([B, S, 12])
  q, k, v = [(x.dot(weights[n].kernel) + weights[n].bias).reshape(B, S, 12) for n in 'qkv']
  for b in range(B):
    for head in (slice(0, 6), slice(6, 12)):
      for i in range(S):
        scores = np.array([q[b, i, head].dot(k[b, j, head]) / np.sqrt(6.0) + padding[b, 0, 0, j] for j in range(S)])
        share = np.exp(scores - scores.max())
        expected[b, i, head] = (share / share.sum()).dot(v[b, :, head])
  np.testing.assert_allclose(actual, expected.reshape(B * S, 12), rtol=1e-4, atol=1e-6)


def test_padding_changes_nothing():
  ids, mask, segments = _inputs()
  other = tf.where(tf.equal(mask, 1), ids, tf.ones_like(ids))
  config = AlbertConfig(**SMALL)
  first = modeling.albert(ids, mask, segments, config, False)
  with tf.variable_scope(tf.get_variable_scope(), reuse=True):
    second = modeling.albert(other, mask, segments, config, False)
  a, b = _run(first.sequence_output[1, :4], second.sequence_output[1, :4])
  np.testing.assert_array_equal(a, b)


def _gradients_against_differences(function, x):
  tensor = tf.placeholder(tf.float64, x.shape)
  weight = np.random.RandomState(3).randn(*x.shape)
  loss = tf.reduce_sum(function(tensor) * weight)
  gradient = tf.gradients(loss, tensor)[0]
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    actual = session.run(gradient, {tensor: x})
    for index in np.ndindex(*x.shape):
      step = np.zeros_like(x)
      step[index] = 1e-5
      up, down = session.run(loss, {tensor: x + step}), session.run(loss, {tensor: x - step})
      assert abs((up - down) / 2e-5 - actual[index]) < 1e-6, index


def test_gelu_and_its_gradient():
  x = np.linspace(-5.0, 5.0, 23)
  expected = 0.5 * x * (1.0 + np.tanh(np.sqrt(2.0 / np.pi) * (x + 0.044715 * x ** 3)))
  np.testing.assert_allclose(_run(layers.gelu(tf.constant(x)))[0], expected, atol=1e-12)
  _gradients_against_differences(layers.gelu, x)


def test_layer_norm_and_its_gradients():
  random = np.random.RandomState(0)
  x, gamma, beta = random.randn(3, 4, 5), random.randn(5), random.randn(5)
  norm = layers.Norm(gamma=tf.constant(gamma), beta=tf.constant(beta))
  expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12) * gamma + beta
  np.testing.assert_allclose(_run(layers.layer_norm(tf.constant(x), norm))[0], expected, atol=1e-12)
  _gradients_against_differences(lambda tensor: layers.layer_norm(tensor, norm), x)
  tensor = tf.constant(x)
  _gradients_against_differences(lambda g: layers.layer_norm(tensor, layers.Norm(gamma=g[0], beta=norm.beta)),
                                 gamma[np.newaxis])
  _gradients_against_differences(lambda b: layers.layer_norm(tensor, layers.Norm(gamma=norm.gamma, beta=b[0])),
                                 beta[np.newaxis])


def test_activation_is_the_configured_one():
  assert modeling.activation(AlbertConfig(**SMALL)) is layers.gelu
  assert modeling.activation(AlbertConfig(hidden_act='relu', **SMALL)) is tf.nn.relu
  own = modeling.default_ops()._replace(gelu=tf.identity)
  assert modeling.activation(AlbertConfig(**SMALL), own) is tf.identity


def test_dropout_repeats_itself_for_a_seed_and_step_and_is_off_in_evaluation():
  x = tf.ones([200, 30])
  one = layers.StatelessDropout(seed=1, step=tf.constant(5, tf.int64))
  again = layers.StatelessDropout(seed=1, step=tf.constant(5, tf.int64))
  later = layers.StatelessDropout(seed=1, step=tf.constant(6, tf.int64))
  a, b, c, d = _run(one(x, 0.25), one(x, 0.25), again(x, 0.25), later(x, 0.25))
  assert (a == c).all() and (a != b).any() and (a != d).any()
  assert set(np.unique(a)) == {np.float32(0.0), np.float32(1.0 / 0.75)}
  assert abs((a == 0).mean() - 0.25) < 0.03
  assert one(x, 0.0) is x
  rates = []
  ops = modeling.default_ops()._replace(dropout=lambda tensor, rate: rates.append(rate) or tensor)
  _build(is_training=True, ops=ops, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2, num_hidden_layers=1)
  assert sorted(rates) == [0.1, 0.1, 0.1, 0.2]
  tf.reset_default_graph()
  del rates[:]
  _build(is_training=False, ops=ops, hidden_dropout_prob=0.1)
  assert not rates


def test_config_from_json(tmp_path):
  path = tmp_path / 'config.json'

  def load(**values):
    path.write_text(json.dumps(dict(SMALL, **values)))
    return AlbertConfig.from_json_file(str(path))

  assert load(down_scale_factor=1, layers_to_keep=[], ln_type='postln').to_dict() == AlbertConfig(**SMALL).to_dict()
  with pytest.raises(UserError, match='hiden_size'):
    load(hiden_size=3)
  with pytest.raises(UserError, match='pre-LN'):
    load(ln_type='preln')
  for bad in (dict(hidden_act='swish'), dict(num_attention_heads=5), dict(num_hidden_groups=9),
              dict(hidden_dropout_prob=1.0)):
    with pytest.raises(UserError, match=list(bad)[0]):
      load(**bad)
  path.write_text('{"hidden_size": 12}')
  with pytest.raises(UserError, match='vocab_size'):
    AlbertConfig.from_json_file(str(path))
  path.write_text('{')
  with pytest.raises(UserError, match='JSON'):
    AlbertConfig.from_json_file(str(path))
  with pytest.raises(UserError, match='JSON'):
    AlbertConfig.from_json_file(str(tmp_path / 'absent.json'))


def test_json_leaves_nothing_to_gin(tmp_path):
  path = tmp_path / 'config.json'
  path.write_text(json.dumps({'vocab_size': 60, 'hidden_size': 128}))
  gin.parse_config('AlbertConfig.num_hidden_layers = 3')
  assert AlbertConfig().num_hidden_layers == 3
  assert AlbertConfig.from_json_file(str(path)).num_hidden_layers == 12


def test_config_takes_the_vocabulary_size_of_the_data_once():
  config = AlbertConfig(hidden_size=12, num_attention_heads=2).with_vocab_size(29, 'the data')
  assert config.vocab_size == 29
  assert config.with_vocab_size(29, 'the data').to_dict() == config.to_dict()
  with pytest.raises(UserError, match='30 in the data'):
    config.with_vocab_size(30, 'the data')


@pytest.mark.parametrize('name', ['hidden_size', 'vocab_size', 'novelty'])
def test_config_cannot_be_changed(name):
  config = AlbertConfig(**SMALL)
  with pytest.raises(AttributeError):
    setattr(config, name, 13)
  assert config == AlbertConfig(**SMALL) and config.to_dict() == dict(config.to_dict(), **SMALL)


def test_gin_binds_the_fields_of_the_config_and_records_them():
  gin.parse_config('AlbertConfig.hidden_size = 24\nAlbertConfig.num_attention_heads = 3')
  assert AlbertConfig(embedding_size=5).to_dict() == dict(
      AlbertConfig(hidden_size=24, num_attention_heads=3).to_dict(), embedding_size=5)
  with pytest.raises(AttributeError):
    AlbertConfig().hidden_size = 12
  assert 'AlbertConfig.hidden_size = 24\n' in gin.operative_config_str()
  assert 'AlbertConfig.num_hidden_layers = 12\n' in gin.operative_config_str()
