"""tools.checkpoints export: what it writes, what it refuses, and that nothing is left of an export that deviates."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from albert.common.errors import Diverged
from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.model.config import AlbertConfig
from albert.tasks.pretraining import Pretraining
from tools.conversion.exporting import checking
from tools.conversion.exporting import export
from tools.conversion.exporting import formats
from tools.conversion.exporting.inference import Signature
from tools.conversion.exporting.inference import Sizes
from tools.conversion.exporting.inference import TensorInfo

FIXTURE = os.path.join(ROOT, 'test', 'support', 'parity', 'shared_group')
CHECKPOINT = os.path.join(FIXTURE, 'model.ckpt-0')
CONFIG = AlbertConfig.from_json_file(os.path.join(FIXTURE, 'albert_config.json'))
ENCODER_INPUTS = ['input_ids', 'input_mask', 'segment_ids']


def options(form='pb', task=None, sizes=(None, None, None), float16=False, quantize=False):
  return export.Options(form, task, Sizes(*sizes), float16, quantize)


@pytest.fixture
def unchecked(monkeypatch):
  """A list whose number the check of an export gives."""
  answer = [0.0]
  monkeypatch.setattr(checking, 'check', lambda *unused: answer[0])
  return answer


@pytest.mark.parametrize('given, message', [
    (dict(form='tflite'), "--format: expected one of saved_model, pb, onnx, found 'tflite'"),
    (dict(task='classify'), "--task: expected one of features, masked_lm, sentence_order, found 'classify'"),
    (dict(form='saved_model', sizes=(1, None, None)), '--batch_size: expected with --format=pb only, found 1'),
    (dict(form='saved_model', sizes=(None, 9, None)), '--max_seq_length: expected with --format=pb only, found 9'),
    (dict(sizes=(0, None, None)), '--batch_size: expected a whole number of at least 1, found 0'),
    (dict(sizes=(1, 41, None)), 'expected sequences of at most 40 tokens'),
    (dict(quantize=True), '--quantize: expected with --format=onnx'),
])
def test_what_does_not_go_together_is_one_line(tmp_path, given, message):
  with pytest.raises(UserError) as caught:
    export.export(CHECKPOINT, str(tmp_path / 'out'), options(**given))
  assert message in str(caught.value) and '\n' not in str(caught.value)
  assert not list(tmp_path.iterdir())


def test_the_packages_of_onnx_are_named(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'onnx', None)
  with pytest.raises(UserError, match='expected the packages of requirements-onnx.txt.*pip install -r'):
    export.export(CHECKPOINT, str(tmp_path / 'out'), options('onnx'))


@pytest.mark.parametrize('task, message', [(None, None), ('masked_lm', 'without the masked-LM head')])
def test_the_tied_head_is_not_quantized(task, message, monkeypatch):
  monkeypatch.setattr(formats, 'check_onnx_packages', lambda: None)
  given = options('onnx', task, quantize=True)
  if message is None:
    assert export._checked(given, Pretraining(CONFIG), 40).task == 'features'
  else:
    with pytest.raises(UserError, match=message):
      export._checked(given, Pretraining(CONFIG), 40)


def test_weights_without_a_configuration_are_refused(tmp_path):
  for name in ('model.ckpt-0.index', 'model.ckpt-0.data-00000-of-00001'):
    os.symlink(os.path.join(FIXTURE, name), str(tmp_path / name))
  with pytest.raises(UserError, match='expected albert_config.json beside the weights, found none'):
    export.export(str(tmp_path), str(tmp_path / 'out'), options())


def test_a_folder_with_files_is_not_overwritten(tmp_path, unchecked):
  (tmp_path / 'mine').write_text('')
  with pytest.raises(UserError, match='expected a new folder, found one with files'):
    export.export(CHECKPOINT, str(tmp_path), options())
  assert os.listdir(str(tmp_path)) == ['mine']


@pytest.mark.parametrize('deviation, given, fails', [
    (1.1e-5, {}, True), (0.9e-5, {}, False), (float('inf'), {}, True), (0.1, dict(float16=True), False),
    (float('inf'), dict(float16=True), True)])
def test_an_export_that_deviates_is_removed(tmp_path, unchecked, deviation, given, fails):
  unchecked[:] = [deviation]
  if not fails:
    assert export.export(CHECKPOINT, str(tmp_path / 'out'), options(**given))['deviation'] == deviation
    assert os.listdir(str(tmp_path)) == ['out']
    return
  with pytest.raises(UserError, match='found a deviation of .*the export was removed'):
    export.export(CHECKPOINT, str(tmp_path / 'out'), options(**given))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('error', [
    OSError(errno.ENOSPC, 'No space left on device'), tf.errors.ResourceExhaustedError(None, None, 'No space left')])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, unchecked, monkeypatch, error):
  def fail(folder, graph_def):
    with open(os.path.join(folder, 'model.pb'), 'wb') as target:
      target.write(b'half of it')
    raise error
  monkeypatch.setattr(formats, 'write_pb', fail)
  with pytest.raises(UserError, match='expected to write the export, found: .*No space left.*; make room'):
    export.export(CHECKPOINT, str(tmp_path / 'out'), options())
  assert not list(tmp_path.iterdir())


def test_a_frozen_graph_and_the_command_that_compiles_it(tmp_path, unchecked, capsys):
  report = export.export(CHECKPOINT, str(tmp_path / 'my export'), options(task='masked_lm', sizes=(2, 16, 3)))
  assert sorted(os.listdir(str(tmp_path / 'my export'))) == [
      'albert_config.json', 'atc.txt', 'export.json', 'model.pb']
  expected = ("atc --framework=3 --model='{0}/model.pb' --output='{0}/model' --input_format=ND "
              '--input_shape="input_ids:2,16;input_mask:2,16;segment_ids:2,16;masked_lm_positions:2,3" '
              '--out_nodes="logits:0" --soc_version=Ascend310 --op_select_implmode=high_precision').format(
                  tmp_path / 'my export')
  assert report['atc'] == expected and (tmp_path / 'my export' / 'atc.txt').read_text() == expected + '\n'
  export.print_report(report)
  printed = capsys.readouterr().out
  assert expected in printed and 'no ATC was at hand' in printed
  assert json.loads((tmp_path / 'my export' / 'export.json').read_text())['task'] == 'masked_lm'


def test_sizes_that_were_not_given():
  assert export._checked(options(), Pretraining(CONFIG), 512).sizes == (1, 128, 20)
  assert export._checked(options(sizes=(None, 200, 7)), Pretraining(CONFIG), 512).sizes == (1, 200, 7)
  assert export._checked(options(), Pretraining(CONFIG), 40).sizes == (1, 40, 20)
  assert export._checked(options('saved_model'), Pretraining(CONFIG), 40).sizes == (None, None, None)


def test_deviation():
  assert checking.deviation(np.float32([1.0, 2.5]), np.float32([1.0, 2.0])) == 0.25
  assert checking.deviation(np.float32([0.1]), np.float32([0.2])) == pytest.approx(0.1)
  assert checking.deviation(np.float32([np.nan]), np.float32([0.2])) == float('inf')
  assert checking.deviation(np.zeros([0]), np.zeros([0])) == 0.0


def test_a_checkpoint_whose_own_answers_are_no_numbers_is_no_fault_of_the_export(monkeypatch):
  signature = Signature({'input_ids': TensorInfo('a', 'int32', [None, None])},
                        {'logits': TensorInfo('b', 'float32', [])})
  monkeypatch.setattr(checking, '_answers', lambda *unused: {})
  with pytest.raises(Diverged, match='found NaN or infinity in its logits'):
    checking.check('model.pb', 'pb', {'masked_lm': signature}, lambda *unused: {'logits': np.float32([1.0, np.inf])},
                   CONFIG, Sizes(None, None, None))


def test_it_is_compared_on_full_rows_of_two_shapes_and_on_padding():
  made = checking.cases(ENCODER_INPUTS, CONFIG, Sizes(None, None, None))
  assert made['random']['input_mask'].all() and made['random']['input_ids'].shape == (3, 17)
  lengths = made['padded']['input_mask'].sum(axis=1)
  assert made['padded']['input_ids'].shape == (2, 29) and 0 < lengths[0] < 29 and lengths[1] == 0
  assert set(made['random']['segment_ids'].ravel()) == {0, 1}
  assert made['random']['input_ids'].max() > CONFIG.vocab_size // 2
  for fixed in ((1, 16, 3), (4, 1, 1)):
    for values in checking.cases(ENCODER_INPUTS + ['masked_lm_positions'], CONFIG, Sizes(*fixed)).values():
      assert {value.shape for value in values.values()} == {fixed[:2], (fixed[0], fixed[2])}
      assert {value.dtype for value in values.values()} == {np.dtype(np.int32)}


@pytest.mark.parametrize('answer', [{}, {'y': np.zeros([2, 2], np.float32)}, {'y': np.zeros([3, 2], np.float64)}])
def test_an_answer_of_another_form_is_found(monkeypatch, answer):
  monkeypatch.setattr(checking, '_answers', lambda *unused: {
      'random/features/' + name: value for name, value in answer.items()})
  signature = Signature({'input_ids': TensorInfo('input_ids', 'int32', [None, None])},
                        {'y': TensorInfo('y', 'float32', [None, 2])})
  with pytest.raises(UserError, match=r'expected float32 \(3, 2\) of y, found .* in a fresh process'):
    checking.check('model.pb', 'pb', {'features': signature}, lambda *unused: {'y': np.zeros([3, 2], np.float32)},
                   CONFIG, Sizes(None, None, None))


def run(*arguments, **keywords):
  done = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'tools.checkpoints', 'export'] + list(arguments),
                        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
  assert done.returncode == keywords.get('code', 0), done.stderr
  return done


@pytest.mark.integration
@pytest.mark.parametrize('given', [
    ['--format=saved_model'], ['--format=pb', '--batch_size=2', '--max_seq_length=16', '--max_predictions_per_seq=3'],
    ['--format=saved_model', '--float16']])
def test_a_fresh_process_answers_as_the_checkpoint(tmp_path, given):
  report = json.loads(run(CHECKPOINT, str(tmp_path / 'out'), '--json', '--task=masked_lm', *given).stdout)
  assert report['deviation'] <= (1e-3 if '--float16' in given else 1e-5)
  assert report['deviation'] > 0 or '--float16' not in given
  assert os.listdir(str(tmp_path)) == ['out'] and report['left_out'] == {}
  if '--format=saved_model' in given:
    assert set(report['files']) == {'saved_model.pb', 'assets.extra/albert_config.json', 'assets.extra/export.json'}


@pytest.mark.integration
def test_a_weight_that_was_changed_on_the_way_is_found(tmp_path, monkeypatch):
  real = formats.write_pb

  def changed(folder, graph_def):
    node = next(node for node in graph_def.node if node.name == 'bert/embeddings/LayerNorm/beta')
    value = tf.make_ndarray(node.attr['value'].tensor).copy()
    value[3] += 1e-3
    node.attr['value'].tensor.CopyFrom(tf.make_tensor_proto(value))
    real(folder, graph_def)
  monkeypatch.setattr(formats, 'write_pb', changed)
  with pytest.raises(UserError, match='found a deviation of 0.0'):
    export.export(CHECKPOINT, str(tmp_path / 'out'), options())
  assert not list(tmp_path.iterdir())


@pytest.mark.integration
def test_what_cannot_be_loaded_is_found(tmp_path, monkeypatch):
  def broken(folder, graph_def):
    with open(os.path.join(folder, 'model.pb'), 'wb') as target:
      target.write(graph_def.SerializeToString()[:-9])
  monkeypatch.setattr(formats, 'write_pb', broken)
  with pytest.raises(UserError, match='expected an export that a fresh process loads, found: .*Error'):
    export.export(CHECKPOINT, str(tmp_path / 'out'), options())
  assert not list(tmp_path.iterdir())


@pytest.mark.integration
@pytest.mark.parametrize('given, most', [
    (['--task=features'], 1e-5), (['--task=masked_lm'], 1e-5), (['--task=sentence_order'], 1e-5),
    (['--task=masked_lm', '--float16'], 1e-3), (['--task=features', '--quantize'], 0.1)])
def test_onnx(tmp_path, given, most):
  for package in ('onnx', 'tf2onnx', 'onnxruntime'):
    pytest.importorskip(package, reason='needs requirements-onnx.txt')
  printed = run(CHECKPOINT, str(tmp_path / 'out'), '--json', '--format=onnx', *given).stdout
  assert json.loads(printed)['deviation'] <= most
  import onnx
  model = onnx.load(str(tmp_path / 'out' / 'model.onnx'))
  onnx.checker.check_model(model)
  assert {entry.version for entry in model.opset_import if not entry.domain} == {13}
  assert [value.name for value in model.graph.input][:3] == ENCODER_INPUTS
  assert [dim.dim_param for dim in model.graph.input[0].type.tensor_type.shape.dim] == ['batch', 'length']
  if given == ['--task=masked_lm']:  # the tied table is there once
    shapes = [tuple(tensor.dims) for tensor in model.graph.initializer]
    assert (CONFIG.vocab_size, CONFIG.embedding_size) in shapes
    assert (CONFIG.embedding_size, CONFIG.vocab_size) not in shapes
