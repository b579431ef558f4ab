"""The time that steps wait for input, by a clock that only the input and the step move on."""

import collections
import types

import numpy as np
import pytest
import tensorflow as tf

from albert.input import waiting
from albert.training.telling import progress
from albert.training.telling.remaining import Checkpoints
from albert.training.telling.remaining import Remaining


class Clock:
  """Seconds that pass when it is told so."""

  def __init__(self):
    self.seconds = 1000.0

  def time(self):
    return self.seconds

  def pass_time(self, seconds):
    self.seconds += seconds
    return np.int32(0)

  def tensor(self):
    return tf.py_func(self.time, [], tf.float64)


def _throughput(clock, input_seconds, step_seconds, measured=True):
  """Throughput of six steps that take `step_seconds` once they have their batch."""
  def batches():
    while True:
      clock.pass_time(input_seconds)
      yield np.zeros([2, 3], np.int32)

  with tf.Graph().as_default():
    step = tf.train.get_or_create_global_step()
    dataset = tf.data.Dataset.from_generator(batches, tf.int32, [2, 3]).map(lambda ids: {'input_ids': ids})
    batch = waiting.timed_batch(dataset, clock.tensor)
    with tf.control_dependencies([batch['input_ids']]):
      worked = tf.py_func(lambda: clock.pass_time(step_seconds), [], tf.int32)
    with tf.control_dependencies([worked]):
      after = tf.assign_add(step, 1)
    figures = collections.OrderedDict(total_loss=tf.constant(1.0))
    hook = progress.ProgressHook(
        progress.Watched(after, figures, tf.constant(6), tf.constant(2), batch[waiting.WAIT] if measured else None),
        progress.Loop(ranks=1, tokens_per_step=6, steps_per_run=1, num_train_steps=6, log_every_steps=6,
                      fetches_the_same=False,
                      remaining=Remaining(6, Checkpoints(every=100, heldout=0, batch_size=2))),
        progress.Told(line=str))
    with tf.train.MonitoredSession(hooks=[hook]) as session:
      for _ in range(6):
        session.run(after)
  return hook.throughput()


@pytest.fixture
def clock(monkeypatch):
  made = Clock()
  monkeypatch.setattr(progress, 'time', types.SimpleNamespace(time=made.time, process_time=made.time))
  return made


@pytest.mark.parametrize('input_seconds, step_seconds, fraction', [
    (9.0, 1.0, 0.9), (0.25, 9.75, 0.025), (0.0, 5.0, 0.0)])
def test_slow_input_shows_and_fast_input_does_not(clock, caplog, input_seconds, step_seconds, fraction):
  caplog.set_level('INFO', logger='albert')
  throughput = _throughput(clock, input_seconds, step_seconds)
  assert throughput.input_wait_fraction == pytest.approx(fraction)
  assert throughput.median_step_seconds == pytest.approx(10.0 if fraction else 5.0)
  assert '{:.1%} waiting for input'.format(fraction) in caplog.messages[-1]


def test_where_it_is_not_measured_nothing_is_said_of_it(clock, caplog):
  caplog.set_level('INFO', logger='albert')
  assert _throughput(clock, 9.0, 1.0, measured=False).input_wait_fraction is None
  assert caplog.messages and 'waiting' not in caplog.text


def test_nothing_uses_the_batch_before_the_second_time_stamp():
  with tf.Graph().as_default():
    dataset = tf.data.Dataset.from_tensors({'a': np.zeros([2], np.int32), 'b': np.ones([3], np.float32)})
    batch = waiting.timed_batch(dataset)
    answered = batch[waiting.WAIT].op.inputs[0].op
    assert answered.type == 'Timestamp'
    for name in 'ab':
      assert batch[name].op.control_inputs == [answered]
      assert batch[name].op.inputs[0].op.type == 'IteratorGetNext'
    called = batch[waiting.WAIT].op.inputs[1].op
    assert batch['a'].op.inputs[0].op.control_inputs == [called]
    assert [value.shape.as_list() for value in (batch['a'], batch['b'])] == [[2], [3]]


def test_a_batch_and_its_time_are_what_the_iterator_gives():
  with tf.Graph().as_default(), tf.Session() as session:
    dataset = tf.data.Dataset.range(3).map(lambda number: {'number': number})
    batch = waiting.timed_batch(dataset)
    session.run(tf.tables_initializer())
    batches = [session.run(batch) for _ in range(3)]
  assert [values['number'] for values in batches] == [0, 1, 2]
  assert all(0.0 <= values[waiting.WAIT] < 60.0 for values in batches)
