"""The reports of a training run: the progress line, its throughput in TensorBoard, the loss history."""

import collections
import logging
import time

import numpy as np
import tensorflow as tf

from albert.common import in_words
from albert.dataset import contract
from albert.run.logs import event_files

# Steps whose time says nothing: the first builds caches and thread pools, the second still allocates. Nor does that of
# a later one that is the first to fetch other tensors: TensorFlow prepares a graph of its own for each set of them.
WARMUP_STEPS = 2
# The longest time between two lines, in seconds, whatever log_every_steps says.
_QUIET_SECONDS = 30.0
# A first step that takes longer, with its preparations, is reported before there is one that is timed.
_SLOW_SECONDS = 20.0

_LOG = logging.getLogger('albert')

# Throughput of the steps after the warm-up, of which there are warmup_steps; everything is an average over them but the
# median. seconds, cpu_seconds: all steps together, warm-up included; CPU time is that of the whole process, user and
# system, while it made steps. input_wait_fraction: share of their time that this rank waited for batches, None where it
# is not measured.
class Throughput(collections.namedtuple('Throughput', [
    'steps', 'warmup_steps', 'seconds', 'cpu_seconds', 'mean_step_seconds', 'median_step_seconds',
    'examples_per_second', 'tokens_per_second', 'real_tokens_per_second', 'input_wait_fraction'])):
  """The value that is described above."""

  __slots__ = ()

  @property
  def is_measured(self):
    """Whether a step beyond the warm-up was made; else these are the seconds in which TensorFlow prepares graphs."""
    return self.warmup_steps > 0


# Tensors of a step. step: int64 scalar, the global step after the update. figures: OrderedDict of name to float32
# scalar; fetched only when they are logged, if that may be. real_tokens, examples: int32 scalars, of this rank's batch:
# tokens that are not padding, and examples, of which packed batches have various numbers. input_wait: float64 scalar,
# seconds that the step waited for its batch, or None.
Watched = collections.namedtuple('Watched', ['step', 'figures', 'real_tokens', 'examples', 'input_wait'],
                                 defaults=[None])

# ranks: how many processes train together. tokens_per_step: of all ranks together, padding included. steps_per_run:
# updates that one Session.run makes. num_train_steps: the step at which training ends. log_every_steps: how often
# figures are fetched, logged and kept. fetches_the_same: whether every step has to, see npu_session.Device. remaining:
# remaining.Remaining.
Loop = collections.namedtuple('Loop', [
    'ranks', 'tokens_per_step', 'steps_per_run', 'num_train_steps', 'log_every_steps', 'fetches_the_same',
    'remaining'])

# line: callable(dict of floats) -> str, the figures in a few words. group: what the names of figures begin with in the
# event file. history: run.results.History or None. folder: of the event file for figures and throughput, or None.
Reports = collections.namedtuple('Reports', [
    'line', 'group', 'history', 'folder'], defaults=['', None, None])


def announce(plan, device, order, start):
  """Logs what a step is, and what is not as usual.

  Args:
    plan: planning.Plan.
    device: npu_session.Device.
    order: data_order.Order of the training data.
    start: int, the step that training goes on from.
  """
  info, batch_size, config = plan.info, plan.rows_per_step, plan.config
  _LOG.info('step = %s x %s x %d tokens = %s tokens; from step %s to %s', in_words.counted(device.ranks, 'rank'),
            in_words.counted(batch_size // device.ranks, 'sequence'), info.max_seq_length,
            '{:,}'.format(batch_size * info.max_seq_length), '{:,}'.format(start),
            '{:,}'.format(plan.options.num_train_steps))
  if plan.layout:
    _LOG.info('packing: the %s examples of a step, never more than %s of them in a row', '{:,}'.format(
        plan.options.train_batch_size), plan.layout.slots)
  elif plan.input_options.packing:
    _LOG.info('packing: an epoch has %s for %s', in_words.counted(order.epoch_length, 'row'),
              in_words.counted(info.records(contract.TRAIN), 'example'))
  if device.dropout and (config.hidden_dropout_prob or config.attention_probs_dropout_prob):
    _LOG.warning("dropout runs in the NPU's own operation: a run that is stopped and goes on draws other masks than "
                 'one that is not; SessionOptions.fused_ops=False repeats them')
  if not device.measures_input_wait:
    _LOG.info('time waiting for input is not measured on this device: a step runs there without a host')


class ProgressHook(tf.train.SessionRunHook):
  """Logs step, losses, throughput and time left; keeps the figures for results.json."""

  def __init__(self, watched, loop, reports):
    """Watches a training loop. watched: Watched. loop: Loop. reports: Reports."""
    self._fetches = {'step': watched.step, 'real_tokens': watched.real_tokens, 'examples': watched.examples}
    if watched.input_wait is not None:
      self._fetches['input_wait'] = watched.input_wait
    self._figures = watched.figures
    self._loop = loop
    self._reports = reports
    self._writer = reports.folder and event_files.writer(reports.folder)
    self._last_step = None
    self._logs = False  # whether the figures of the step under way are logged
    # One entry for each step.
    self._durations = []  # seconds
    self._cpu_seconds = 0.0  # of all of them
    self._real_tokens = []
    self._examples = []
    self._input_waits = []  # seconds; empty where they are not measured
    self._is_warm = []  # whether its time counts
    self._fetched_before = set()  # the names that a step fetched, a frozenset for each kind of step
    self._logged_runs = 0
    self._ended = None  # (time, step before, step after) of the last step
    self._has_estimated = False
    self.last_figures = {}

  @property
  def step(self):
    """int, the global step after the last update; None before there is a session."""
    return self._last_step

  def after_create_session(self, session, coord):
    self._last_step = int(session.run(tf.train.get_global_step()))
    self._logged_at = time.time()

  def before_run(self, run_context):
    self._started, self._cpu_before = time.time(), time.process_time()
    if self._ended:
      ended, before, after = self._ended
      self._loop.remaining.between_steps(before, after, self._started - ended)
    self._logs = (not self._durations or self._started - self._logged_at >= _QUIET_SECONDS
                  or self._is_due(self._last_step, self._last_step + self._loop.steps_per_run))
    fetches = dict(self._fetches)
    if self._loop.fetches_the_same or self._logs:
      fetches['figures'] = self._figures
    self._is_new_kind = frozenset(fetches) not in self._fetched_before
    self._fetched_before.add(frozenset(fetches))
    return tf.train.SessionRunArgs(fetches)

  def _is_due(self, before, after):
    every = self._loop.log_every_steps
    return after // every > before // every or after >= self._loop.num_train_steps

  def after_run(self, run_context, run_values):
    values = run_values.results
    self._cpu_seconds += time.process_time() - self._cpu_before
    before, self._last_step = self._last_step, int(values['step'])
    # A step that loss scaling skipped takes its time too.
    made = max(self._loop.steps_per_run, self._last_step - before)
    self._is_warm += [len(self._is_warm) + number >= WARMUP_STEPS and not self._is_new_kind for number in range(made)]
    self._durations += [(time.time() - self._started) / made] * made
    self._real_tokens += [int(values['real_tokens'])] * made
    self._examples += [int(values['examples'])] * made
    if 'input_wait' in values:
      self._input_waits += [float(values['input_wait'])] * made
    if self._logs:
      figures = collections.OrderedDict((name, float(values['figures'][name])) for name in self._figures)
      self._log(figures)
      if self._is_due(before, self._last_step):
        self._keep(figures)
    self._log_estimate()
    self._ended = time.time(), before, self._last_step

  def _log_estimate(self):
    """Says once how long the run takes, as soon as that is known; before, after a slow first step, at most how long."""
    if self._has_estimated or self._last_step >= self._loop.num_train_steps:
      return
    if any(self._is_warm):
      self._has_estimated = True
      _LOG.info('%s', self._loop.remaining.estimate(self._last_step, _mean(self._durations, self._counting(0))))
    elif not self._ended and self._durations[0] >= _SLOW_SECONDS:
      _LOG.info('by the first step, the slowest one: at most %s for the whole run', in_words.duration(
          self._loop.remaining.seconds(self._last_step, self._durations[0])))

  def _keep(self, figures):
    """At fixed steps only, so that a run that was stopped keeps the same lines as one that was not."""
    if self._reports.history:
      self._reports.history.add(self._last_step, figures)
    if self._writer:
      self._writer.add_summary(tf.Summary(value=[
          tf.Summary.Value(tag=self._reports.group + name, simple_value=value) for name, value in figures.items()]),
                               self._last_step)

  def _log(self, figures):
    self.last_figures = figures
    recent = self._counting(self._logged_runs)
    self._logged_runs, self._logged_at = len(self._durations), time.time()
    seconds = _mean(self._durations, recent)
    # Counted on this rank; the others have as many on average.
    examples = self._loop.ranks * _mean(self._examples, recent) / seconds
    real_tokens = self._loop.ranks * _mean(self._real_tokens, recent) / seconds
    left = '  {} left'.format(_clock(self._loop.remaining.seconds(
        self._last_step, seconds))) if any(self._is_warm) else ''
    wait = self._wait_fraction(recent)
    _LOG.info('step %s/%s  %s  %s examples/s  %s tokens/s (%s real)%s%s',
              '{:,}'.format(self._last_step), '{:,}'.format(self._loop.num_train_steps), self._reports.line(figures),
              _three_digits(examples), '{:,.0f}'.format(self._loop.tokens_per_step / seconds),
              '{:,.0f}'.format(real_tokens), '' if wait is None else '  {:.1%} waiting for input'.format(wait),
              left)
    if self._writer:
      shown = {'examples_per_second': examples, 'real_tokens_per_second': real_tokens,
               'tokens_per_second': self._loop.tokens_per_step / seconds, 'input_wait_fraction': wait}
      self._writer.add_summary(tf.Summary(value=[
          tf.Summary.Value(tag='throughput/' + name, simple_value=value)
          for name, value in sorted(shown.items()) if value is not None]), self._last_step)

  def _counting(self, first):
    """Numbers of the steps from `first` on whose time counts; of all of them where none does."""
    steps = range(first, len(self._durations))
    return [step for step in steps if self._is_warm[step]] or list(steps)

  def _wait_fraction(self, steps):
    """The share of the time of some steps (their numbers) that was spent waiting for input, or None."""
    if not self._input_waits:
      return None
    return _mean(self._input_waits, steps) / _mean(self._durations, steps)

  def throughput(self):
    """Throughput of this process's steps, or None if it made none."""
    if not self._durations:
      return None
    timed = self._counting(0)
    seconds = _mean(self._durations, timed)
    return Throughput(steps=len(timed), warmup_steps=len(self._durations) - len(timed), seconds=sum(self._durations),
                      cpu_seconds=self._cpu_seconds, mean_step_seconds=seconds,
                      median_step_seconds=float(np.median([self._durations[step] for step in timed])),
                      examples_per_second=self._loop.ranks * _mean(self._examples, timed) / seconds,
                      tokens_per_second=self._loop.tokens_per_step / seconds,
                      real_tokens_per_second=self._loop.ranks * _mean(self._real_tokens, timed) / seconds,
                      input_wait_fraction=self._wait_fraction(timed))

  def results(self, batch_size, before):
    """The figures of training for results.json: the last figures, and how fast it was.

    Args:
      batch_size: int, examples of a step.
      before: dict, the entry 'train' as earlier starts of the run left it: their seconds are added.

    Returns:
      dict of the entries, or None before the first step.
    """
    throughput = self.throughput()
    if throughput is None:
      return None
    train = dict(self.last_figures, median_step_seconds=throughput.median_step_seconds, batch_size=batch_size,
                 **{name: before.get(name, 0.0) + getattr(throughput, name) for name in ('seconds', 'cpu_seconds')})
    return {'train': train, 'examples_per_second': throughput.examples_per_second,
            'input_wait_fraction': throughput.input_wait_fraction}


def _mean(values, steps):
  return float(np.mean([values[step] for step in steps]))


def _clock(seconds):
  """Seconds as 1:02:03 and so of one width in a column of lines; days in words, such as 69 days."""
  if seconds >= 48 * 3600:
    return in_words.duration(seconds)
  seconds = int(round(seconds))
  return '{}:{:02d}:{:02d}'.format(seconds // 3600, seconds // 60 % 60, seconds % 60)


def _three_digits(number):
  return '{:,.0f}'.format(number) if number >= 100 else '{:.3g}'.format(number)
