"""SessionOptions: their values, and the protobuf fields in which the adapter reads them."""

import os

import gin
import pytest

from albert.device import session_options
from albert import npu_session
from npu_stub import installed
from user_errors import error_of

pytest_plugins = ['npu_stub.fixtures']

# A value of each parameter that gin can bind, with what it needs beside it.
VALUES = {
    'use_off_line': True, 'precision_mode': 'force_fp32', 'precision_mode_v2': 'mixed_float16',
    'modify_mixlist': 'mixlist.json', 'iterations_per_loop': 4, 'enable_data_pre_proc': True, 'mix_compile_mode': True,
    'hcom_parallel': False, 'graph_memory_max_size': '26*1024', 'variable_memory_max_size': '5000',
    'enable_dump': True, 'dump_path': '/tmp', 'dump_step': '0|5|10-20', 'dump_mode': 'all', 'enable_dump_debug': True,
    'dump_debug_mode': 'all', 'profiling_mode': True, 'profiling_options': '{"output":"/tmp"}',
    'op_compiler_cache_mode': 'enable', 'op_compiler_cache_dir': '/tmp', 'op_select_implmode': 'high_precision',
    'deterministic': 1, 'graph_run_mode': 1, 'session_device_id': 3, 'hccl_timeout': 1800}
COMPANIONS = {'enable_dump': {'dump_path': '/tmp'}, 'enable_dump_debug': {'dump_path': '/tmp'},
              'profiling_mode': {'profiling_options': '{"task_trace":"on"}'}}


def parameters(device):
  return installed.parameters(device.session_config())


def test_default_config_of_one_card(release):
  device = npu_session.start(environ={})
  config = device.session_config()
  installed.check_config(config, release)
  assert parameters(device) == {'use_off_line': ('b', True), 'precision_mode': ('s', b'allow_mix_precision'),
                                'iterations_per_loop': ('i', 1), 'enable_data_pre_proc': ('b', True)}
  rewrites = config.graph_options.rewrite_options
  assert rewrites.remapping == rewrites.memory_optimization == rewrites.OFF
  assert config.allow_soft_placement


def test_default_config_of_several_cards(release, rank_environment):
  assert parameters(npu_session.start(environ=rank_environment(0)))['hcom_parallel'] == ('b', True)


def test_remapping_stays_on_off_the_npu():
  device = npu_session.start(session_options.SessionOptions(
      device='cpu', intra_op_parallelism_threads=2, inter_op_parallelism_threads=3), environ={})
  config = device.session_config()
  assert not installed.npu_optimizers(config)
  assert config.graph_options.rewrite_options.remapping == config.graph_options.rewrite_options.DEFAULT
  assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (2, 3)


def test_options_are_frozen_and_gin_saves_them():
  gin.parse_config('SessionOptions.hccl_timeout = 600')
  options = session_options.SessionOptions(device='cpu')
  for name in ('device', 'cpu_towers', 'anything'):
    with pytest.raises(AttributeError, match=name):
      setattr(options, name, 'gpu')
  assert options.device == 'cpu' and options.npu['hccl_timeout'] == 600
  saved = gin.operative_config_str().split('\n')
  for line in ('SessionOptions.hccl_timeout = 600', 'SessionOptions.cpu_towers = None',
               "SessionOptions.loss_scale = 'dynamic'", 'SessionOptions.fused_ops = True'):
    assert line in saved


def test_the_table_names_what_the_adapter_reads():
  assert {name: parameter.field for name, parameter in session_options.NPU_PARAMETERS.items()} == (
      installed.fields(installed.NEWEST))
  assert set(VALUES) == set(session_options.NPU_PARAMETERS)
  assert set(session_options.NEWER_PARAMETERS) == (
      set(installed.fields(installed.NEWEST)) - set(installed.fields(installed.OLDEST)))


@pytest.mark.parametrize('name', sorted(VALUES))
def test_each_option_is_reachable_by_gin_in_its_field(name, tmp_path, monkeypatch):
  (tmp_path / 'mixlist.json').write_text('{"black-list": {"to-add": ["Softmax"]}}')
  monkeypatch.chdir(tmp_path)
  bound = dict(COMPANIONS.get(name, {}), **{name: VALUES[name]})
  gin.parse_config(['SessionOptions.{}={!r}'.format(key, value) for key, value in bound.items()])
  with installed.npu_bridge(installed.NEWEST):
    device = npu_session.start(environ={})
    installed.check_config(device.session_config(), installed.NEWEST)
    expected = VALUES[name].encode() if isinstance(VALUES[name], str) else VALUES[name]
    assert parameters(device)[name] == (installed.fields(installed.NEWEST)[name], expected)
    if name == 'precision_mode_v2':
      assert 'precision_mode' not in parameters(device)


@pytest.mark.parametrize('name, values', [
    ('device', ['tpu', None]), ('fused_ops', [1]), ('loss_scale', [0.5, True, 'static']),
    ('mixed_precision', ['fp16', None]), ('intra_op_parallelism_threads', [0, '2']),
    ('use_off_line', [False]), ('precision_mode', ['fp16', True]), ('precision_mode_v2', ['allow_mix_precision']),
    ('iterations_per_loop', [0, True, 1.0]), ('enable_dump', [1]),
    ('dump_step', ['5,6', 5, '20-10', '10-10', '3|', '|'.join(['1'] * 101)]), ('dump_mode', ['none']),
    ('graph_memory_max_size', [1024, '1GB']), ('deterministic', [True, 2]), ('session_device_id', [-1]),
    ('hccl_timeout', [0, '600']), ('op_select_implmode', ['fast']), ('op_compiler_cache_mode', ['on'])])
def test_wrong_values_are_errors(name, values):
  for value in values:
    message = error_of(session_options.SessionOptions, **{name: value})
    assert message.startswith('SessionOptions.{}: expected '.format(name)) and repr(value) in message


def test_unknown_option_is_an_error_that_names_the_near_one():
  gin.parse_config(['SessionOptions.precison_mode="force_fp32"'])
  message = error_of(npu_session.start, environ={})
  assert "'precison_mode'" in message and "did you mean 'precision_mode'" in message
  gin.clear_config()
  assert 'jit_compile' in error_of(session_options.SessionOptions, jit_compile=True)


@pytest.mark.parametrize('options, word', [
    (dict(precision_mode='force_fp32', precision_mode_v2='origin'), 'precision_mode_v2'),
    (dict(precision_mode='force_fp32', modify_mixlist='/dev/null'), 'modify_mixlist'),
    (dict(enable_dump=True), 'dump_path'), (dict(enable_dump_debug=True), 'dump_path'),
    (dict(profiling_mode=True), 'profiling_options'),
    (dict(iterations_per_loop=2, mix_compile_mode=True), 'mix_compile_mode'),
    (dict(iterations_per_loop=2, enable_data_pre_proc=False), 'enable_data_pre_proc')])
def test_options_that_exclude_each_other(options, word):
  assert word in error_of(session_options.SessionOptions, **options)


def test_files_that_options_name_exist(release, tmp_path):
  missing, bad = str(tmp_path / 'missing'), tmp_path / 'bad.json'
  bad.write_text('{')
  for options in (dict(enable_dump=True, dump_path=missing), dict(modify_mixlist=missing),
                  dict(modify_mixlist=str(bad))):
    assert str(tmp_path) in error_of(npu_session.start, session_options.SessionOptions(**options), environ={})
  npu_session.start(session_options.SessionOptions(device='cpu', modify_mixlist=missing), environ={})


def test_a_folder_for_dumps_can_be_written(oldest_or_newest, tmp_path, monkeypatch):
  monkeypatch.setattr(os, 'access', lambda path, mode: path != str(tmp_path))
  options = session_options.SessionOptions(enable_dump=True, dump_path=str(tmp_path))
  assert 'SessionOptions.dump_path: expected the path of a folder that can be read and written' in error_of(
      npu_session.start, options, environ={})


def test_options_that_do_nothing_here_are_said():
  options = session_options.SessionOptions(hccl_timeout=600, iterations_per_loop=10)
  device = npu_session.start(options, environ={})
  assert device.steps_per_loop == 1
  assert device.describe().endswith('steps_per_loop=1 (ignored off the NPU: iterations_per_loop, hccl_timeout)')


def test_towers_are_said_to_do_nothing_off_the_cpu(release):
  def said(**options):
    options = session_options.SessionOptions(cpu_towers=2, **options)
    return '(ignored off the CPU: cpu_towers)' in npu_session.start(options, environ={}).describe()

  assert [said(), said(device='cpu')] == [True, False]
