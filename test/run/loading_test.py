"""albert.run.loading: finding published weights, loading them into another shape, and what is said about it."""

import collections
import dataclasses
import logging
import os

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.dataset.batch import Batch
from albert.dataset import contract
from albert.model.config import AlbertConfig
from albert.model import names
from albert.run import loading
from albert.tasks import pretraining
from albert.training.finetune_options import FinetuneOptions
from tools.conversion import writing

B, S, P, V = 2, 9, 3, 29
CONFIG = AlbertConfig(vocab_size=V, embedding_size=6, hidden_size=12, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=17, max_position_embeddings=11, initializer_range=0.3)
TOKENS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + [chr(0x4E00 + number) for number in range(V - 5)]
NAMED = FinetuneOptions.named  # of another root than most runs have
Options = collections.namedtuple('Options', ['vocab_init', 'position_init', 'init_partial', 'named'],
                                 defaults=[None, None, False, NAMED])
NOTHING = Options()


def _save(path, variables):
  with tf.Graph().as_default(), tf.Session() as session:
    for name in variables:
      tf.get_variable(name, [2], initializer=tf.ones_initializer())
    session.run(tf.global_variables_initializer())
    return tf.train.Saver().save(session, path)


def test_optimizer_slots_that_are_not_used_are_counted_and_others_named(tmp_path, caplog):
  slots = ['a/adam_m', 'a/adam_v', 'b/adam_m', 'b/adam_v']
  prefix = _save(str(tmp_path / 'model.ckpt'), ['a', 'b', 'other'] + slots)
  for name in ('a', 'b', 'c'):
    tf.get_variable(name, [2])
  with caplog.at_level(logging.DEBUG, 'albert'):
    loading.initialise_from(prefix, with_optimizer_slots=False)
  records = [record for record in caplog.records if record.name == 'albert']
  assert [record.levelno for record in records] == [  # lists go to train.log only
      logging.INFO, logging.DEBUG, logging.WARNING, logging.DEBUG]
  said, loaded, fresh, unused = [record.getMessage() for record in records]
  assert said == ('loaded 2 variables from {}; not in it, so initialised at random: 1; in it, but not used: 5'.format(
      prefix))
  assert loaded == 'loaded: a, b'
  assert fresh == 'not in the checkpoint, initialised at random: c'
  assert unused == 'in the checkpoint, not used: 4 optimizer slots, other'


def test_nothing_left_over(tmp_path, caplog):
  prefix = _save(str(tmp_path / 'model.ckpt'), ['a'])
  tf.get_variable('a', [2])
  with caplog.at_level(logging.DEBUG, 'albert'):
    loading.initialise_from(prefix, with_optimizer_slots=False)
  assert caplog.records[-1].getMessage() == 'in the checkpoint, not used: none'


def test_the_early_chinese_family_is_named(tmp_path):
  prefix = _save(str(tmp_path / 'model.ckpt'), ['bert/embeddings/word_embeddings_2'])
  variable = tf.get_variable('bert/embeddings/word_embeddings', [2])
  for refuse in (lambda: loading.check_compatible(prefix, [variable]),
                 lambda: loading.initialise_from(prefix, with_optimizer_slots=False)):
    with pytest.raises(UserError, match='found early Chinese ALBERT .*from-albert-zh'):
      refuse()


def _resume(prefix, scale_names, others=()):
  """{name: value} in a session that goes on from a checkpoint as tf.estimator does."""
  with tf.Graph().as_default():
    tf.train.create_global_step()
    for name in ('weight',) + tuple(others):
      tf.get_variable(name, [2], initializer=tf.zeros_initializer())
    for name in scale_names:
      tf.get_variable(name, [], initializer=tf.constant_initializer(8.0), trainable=False)
    loading.resume_from(prefix, tf.global_variables())
    with tf.train.MonitoredTrainingSession(checkpoint_dir=os.path.dirname(prefix), save_checkpoint_steps=None,
                                           save_checkpoint_secs=None, save_summaries_steps=None) as session:
      return session.run({v.op.name: v for v in tf.global_variables()})


@pytest.mark.parametrize('before, now, kept', [
    ((), ('loss_scale', 'good_steps', 'bad_steps'), False),  # a CPU or a fixed scale, then a dynamic one
    (('current_loss_scale', 'good_steps'), ('loss_scale', 'good_steps', 'bad_steps'), False),  # a GPU, then an NPU
    (('loss_scale', 'good_steps', 'bad_steps'), ('loss_scale', 'good_steps', 'bad_steps'), True),
    (('loss_scale', 'good_steps', 'bad_steps'), (), True)])
def test_a_loss_scale_that_the_run_did_not_have_begins_at_its_first_value(before, now, kept, tmp_path, caplog):
  prefix = str(tmp_path / 'model.ckpt')
  with tf.Graph().as_default(), tf.Session() as session:
    tf.train.create_global_step()
    tf.get_variable('weight', [2], initializer=tf.ones_initializer())
    for name in before:
      tf.get_variable(name, [], initializer=tf.constant_initializer(2.0), trainable=False)
    session.run(tf.global_variables_initializer())
    prefix = tf.train.Saver().save(session, prefix)
  with caplog.at_level(logging.INFO, 'albert'):
    values = _resume(prefix, now)
  assert values.pop('weight').tolist() == [1.0, 1.0] and values.pop('global_step') == 0
  assert values == {name: 2.0 if kept else 8.0 for name in now}
  said = [record.getMessage() for record in caplog.records if record.name == 'albert']
  assert said == [] if kept else said[0].startswith(', '.join(now) + ' begin at their first values')
  with pytest.raises(UserError, match='other is missing'):
    _resume(prefix, now, others=['other'])


def _publish(folder, config=CONFIG, tokens=TOKENS, name='model.ckpt-7', config_name='albert_config.json',
             vocab_name='vocab.txt'):
  """A folder with random weights, configuration and vocabulary. Returns the prefix."""
  folder.mkdir()
  if config_name:
    (folder / config_name).write_text(config.to_json_string())
  if vocab_name:
    (folder / vocab_name).write_text(''.join(token + '\n' for token in tokens), encoding='utf-8')
  random = np.random.RandomState(0)
  writing.write_checkpoint(str(folder / name), {
      variable: random.standard_normal(shape).astype(np.float32)
      for variable, shape in names.model_shapes(config).items()})
  return str(folder / name)


def _data(folder, tokens):
  """contract.DatasetInfo of a data set without records."""
  folder.mkdir()
  (folder / 'vocab.txt').write_text(''.join(token + '\n' for token in tokens), encoding='utf-8')
  return contract.DatasetInfo(str(folder), S, P, len(tokens), 'a checksum', {})


def _arrays():
  random = np.random.RandomState(5)
  return Batch(random.randint(0, V, [B, S]), np.ones([B, S]), random.randint(0, 2, [B, S]),
               random.randint(1, S, [B, P]), random.randint(0, V, [B, P]), np.ones([B, P]), np.array([[0], [1]]))


def _batch(arrays):
  return Batch(*[tf.constant(value, tf.float32 if name == 'masked_lm_weights' else tf.int32)
                 for name, value in arrays._asdict().items()])


def _started(path, config, info=None, arrays=None, options=NOTHING):
  """(losses, weights) of a model that starts from weights as a run does."""
  with tf.Graph().as_default(), tf.Session() as session:
    made = pretraining.model(_batch(arrays or _arrays()), config, False)
    loading.initialise_from(path, False, info and loading.decide(path, config, info, options))
    session.run(tf.global_variables_initializer())
    return (session.run([made.masked_lm.loss, made.sentence_order.loss]),
            session.run({v.op.name: v for v in tf.trainable_variables()}))


@pytest.mark.parametrize('named', ['folder', 'prefix', 'index', 'best'])
def test_a_run_is_found_by_each_of_its_names(tmp_path, named):
  prefix = _publish(tmp_path / 'run')
  if named == 'best':
    (tmp_path / 'run' / 'best').mkdir()
    for ending in ('index', 'data-00000-of-00001'):
      os.rename('{}.{}'.format(prefix, ending), str(tmp_path / 'run' / 'best' / 'model.ckpt-7.{}'.format(ending)))
  path = {'folder': 'run', 'prefix': 'run/model.ckpt-7', 'index': 'run/model.ckpt-7.index', 'best': 'run/best'}[named]
  weights = loading.find(str(tmp_path / path))
  assert weights.config == CONFIG and weights.vocab_file == str(tmp_path / 'run' / 'vocab.txt')
  assert os.path.basename(weights.prefix) == 'model.ckpt-7'


def test_of_several_runs_the_best_is_taken_and_of_a_run_its_best_checkpoint(tmp_path):
  for name in ('seed-1', 'seed-2'):
    _publish(tmp_path / name)
  (tmp_path / 'results.json').write_text('{"seeds": {}, "best_run": "seed-2"}')
  assert loading.find(str(tmp_path)).prefix == str(tmp_path / 'seed-2' / 'model.ckpt-7')
  _publish(tmp_path / 'seed-2' / 'best')
  for path in (tmp_path, tmp_path / 'seed-2'):
    assert loading.find(str(path)).prefix == str(tmp_path / 'seed-2' / 'best' / 'model.ckpt-7')
  assert loading.find(str(tmp_path / 'seed-2' / 'model.ckpt-7')).prefix == str(tmp_path / 'seed-2' / 'model.ckpt-7')
  (tmp_path / 'results.json').write_text('{"best_run": "../seed-2"}')
  with pytest.raises(UserError, match='expected a TensorFlow checkpoint'):
    loading.find(str(tmp_path))


def test_a_release_that_was_unpacked_is_found(tmp_path):
  _publish(tmp_path / 'albert_base', name='model.ckpt-best', config_name='albert_config_base.json',
           vocab_name='vocab_chinese.txt')
  os.remove(str(tmp_path / 'albert_base' / 'checkpoint'))
  weights = loading.find(str(tmp_path / 'albert_base'))
  assert weights == (str(tmp_path / 'albert_base' / 'model.ckpt-best'), CONFIG,
                     str(tmp_path / 'albert_base' / 'vocab_chinese.txt'))


def test_one_of_several_vocabularies_is_not_guessed(tmp_path):
  prefix = _publish(tmp_path / 'a', vocab_name='vocab_chinese.txt', config_name=None)
  (tmp_path / 'a' / 'vocab_english.txt').write_text('')
  assert loading.find(prefix) == (prefix, None, None)


@pytest.mark.parametrize('files, message', [
    (['config.json', 'pytorch_model.bin'], 'found a Hugging Face folder; convert it first: .* from-hf'),
    (['config.json', 'model.safetensors'], 'found a Hugging Face folder'),
    (['config.json', 'model.safetensors.index.json'], 'found a Hugging Face folder'),
    (['config.json'], 'expected a TensorFlow checkpoint at'),
])
def test_folders_of_another_kind_are_told(tmp_path, files, message):
  for name in files:
    (tmp_path / name).write_text('{}')
  with pytest.raises(UserError, match=message):
    loading.find(str(tmp_path))


def test_an_archive_is_to_be_unpacked(tmp_path):
  (tmp_path / 'albert_base_zh.tar.gz').write_text('')
  with pytest.raises(UserError, match='expected a folder, found an archive; unpack it'):
    loading.find(str(tmp_path / 'albert_base_zh.tar.gz'))


def test_permuting_vocabulary_and_data_gives_equal_losses(tmp_path, caplog):
  order = np.random.RandomState(3).permutation(V)  # order[new id] = old id
  new_id = np.argsort(order)
  prefix = _publish(tmp_path / 'run')
  arrays = _arrays()
  permuted = arrays._replace(input_ids=new_id[arrays.input_ids], masked_lm_ids=new_id[arrays.masked_lm_ids])
  info = _data(tmp_path / 'data', [TOKENS[old] for old in order])
  expected, _ = _started(prefix, CONFIG, _data(tmp_path / 'same', TOKENS), arrays)
  with caplog.at_level(logging.INFO, 'albert'):
    losses, _ = _started(prefix, CONFIG, info, permuted)
  np.testing.assert_allclose(losses, expected, rtol=1e-5)
  assert 'vocabulary: 29 of 29 tokens of the data are in that of the weights' in caplog.text
  # The test could fail: without the order the losses are others.
  assert abs(_started(prefix, CONFIG, None, permuted)[0][0] - expected[0]) > 0.1


def test_more_groups_layers_and_positions_than_the_weights_have(tmp_path, caplog):
  prefix = _publish(tmp_path / 'run')
  config = dataclasses.replace(CONFIG, num_hidden_groups=2, num_hidden_layers=3, max_position_embeddings=15)
  info = _data(tmp_path / 'data', TOKENS)
  with pytest.raises(UserError, match='expected 15 position embeddings, found 11'):
    loading.decide(prefix, config, info, NOTHING)
  with caplog.at_level(logging.INFO, 'albert'):
    _, weights = _started(prefix, config, info, options=Options(position_init='repeat'))
  kernel = 'bert/encoder/transformer/group_{}/inner_group_0/ffn_1/intermediate/dense/kernel'
  np.testing.assert_array_equal(weights[kernel.format(1)], weights[kernel.format(0)])
  table = tf.train.load_variable(prefix, 'bert/embeddings/position_embeddings')
  np.testing.assert_array_equal(weights['bert/embeddings/position_embeddings'], np.concatenate([table, table[:4]]))
  for line in ('positions: 11, and 4 new ones', 'groups: 1 from 0', 'vocabulary: that of the data',
               'not in it, so initialised at random: 0; in it, but not used: 0'):
    assert line in caplog.text


@pytest.mark.parametrize('published, config, tokens, message', [
    (dict(vocab_name=None), CONFIG, TOKENS + ['x'], 'expected weights of 30 tokens, found 29; put their vocab.txt'),
    (dict(tokens=TOKENS[:-1]), CONFIG, TOKENS, 'expected the vocabulary of the weights beside it, 29 tokens, found 28'),
    ({}, dataclasses.replace(CONFIG, num_attention_heads=3), TOKENS, r'found num_attention_heads 2 \(here: 3\)'),
    ({}, CONFIG, TOKENS[:20] + list('abcdefghi'), 'at least 90% of the tokens'),
])
def test_what_cannot_be_known_or_does_not_fit_is_refused(tmp_path, published, config, tokens, message):
  prefix = _publish(tmp_path / 'run', **published)
  config = dataclasses.replace(config, vocab_size=len(tokens))
  with pytest.raises(UserError, match=message):
    loading.decide(prefix, config, _data(tmp_path / 'data', tokens), NOTHING)


def test_another_number_of_heads_may_be_meant(tmp_path):
  prefix = _publish(tmp_path / 'run')
  config = dataclasses.replace(CONFIG, num_attention_heads=3)
  lines = loading.decide(prefix, config, _data(tmp_path / 'data', TOKENS), Options(init_partial=True)).lines
  assert any('num_attention_heads 2 (here: 3)' in line for line in lines)


def test_what_cannot_be_compared_is_said(tmp_path):
  prefix = _publish(tmp_path / 'run', vocab_name=None, config_name=None)
  lines = loading.decide(prefix, CONFIG, _data(tmp_path / 'data', TOKENS), NOTHING).lines
  assert len(lines) == 2 and 'heads and activation, which shapes do not show, are taken to be 2 and gelu' in lines[0]
  assert 'vocabulary: not compared, the folder of the weights has none' in lines[1]


def test_another_family_is_refused_before_anything_is_built(tmp_path):
  prefix = _save(str(tmp_path / 'model.ckpt'), ['bert/embeddings/word_embeddings_2'])
  with pytest.raises(UserError, match='expected weights of ALBERT, found early Chinese ALBERT'):
    loading.decide(prefix, CONFIG, _data(tmp_path / 'data', TOKENS), NOTHING)


def test_a_bert_is_named(tmp_path):
  prefix = _save(str(tmp_path / 'model.ckpt'), ['bert/encoder/layer_0/output/dense/bias'])
  with pytest.raises(UserError, match='found BERT: layers do not share weights; another model; no variable of its'):
    loading.initialise_from(prefix, with_optimizer_slots=False)


@pytest.mark.parametrize('name', ['module/bert/a', 'bert/a/ExponentialMovingAverage', 'albert/a'])
def test_names_of_another_program_are_told(tmp_path, name):
  prefix = _save(str(tmp_path / 'model.ckpt'), [name])
  tf.get_variable('bert/a', [2])
  with pytest.raises(UserError, match='found no variable of its names, but {}; rename them'.format(name)):
    loading.initialise_from(prefix, with_optimizer_slots=False)


ENCODER, HEADS = ['bert/a', 'bert/b', 'bert/pooler/c'], ['cls/d', 'cls/e']


def _initialise(prefix, is_partial=False, with_slots=False):
  for name in ENCODER + HEADS:
    variable = tf.get_variable(name, [2])
    if with_slots:
      tf.get_variable(name + '/adam_m', [2], trainable=False, initializer=tf.zeros_initializer())
  del variable
  loading.initialise_from(prefix, with_slots, is_partial=is_partial, named=NAMED)
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    return {name: value.tolist() for name, value in session.run(
        {v.op.name: v for v in tf.trainable_variables()}).items()}


@pytest.mark.parametrize('names,said', [
    (['x/' + name for name in ENCODER] + HEADS, 'found 2 of 5 variables of this model: bert/a, bert/b, bert/pooler/c'),
    (ENCODER[:2] + HEADS, 'found 4 of 5 variables of this model: bert/pooler/c missing'),
    (ENCODER[1:] + HEADS, 'bert/a missing')])
def test_an_encoder_that_is_not_all_there_is_an_error_unless_it_is_meant(tmp_path, caplog, names, said):
  prefix = _save(str(tmp_path / 'model.ckpt'), names)
  with pytest.raises(UserError, match=said + '.*finetune.init_partial=True'):
    _initialise(prefix)
  tf.reset_default_graph()
  values = _initialise(prefix, is_partial=True)
  assert [name for name, value in values.items() if value == [1.0, 1.0]] == [
      name for name in ENCODER + HEADS if name in names]
  warned = [record for record in caplog.records if record.levelno == logging.WARNING]
  assert 'initialised at random' in warned[-1].getMessage()


def test_heads_that_are_not_there_are_a_warning(tmp_path, caplog):
  _initialise(_save(str(tmp_path / 'model.ckpt'), ENCODER))
  assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
      'not in the checkpoint, initialised at random: cls/d, cls/e']


@pytest.mark.parametrize('slots,said', [([], 'lacks 5 optimizer slots'), (['bert/a/adam_m'], 'lacks 4 optimizer slots'),
                                        ([name + '/adam_m' for name in ENCODER + HEADS], None)])
def test_slots_that_were_asked_for_and_are_not_there_are_told(tmp_path, caplog, slots, said):
  _initialise(_save(str(tmp_path / 'model.ckpt'), ENCODER + HEADS + slots), with_slots=True)
  assert ('finetune.init_optimizer_slots=True: ' in caplog.text) == bool(said)
  assert not said or said in caplog.text and 'begin at zero' in caplog.text


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_named(tmp_path, value):
  with tf.Graph().as_default(), tf.Session() as session:
    for name, number in (('bert/a', 1.0), ('bert/b', value), ('bert/a/adam_m', value), ('beta1_power', value)):
      tf.get_variable(name, initializer=np.array([2.0, number], np.float32))
    tf.get_variable('global_step', initializer=np.int64(3))
    session.run(tf.global_variables_initializer())
    prefix = tf.train.Saver().save(session, str(tmp_path / 'model.ckpt'))
  with pytest.raises(UserError, match='found NaN or infinity in 1 of 5 variables: bert/b;'):
    loading.check_finite(prefix)
  with pytest.raises(UserError, match='in 3 of 5 variables'):
    loading.check_finite(prefix, with_optimizer_slots=True)
