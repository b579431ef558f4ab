"""A training step on the NPU: micro-batches, what is fetched, loops, masks, on stand-ins of each release."""

import collections
import types
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import Diverged
from albert.device import session_options
from albert import lamb
from albert import npu_session
from albert.training import micro_batches
from albert.training.stability import guard
from albert.training.telling import progress
from albert.training.telling.remaining import Checkpoints
from albert.training.telling.remaining import Remaining
from albert.training import training_step
from npu_stub import emulator
from npu_stub import installed

pytest_plugins = ['npu_stub.fixtures']

OPTIONS = lamb.OptimizerOptions(learning_rate=0.05, num_warmup_steps=0)


def start(environ=None, **options):
  return npu_session.start(session_options.SessionOptions(**options), environ=environ or {})


# --- micro-batches

Batch = collections.namedtuple('Batch', ['inputs', 'targets'])


def train(device, micro_batch_size, overflow_at=None):
  """Three steps of a linear model on a batch of four. Returns for each (scale after it, global step, weights)."""
  random = np.random.RandomState(0)
  batch = Batch(tf.constant(random.randn(4, 3), tf.float32), tf.constant(random.randn(4, 2), tf.float32))

  def build(part, number):
    kernel = tf.get_variable('kernel', initializer=np.ones([3, 2], np.float32))
    loss = tf.reduce_sum(tf.square(tf.matmul(part.inputs, kernel) - part.targets)) / 4.0
    return loss, collections.OrderedDict(total_loss=loss)

  update = training_step.Update(OPTIONS, 100, device)
  grads_and_vars, figures = micro_batches.accumulate(batch, micro_batch_size, build, update.gradients)
  made = update.apply(grads_and_vars, figures['total_loss'])
  with tf.control_dependencies([made.train_op]):
    scale = update.loss_scale()
  states = []
  with tf.Session(config=device.session_config()) as running:
    running.run(tf.global_variables_initializer())
    for number in range(3):
      if number == overflow_at:
        emulator.set_overflow()
      after = running.run([scale, made.train_op])[0]
      states.append((after, running.run(tf.train.get_global_step()), running.run(tf.trainable_variables()[0])))
  return states


def test_micro_batches_with_loss_scaling_are_the_step_of_the_whole_batch(release):
  """Up to r1.6.0 compute_gradients leaves a tensor behind, which is no use outside of a loop."""
  with tf.Graph().as_default():
    expected = train(start(), 4)
  for whole, parts in zip(expected, train(start(), 2)):
    assert parts[:2] == whole[:2] and parts[0] == 2.0 ** 32
    np.testing.assert_allclose(parts[2], whole[2], rtol=1e-5)
  assert np.abs(expected[2][2] - expected[0][2]).max() > 1e-3


@pytest.mark.parametrize('micro_batch_size', [1, 4])
def test_an_overflow_skips_the_update_and_shows_in_the_scale(release, micro_batch_size):
  (first, _, before), (second, step, after), (third, last, moved) = train(start(), micro_batch_size, overflow_at=1)
  assert [first, second, third] == [2.0 ** 32, 2.0 ** 31, 2.0 ** 31] and (step, last) == (1, 2)
  np.testing.assert_array_equal(after, before)
  assert np.abs(moved - after).max() > 0


def test_the_step_advances_where_the_release_forgets_to_pass_it_on(monkeypatch):
  """As on a device with Inf and NaN: the optimizer of the base class decides, and gets a name for a step."""
  with installed.npu_bridge(installed.NEWEST):
    from npu_bridge.estimator.npu import npu_loss_scale_optimizer as adapter
    base = adapter.NPULossScaleOptimizer.__mro__[1]
    monkeypatch.setattr(adapter.NPULossScaleOptimizer, 'apply_gradients', lambda self, grads_and_vars, step, name=None:
                        base.apply_gradients(self, grads_and_vars, name))
    with tf.Graph().as_default():
      assert [step for _, step, _ in train(start(), 4)] == [1, 2, 3]


# --- what is fetched


def watch(device, steps=6):
  """Steps with a ProgressHook and with an all-reduce, as a step has them. Returns the sets of what it fetched."""
  step = tf.train.get_or_create_global_step()
  total = device.collectives.all_reduce_sum(tf.constant(1.0))
  with tf.control_dependencies([total]):
    after = tf.assign_add(step, 1)
  hook = progress.ProgressHook(
      progress.Watched(after, collections.OrderedDict(total_loss=tf.constant(1.0)), tf.constant(6), tf.constant(2)),
      progress.Loop(device.ranks, tokens_per_step=6, steps_per_run=1, num_train_steps=100, log_every_steps=100,
                    fetches_the_same=device.fetches_the_same,
                    remaining=Remaining(100, Checkpoints(every=100, heldout=0, batch_size=2))),
      progress.Told(line=str))
  made, before_run = [], hook.before_run
  hook.before_run = lambda context: made.append(before_run(context)) or made[-1]
  with tf.train.MonitoredSession(tf.train.ChiefSessionCreator(config=device.session_config()),
                                 hooks=[hook]) as running:
    for _ in range(steps):
      running.run(after)
  return {tuple(sorted(arguments.fetches)) for arguments in made}


class Clock:
  """time.time of progress, another one for each rank."""

  def __init__(self):
    self.seconds = collections.Counter()

  def time(self):
    self.seconds[emulator.rank()] += (3.0, 16.0)[emulator.rank()]
    return self.seconds[emulator.rank()]

  def process_time(self):
    return 0.0


@pytest.fixture
def clock(monkeypatch):
  monkeypatch.setattr(progress, 'time', Clock())


def test_ranks_fetch_the_same_whatever_their_clocks_say(clock, oldest_or_newest, rank_environment, caplog):
  def run(rank):
    watch(start(rank_environment(rank)))
    return len(emulator.world().loaded[rank])

  caplog.set_level('INFO', 'albert')
  assert emulator.run_ranks(2, run) == [1, 1]
  # The lines themselves still come when it has been quiet for too long.
  assert sum(message.startswith('step ') for message in caplog.messages) > 2


def test_one_card_compiles_one_graph(clock, oldest_or_newest):
  """A second set of fetches is a second compilation. A host that computes itself leaves out what nobody reads."""
  with tf.Graph().as_default():
    assert len(watch(start())) == 1
  assert len(watch(start(device='cpu'))) == 2


# --- loops


def test_a_loop_makes_its_updates_in_one_run(oldest_or_newest):
  device = start(iterations_per_loop=5)
  with tf.Graph().as_default():
    step = tf.train.create_global_step()
    train_op = device.wrap_train_op(tf.assign_add(step, 1).op)
    with tf.train.MonitoredSession(tf.train.ChiefSessionCreator(config=device.session_config()),
                                   hooks=device.train_hooks()) as running:
      running.run(train_op)
      assert running.run(step) == 5


def watched(loops, at_a_time, most=42):
  """The Guard after loops of `at_a_time` updates, of which each number in `loops` was made."""
  counted = guard.Guard(most, None)
  run = types.SimpleNamespace(counters=counted, position=mock.Mock(used=0), start=0, is_chief=False)
  hook = guard.GuardHook(run, None, None, mock.Mock(finite=None), lambda *_: [], at_a_time, 100)
  step = 0
  for made in loops:
    step += made
    hook.after_run(None, mock.Mock(results={'step': step, 'loss': 4.0}))
  return counted


def test_a_loop_that_made_an_update_ends_what_was_skipped_in_a_row(caplog):
  """A dynamic scale grows every 1,000 updates and costs one then: each loop of 1,000 loses one, for ever."""
  counted = watched([999] * 100, 1000)
  assert (counted.skipped, counted.in_a_row) == (100, 0)
  assert '1 of the 1000 updates of the loop to step 1,998 skipped, whose gradients were not finite (2 in all)' in (
      caplog.messages)
  counted = watched([0, 0, 0], 10)
  assert (counted.skipped, counted.in_a_row) == (30, 30)
  assert watched([0, 0, 0, 1, 0], 1).in_a_row == 1
  with pytest.raises(Diverged):
    watched([3, 0, 0], 21)


# --- masks of the fused dropout


def test_ranks_and_calls_drop_other_elements(release, rank_environment):
  def run(rank):
    tf.set_random_seed(1)
    device = start(rank_environment(rank))
    kept = [device.dropout(tf.ones([1000]), 0.5) for _ in range(2)]
    with tf.Session(config=device.session_config()) as running:
      return np.array(running.run(kept)) > 0

  masks = np.concatenate(emulator.run_ranks(2, run))
  for first in range(4):
    for second in range(first):
      assert 400 < np.sum(masks[first] != masks[second]) < 600, (first, second)
  np.testing.assert_array_equal(masks, np.concatenate(emulator.run_ranks(2, run)))
