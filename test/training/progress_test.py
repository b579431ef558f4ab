"""albert.training.progress: which steps are timed, and that averages stand beside averages."""

import collections
import types

import pytest
import tensorflow as tf

from albert.training import progress


class Clock:
  """Time that only the steps pass."""

  def __init__(self):
    self.now = 0.0

  def time(self):
    return self.now


@pytest.fixture
def clock(monkeypatch):
  made = Clock()
  monkeypatch.setattr(progress, 'time', made)
  return made


def run(clock, seconds, log_every_steps):
  """Throughput after steps that take `seconds`; the first of each kind of fetches takes 100 s more."""
  figures = collections.OrderedDict(total_loss=None)
  hook = progress.ProgressHook(
      progress.Watched('step', figures, 'real_tokens', 'examples'),
      progress.Loop(ranks=1, tokens_per_step=8, steps_per_run=1, num_train_steps=len(seconds),
                    log_every_steps=log_every_steps), progress.Told(line=str))
  with tf.Graph().as_default(), tf.Session() as session:
    tf.train.create_global_step()
    session.run(tf.global_variables_initializer())
    hook.after_create_session(session, None)
  kinds = set()
  for step, duration in enumerate(seconds, 1):
    fetched = frozenset(hook.before_run(None).fetches)
    clock.now += duration + (0.0 if fetched in kinds else 100.0)
    kinds.add(fetched)
    values = {'step': step, 'real_tokens': 6, 'examples': 2}
    if 'figures' in fetched:
      values['figures'] = {'total_loss': 1.0}
    hook.after_run(None, types.SimpleNamespace(results=values))
  return hook.throughput()


@pytest.mark.parametrize('log_every_steps', [1, 2, 3, 5, 100])
def test_no_step_is_timed_in_which_tensorflow_prepares_another_graph(clock, log_every_steps):
  measured = run(clock, [1.0] * 12, log_every_steps)
  assert measured.mean_step_seconds == measured.median_step_seconds == pytest.approx(1.0)
  assert measured.examples_per_second == pytest.approx(2.0)
  assert measured.steps + measured.warmup_steps == 12
  assert measured.warmup_steps == (3 if log_every_steps == 2 else 2)


def test_what_is_an_average_goes_together(clock):
  measured = run(clock, [1.0] * 5 + [7.0] + [1.0] * 2, 4)
  assert measured.mean_step_seconds == pytest.approx(2.0) and measured.median_step_seconds == pytest.approx(1.0)
  assert measured.examples_per_second == pytest.approx(2 / 2.0)
  assert measured.tokens_per_second == pytest.approx(8 / 2.0)
  assert measured.real_tokens_per_second == pytest.approx(6 / 2.0)


@pytest.mark.parametrize('operation,probability,said', [
    (object(), 0.1, True), (object(), 0.0, False), (None, 0.1, False)])
def test_dropout_that_is_not_repeated_is_told(caplog, operation, probability, said):
  """The NPU's own dropout draws other masks when a run goes on."""
  plan = types.SimpleNamespace(
      options=types.SimpleNamespace(train_batch_size=4, num_train_steps=8),
      info=types.SimpleNamespace(max_seq_length=24), input_options=types.SimpleNamespace(packing=False),
      config=types.SimpleNamespace(hidden_dropout_prob=probability, attention_probs_dropout_prob=0.0))
  device = types.SimpleNamespace(ranks=1, dropout=operation, measures_input_wait=True)
  progress.announce(plan, device, order=None, start=0)
  assert ("dropout runs in the NPU's own operation" in caplog.text) == said
