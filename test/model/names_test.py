"""albert.model.names: optimizers' variables and families of models, told by names alone."""

import subprocess
import sys

import pytest
import tensorflow as tf

from albert.common.files import ROOT
from albert import input_pipeline
from albert import lamb
from albert.model import names
from albert.tasks import pretraining
import random_models


@pytest.mark.parametrize('name, is_slot', [
    ('a/kernel/adam_m', True), ('a/kernel/adam_v', True), ('a/kernel/lamb_m', True), ('a/lamb_v', True),
    ('a/kernel', False), ('adam_m', False), ('a/adam_m/kernel', False), ('a/my_adam_m', False), ('a/adam_mm', False),
    ('a/kernel/Adam', False), ('beta1_power', False)])
def test_slots_of_this_library(name, is_slot):
  assert names.is_slot(name) == is_slot


@pytest.mark.parametrize('kind', lamb.OPTIMIZERS)
def test_slots_are_what_the_optimizers_make(kind):
  weight = tf.get_variable('a/kernel', [2])
  optimizer = lamb.create_optimizer(0.1, lamb.OptimizerOptions(optimizer=kind))
  optimizer.minimize(tf.reduce_sum(weight))
  slots = [v.op.name for v in optimizer.variables()]
  assert len(slots) == 2 and all(names.is_slot(name) for name in slots)


@pytest.mark.parametrize('name, belongs', [
    ('a/kernel', False), ('a/kernel/adam_m', True), ('a/kernel/AnyOptimizer_1', True), ('orphan/lamb_v', True),
    ('orphan/Adam_1', True), ('orphan/other', False), ('beta2_power', True), ('scaling/loss_scale', True),
    ('a/kernel/ExponentialMovingAverage', False), ('global_step', False)])
def test_variables_of_any_optimizer(name, belongs):
  assert names.belongs_to_optimizer(name, {'a/kernel', name}) == belongs


@pytest.mark.parametrize('shapes, family', [
    ({'bert/embeddings/word_embeddings_2': [2, 3]}, names.EARLY_CHINESE),
    ({'bert/encoder/layer_shared/attention/self/query/kernel': [3, 3]}, names.EARLY_CHINESE),
    ({'bert/embeddings/word_embeddings': [5, 2], 'bert/embeddings/position_embeddings': [4, 3]}, names.EARLY_CHINESE),
    ({'bert/encoder/transformer/group_0/inner_group_0/LayerNorm/beta': [3]}, names.ALBERT),
    ({'bert/encoder/layer_0/attention/self/query/kernel': [3, 3]}, names.BERT),
    ({'dense/kernel': [3, 3]}, names.UNKNOWN)])
def test_family(shapes, family):
  assert names.family(shapes) == family


def test_names_need_neither_tensorflow_nor_gin():
  program = ('import sys; import albert.model.names; '
             'print([name for name in ("tensorflow", "gin") if name in sys.modules])')
  assert subprocess.check_output([sys.executable, '-c', program], cwd=ROOT).decode().strip() == '[]'


@pytest.mark.parametrize('shapes, family', [
    ({'bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/dense/kernel': [16, 20, 80]}, names.FAST),
    ({'bert/encoder/transformer/group_0/inner_group_0/layer_normalization_1/gamma': [3]}, names.KERAS_NAMES),
    ({'bert/embeddings/layer_normalization/beta': [3]}, names.KERAS_NAMES)])
def test_families_that_are_refused_by_name(shapes, family):
  recognised = names.recognise(shapes)
  assert recognised.name == family and list(shapes)[0] in recognised.reason


@pytest.mark.parametrize('name, part', [
    ('bert/embeddings/LayerNorm/beta', names.ENCODER), ('bert/pooler/dense/kernel', names.POOLER),
    ('cls/predictions/output_bias', names.MASKED_LM), ('cls/seq_relationship/output_bias', names.SENTENCE_ORDER),
    ('cls/squad/output_weights', names.SPANS), ('output_weights', names.CLASSIFIER), ('global_step', None),
    ('other/bias', None)])
def test_parts_of_a_model(name, part):
  assert names.part_of_model(name) == part
  assert names.parts_in([name, name + '/adam_m']) == ([part] if part else [])


@pytest.mark.parametrize('changes', [{}, {'embedding_size': 21}, {'num_hidden_groups': 2, 'inner_group_num': 2},
                                     {'type_vocab_size': 3}])
def test_model_shapes_are_those_of_the_graph(changes):
  config = random_models.config(**changes)
  batch = input_pipeline.Batch(*[tf.zeros([2, 3], tf.int32)] * 4 + [None] * 3)
  pretraining.model(batch, config, False)
  assert {v.op.name: tuple(v.shape.as_list()) for v in tf.trainable_variables()} == dict(names.model_shapes(config))
