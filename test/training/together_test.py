"""Several ranks stop after the same step, whenever a signal reaches which of them, and never in a collective."""

import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert import npu_session
from albert.training import stopping
from albert.training import together
from npu_stub import emulator

pytest_plugins = ['npu_stub.fixtures']

LAST = 6


class Signals(tf.train.SessionRunHook):
  """Stands where the saver does: evaluates after steps 2 and 4, and brings signals."""

  def __init__(self, stopper, at):
    """at: None or (place, step): 'begin', 'before', 'after' or 'evaluating'."""
    self._stopper, self._at = stopper, at

  def _pass(self, place, step):
    if self._at == (place, step):
      self._stopper.requested = True
    if self._at == ('save', step) and place == 'after':
      self._stopper.save_requested = True

  def after_create_session(self, session, coord):
    self._step = 0
    self._pass('begin', 0)

  def before_run(self, run_context):
    self._pass('before', self._step + 1)

  def after_run(self, run_context, run_values):
    self._step += 1
    self._pass('after', self._step)
    self._pass('evaluating', self._step)


def train(environ, at, is_over=lambda: False, saved=None):
  """Returns (last step, whether the rank knows that it was stopped). saved: list for the steps that were asked for."""
  device, stopper = npu_session.start(environ=environ), stopping.Stopper()
  step = tf.train.get_or_create_global_step()
  gradient = device.collectives.all_reduce_sum(tf.constant(1.0), 'gradient')
  with tf.control_dependencies([gradient]):
    train_op = tf.assign_add(step, 1)
  with tf.control_dependencies([train_op]):
    after = tf.identity(step)
  hooks = device.train_hooks([Signals(stopper, at), together.StopTogetherHook(
      stopper, device.collectives, after, lambda step: step % 2 == 0 and step < LAST, is_over,
      None if saved is None else lambda session: saved.append(int(session.run(step))))])
  reached = 0
  with tf.train.MonitoredSession(tf.train.ChiefSessionCreator(config=device.session_config()), hooks=hooks) as running:
    while not running.should_stop() and reached < LAST:
      reached = int(running.run(train_op))
  return reached, stopper.requested


@pytest.mark.parametrize('at, expected', [
    (None, LAST),
    (('begin', 0), 0),  # in the evaluation before the first step
    (('before', 3), 3),  # the step that carries it is the last one
    (('after', 3), 4),
    (('evaluating', 4), 4),  # no step may follow an evaluation that was left
    (('before', LAST), LAST)])
@pytest.mark.parametrize('rank', [0, 1])
def test_all_ranks_stop_after_one_step(oldest_or_newest, rank_environment, at, expected, rank):
  steps = emulator.run_ranks(2, lambda number: train(rank_environment(number), at if number == rank else None))
  assert steps == [(expected, at is not None)] * 2


def test_rank_0_alone_saves_when_it_is_asked_to_and_all_go_on(oldest_or_newest, rank_environment):
  saved = []
  found = emulator.run_ranks(2, lambda rank: train(
      rank_environment(rank), ('save', 3), saved=None if rank else saved))
  assert found == [(LAST, False)] * 2 and saved == [3]


def test_a_run_that_gets_no_better_ends_on_all_ranks(oldest_or_newest, rank_environment):
  assert emulator.run_ranks(2, lambda rank: train(rank_environment(rank), None, lambda: True)) == [(1, False)] * 2


def compare(environ, values):
  together.compare(together.Ranks(npu_session.start(environ=environ)), values)
  return True


def test_ranks_that_differ_are_all_told_in_what(oldest_or_newest, rank_environment):
  same = {'data_set': 'a' * 64, 'train_batch_size': 32, 'pretrain.allow_changes': ()}
  assert emulator.run_ranks(2, lambda rank: compare(rank_environment(rank), same)) == [True, True]

  def run(rank):
    values = dict(same, data_set='b' * 64, train_batch_size=16) if rank else same
    with pytest.raises(UserError) as caught:
      compare(rank_environment(rank), values)
    return str(caught.value)

  first, second = emulator.run_ranks(2, run)
  assert first == ('expected the same data and options on all 2 ranks, found others for data_set (here {}), '
                   'train_batch_size (here 32); start all ranks with the same command and data'.format('a' * 24))
  assert 'data_set (here {})'.format('b' * 24) in second and 'train_batch_size (here 16)' in second
  assert '\n' not in first
