"""Mixed precision on a GPU: what is switched on, and what loss scaling does to a step. TensorFlow without a GPU leaves
the graph in float32, so the numbers here are those of loss scaling alone."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

import fault_runs
import synthetic_data
from albert.common.errors import UserError
from albert.device import session_options
from albert import input_pipeline
from albert import lamb
from albert.model.config import AlbertConfig
from albert import npu_session
from albert.run import checkpoints
from albert.tasks.pretraining import Pretraining
from albert.training import training_step
from npu_stub import installed

CONFIG = AlbertConfig(vocab_size=len(synthetic_data.VOCAB), embedding_size=6, hidden_size=8, num_hidden_layers=1,
                      num_attention_heads=2, intermediate_size=12)
OPTIONS = lamb.OptimizerOptions(learning_rate=0.05, num_warmup_steps=0)
SCALE = 'current_loss_scale'


@pytest.fixture
def gpu(monkeypatch):
  monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: ['gpu:0'])


def _device(**options):
  return npu_session.start(session_options.SessionOptions(**options), environ={})


def _rewrite(device):
  return device.session_config().graph_options.rewrite_options.auto_mixed_precision


def test_the_graph_rewrite_is_on_where_it_was_asked_for(gpu):
  rewriter = rewriter_config_pb2.RewriterConfig
  assert _rewrite(_device(mixed_precision=True)) == rewriter.ON
  assert _rewrite(_device()) == rewriter.DEFAULT
  assert _rewrite(_device(device='cpu')) == rewriter.DEFAULT
  description = _device(mixed_precision=True).describe()
  assert 'device=gpu' in description and 'precision=mixed_float16' in description
  assert 'loss_scale=dynamic' in description
  assert 'loss_scale' not in _device().describe()


def _refusal(**options):
  with pytest.raises(UserError) as caught:
    _device(mixed_precision=True, **options)
  message = str(caught.value).split('\n  In call to configurable')[0]
  assert '\n' not in message and 'SessionOptions.mixed_precision: expected a GPU' in message
  return message


def test_it_is_refused_where_it_would_do_nothing(gpu, monkeypatch):
  assert 'found device=cpu (SessionOptions.device); leave it out' in _refusal(device='cpu')
  with installed.npu_bridge(installed.NEWEST):
    assert 'found device=npu' in _refusal() and 'precision_mode' in _refusal()
  monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: [])
  assert 'found device=cpu (npu_bridge not installed)' in _refusal()


def test_lamb_is_inside_the_loss_scaling(gpu):
  inner = lamb.Lamb(0.1)
  with tf.Graph().as_default():
    wrapped = _device(mixed_precision=True).loss_scaling.wrap(inner)
    assert isinstance(wrapped, tf.compat.v1.train.experimental.MixedPrecisionLossScaleOptimizer)
    variable = tf.get_variable('w', initializer=[1.0, 2.0])
    wrapped.apply_gradients(wrapped.compute_gradients(tf.reduce_sum(variable)))
    assert [inner.get_slot(variable, name).op.name for name in ('m', 'v')] == ['w/adam_m', 'w/adam_v']
    assert wrapped._optimizer is inner and SCALE in [v.op.name for v in tf.global_variables()]
  assert _device().loss_scaling.wrap(inner) is inner
  assert _device(mixed_precision=True, loss_scale=None).loss_scaling.wrap(inner) is inner


def _values(**changes):
  records = [synthetic_data.record(number) for number in range(4)]
  return dict({name: np.array([record[name] for record in records],
                              np.float32 if name == 'masked_lm_weights' else np.int32)
               for name in input_pipeline.Batch._fields}, **changes)


def _overflow():
  values = _values()
  values['masked_lm_weights'][3, 0] = np.inf
  return values


def _train(device, batches, micro_batch_size=None):
  """Makes a step with each batch. Returns (gradient norms, state after each step: {variable: value})."""
  with tf.Graph().as_default(), tf.Session(config=device.session_config()) as running:
    batch = input_pipeline.Batch(**{name: tf.placeholder(tf.as_dtype(value.dtype), value.shape)
                                    for name, value in batches[0].items()})
    update, _ = training_step.make(Pretraining(CONFIG), batch, OPTIONS, 100, device, micro_batch_size=micro_batch_size)
    random = np.random.RandomState(0)
    running.run(tf.global_variables_initializer(), {
        variable.initializer.inputs[1]: random.normal(0.0, 0.5, variable.shape.as_list())
        for variable in sorted(tf.trainable_variables(), key=lambda v: v.op.name)})
    variables = {v.op.name: v for v in tf.global_variables()}
    norms, states = [], []
    for values in batches:
      norms.append(running.run([update.norm, update.train_op], {
          getattr(batch, name): value for name, value in values.items()})[0])
      states.append(running.run(variables))
  return norms, states


def _train_on_a_gpu(batches, micro_batch_size=None, **options):
  """(the device, norms, states), where TensorFlow seems to see a GPU."""
  with mock.patch.object(tf.config.experimental, 'list_physical_devices', lambda kind: ['gpu:0']):
    device = _device(**options)
    return (device,) + _train(device, batches, micro_batch_size)


@pytest.fixture(scope='module')
def plain():
  """Two steps without loss scaling."""
  return _train_on_a_gpu([_values()] * 2, fused_ops=False)[1:]


@pytest.fixture(scope='module')
def dynamic():
  """Two steps, one that overflows, one more; in micro-batches."""
  return _train_on_a_gpu([_values(), _values(), _overflow(), _values()], 2, mixed_precision=True)


@pytest.fixture(scope='module')
def fixed():
  return _train_on_a_gpu([_values(), _values(), _overflow(), _values()], mixed_precision=True, loss_scale=1024)


@pytest.mark.parametrize('scaled', ['dynamic', 'fixed'])
def test_a_step_is_that_without_loss_scaling(plain, scaled, request):
  """Gradients are clipped after they were divided by the scale: at norm 1, which theirs exceeds."""
  expected_norms, expected = plain
  _, norms, states = request.getfixturevalue(scaled)
  assert expected_norms[0] > 1.0
  np.testing.assert_allclose(norms[:2], expected_norms, rtol=1e-3)
  assert [state['global_step'] for state in states[:2]] == [1, 2]
  for name, value in expected[1].items():
    if 'key/bias' not in name:  # its gradient is rounding alone
      np.testing.assert_allclose(states[1][name], value, rtol=2e-3, atol=2e-5, err_msg=name)


def test_after_an_overflow_only_the_scale_changes(dynamic):
  device, _, states = dynamic
  assert device.loss_scaling.skips_overflows and 2.0 ** device.loss_scaling.most_overflows == states[0][SCALE]
  assert [state[SCALE] for state in states] == [2.0 ** 15, 2.0 ** 15, 2.0 ** 14, 2.0 ** 14]
  assert [state['good_steps'] for state in states] == [1, 2, 0, 1]
  assert [state['global_step'] for state in states] == [1, 2, 2, 3]
  for name, value in states[1].items():
    if name not in (SCALE, 'good_steps'):
      np.testing.assert_array_equal(states[2][name], value, err_msg=name)
  assert np.abs(states[3]['bert/pooler/dense/kernel'] - states[2]['bert/pooler/dense/kernel']).max() > 0


def test_with_a_fixed_scale_the_guard_skips(fixed):
  """TensorFlow's fixed scale would apply what is not finite. The guard's steps count, skipped ones too."""
  device, _, states = fixed
  assert not device.loss_scaling.skips_overflows
  assert [state['global_step'] for state in states] == [1, 2, 3, 4]
  for name, value in states[1].items():
    if name != 'global_step':
      np.testing.assert_array_equal(states[2][name], value, err_msg=name)
  assert np.isfinite(states[3]['bert/pooler/dense/kernel']).all()


@pytest.mark.integration
def test_a_run_skips_an_overflow_and_goes_on_with_its_scale(gpu, tmp_path):
  """What goes on from the checkpoint of step 8 reaches the same weights, slots and scale."""
  info = fault_runs.write_data(str(tmp_path / 'data'))
  options = ["SessionOptions.device = 'gpu'", 'SessionOptions.mixed_precision = True']

  def train():
    fault_runs.train(info.folder, tmp_path / 'out', *options)
    return fault_runs.weights(checkpoints.latest(str(tmp_path / 'out')))

  expected = train()
  assert expected['global_step'] == 12 and expected[SCALE] < 2.0 ** 15
  for path in (tmp_path / 'out').glob('model.ckpt-12*'):
    path.unlink()
  again = train()
  assert sorted(again) == sorted(expected)
  for name, value in expected.items():
    np.testing.assert_array_equal(again[name], value, err_msg=name)
