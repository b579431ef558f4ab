"""Training on two ranks and after overflows, on the stand-in for npu_bridge: threads with a session of their own."""

import itertools
import os

import numpy as np
import pytest
import tensorflow as tf

from albert.device import session_options
from albert import input_pipeline
from albert import lamb
from albert.model.config import AlbertConfig
from albert import npu_session
from albert.tasks.pretraining import Pretraining
from albert.training import training_step
from npu_stub import emulator

# Starts many sessions: some minutes in all.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

pytest_plugins = ['npu_stub.fixtures']


def make_optimizer(name):
  if name == 'lamb':
    return lamb.Lamb(0.01)
  return tf.train.AdamOptimizer(0.01)


class Toy:
  """A model with a dense and an embedding variable, and the training step in pretraining's order.

  On SHARDS the norm of the gradients is about 17, 18 and 4: two steps are clipped and one is not.
  """

  def __init__(self, device, optimizer='adam', clip=10.0, seed=0):
    random = np.random.RandomState(seed)
    self.ids = tf.placeholder(tf.int32, [None])
    self.targets = tf.placeholder(tf.float32, [None, 2])
    self.factor = tf.placeholder_with_default(np.float32(1.0), [])
    self.table = tf.get_variable('table', initializer=random.randn(5, 3).astype(np.float32))
    self.kernel = tf.get_variable('kernel', initializer=random.randn(3, 2).astype(np.float32))
    self.bias = tf.get_variable('bias', initializer=np.zeros(2, np.float32))
    self.step = tf.train.get_or_create_global_step()
    predicted = tf.matmul(tf.gather(self.table, self.ids), self.kernel) + self.bias
    rows = tf.cast(tf.shape(self.ids)[0], tf.float32)
    weight = device.collectives.all_reduce_sum(rows, 'weight') / float(device.ranks)
    self.loss = self.factor * tf.reduce_sum(tf.square(predicted - self.targets)) / weight
    self.inner = make_optimizer(optimizer)
    self.optimizer = device.loss_scaling.wrap(self.inner)
    averaged = device.collectives.average_gradients(self.optimizer.compute_gradients(self.loss))
    gradients, self.norm = tf.clip_by_global_norm([gradient for gradient, _ in averaged], clip)
    self.train_op = device.wrap_train_op(self.optimizer.apply_gradients(
        list(zip(gradients, [variable for _, variable in averaged])), self.step))

  def feed(self, rows, factor=1.0):
    ids = np.array(rows) % 5
    return {self.ids: ids, self.factor: factor,
            self.targets: np.stack([ids * 0.3 - 1.0, np.array(rows) * 0.1], 1).astype(np.float32)}

  def weights_and_slots(self):
    slots = [self.inner.get_slot(variable, name) for variable in tf.trainable_variables()
             for name in self.inner.get_slot_names()]
    assert len(slots) == 6
    return [self.table, self.kernel, self.bias, self.step] + slots


# Unequal numbers of examples on the ranks, so that an average of averages is not the average.
SHARDS = [[[0, 1, 2], [3]], [[4, 6], [7, 8, 9, 11]], [[5], [10, 12]]]


def train_ranks(environment, optimizer, seeds=(0, 0), overflow=()):
  """Trains two ranks on their shards; returns for each rank the list of states after each step."""
  def run(rank):
    device = npu_session.start(environ=environment(rank))
    toy = Toy(device, optimizer, seed=seeds[rank])
    states = []
    with tf.train.MonitoredTrainingSession(hooks=device.train_hooks(), config=device.session_config()) as running:
      for number, shards in enumerate(SHARDS):
        if (number, rank) in overflow:
          emulator.set_overflow()
        running.run(toy.train_op, toy.feed(shards[rank]))
        states.append(running.run(toy.weights_and_slots()))
    emulator.check_averaged_before_clip(tf.get_default_graph(), tf.trainable_variables(), toy.norm)
    return states
  return emulator.run_ranks(2, run)


def assert_states_equal(states, others, tolerance=0.0):
  for state, other in itertools.zip_longest(states, others):
    for value, expected in itertools.zip_longest(state, other):
      np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize('optimizer', ['adam', 'lamb'])
def test_two_ranks_are_one_training(oldest_or_newest, rank_environment, optimizer):
  first, second = train_ranks(rank_environment, optimizer)
  assert_states_equal(first, second)
  assert [state[3] for state in first] == [1, 2, 3]
  # The same as one process with the batches of both ranks.
  with tf.Graph().as_default(), tf.Session() as running:
    toy = Toy(npu_session.start(session_options.SessionOptions(device='cpu'), environ={}), optimizer)
    running.run(tf.global_variables_initializer())
    alone = []
    for shards in SHARDS:
      running.run(toy.train_op, toy.feed(shards[0] + shards[1]))
      alone.append(running.run(toy.weights_and_slots()))
  # The loss of a whole batch is a mean over it; that of a rank is scaled so that the average is this mean.
  assert_states_equal(first, alone, tolerance=1e-5)
  assert np.abs(alone[-1][0] - alone[0][0]).max() > 1e-3


def test_ranks_that_start_different_take_the_state_of_rank_0(oldest_or_newest, rank_environment):
  first, second = train_ranks(rank_environment, 'adam', seeds=(0, 1))
  assert_states_equal(first, second)


@pytest.mark.parametrize('optimizer', ['adam', 'lamb'])
@pytest.mark.parametrize('rank', [0, 1])
def test_overflow_on_any_rank_changes_nothing_on_all(oldest_or_newest, rank_environment, optimizer, rank):
  for states in train_ranks(rank_environment, optimizer, overflow=[(1, rank)]):
    assert_states_equal([states[1]], [states[0]])
    assert states[1][3] == 1 and states[2][3] == 2
    assert np.abs(states[2][0] - states[1][0]).max() > 0


def test_overflow_halves_the_scale_and_gradients_arrive_unscaled(oldest_or_newest):
  device = npu_session.start(environ={})
  with tf.Graph().as_default(), tf.Session(config=device.session_config()) as running:
    toy = Toy(device, clip=1e9)
    scale = device.loss_scaling.current(toy.optimizer)
    running.run(tf.global_variables_initializer())
    before = running.run(toy.weights_and_slots())
    running.run(toy.train_op, toy.feed([1, 2], factor=1e32))
    assert_states_equal([running.run(toy.weights_and_slots())], [before])
    assert running.run(scale) == 2.0 ** 31
    plain = tf.global_norm(tf.gradients(toy.loss, tf.trainable_variables()))
    scaled, unscaled = running.run([toy.norm, plain], toy.feed([1, 2]))
    np.testing.assert_allclose(scaled, unscaled, rtol=1e-5)
    running.run(toy.train_op, toy.feed([1, 2]))
    assert running.run(toy.step) == 1


def test_check_averaged_before_clip_finds_what_is_wrong(oldest_or_newest, rank_environment):
  def run(rank):
    device = npu_session.start(environ=rank_environment(rank))
    toy = Toy(device)
    graph, variables = tf.get_default_graph(), tf.trainable_variables()
    emulator.check_averaged_before_clip(graph, variables, toy.norm)
    clipped = tf.clip_by_global_norm(tf.gradients(toy.loss, variables), 1.0)[1]
    for wrong in ((variables[:2], toy.norm), (variables, clipped)):
      with pytest.raises(AssertionError):
        emulator.check_averaged_before_clip(graph, *wrong)
  emulator.run_ranks(2, run)


def test_estimator_on_two_ranks(oldest_or_newest, rank_environment, tmp_path):
  """Resumes from rank 0's checkpoint; rank 1 has other weights and an empty folder, and writes nothing."""
  folders = [str(tmp_path / 'rank0'), str(tmp_path / 'rank1')]
  os.mkdir(folders[1])

  def train(rank, steps):
    device = npu_session.start(environ=rank_environment(rank))

    def model_fn(features, labels, mode):
      value = tf.get_variable('value', initializer=np.float32(rank + 1))
      loss = tf.square(value - features)
      optimizer = device.loss_scaling.wrap(tf.train.AdamOptimizer(0.1))
      averaged = device.collectives.average_gradients(optimizer.compute_gradients(loss))
      train_op = device.wrap_train_op(optimizer.apply_gradients(averaged, tf.train.get_global_step()))
      return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)

    # Hooks that fetch something now and then, such as those of summaries, have no place where ranks meet.
    config = device.run_config(model_dir=folders[rank], save_checkpoints_steps=2, save_summary_steps=0,
                               log_step_count_steps=None)
    estimator = tf.estimator.Estimator(model_fn, config=config)
    seen = []
    estimator.train(lambda: tf.data.Dataset.from_tensors(np.float32(rank * 4)).repeat(),
                    hooks=device.train_hooks((_Record(seen),)), max_steps=steps)
    return seen

  emulator.run_ranks(2, lambda rank: train(rank, 3))
  first, second = emulator.run_ranks(2, lambda rank: train(rank, 6))
  assert first == second and [state['step'] for state in first] == [3, 4, 5, 6]
  assert os.listdir(folders[1]) == []
  assert tf.train.latest_checkpoint(folders[0]).endswith('model.ckpt-6')


class _Record(tf.train.SessionRunHook):
  """Keeps step, weight and slots when the session is made and after each run."""

  def __init__(self, seen):
    self._seen = seen

  def after_create_session(self, session, coord):
    names = {'step': tf.train.get_global_step(), 'weight': tf.trainable_variables()[0]}
    names.update({variable.op.name: variable for variable in tf.global_variables() if 'Adam' in variable.op.name})
    assert len(names) == 4, names
    self._values = names
    self._seen.append(session.run(names))

  def after_run(self, run_context, run_values):
    self._seen.append(run_context.session.run(self._values))


def test_all_reduce_sum_adds_over_ranks(oldest_or_newest, rank_environment):
  def run(rank):
    device = npu_session.start(environ=rank_environment(rank))
    total = device.collectives.all_reduce_sum(tf.constant([1.0, 2.0]) * (rank + 1), 'total')
    with tf.Session() as running:
      return running.run(total).tolist()
  assert emulator.run_ranks(2, run) == [[3.0, 6.0], [3.0, 6.0]]


# --- the real model


CONFIG = AlbertConfig(vocab_size=31, embedding_size=6, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
                      intermediate_size=10, max_position_embeddings=16)


def albert_batch(masked_tokens, seed):
  """Two records of 12 tokens. masked_tokens: the number of each."""
  random = np.random.RandomState(seed)
  weights = np.array([[1.0] * n + [0.0] * (4 - n) for n in masked_tokens], np.float32)
  return input_pipeline.Batch(
      input_ids=random.randint(5, 31, [2, 12]), input_mask=np.ones([2, 12], np.int64),
      segment_ids=np.array([[0] * 6 + [1] * 6] * 2), masked_lm_positions=np.array([[1, 3, 5, 8]] * 2),
      masked_lm_ids=random.randint(5, 31, [2, 4]), masked_lm_weights=weights,
      next_sentence_labels=random.randint(0, 2, [2, 1]))


def load_weights(running):
  """The same weights in every graph: seeds of initializers depend on what else is in it."""
  random = np.random.RandomState(7)
  for variable in sorted(tf.trainable_variables(), key=lambda v: v.op.name):
    variable.load(random.normal(0.0, 0.3, variable.shape.as_list()), running)


def albert_steps(device, batch, steps=2):
  """Weights, norm and loss after some steps on one batch."""
  def tensor(value):
    return tf.constant(value, tf.float32 if value.dtype == np.float32 else tf.int32)

  options = lamb.OptimizerOptions(learning_rate=0.1, num_warmup_steps=0)
  update, figures = training_step.make(
      Pretraining(CONFIG), input_pipeline.Batch(*[tensor(value) for value in batch]), options, 100,
      device)
  scaffold = tf.train.Scaffold(init_fn=lambda _, running: load_weights(running))
  with tf.train.MonitoredTrainingSession(scaffold=scaffold, hooks=device.train_hooks(),
                                         config=device.session_config()) as running:
    losses = [running.run([figures['total_loss'], update.train_op])[0] for _ in range(steps)]
    result = running.run({variable.op.name: variable for variable in tf.trainable_variables()})
  if device.ranks > 1:
    emulator.check_averaged_before_clip(tf.get_default_graph(), tf.trainable_variables(), update.norm)
  return result, losses


def test_albert_on_two_ranks_is_albert_on_the_whole_batch(oldest_or_newest, rank_environment):
  # Unequal numbers of masked tokens: the ranks have to share one denominator.
  batches = [albert_batch((4, 4), seed=0), albert_batch((1, 2), seed=1)]
  of_ranks = emulator.run_ranks(2, lambda rank: albert_steps(
      npu_session.start(environ=rank_environment(rank)), batches[rank]))
  with tf.Graph().as_default():
    whole = input_pipeline.Batch(*[np.concatenate(values) for values in zip(*batches)])
    expected, losses = albert_steps(npu_session.start(session_options.SessionOptions(device='cpu'), environ={}), whole)
  np.testing.assert_allclose(np.mean([of_ranks[0][1], of_ranks[1][1]], axis=0), losses, rtol=1e-4)
  for name, value in expected.items():
    np.testing.assert_array_equal(of_ranks[0][0][name], of_ranks[1][0][name])
    if not name.endswith('self/key/bias'):  # Its gradient is zero in exact arithmetic.
      np.testing.assert_allclose(of_ranks[0][0][name], value, rtol=1e-3, atol=2e-4, err_msg=name)
