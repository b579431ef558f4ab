"""The graph that is exported: its operations, its types, and that it answers as a graph that shares nothing with it."""

import collections
import functools
import json
import os
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import plain_albert
from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.dataset.batch import Batch
from albert.model.config import AlbertConfig
from albert.tasks.pretraining import Pretraining
from tools.conversion.exporting import checking
from tools.conversion.exporting import formats
from tools.conversion.exporting.inference import Inference
from tools.conversion.exporting.inference import Sizes
from tools.conversion.exporting.inference import without_passing_on

FIXTURE = os.path.join(ROOT, 'test', 'support', 'parity', 'shared_group')
CHECKPOINT = os.path.join(FIXTURE, 'model.ckpt-0')
CONFIG = AlbertConfig.from_json_file(os.path.join(FIXTURE, 'albert_config.json'))
TASK = Pretraining(CONFIG)
FREE = Sizes(None, None, None)
FIXED = Sizes(2, 16, 3)

# What a compiler for another device must know. One more is a decision.
OPERATIONS = {
    'AddV2', 'BatchMatMulV2', 'BiasAdd', 'Cast', 'ConcatV2', 'Const', 'GatherV2', 'Identity', 'MatMul', 'Mean', 'Mul',
    'OneHot', 'Placeholder', 'Reshape', 'Rsqrt', 'Softmax', 'Split', 'SquaredDifference', 'StridedSlice', 'Sub', 'Tanh',
    'Transpose'}
OF_READ_POSITIONS = {'Range'}


def frozen(signatures, sizes, checkpoint=CHECKPOINT, **options):
  """(GraphDef, signatures), each made once: nobody changes them."""
  return _frozen(tuple(signatures), sizes, checkpoint, **options)


@functools.lru_cache(maxsize=None)
def _frozen(signatures, sizes, checkpoint, **options):
  with Inference(TASK, list(signatures), checkpoint, sizes) as inference:
    return inference.frozen(**options), inference.signatures


def answers(graph_def, signature, inputs):
  with tf.Graph().as_default(), tf.Session() as session:
    tf.import_graph_def(graph_def, name='')
    return session.run({name: info.node + ':0' for name, info in signature.outputs.items()},
                       {info.node + ':0': inputs[field] for field, info in signature.inputs.items()})


def expected(inputs):
  """What plain_albert gives: {signature: {output: array}}."""
  positions = inputs['masked_lm_positions']
  labels = dict(masked_lm_ids=np.zeros_like(positions), masked_lm_weights=np.ones(positions.shape),
                next_sentence_labels=np.zeros([len(positions), 1]))
  with tf.Graph().as_default(), tf.Session() as session:
    batch = Batch(**{name: tf.constant(value, tf.float32 if name == 'masked_lm_weights' else tf.int32)
                     for name, value in dict(inputs, **labels).items()})
    plain = plain_albert.build(batch, CONFIG)
    tf.train.Saver(tf.trainable_variables()).restore(session, CHECKPOINT)
    plain = session.run(plain)
  return {'features': {'sequence_output': plain.sequence_output, 'pooled_output': plain.pooled_output},
          'masked_lm': {'logits': plain.masked_lm_log_probs}, 'sentence_order': {
              'probabilities': np.exp(plain.sentence_order_log_probs)}}


@pytest.mark.parametrize('task, more', [('features', set()), ('masked_lm', OF_READ_POSITIONS),
                                        ('sentence_order', OF_READ_POSITIONS)])
def test_a_frozen_graph_has_these_operations_and_no_others(task, more):
  graph_def, signatures = frozen([task], FIXED)
  counts = collections.Counter(node.op for node in graph_def.node)
  assert set(counts) == OPERATIONS | more
  assert counts['Placeholder'] == len(signatures[task].inputs)
  assert counts['Identity'] == len(signatures[task].outputs)
  assert {tf.as_dtype(value.type) for node in graph_def.node for value in node.attr.values() if value.type} == {
      tf.float32, tf.int32}
  for node in graph_def.node:
    assert not node.device and '_class' not in node.attr and '_XlaCompile' not in node.attr
    assert not any(tensor.startswith('^') for tensor in node.input)
  assert not graph_def.library.function


def test_a_model_with_relu_has_one_more():
  folder = os.path.join(os.path.dirname(FIXTURE), 'unfactored_relu_adamw')
  task = Pretraining(AlbertConfig.from_json_file(os.path.join(folder, 'albert_config.json')))
  with Inference(task, ['features'], os.path.join(folder, 'model.ckpt-0'), FIXED) as inference:
    assert {node.op for node in inference.frozen().node} - OPERATIONS == {'Relu'}


def test_the_list_of_operations_would_see_the_custom_gradients():
  with Inference(TASK, ['features'], CHECKPOINT, FIXED) as inference:
    kinds = {op.type for op in inference._session.graph.get_operations()}
  assert 'IdentityN' in kinds and 'VariableV2' in kinds


def test_what_passes_on_is_bypassed_and_outputs_stay():
  with tf.Graph().as_default() as graph:
    x = tf.placeholder(tf.float32, [4], name='x')
    first, second = tf.identity_n([x, tf.split(x, 2)[1]])
    tf.constant(1, name='unused')
    with tf.control_dependencies([tf.debugging.assert_positive(x)]):
      tf.identity(tf.stop_gradient(second) + tf.identity(first)[:2], name='y')
  plain = without_passing_on(graph.as_graph_def(), ['y'])
  kinds = collections.Counter(node.op for node in plain.node)
  assert kinds['Identity'] == 1 and not kinds['IdentityN'] + kinds['StopGradient'] + kinds['Assert']
  assert not [node for node in plain.node if node.name == 'unused']
  with tf.Graph().as_default(), tf.Session() as session:
    tf.import_graph_def(plain, name='')
    np.testing.assert_array_equal(session.run('y:0', {'x:0': [1, 2, 3, 4]}), [4, 6])


@pytest.mark.parametrize('sizes', [FREE, FIXED])
def test_it_answers_as_the_plain_graph(sizes):
  fields = TASK.signatures['masked_lm']
  graph_def, signatures = frozen(list(TASK.signatures), sizes)
  for inputs in checking.cases(fields, CONFIG, sizes).values():
    plain = expected(inputs)
    for name, signature in signatures.items():
      for output, value in answers(graph_def, signature, inputs).items():
        if output == 'logits':
          value = value.reshape([-1, CONFIG.vocab_size])
          value = value - np.log(np.sum(np.exp(value), axis=-1, keepdims=True))
        np.testing.assert_allclose(value, plain[name][output], rtol=1e-4, atol=1e-5)


def test_sizes_that_are_free_and_fixed_are_in_the_signature():
  assert frozen(['masked_lm'], FIXED)[1]['masked_lm'].outputs['logits'].shape == [2, 3, 211]
  described = frozen(['features', 'masked_lm', 'sentence_order'], FREE)[1]
  assert described['features'].outputs['sequence_output'].shape == [None, None, CONFIG.hidden_size]
  assert described['masked_lm'].outputs['logits'].shape == [None, None, 211]
  assert {info.dtype for signature in described.values() for info in signature.inputs.values()} == {'int32'}


def test_a_sequence_above_the_position_embeddings_is_refused_when_it_comes():
  graph_def, signatures = frozen(['features'], FREE)
  inputs = {field: np.ones([1, CONFIG.max_position_embeddings + 1]) for field in signatures['features'].inputs}
  with pytest.raises(tf.errors.InvalidArgumentError):
    answers(graph_def, signatures['features'], inputs)


def test_half_precision_stores_the_matrices():
  whole, signatures = frozen(['features'], FREE)
  graph_def, _ = frozen(['features'], FREE, float16=True)
  halved = {node.name: tf.make_ndarray(node.attr['value'].tensor) for node in graph_def.node
            if node.op == 'Const' and node.attr['dtype'].type == tf.float16.as_datatype_enum}
  stored = {node.name for node in whole.node if node.name.startswith('bert/') and node.op == 'Const'
            and len(node.attr['value'].tensor.tensor_shape.dim) == 2}
  assert set(halved) == {name + '/float16' for name in stored} and len(stored) == 11
  for node in graph_def.node:
    if node.name in halved:
      assert len(node.attr['value'].tensor.tensor_content) == 2 * halved[node.name].size
  inputs = checking.cases(TASK.signatures['features'], CONFIG, FREE)['padded']
  first, second = [answers(graph, signatures['features'], inputs)['sequence_output'] for graph in (whole, graph_def)]
  assert 0 < checking.deviation(second, first) < 1e-2


def _without(tmp_path, prefixes, **changed):
  """Prefix of a copy of the checkpoint without some variables; `changed`: {name with . for /: value}."""
  reader = tf.train.load_checkpoint(CHECKPOINT)
  with tf.Graph().as_default(), tf.Session() as session:
    for name in reader.get_variable_to_shape_map():
      if not name.startswith(prefixes):
        tf.get_variable(name, initializer=changed.get(name.split('/')[-1], reader.get_tensor(name)))
    session.run(tf.global_variables_initializer())
    return tf.train.Saver().save(session, str(tmp_path / 'model.ckpt'), write_meta_graph=False)


def test_heads_that_are_not_there_are_left_out_and_refused(tmp_path):
  prefix = _without(tmp_path, ('cls/',))
  with Inference(TASK, ['features', 'masked_lm', 'sentence_order'], prefix, FREE) as inference:
    assert list(inference.signatures) == ['features']
    assert sorted(inference.left_out) == ['masked_lm', 'sentence_order']
    inference.frozen()
  with pytest.raises(UserError, match='expected the head that --task=masked_lm answers with, found no cls/predictions'):
    Inference(TASK, ['masked_lm'], prefix, FREE)


def test_a_masked_language_model_needs_no_pooler(tmp_path):
  graph_def, signatures = frozen(['masked_lm'], FREE, _without(tmp_path, ('cls/seq', 'bert/pooler')))
  assert list(signatures) == ['masked_lm'] and not [node for node in graph_def.node if 'pooler' in node.name]


def test_another_model_is_refused(tmp_path):
  with pytest.raises(UserError, match='expected a checkpoint of this architecture, found bert/embeddings'):
    Inference(Pretraining(AlbertConfig(**dict(CONFIG.to_dict(), vocab_size=30))), ['features'], CHECKPOINT, FREE)
  with pytest.raises(UserError, match='is missing'):
    Inference(TASK, ['features'], _without(tmp_path, ('bert/encoder/',)), FREE)


def test_a_weight_too_large_for_half_precision_is_refused(tmp_path):
  prefix = _without(tmp_path, ('global_step',), word_embeddings=np.full([211, CONFIG.embedding_size], 1e5, np.float32))
  with pytest.raises(UserError, match='word_embeddings: expected values up to 65,504.*found 1e[+]05'):
    frozen(['features'], FREE, prefix, float16=True)


def _documented():
  """(request, answer) of docs/export.md, as their JSON says."""
  with open(os.path.join(ROOT, 'docs', 'export.md'), encoding='utf-8') as source:
    text = source.read()
  request = re.search(r"curl \S+:predict -d '(.*?)'\n", text, re.DOTALL).group(1)
  return json.loads(request), json.loads(re.search(r'^[{]"predictions": .*[}]$', text, re.MULTILINE).group())


def test_the_documented_request_fits_the_signature_and_its_answer_the_outputs(tmp_path):
  request, answer = _documented()
  graph_def, signatures = frozen(list(TASK.signatures), FREE)
  formats.write_saved_model(str(tmp_path / '1'), graph_def, signatures, 'features')
  with tf.Graph().as_default(), tf.Session() as session:
    definition = tf.saved_model.load(session, ['serve'], str(tmp_path / '1')).signature_def[request['signature_name']]
    instances = request['instances']
    assert all(set(instance) == set(definition.inputs) for instance in instances)
    assert all(type(number) is int for instance in instances for row in instance.values() for number in row)
    feeds = {info.name: np.array([instance[key] for instance in instances]) for key, info in definition.inputs.items()}
    assert len({value.shape for value in feeds.values()}) == 1
    feeds = {name: value % CONFIG.vocab_size for name, value in feeds.items()}
    (output,) = definition.outputs.values()  # with a single output a prediction is its row, not a dict
    assert session.run(output.name, feeds).shape == np.shape(answer['predictions'])
    assert np.sum(answer['predictions']) == pytest.approx(len(instances))


def test_a_rest_request_is_answered(tmp_path):
  """The row form of TensorFlow Serving: each instance a dict of inputs; a prediction for each, by the first axis."""
  graph_def, signatures = frozen(list(TASK.signatures), FREE)
  folder = str(tmp_path / '1')
  formats.write_saved_model(folder, graph_def, signatures, 'sentence_order')
  request = {'instances': [{'input_ids': [2, 5, 7, 3], 'input_mask': [1, 1, 1, 1], 'segment_ids': [0, 0, 1, 1]},
                           {'input_ids': [2, 9, 3, 0], 'input_mask': [1, 1, 1, 0], 'segment_ids': [0, 0, 0, 0]}]}
  with tf.Graph().as_default(), tf.Session() as session:
    definitions = tf.saved_model.load(session, ['serve'], folder).signature_def
    assert sorted(definitions) == ['features', 'masked_lm', 'sentence_order', 'serving_default']
    assert definitions['serving_default'] == definitions['sentence_order']
    assert {info.dtype for info in definitions['masked_lm'].inputs.values()} == {tf.int32.as_datatype_enum}
    for name in ('serving_default', 'features'):
      definition = definitions[name]
      assert all(set(instance) == set(definition.inputs) for instance in request['instances'])
      values = session.run({key: info.name for key, info in definition.outputs.items()}, {
          info.name: [instance[key] for instance in request['instances']] for key, info in definition.inputs.items()})
      assert all(len(value) == len(request['instances']) for value in values.values())
      if name == 'serving_default':
        np.testing.assert_allclose(values['probabilities'].sum(axis=1), [1, 1], rtol=1e-6)
