"""npu_session: devices, ranks, threads, hooks and operations, on the stand-in for npu_bridge."""

import json
import logging
import os
import re
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from albert.common.files import ROOT
from albert.device import cores
from albert.device import session_options
from albert import npu_session
from npu_stub import installed
from user_errors import error_of

pytest_plugins = ['npu_stub.fixtures']


# --- devices


def test_without_npu_bridge_it_is_the_cpu_and_one_log_line_says_so(caplog):
  with caplog.at_level(logging.INFO, logger='albert'):
    device = npu_session.start(environ={})
  assert device.kind == 'cpu'
  lines = [record.getMessage() for record in caplog.records if 'device=' in record.getMessage()]
  assert lines == ['device=cpu (npu_bridge not installed) precision=fp32 steps_per_loop=1']


def test_off_the_npu_everything_is_the_identity():
  device = npu_session.start(environ={})
  tensor, optimizer = tf.constant(1.0), tf.train.AdamOptimizer()
  assert (device.rank, device.ranks, device.is_chief) == (0, 1, True)
  assert device.gelu is None and device.dropout is None
  assert device.loss_scaling.wrap(optimizer) is optimizer
  assert device.collectives.all_reduce_sum(tensor, 'x') is tensor
  assert device.collectives.average_gradients([(tensor, 'v')]) == [(tensor, 'v')]
  assert device.wrap_train_op(tensor.op) is tensor.op
  assert device.train_hooks(['hook']) == ['hook']


def test_choosing_logs_nothing_and_is_not_done_again(release, rank_environment, caplog):
  options = session_options.SessionOptions()
  with caplog.at_level(logging.INFO, logger='albert'):
    placement = npu_session.choose(options, rank_environment(1))
  assert not [record for record in caplog.records if record.name == 'albert']
  assert (placement.kind, placement.rank, placement.ranks) == ('npu', 1, 2)
  device = npu_session.start(options, placement, environ={'RANK_SIZE': 'two'})
  assert (device.kind, device.rank, device.ranks) == ('npu', 1, 2)
  assert device.describe() == npu_session.start(options, environ=rank_environment(1)).describe()


def test_npu_asked_for_and_absent_says_what_to_install():
  message = error_of(npu_session.start, session_options.SessionOptions(device='npu'), environ={})
  assert 'npu_bridge' in message and 'install' in message


@pytest.mark.parametrize('device', ['auto', 'npu'])
def test_broken_npu_bridge_is_not_taken_for_an_absent_one(device, tmp_path, monkeypatch):
  (tmp_path / 'npu_bridge').mkdir()
  (tmp_path / 'npu_bridge' / '__init__.py').write_text(
      'raise ImportError("libge_runner.so: cannot open\\nshared object file")\n')
  monkeypatch.syspath_prepend(str(tmp_path))
  message = error_of(npu_session.start, session_options.SessionOptions(device=device), environ={})
  assert 'libge_runner.so: cannot open shared object file' in message and 'install' in message
  assert npu_session.start(session_options.SessionOptions(device='cpu'), environ={}).kind == 'cpu'


def test_npu_bridge_without_a_module_that_is_needed_is_broken(tmp_path, monkeypatch):
  (tmp_path / 'npu_bridge').mkdir()
  (tmp_path / 'npu_bridge' / '__init__.py').write_text('')
  monkeypatch.syspath_prepend(str(tmp_path))
  assert 'npu_init' in error_of(npu_session.start, environ={})


def test_npu_is_taken_when_it_is_there(release):
  description = npu_session.start(environ={}).describe()
  assert description.startswith('device=npu (npu_bridge ')
  assert ('before 5.0.1' in description) == (release == 'r1.1.1')
  assert 'precision=allow_mix_precision steps_per_loop=1 rank=0/1 loss_scale=dynamic fused_ops=gelu,dropout' in (
      description)


def test_only_a_device_with_a_host_in_the_loop_times_its_input(release):
  assert not npu_session.start(environ={}).measures_input_wait
  assert npu_session.start(session_options.SessionOptions(device='cpu'), environ={}).measures_input_wait


def test_cpu_asked_for_beside_an_npu(release):
  device = npu_session.start(session_options.SessionOptions(device='cpu'), environ={})
  assert device.describe() == 'device=cpu (SessionOptions.device) precision=fp32 steps_per_loop=1'
  assert 'npu_bridge' not in sys.modules


def test_gpu(monkeypatch):
  monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: [])
  assert 'GPU' in error_of(npu_session.start, session_options.SessionOptions(device='gpu'), environ={})
  monkeypatch.setattr(tf.config.experimental, 'list_physical_devices', lambda kind: ['gpu:0'])
  for wanted in ('gpu', 'auto'):
    device = npu_session.start(session_options.SessionOptions(device=wanted), environ={})
    assert device.kind == 'gpu' and device.precision == 'fp32'
    assert device.session_config().gpu_options.allow_growth
  assert npu_session.start(session_options.SessionOptions(device='cpu'), environ={}).kind == 'cpu'


def test_importing_needs_neither_npu_bridge_nor_ranks():
  code = ('import sys\nfrom albert import npu_session\nassert npu_session.start(environ={}).kind\n'
          'assert not [name for name in sys.modules if name.startswith("npu_bridge")]')
  environ = {name: value for name, value in os.environ.items() if not name.startswith('RANK')}
  subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=ROOT, env=environ, check=True)


# --- ranks from the environment


def test_several_ranks_without_an_npu_are_refused(rank_environment):
  for device in ('auto', 'cpu'):
    message = error_of(npu_session.start, session_options.SessionOptions(device=device),
                       environ=rank_environment(0))
    assert 'RANK_SIZE=2' in message and 'install' in message


@pytest.mark.parametrize('environ', [
    {'RANK_SIZE': 'two'}, {'RANK_SIZE': '0'}, {'RANK_SIZE': '8'}, {'RANK_SIZE': '8', 'RANK_ID': '8'},
    {'RANK_SIZE': '8', 'RANK_ID': '-1'}, {'RANK_ID': '3'}])
def test_ranks_that_cannot_be(environ):
  assert 'RANK_SIZE' in error_of(npu_session.start, environ=environ)


def test_unset_ranks_mean_one():
  for environ in ({}, {'RANK_SIZE': '', 'RANK_ID': ''}, {'RANK_SIZE': '1'}, {'RANK_SIZE': '1', 'RANK_ID': '0'}):
    device = npu_session.start(environ=environ)
    assert (device.rank, device.ranks) == (0, 1)


def test_what_several_ranks_need(release, rank_environment, tmp_path):
  good = rank_environment(1)
  device = npu_session.start(environ=good)
  assert (device.rank, device.ranks, device.is_chief) == (1, 2, False)
  for name in ('JOB_ID', 'RANK_TABLE_FILE', 'ASCEND_DEVICE_ID'):
    message = error_of(npu_session.start, environ={key: value for key, value in good.items() if key != name})
    assert 'no ' + name in message
  assert 'found status' in error_of(npu_session.start, environ=dict(good, RANK_SIZE='4'))
  assert 'RANK_TABLE_FILE' in error_of(npu_session.start, environ=dict(good, RANK_TABLE_FILE=str(tmp_path / 'none')))
  broken = tmp_path / 'broken.json'
  broken.write_text('{"status": "completed"')
  assert 'RANK_TABLE_FILE' in error_of(npu_session.start, environ=dict(good, RANK_TABLE_FILE=str(broken)))
  by_number = dict(good, ASCEND_DEVICE_ID='', DEVICE_ID='1')
  assert npu_session.start(environ=by_number).ranks == 2
  assert "found '1.1'" in error_of(npu_session.start, environ=dict(good, ASCEND_DEVICE_ID='1.1'))


def test_one_card_for_all_ranks_is_refused(rank_environment):
  """session_device_id goes before the environment, and every rank has the same options."""
  options = session_options.SessionOptions(session_device_id=1)
  with installed.npu_bridge(installed.NEWEST):
    message = error_of(npu_session.start, options, environ=rank_environment(1))
    assert message.startswith('SessionOptions.session_device_id: expected none on 2 ranks, found 1')
    assert npu_session.start(options, environ={}).ranks == 1


@pytest.mark.parametrize('ids', [['0', '0'], [0, 1], ['1', '2'], ['0', None]])
def test_a_rank_table_names_each_rank_once(ids, rank_environment, tmp_path):
  table = tmp_path / 'other.json'
  table.write_text(json.dumps({'status': 'completed', 'server_list': [
      {'device': [{'device_id': '0', 'rank_id': rank} for rank in ids]}]}))
  with installed.npu_bridge(installed.NEWEST):
    message = error_of(npu_session.start, environ=dict(rank_environment(1), RANK_TABLE_FILE=str(table)))
  assert 'rank_id "0" to "1"' in message and str(table) in message


@pytest.mark.parametrize('readme', ['README.md', 'README.zh-CN.md'])
def test_the_rank_table_of_the_readme_is_one(readme, rank_environment, tmp_path):
  with open(os.path.join(ROOT, readme), encoding='utf-8') as source:
    table, = re.findall(r'```json\n(.*?)```', source.read(), re.S)
  (tmp_path / 'table.json').write_text(table)
  for ranks, fits in (('8', True), ('7', False)):
    environ = dict(rank_environment(1), RANK_SIZE=ranks, RANK_TABLE_FILE=str(tmp_path / 'table.json'))
    with installed.npu_bridge(installed.NEWEST):
      if fits:
        assert npu_session.start(environ=environ).ranks == 8
      else:
        assert 'and 8 devices' in error_of(npu_session.start, environ=environ)


def test_two_ways_of_starting_ranks_at_once(release, rank_environment):
  chief = {'CM_CHIEF_IP': '192.0.2.1', 'CM_WORKER_SIZE': '2'}
  for environ in (dict(rank_environment(1), **chief), chief):
    assert 'unset CM_CHIEF_IP' in error_of(npu_session.start, environ=environ)
  workers = dict(rank_environment(1), CM_WORKER_SIZE='2')  # the adapter's hook raises at both sizes
  assert 'CM_WORKER_SIZE=2: expected the ranks in RANK_TABLE_FILE' in error_of(npu_session.start, environ=workers)
  message = error_of(npu_session.start, environ=dict(rank_environment(1), HOROVOD_RANK='1', HOROVOD_SIZE='2'))
  assert 'expected one launcher' in message and 'Horovod' in message


# --- what TensorFlow is told


def test_threads_are_those_that_were_chosen_else_of_the_options_else_tensorflows():
  options = session_options.SessionOptions(device='cpu', intra_op_parallelism_threads=2)

  def threads(chosen):
    config = npu_session.start(options, threads=chosen, environ={}).session_config()
    return config.intra_op_parallelism_threads, config.inter_op_parallelism_threads

  assert threads(None) == (2, 0)
  assert threads(cores.Cores(1, 4, 5)) == (4, 5)


def test_run_config_keeps_the_npu_through_replace(release):
  device = npu_session.start(session_options.SessionOptions(op_select_implmode='high_precision'), environ={})
  config = device.run_config(model_dir='/tmp/x', save_checkpoints_steps=7).replace(tf_random_seed=5)
  assert config.save_checkpoints_steps == 7 and config.tf_random_seed == 5
  installed.check_config(config.session_config, release)
  entry, = installed.npu_optimizers(config.session_config)
  assert entry.parameter_map['op_select_implmode'].s == b'high_precision'


def test_a_second_optimizer_does_not_replace_the_settings(monkeypatch):
  """As npu_run_config_init once did, before it looked for the one that is there."""
  def add_another(run_config):
    run_config.session_config.graph_options.rewrite_options.custom_optimizers.add(name='NpuOptimizer')
    return run_config

  with installed.npu_bridge(installed.NEWEST):
    from npu_bridge import npu_init
    monkeypatch.setattr(npu_init, 'npu_run_config_init', add_another)
    config = npu_session.start(environ={}).run_config(model_dir='/tmp/x', save_checkpoints_steps=7)
    installed.check_config(config.session_config, installed.NEWEST)
    entry, = installed.npu_optimizers(config.session_config)
  assert entry.parameter_map['precision_mode'].s == b'allow_mix_precision' and config.save_checkpoints_steps == 7


def test_functions_of_newer_adapters_are_used(rank_environment, monkeypatch):
  with installed.npu_bridge(installed.NEWEST):
    from npu_bridge import npu_init
    names = ('npu_config_proto', 'npu_run_config_init', 'npu_hooks_append')
    spies = [mock.Mock(side_effect=getattr(npu_init, name)) for name in names]
    for name, spy in zip(names, spies):
      monkeypatch.setattr(npu_init, name, spy)
    device = npu_session.start(environ=rank_environment(0))
    device.run_config()
    device.train_hooks()
  assert all(spy.called for spy in spies)


def test_only_the_chief_saves_and_summarises(release, rank_environment):
  for rank, expected in ((0, (7, 5)), (1, (None, 0))):
    device = npu_session.start(environ=rank_environment(rank))
    config = device.run_config(model_dir='/tmp/x', save_checkpoints_steps=7, save_summary_steps=5)
    assert (config.save_checkpoints_steps, config.save_summary_steps) == expected
    assert config.save_checkpoints_secs is None and config.model_dir == '/tmp/x'


# --- hooks and loops


@pytest.mark.parametrize('hooks', [['mine'], ('mine',), []])
def test_hooks_of_one_card_and_of_several(release, rank_environment, hooks):
  assert npu_session.start(environ={}).train_hooks(hooks) == list(hooks)
  made = npu_session.start(environ=rank_environment(1)).train_hooks(hooks)
  assert isinstance(made, list)
  own = ['NPUBroadcastGlobalVariablesHook', '_BroadcastState']
  assert [type(hook).__name__ for hook in made[:len(own)]] == own
  assert made[len(own):] == list(hooks)


def test_loop_offload(release):
  device = npu_session.start(session_options.SessionOptions(iterations_per_loop=10), environ={})
  parameters = installed.parameters(device.session_config())
  assert parameters['iterations_per_loop'] == ('i', 10) and parameters['enable_data_pre_proc'] == ('b', True)
  assert device.steps_per_loop == 10 and 'steps_per_loop=10' in device.describe()
  device.check_steps(100, 20)
  device.check_steps(100, None)
  assert 'num_train_steps' in error_of(device.check_steps, 105, 20)
  assert 'save_checkpoints_steps' in error_of(device.check_steps, 100, 25)
  with tf.Graph().as_default():
    tf.train.create_global_step()
    with tf.name_scope('somewhere'):
      train_op = device.wrap_train_op(tf.no_op())
    assert train_op.name == 'IterationOp'
    with tf.train.MonitoredTrainingSession(hooks=device.train_hooks()) as running:
      loop, = tf.get_collection('npu_runconfig_iterations_per_loop')
      assert running.run(loop) == 9


# --- operations


def test_fused_operations(release):
  device = npu_session.start(environ={})
  x = tf.constant(np.linspace(-3, 3, 50), tf.float32)
  expected = [0.5 * v * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v ** 3))) for v in np.linspace(-3, 3, 50)]
  kept = device.dropout(tf.ones([10000]), 0.25)
  with tf.Session() as running:
    np.testing.assert_allclose(running.run(device.gelu(x)), expected, atol=1e-6)
    kept = running.run(kept)
  assert 0.7 < np.mean(kept > 0) < 0.8 and np.isclose(kept.max(), 1 / 0.75)
  assert device.dropout(x, 0.0) is x
  plain = npu_session.start(session_options.SessionOptions(fused_ops=False), environ={})
  assert plain.gelu is None and plain.dropout is None and 'fused_ops=none' in plain.describe()


# --- loss scaling


def test_dynamic_loss_scale_has_the_constants_of_the_910(release):
  scaling = npu_session.start(environ={}).loss_scaling
  wrapped = scaling.wrap(tf.train.AdamOptimizer())
  manager = wrapped._scaling._loss_scale_manager
  assert type(wrapped._scaling).__name__ == 'NPULossScaleOptimizer' and not wrapped._scaling._is_distributed
  assert (manager._incr_every_n_steps, manager._decr_every_n_nan_or_inf, manager._incr_ratio,
          manager._decr_ratio) == (1000, 1, 2, 0.5)
  with tf.Session() as running:
    running.run(tf.global_variables_initializer())
    assert running.run(scaling.current(wrapped)) == 2.0 ** 32


def test_a_scale_may_fall_to_one_before_skipped_steps_count(release):
  def most(**options):
    return npu_session.start(session_options.SessionOptions(**options), environ={}).loss_scaling.most_overflows

  assert [most(), most(loss_scale=1024), most(loss_scale=None), most(device='cpu')] == [32, 0, 0, 0]


def test_fixed_loss_scale_and_none(release, rank_environment):
  optimizer = tf.train.AdamOptimizer()
  options = session_options.SessionOptions(loss_scale=1024)
  scaling = npu_session.start(options, environ=rank_environment(0)).loss_scaling
  fixed = scaling.wrap(optimizer)
  assert fixed._scaling._is_distributed
  with tf.Session() as running:
    assert running.run(scaling.current(fixed)) == 1024.0
  unscaled = [dict(loss_scale=None), dict(precision_mode='force_fp32'), dict(precision_mode='must_keep_origin_dtype')]
  for options in unscaled + [dict(precision_mode_v2='origin')] * (release == installed.NEWEST):
    device = npu_session.start(session_options.SessionOptions(**options), environ={})
    assert device.loss_scaling.wrap(optimizer) is optimizer, options
    assert device.loss_scaling.current(optimizer) is None
