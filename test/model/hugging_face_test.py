"""albert.model.hugging_face: each variable of this library has one name there, and back."""

import subprocess
import sys

import pytest

from albert.common.files import ROOT
from albert.model.config import AlbertConfig
from albert.model import hugging_face
from albert.model import names

CONFIG = AlbertConfig(vocab_size=53, embedding_size=10, hidden_size=21, num_hidden_layers=3, num_hidden_groups=2,
                      inner_group_num=2, num_attention_heads=3, intermediate_size=34)
HEADS = ['output_weights', 'output_bias', 'cls/squad/output_weights', 'cls/squad/output_bias']


def test_every_variable_has_another_name_there_and_comes_back():
  ours = list(names.model_shapes(CONFIG)) + HEADS
  theirs = [hugging_face.to_hugging_face(name) for name in ours]
  assert None not in theirs and len(set(theirs)) == len(ours)
  assert [hugging_face.from_hugging_face(name) for name, _ in theirs] == [
      (name, transposed) for name, (_, transposed) in zip(ours, theirs)]


@pytest.mark.parametrize('ours, theirs, transposed', [
    ('bert/embeddings/word_embeddings', 'albert.embeddings.word_embeddings.weight', False),
    ('bert/encoder/transformer/group_1/inner_group_0/attention_1/self/key/kernel',
     'albert.encoder.albert_layer_groups.1.albert_layers.0.attention.key.weight', True),
    ('bert/encoder/transformer/group_0/inner_group_1/LayerNorm/beta',
     'albert.encoder.albert_layer_groups.0.albert_layers.1.attention.LayerNorm.bias', False),
    ('bert/encoder/transformer/group_12/inner_group_3/LayerNorm_1/gamma',
     'albert.encoder.albert_layer_groups.12.albert_layers.3.full_layer_layer_norm.weight', False),
    ('bert/encoder/transformer/group_0/inner_group_0/ffn_1/intermediate/output/dense/kernel',
     'albert.encoder.albert_layer_groups.0.albert_layers.0.ffn_output.weight', True),
    ('cls/predictions/output_bias', 'predictions.bias', False),
    ('cls/seq_relationship/output_weights', 'sop_classifier.classifier.weight', False),
    ('output_weights', 'classifier.weight', False), ('cls/squad/output_bias', 'qa_outputs.bias', False)])
def test_names(ours, theirs, transposed):
  assert hugging_face.to_hugging_face(ours) == (theirs, transposed)
  assert hugging_face.from_hugging_face(theirs) == (ours, transposed)


def test_exactly_the_kernels_are_transposed():
  for name in list(names.model_shapes(CONFIG)) + HEADS:
    assert hugging_face.to_hugging_face(name)[1] == name.endswith('/kernel')


@pytest.mark.parametrize('name', [
    'global_step', 'bert/pooler/dense/kernel/adam_m', 'bert/encoder/layer_0/output/dense/kernel', 'classifier.weight',
    'xbert/embeddings/word_embeddings', 'output_weights/x'])
def test_other_variables_have_no_counterpart(name):
  assert hugging_face.to_hugging_face(name) is None


@pytest.mark.parametrize('name', [
    'albert.embeddings.position_ids', 'predictions.decoder.weight', 'albertXembeddings.word_embeddings.weight',
    'encoder.albert_layer_groups.0.albert_layers.0.ffn.weight', 'albert.pooler.weight.x'])
def test_other_tensors_have_no_counterpart(name):
  assert hugging_face.from_hugging_face(name) is None


def test_the_table_needs_neither_tensorflow_nor_numpy():
  program = ('import sys; import albert.model.hugging_face; '
             'print([name for name in ("tensorflow", "gin", "numpy", "torch") if name in sys.modules])')
  assert subprocess.check_output([sys.executable, '-c', program], cwd=ROOT).decode().strip() == '[]'
