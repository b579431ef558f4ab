"""Ranks that Horovod connects: what the environment says, which device goes with it, how gradients are averaged."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import RanksLost
from albert.common.errors import UserError
from albert.device import cores
from albert.device import horovod
from albert.device.session_options import SessionOptions
from albert import npu_session
from npu_stub import emulator

import horovod_stub

CPU = SessionOptions(device='cpu')


def start(rank=1, ranks=4):
  with horovod_stub.installed():
    return npu_session.start(CPU, environ=horovod_stub.environment(rank, ranks))


def error_of(environ):
  with pytest.raises(UserError) as error:
    npu_session.start(CPU, environ=environ)
  assert '\n' not in str(error.value)
  return str(error.value)


def test_horovodrun_says_which_rank_this_is(caplog):
  with caplog.at_level('INFO', 'albert'):
    device = start()
  assert (device.rank, device.ranks, device.is_chief) == (1, 4, False)
  assert 'rank=1/4 (Horovod)' in caplog.text
  assert horovod.read_launched(horovod_stub.environment(0, 1)) is None
  assert horovod.read_launched({'RANK_SIZE': '1', 'RANK_ID': '0'}) is None


@pytest.mark.parametrize('changes, expected', [
    ({'HOROVOD_LOCAL_RANK': ''}, 'found HOROVOD_RANK=1, HOROVOD_SIZE=4, HOROVOD_LOCAL_RANK=nothing'),
    ({'HOROVOD_RANK': '4'}, 'found HOROVOD_RANK=4, HOROVOD_SIZE=4'),
    ({'HOROVOD_SIZE': 'x'}, 'HOROVOD_SIZE=x'),
    ({'RANK_SIZE': '8', 'RANK_ID': '1'}, 'RANK_SIZE=8: expected one launcher, found the variables of Horovod')])
def test_an_environment_that_does_not_fit_is_one_line(changes, expected):
  assert expected in error_of(dict(horovod_stub.environment(1, 4), **changes))


def test_ranks_of_mpirun_are_not_taken_for_single_processes():
  assert 'OMPI_COMM_WORLD_SIZE=2: expected horovodrun' in error_of({'OMPI_COMM_WORLD_SIZE': '2'})


def test_ranks_of_hccl_off_the_npu_are_told_of_horovodrun():
  assert 'horovodrun starts ranks on CPUs and GPUs' in error_of({'RANK_SIZE': '2', 'RANK_ID': '0'})


def test_without_horovod_one_line_says_how_to_get_it(monkeypatch):
  find = importlib.util.find_spec
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if name == 'horovod' else find(name))
  assert error_of(horovod_stub.environment(0, 2)).endswith('install it with make env-horovod')


def test_ranks_that_do_not_connect_are_one_line():
  def fail(*unused):
    raise ValueError('gone\nwrong')

  with horovod_stub.installed() as library:
    library.init = fail
    with pytest.raises(RanksLost, match='expected 2 ranks that connect, found that they do not .gone wrong.'):
      npu_session.start(CPU, environ=horovod_stub.environment(0, 2))


@pytest.mark.parametrize('kind, cards, expected', [
    ('npu', 0, 'found an NPU, whose ranks HCCL connects'),
    ('gpu', 3, 'HOROVOD_LOCAL_SIZE=4: expected a GPU for each process of this machine, found 3')])
def test_devices_that_do_not_go_with_it(kind, cards, expected):
  with pytest.raises(UserError, match=expected):
    horovod.check_device(horovod.Launched(1, 4, 1, 4), kind, cards)


def test_each_process_sees_the_gpu_of_its_local_rank(monkeypatch):
  monkeypatch.setattr(npu_session, '_gpus', lambda: [object()] * 2)
  environ = dict(horovod_stub.environment(3, 4), HOROVOD_LOCAL_RANK='1', HOROVOD_LOCAL_SIZE='2')
  with horovod_stub.installed():
    device = npu_session.start(SessionOptions(device='gpu'), environ=environ)
  assert device.session_config().gpu_options.visible_device_list == '1'


def test_processes_of_a_machine_share_its_cores(monkeypatch):
  monkeypatch.setattr(cores.os, 'sched_getaffinity', lambda _: set(range(8)))
  assert [cores.choose(CPU, 8, processes=processes)[:2] for processes in (1, 2, 8, 16)] == [
      (8, 1), (4, 1), (1, 1), (1, 1)]


def test_gradients_are_averaged_dense_and_in_one_all_reduce():
  def run(rank):
    device = npu_session.start(CPU, environ=horovod_stub.environment(rank, 2))
    table, bias = tf.get_variable('table', [3, 2]), tf.get_variable('bias', [2])
    rows = tf.IndexedSlices(tf.fill([2, 2], rank + 1.0), tf.constant([1, 1]), tf.constant([3, 2]))
    before = len(tf.get_default_graph().get_operations())
    averaged = device.collectives.average_gradients([(rows, table), (None, bias), (tf.fill([2], 4.0 * rank), bias)])
    calls = [op for op in tf.get_default_graph().get_operations()[before:] if op.type == 'PyFunc']
    assert [variable for _, variable in averaged] == [table, bias, bias] and averaged[1][0] is None and len(calls) == 1
    with tf.Session() as session:
      return session.run([averaged[0][0], averaged[2][0]])

  with horovod_stub.installed():
    for table, bias in emulator.run_ranks(2, run):
      np.testing.assert_array_equal(table, [[0, 0], [3, 3], [0, 0]])
      np.testing.assert_array_equal(bias, [2, 2])


@pytest.mark.parametrize('words', [
    'Horovod has been shut down. This was caused by an exception on one of',
    '[/x/third_party/compatible_gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 30000ms for recv'])
def test_the_words_of_a_collective_whose_rank_is_gone_are_one_line(words):
  collectives = start().collectives
  lost = tf.errors.UnknownError(None, None, words)
  assert 'found that another one has ended or does not answer' in str(collectives.explain(lost))
  assert collectives.explain(lost).exit_code == 69
  assert collectives.explain(tf.errors.UnknownError(None, None, 'the disk is full')) is None
