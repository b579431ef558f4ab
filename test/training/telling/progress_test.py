"""albert.training.telling.progress: which steps are timed, and that averages stand beside averages."""

import collections
import logging
import types

import pytest
import tensorflow as tf

from albert.model.config import AlbertConfig
from albert.tasks.pretraining import Pretraining
from albert.tasks.task import Task
from albert.training import running
from albert.training.telling import progress
from albert.training.telling import remaining
from albert.training.telling.remaining import Checkpoints
from albert.training.telling.remaining import Remaining


class Clock:
  """Time that only the steps pass."""

  def __init__(self):
    self.now = 0.0

  def time(self):
    return self.now

  def process_time(self):
    return 1.5 * self.now


@pytest.fixture
def clock(monkeypatch):
  made = Clock()
  monkeypatch.setattr(progress, 'time', made)
  return made


def run(*arguments, **options):
  """Throughput after steps, see ran()."""
  return ran(*arguments, **options).throughput()


def ran(clock, seconds, log_every_steps, num_train_steps=None, preparing=100.0, saves=(100, 0.0)):
  """The hook after steps that take `seconds`; the first of each kind of fetches takes `preparing` s more.

  saves: (every so many steps, seconds): after these steps a checkpoint takes time.
  """
  num_train_steps = num_train_steps or len(seconds)
  figures = collections.OrderedDict(total_loss=None)
  hook = progress.ProgressHook(
      progress.Watched('step', figures, 'real_tokens', 'examples'),
      progress.Loop(ranks=1, tokens_per_step=8, steps_per_run=1, num_train_steps=num_train_steps,
                    log_every_steps=log_every_steps, fetches_the_same=False, remaining=Remaining(
                        num_train_steps, Checkpoints(saves[0], 30, 2, Pretraining.recipes))),
      progress.Told(line=lambda figures: 'loss'))
  with tf.Graph().as_default(), tf.Session() as session:
    tf.train.create_global_step()
    session.run(tf.global_variables_initializer())
    hook.after_create_session(session, None)
  kinds = set()
  for step, duration in enumerate(seconds, 1):
    fetched = frozenset(hook.before_run(None).fetches)
    clock.now += duration + (0.0 if fetched in kinds else preparing)
    kinds.add(fetched)
    values = {'step': step, 'real_tokens': 6, 'examples': 2}
    if 'figures' in fetched:
      values['figures'] = {'total_loss': 1.0}
    hook.after_run(None, types.SimpleNamespace(results=values))
    clock.now += saves[1] if step % saves[0] == 0 else 0.0
  return hook


def test_results_add_the_seconds_of_earlier_starts(clock):
  hook = ran(clock, [2.0] * 4, log_every_steps=1, preparing=0.0)
  entries = hook.results(batch_size=2, before={'seconds': 10.0, 'cpu_seconds': 20.0, 'total_loss': 9.0})
  assert entries == {'train': {'total_loss': 1.0, 'median_step_seconds': 2.0, 'batch_size': 2, 'seconds': 18.0,
                               'cpu_seconds': 32.0}, 'examples_per_second': 1.0, 'input_wait_fraction': None}
  assert hook.results(2, {})['train']['seconds'] == 8.0
  assert ran(clock, [], 1, num_train_steps=4).results(2, {'seconds': 10.0}) is None


@pytest.mark.parametrize('log_every_steps', [1, 2, 3, 5, 100])
def test_no_step_is_timed_in_which_tensorflow_prepares_another_graph(clock, log_every_steps):
  measured = run(clock, [1.0] * 12, log_every_steps)
  assert measured.mean_step_seconds == measured.median_step_seconds == pytest.approx(1.0)
  assert measured.examples_per_second == pytest.approx(2.0)
  assert measured.steps + measured.warmup_steps == 12
  assert measured.warmup_steps == (3 if log_every_steps == 2 else 2)


@pytest.mark.parametrize('steps, log_every_steps', [(1, 1), (2, 1), (3, 2)])
def test_a_run_that_was_stopped_within_its_warm_up_has_no_speed(clock, tmp_path, capsys, steps, log_every_steps):
  measured = run(clock, [1.0] * steps, log_every_steps, num_train_steps=20)
  assert measured.steps == steps and not measured.is_measured
  running._report_performance(str(tmp_path), measured)
  assert capsys.readouterr().out.startswith('performance not measured: the {} steps'.format(steps))
  assert not list(tmp_path.iterdir())
  running._report_performance(str(tmp_path), run(clock, [1.0] * 5, 1, num_train_steps=20))
  assert 'performance of 3 steps after 2 of warm-up' in capsys.readouterr().out and list(tmp_path.iterdir())


def test_cpu_time_is_that_of_all_steps_the_first_ones_included(clock):
  measured = run(clock, [1.0] * 12, 100)
  assert measured.seconds == pytest.approx(12.0 + 200.0) and measured.cpu_seconds == pytest.approx(318.0)


def test_what_is_an_average_goes_together(clock):
  measured = run(clock, [1.0] * 5 + [7.0] + [1.0] * 2, 4)
  assert measured.mean_step_seconds == pytest.approx(2.0) and measured.median_step_seconds == pytest.approx(1.0)
  assert measured.examples_per_second == pytest.approx(2 / 2.0)
  assert measured.tokens_per_second == pytest.approx(8 / 2.0)
  assert measured.real_tokens_per_second == pytest.approx(6 / 2.0)


def lines_of(caplog):
  return [record.getMessage() for record in caplog.records]


def test_the_whole_run_is_estimated_once_as_soon_as_a_step_was_timed(clock, caplog):
  caplog.set_level(logging.INFO, 'albert')
  run(clock, [1.0] * 30, 5, num_train_steps=200, preparing=3.0)
  told = [line for line in lines_of(caplog) if 'at this speed' in line]
  # The third step is timed; 30 records take as long as five steps of two examples, which are two checkpoints.
  assert told == ['at this speed: 3 min for the 197 steps to go, evaluation and saving included']
  assert lines_of(caplog)[0].startswith('step 1/200') and ' left' not in lines_of(caplog)[0], 'no guess by the warm-up'


def test_a_slow_first_step_tells_the_most_before_one_is_timed(clock, caplog):
  caplog.set_level(logging.INFO, 'albert')
  run(clock, [45.0, 40.0, 40.0, 40.0], 1, num_train_steps=125000, preparing=20.0)
  first, most, second, third, estimate, fourth = lines_of(caplog)
  assert first.startswith('step 1/125,000') and ' left' not in first + second
  assert most == 'by the first step, the slowest one: at most 99 days for the whole run'
  assert estimate.startswith('at this speed: 61 days for the 124,997 steps to go')
  assert third.endswith('  61 days left') and fourth.startswith('step 4')


def test_what_is_left_counts_checkpoints_as_long_as_they_took(clock, caplog):
  caplog.set_level(logging.INFO, 'albert')
  run(clock, [1.0] * 25, 5, num_train_steps=35, preparing=0.0, saves=(10, 60.0))
  left = {line.split(' ')[1]: line.rsplit('  ', 1)[-1] for line in lines_of(caplog) if line.startswith('step')}
  # At 10: its own checkpoint, those of 20 and 30, and that of the end, each of an estimated 5 s.
  assert left['10/35'] == '0:00:45 left'
  assert left['15/35'] == '0:03:20 left'  # three of 60 s: 20, 30, 35
  assert left['25/35'] == '0:02:10 left'


@pytest.mark.parametrize('task, step_seconds, there, said', [
    (Pretraining, 45.0, True, True), (Task, 45.0, True, False), (Pretraining, 0.1, True, False),
    (Pretraining, 45.0, False, False)])
def test_a_recipe_is_named_where_a_cpu_would_take_days(tmp_path, monkeypatch, task, step_seconds, there, said):
  monkeypatch.setattr(remaining.files, 'ROOT', str(tmp_path))
  if there:
    (tmp_path / 'gin').mkdir()
    (tmp_path / 'gin' / 'tiny_hour.gin').write_text('')
  line = Remaining(125000, Checkpoints(5000, 1000, 32, task.recipes)).estimate(1, step_seconds)
  assert ('; on a CPU, GIN=gin/tiny_hour.gin takes one hour with the data that its first lines name' in line) == said
  assert 'small_night' not in line


def phase(end, config, rows=32, first=0):
  """A phases.Phase."""
  plan = types.SimpleNamespace(config=config, info=types.SimpleNamespace(max_seq_length=512), rows_per_step=rows)
  return types.SimpleNamespace(first=first, end=end, plan=plan)


def test_a_run_of_days_on_a_cpu_is_told_before_its_first_step():
  base = AlbertConfig(vocab_size=21128, hidden_size=768, intermediate_size=3072, num_hidden_layers=12,
                      num_attention_heads=12)
  line = remaining.guess([phase(125000, base)], 0, 2, Pretraining.recipes)
  assert line.startswith('by the size of the model: about 67 days on 2 cores, and the first steps will tell; on a CPU, '
                         'GIN=gin/tiny_hour.gin takes one hour, ')
  assert remaining.guess([phase(125000, base)], 125000 - 1000, 2, ()) is None
  assert remaining.guess([phase(125000, base)], 62500, 2, ()) == (
      'by the size of the model: about 34 days on 2 cores, and the first steps will tell')
  assert remaining.guess([phase(62500, base), phase(125000, base, rows=1, first=62500)], 0, 2, ()).startswith(
      'by the size of the model: about 35 days')


def test_steps_of_other_phases_take_their_own_time():
  # 5 steps are made, of 10; then 20 of twice the work, and 10 of half of it.
  left = Remaining(40, Checkpoints(40, 0, 4), [(10, 1.0), (30, 2.0), (40, 0.5)])
  assert left.seconds(5, 2.0) == 2.0 * (5 + 40 + 5)
  assert left.estimate(5, 2.0).startswith(
      'at this speed: 2 min for the 35 steps to go (of other phases by their tokens and layers), ')
  assert left.seconds(40, 2.0) == 0.0
  assert 'phases' not in Remaining(40, Checkpoints(40, 0, 4), [(10, 3.0), (40, 1.0)]).estimate(20, 2.0)


@pytest.mark.parametrize('operation,probability,said', [
    (object(), 0.1, True), (object(), 0.0, False), (None, 0.1, False)])
def test_dropout_that_is_not_repeated_is_told(caplog, operation, probability, said):
  """The NPU's own dropout draws other masks when a run goes on."""
  plan = types.SimpleNamespace(
      options=types.SimpleNamespace(train_batch_size=4, num_train_steps=8),
      info=types.SimpleNamespace(max_seq_length=24), input_options=types.SimpleNamespace(packing=False),
      rows_per_step=4, layout=None,
      config=types.SimpleNamespace(hidden_dropout_prob=probability, attention_probs_dropout_prob=0.0))
  device = types.SimpleNamespace(ranks=1, dropout=operation, measures_input_wait=True)
  progress.announce(plan, device, order=None, start=0)
  assert ("dropout runs in the NPU's own operation" in caplog.text) == said
