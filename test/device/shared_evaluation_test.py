"""Ranks that evaluate together: each has a part of the held-out records, and all have the figures of one rank."""

import contextlib
import dataclasses
import os

import gin
import numpy as np
import pytest
import tensorflow as tf

from albert.dataset.lost_records import LostRecords
from albert import npu_session
from albert.tasks.pretraining import Pretraining
from albert.training import evaluation
from albert.training import planning
from albert.training.run_options import RunOptions
from albert.training import stopping
from albert.training import together
from npu_stub import emulator

import horovod_stub
import synthetic_data

pytest_plugins = ['npu_stub.fixtures']

HELDOUT = 11


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp('shared')


@pytest.fixture(scope='module')
def info(folder):
  return synthetic_data.write_dataset(str(folder / 'data'), heldout_count=HELDOUT)


@pytest.fixture
def plan(folder, info):
  gin.parse_config(["SessionOptions.device = 'cpu'", 'AlbertConfig.hidden_size = 8', 'AlbertConfig.embedding_size = 6',
                    'AlbertConfig.num_attention_heads = 2', 'AlbertConfig.intermediate_size = 12',
                    'AlbertConfig.num_hidden_layers = 1', 'SessionOptions.fused_ops = False'])
  return planning.decide(planning.Where(info.folder, str(folder / 'out')), RunOptions(
      train_batch_size=4, eval_batch_size=3), Pretraining)


@pytest.fixture(scope='module')
def checkpoint(folder):
  """A function of a plan that gives the prefix of weights for it."""
  made = []

  def make(plan):
    if not made:
      with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        plan.task.outputs(plan.task.batch(synthetic_data.tensors()), evaluation.training_step.model_ops(
            npu_session.start(plan.session_options, environ={})))
        session.run(tf.global_variables_initializer())
        made.append(tf.train.Saver().save(session, os.path.join(str(folder), 'model.ckpt'), 1))
    return made[0]
  return make


def figures_of(plan, checkpoint, device, stopper=None, lost=None):
  evaluator = evaluation.Evaluator(plan, device, lost or LostRecords(plan.heldout), stopper or stopping.Stopper(),
                                   together.Ranks(device))
  with contextlib.closing(evaluator):
    return evaluator.evaluate(checkpoint)


def on_horovod(plan, ranks, function):
  """What function(rank, device) gives on each of several ranks, a list."""
  with horovod_stub.installed():
    return emulator.run_ranks(ranks, lambda rank: function(rank, npu_session.start(
        plan.session_options, environ=horovod_stub.environment(rank, ranks))))


@pytest.mark.parametrize('limits', [{}, {'max_eval_steps': 1, 'eval_batch_size': 1}])  # then a rank has no record
def test_every_rank_has_the_figures_of_one(plan, checkpoint, limits):
  prefix, plan = checkpoint(plan), plan._replace(options=dataclasses.replace(plan.options, **limits))
  alone = figures_of(plan, prefix, npu_session.start(plan.session_options, environ={}))
  first, second = on_horovod(plan, 2, lambda rank, device: figures_of(plan, prefix, device))
  assert first == second and list(first) == list(alone)
  np.testing.assert_allclose(list(first.values()), list(alone.values()), rtol=1e-6)


@pytest.mark.integration
def test_ranks_of_an_npu_have_them_too(oldest_or_newest, plan, checkpoint, rank_environment):
  """The same code, the stand-in's precision: weights and figures are float32 there as well."""
  prefix = checkpoint(plan)
  options = npu_session.SessionOptions(device='npu', fused_ops=False)
  alone = figures_of(plan, prefix, npu_session.start(plan.session_options, environ={}))
  for figures in emulator.run_ranks(2, lambda rank: figures_of(
      plan, prefix, npu_session.start(options, environ=rank_environment(rank)))):
    np.testing.assert_allclose(list(figures.values()), list(alone.values()), rtol=1e-6)


@pytest.mark.parametrize('told', [0, 1])
def test_a_signal_to_one_rank_ends_the_evaluation_of_all(plan, checkpoint, told):
  prefix = checkpoint(plan)

  def run(rank, device):
    stopper = stopping.Stopper()
    stopper.requested = rank == told
    with pytest.raises(stopping.Stopped):
      figures_of(plan, prefix, device, stopper)
    return stopper.requested

  assert on_horovod(plan, 2, run) == [True, True]


def test_rank_0_says_what_is_so(plan):
  def run(rank, device):
    ranks = together.Ranks(device)
    ranks.wait()
    return [ranks.as_chief_says(lambda: rank == 0), ranks.as_chief_says(lambda: rank == 1),
            ranks.any(rank == 1), ranks.any(False)]

  assert on_horovod(plan, 2, run) == [[True, False, True, False]] * 2


def test_sums_of_all_shapes_have_one_session(plan, monkeypatch):
  opened, session = [], tf.Session
  monkeypatch.setattr(tf, 'Session', lambda **arguments: opened.append(1) or session(**arguments))

  def run(rank, device):
    ranks = together.Ranks(device)
    sums = [ranks.sum(np.full(shape, 1 + rank, dtype)) for _ in range(2)
            for dtype, shape in ((np.int32, [2, 3]), (np.float32, [4]), (np.int32, [4]))]
    ranks.close()
    return [(array.dtype.name, array.shape, set(array.flat)) for array in sums]

  expected = [('int32', (2, 3), {3}), ('float32', (4,), {3.0}), ('int32', (4,), {3})] * 2
  assert on_horovod(plan, 2, run) == [expected] * 2 and len(opened) == 2


def test_one_rank_asks_nobody():
  ranks = together.Ranks(npu_session.start(npu_session.SessionOptions(device='cpu'), environ={}))
  assert ranks.as_chief_says(lambda: True) and not ranks.any(False)
  ranks.wait()
  assert not ranks._kept


class Run:
  """What DueEvaluations asks of a run. Only rank 0 has a folder that says something."""

  is_chief = property(lambda self: self._rank == 0)
  best = heldout_history = None

  def __init__(self, rank):
    self._rank, self.kept = rank, []

  def is_regular(self, step):
    return step % 2 == 0

  def lacks_evaluation_of(self, step):
    assert self._rank == 0, 'a folder that rank 0 is writing was read'
    return step != 4

  def keep(self, checkpoint, step, figures, evaluated_on):
    self.kept.append((step, figures))


class Evaluator:
  """Counts what is evaluated."""

  doubt, num_train_steps = None, 10**6

  def __init__(self, ranks):
    self._ranks = ranks

  def evaluate(self, checkpoint, in_curve=True):
    return {'together': int(self._ranks.sum(np.array([1], np.int32))[0])}


def test_all_ranks_evaluate_what_rank_0_finds_lacking(plan):
  def run(rank, device):
    ranks, made = together.Ranks(device), Run(rank)
    due = evaluation.DueEvaluations(made, Evaluator(ranks), 'set', stopping.Stopper(), ranks)
    made.heldout_history = type('History', (), {'steps': lambda self: []})()
    for step in (1, 2, 3, 4, 6):
      due.of('prefix', step)
    return made.kept

  assert on_horovod(plan, 2, run) == [[(2, {'together': 2}), (6, {'together': 2})]] * 2


def test_other_ranks_follow_the_checkpoints_of_rank_0():
  """At each multiple and at the end."""
  step, followed = tf.train.get_or_create_global_step(), []
  train_op = tf.assign_add(step, 1)
  with tf.train.MonitoredSession(hooks=[together.SavedElsewhereHook(3, 1, followed.append)]) as session:
    for _ in range(7):
      session.run(train_op)
  assert followed == [3, 6, 7]
