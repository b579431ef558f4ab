"""Releases of the TF adapter differ: in what they know, in their defaults, in what they do not survive."""

import inspect
import logging

import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.device import session_options
from albert import npu_session
from npu_stub import emulator
from npu_stub import installed

pytest_plugins = ['npu_stub.fixtures']

# A value of each parameter that not all releases know.
NEWER = {'op_compiler_cache_mode': 'enable', 'op_compiler_cache_dir': '/tmp', 'session_device_id': 0,
         'hccl_timeout': 600, 'deterministic': 1, 'precision_mode_v2': 'mixed_float16'}
TRACES, JSON = 'training_trace:op_trace', '{"output":"/tmp","training_trace":"on"}'


def start(environ=None, **options):
  return npu_session.start(session_options.SessionOptions(**options), environ=environ or {})


def error_of(**options):
  with pytest.raises(UserError) as caught:
    start(**options)
  return str(caught.value).split('\n  In call to configurable')[0]


def open_session(device):
  with tf.Graph().as_default():
    tf.Session(config=device.session_config()).close()


def warnings_of(caplog, **options):
  caplog.clear()
  with caplog.at_level(logging.WARNING, 'albert'):
    open_session(start(**options))
  return [record.getMessage() for record in caplog.records if record.name == 'albert']


@pytest.mark.parametrize('name', sorted(set(NEWER) - {'precision_mode_v2'}))
def test_an_option_that_the_release_would_drop_is_warned_of_by_name(release, caplog, name):
  known = name in installed.fields(release)
  expected = [] if known else [
      'unknown to this release of npu_bridge, without effect: SessionOptions.{}'.format(name)]
  assert warnings_of(caplog, **{name: NEWER[name]}) == expected
  assert warnings_of(caplog) == []
  assert name in installed.effective(start(**{name: NEWER[name]}).session_config(), release) or not known


def test_a_precision_that_the_release_would_drop_is_refused(release, tmp_path):
  mixlist = tmp_path / 'mixlist.json'
  mixlist.write_text('{}')
  for name, value in (('precision_mode_v2', 'mixed_float16'), ('modify_mixlist', str(mixlist))):
    if name in installed.fields(release):
      open_session(start(**{name: value}))
    else:
      assert 'SessionOptions.{}: expected a release of npu_bridge that knows it'.format(name) in error_of(
          **{name: value})


def test_profiling_options_are_json_or_traces_by_release(release):
  good, bad = (TRACES, JSON) if release == 'r1.1.1' else (JSON, TRACES)
  open_session(start(profiling_mode=True, profiling_options=good))
  for wrong in (bad, 'everything', '[1]'):
    message = error_of(profiling_mode=True, profiling_options=wrong)
    assert message.startswith('SessionOptions.profiling_options: expected ') and repr(wrong) in message
  npu_session.start(session_options.SessionOptions(device='cpu', profiling_options=bad), environ={})


@pytest.mark.parametrize('precision', ['allow_mix_precision', 'must_keep_origin_dtype', 'force_fp32'])
def test_precisions_of_all_releases(release, precision):
  device = start(precision_mode=precision)
  assert installed.effective(device.session_config(), release)['precision_mode'] == precision
  open_session(device)


def test_defaults_that_moved_do_not_matter(release, rank_environment):
  for device, several in ((start(), False), (start(rank_environment(0)), True)):
    settings = installed.effective(device.session_config(), release)
    assert settings['enable_data_pre_proc'] is True
    assert settings['hcom_parallel'] is True or not several
  settings = installed.effective(start(enable_data_pre_proc=False).session_config(), release)
  assert settings['enable_data_pre_proc'] is False


@pytest.mark.parametrize('only_floats', [False, True])
def test_every_variable_is_broadcast_once(release, rank_environment, only_floats, monkeypatch):
  if only_floats:  # as the adapter's hook did before all variables, and before the trainable ones
    from npu_bridge.estimator.npu import npu_hook
    monkeypatch.setattr(npu_hook.NPUBroadcastGlobalVariablesHook, 'variables', lambda _: [
        variable for variable in tf.global_variables() if 'float' in variable.dtype.name])
  device = start(rank_environment(1))
  tf.get_variable('weight', [2])
  tf.get_variable('slot', [2], trainable=False)
  tf.train.create_global_step()
  for hook in device.train_hooks():
    hook.begin()
  broadcasts = emulator.collectives(tf.get_default_graph(), 'broadcast')
  assert sorted(collective.of.op.name for collective in broadcasts) == ['global_step', 'slot', 'weight']


def test_a_bridge_without_its_run_config_is_broken(oldest_or_newest, monkeypatch):
  from npu_bridge import npu_init
  monkeypatch.delattr(npu_init, 'NPURunConfig')
  assert 'npu_bridge that does not load' in error_of() or 'expected a working npu_bridge' in error_of()


# --- the stand-in is strict, or the tests above prove little


def session_with(**parameters):
  config = npu_session.start(environ={}).session_config()
  entry, = installed.npu_optimizers(config)
  for name, value in parameters.items():
    entry.parameter_map[name].CopyFrom(tf.AttrValue(**value))
  with tf.Graph().as_default():
    tf.Session(config=config).close()


def test_stand_in_refuses_what_the_adapter_would_drop(release):
  session_with(hcom_parallel=dict(b=True))
  for name, value in (('hcom_paralel', dict(b=True)), ('hcom_parallel', dict(i=1)), ('jit_compile', dict(b=True)),
                      ('precision_mode', dict(b=True))):
    with pytest.raises(ValueError, match=name):
      session_with(**{name: value})


@pytest.mark.parametrize('parameters', [
    dict(dump_step=dict(s=b'20-10')), dict(dump_step=dict(s=b'1|' * 100 + b'1')), dict(dump_step=dict(s=b'x')),
    dict(dump_mode=dict(s=b'none')), dict(op_select_implmode=dict(s=b'fast')), dict(graph_run_mode=dict(i=2))])
def test_stand_in_aborts_where_the_adapter_does(release, parameters):
  with pytest.raises(installed.Aborted, match=list(parameters)[0]):
    session_with(enable_dump=dict(b=True), **parameters)


def test_stand_in_aborts_at_json_or_fails_at_a_precision_by_release(release):
  profiling = dict(profiling_mode=dict(b=True), profiling_options=dict(s=JSON.encode()))
  precision = dict(precision_mode=dict(s=b'fp8'))
  for parameters, fails, error in ((profiling, release == 'r1.1.1', installed.Aborted),
                                   (precision, release == 'r1.15.0', tf.errors.InvalidArgumentError)):
    if fails:
      with pytest.raises(error):
        session_with(**parameters)
    else:
      session_with(**parameters)


def test_stand_in_looks_for_its_device_in_the_environment(release, monkeypatch, caplog):
  monkeypatch.delenv('ASCEND_DEVICE_ID', raising=False)
  monkeypatch.delenv('DEVICE_ID', raising=False)
  with caplog.at_level(logging.WARNING, 'tensorflow'):
    session_with()
  assert 'use default device id : 0' in caplog.text
  monkeypatch.setenv('DEVICE_ID', 'one')
  with pytest.raises(tf.errors.InvalidArgumentError):
    session_with()
  monkeypatch.setenv('DEVICE_ID', '1')
  monkeypatch.setenv('RANK_SIZE', '1')
  session_with()
  monkeypatch.setenv('CM_CHIEF_IP', '192.0.2.1')
  monkeypatch.setattr('os.environ', dict(DEVICE_ID='1', RANK_SIZE='1', CM_CHIEF_IP='192.0.2.1'))
  with pytest.raises(RuntimeError, match='CM_CHIEF_IP'):
    with tf.Graph().as_default():
      tf.Session(config=npu_session.Device(session_options.SessionOptions(), npu_session.choose(
          session_options.SessionOptions(), environ={})).session_config())


def test_stand_in_takes_sessions_by_release(release):
  npu_session.start(environ={})
  with tf.Graph().as_default() as graph:
    tf.Session().close()
  assert installed.taken_sessions == ([graph] if release in ('r1.10.0', 'r1.15.0') else [])


def test_stand_in_runs_an_iterators_initializer_alone(oldest_or_newest):
  iterator = tf.data.make_initializable_iterator(tf.data.Dataset.range(3))
  tf.get_variable('count', [])
  with tf.Session(config=npu_session.start(environ={}).session_config()) as running:
    running.run(iterator.initializer)
    running.run(tf.global_variables_initializer())
    with pytest.raises(ValueError, match='stay as they were'):
      running.run([iterator.initializer, tf.global_variables_initializer()])


def test_stand_in_adds_no_64_bits(oldest_or_newest, rank_environment):
  collectives = start(rank_environment(0)).collectives
  for dtype in (tf.int64, tf.float64):
    with pytest.raises(TypeError, match='HcomAllReduce'):
      collectives.all_reduce_sum(tf.zeros([2], dtype))


def test_stand_in_gives_a_device_to_one_process(tmp_path):
  worlds = [emulator.FolderWorld(str(tmp_path), 2) for _ in range(2)]
  worlds[0].take_device(0, rank=0)
  worlds[0].take_device(0, rank=0)
  worlds[1].take_device(1, rank=1)
  with pytest.raises(RuntimeError, match='device 0'):
    worlds[1].take_device(0, rank=1)


def test_stand_in_has_the_names_and_signatures_of_its_release(release):
  from npu_bridge import npu_init
  from npu_bridge.estimator import npu_ops
  from npu_bridge.estimator.npu import npu_optimizer
  from npu_bridge.hccl import hccl_ops
  newer = ('npu_config_proto', 'npu_run_config_init', 'npu_hooks_append', 'npu_distributed_optimizer_wrapper')
  assert [hasattr(npu_init, name) for name in newer] == [release != 'r1.1.1'] * len(newer)
  named = inspect.signature(npu_init.NPURunConfig.__init__).parameters
  assert {name for name in session_options.NEWER_PARAMETERS if name in named} == set(
      installed.RELEASES[release].newer)
  assert 'hcom_parallel' in named and 'dump_step' not in named
  fusion = inspect.signature(hccl_ops.broadcast).parameters.get('fusion')
  assert fusion is None if release == 'r1.1.1' else fusion.default == 2
  with pytest.raises(TypeError):
    npu_ops.dropout(tf.ones([3]))
  with pytest.raises(TypeError):
    npu_optimizer.allreduce(tf.ones([3]), **({} if release == 'r1.1.1' else {'var': 1}))
  with pytest.raises(ImportError):
    from npu_bridge.npu_init import npu_session_config_init  # noqa: F401
  if release != 'r1.1.1':
    assert len(npu_init.npu_hooks_append(('mine',))) == 1


def test_stand_in_is_as_strict_in_a_process_of_its_own(monkeypatch):
  monkeypatch.setattr(installed, '_current', installed.NEWEST)
  monkeypatch.setenv('NPU_STUB_RELEASE', installed.NEWEST)
  monkeypatch.setattr(tf, 'npu_stub_started', False, raising=False)
  config = tf.ConfigProto()
  config.graph_options.rewrite_options.custom_optimizers.add(name='NpuOptimizer').parameter_map['jit_compile'].b = True
  tf.Session(config=config).close()
  installed.start_in_process()
  with installed.in_process, pytest.raises(ValueError, match='jit_compile'):
    tf.Session(config=config)


def test_stand_in_is_gone_after_a_test():
  with installed.npu_bridge(installed.NEWEST):
    npu_session.start(environ={})
  with pytest.raises(ImportError):
    import npu_bridge  # noqa: F401
