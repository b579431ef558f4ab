"""Held-out evaluation: its graph and session, which stay while the weights change, and what is evaluated when."""

import collections
import logging
import os
import time

import numpy as np
import tensorflow as tf

from albert.common import json_text
from albert import input_pipeline
from albert.run import checkpoints
from albert.run import loading
from albert.run.logs import event_files
from albert.run import names
from albert.training import micro_batches
from albert.training import schedule
from albert.training import stopping
from albert.training import training_step

_LOG = logging.getLogger('albert')
# Evaluations that take this share of a run's time, and not so few seconds, are worth a word.
_MOST_TIME, _SHORT_SECONDS = 0.2, 1.0


class Evaluator:
  """Evaluates checkpoints of a plan's architecture on its held-out data.

  Attributes:
    doubt: str, why the last figures suggest that nothing was learned, or None.

  Several ranks evaluate together: each a part of the records, then the sums of which the figures are made are added, so
  that every rank has the figures of all records. A rank may have none: it has its part in the sums.
  """

  def __init__(self, plan, device, lost, stopper, ranks):
    """Builds nothing yet.

    Args:
      plan: planning.Plan.
      device: npu_session.Device.
      lost: LostRecords of the held-out data.
      stopper: stopping.Stopper.
      ranks: together.Ranks.
    """
    self._plan, self._task = plan, plan.task
    self._device = device
    self._lost = lost
    self._stopper = stopper
    self._ranks = ranks
    self._session = None
    self.doubt = None

  @property
  def num_train_steps(self):
    """int, the step at which training ends."""
    return self._plan.options.num_train_steps

  @property
  def save_option(self):
    """The option that says how often a checkpoint is saved and evaluated."""
    return self._plan.options.named(self._plan.options.save_option)

  def evaluate(self, checkpoint, in_curve=True):
    """Evaluates a checkpoint; logs its figures and, if they belong to the run's curve, writes them for TensorBoard.

    Figures that are not finite are no point of a curve: whoever keeps them says so.

    Args:
      checkpoint: prefix.
      in_curve: whether it is the next point of the run's held-out curve.

    Returns:
      dict of name to float.

    Raises:
      stopping.Stopped: a signal came, to any rank.
      UserError: it is a checkpoint of another architecture.
    """
    figures, step = self._figures(checkpoint), checkpoints.step_of(checkpoint)
    if in_curve and self._ranks.is_chief and json_text.all_finite(figures.values()):
      self._draw(figures, step)
    _LOG.info('%s', '; '.join(self._task.summary(step, figures)))
    return figures

  def _draw(self, figures, step):
    folder = os.path.join(self._plan.where.output_dir, names.HELDOUT_FOLDER)
    writer = event_files.writer(folder, self._session.graph)
    # Grouped as the figures of training are: both curves share their charts.
    writer.add_summary(tf.Summary(value=[
        tf.Summary.Value(tag='{}/{}'.format(self._task.name, name), simple_value=value)
        for name, value in figures.items()]), step)
    writer.flush()
    event_files.sync(folder)

  def _figures(self, checkpoint):
    """OrderedDict of name to float."""
    if self._session is None:
      self._build(checkpoint)
    self._saver.restore(self._session, checkpoint)
    for begin in self._begin:
      self._session.run(begin)
    try:
      predictions, is_left = self._run_batches(), False
    except stopping.Stopped:
      predictions, is_left = {}, True
    self._pool(is_left)
    figures = self._session.run(self._values)
    scored, self.doubt = self._task.score(predictions)
    figures.update(scored)
    return collections.OrderedDict((name, float(value)) for name, value in sorted(figures.items()))

  def _run_batches(self):
    """Adds all batches of this rank to the sums. Returns what the task predicts of them, dict of name to array."""
    predictions = collections.defaultdict(list)
    while True:
      self._stopper.check()
      try:
        _, of_batch = self._session.run([self._updates, self._predictions])
      except tf.errors.OutOfRangeError:
        return {name: np.concatenate(values) for name, values in predictions.items()}
      for name, value in of_batch.items():
        predictions[name].append(value)

  def _pool(self, is_left):
    """Gives each rank the sums of all. Raises Stopped if one of them has left its part; is_left: whether this one."""
    if self._ranks.count > 1:
      sums = self._ranks.sum(np.append(self._session.run(self._sums), np.float32(is_left)))
      self._session.run(self._take_sums, {self._sums_of_all: sums[:-1]})
      is_left = bool(sums[-1])
    if is_left:
      self._stopper.join()
      raise stopping.Stopped()

  def _batches(self):
    heldout, options = self._plan.heldout, self._plan.options
    return input_pipeline.heldout_batches(heldout, options.eval_batch_size, schedule.heldout_split(heldout),
                                          options.max_eval_steps, self._lost, self._task.features,
                                          self._device.rank, self._device.ranks)

  def _build(self, checkpoint):
    with tf.Graph().as_default() as graph:
      # A name of its own: releases of the NPU's adapter know an iterator by it, and that of training is there as well.
      with tf.name_scope('heldout'):
        iterator = tf.compat.v1.data.make_initializable_iterator(self._batches())
      batch = self._task.batch(iterator.get_next())
      ops = training_step.model_ops(self._device)
      outputs = micro_batches.side_by_side(batch, self._plan.cores.cpu_towers,
                                           lambda part: self._task.outputs(part, ops))
      loading.check_compatible(checkpoint, tf.trainable_variables())
      metrics = self._task.metrics(batch, outputs)
      self._predictions = self._task.predictions(batch, outputs)
      self._values = {name: value for name, (value, _) in metrics.items()}
      self._updates = [update for _, (_, update) in sorted(metrics.items())]
      self._build_sums(tf.get_collection(tf.GraphKeys.METRIC_VARIABLES))
      self._saver = tf.train.Saver(tf.trainable_variables())
      # One run for each: the NPU's adapter leaves everything to the host that is run with an iterator's initializer,
      # and counts on the device would go on from those of the evaluation before.
      self._begin = [iterator.initializer, tf.local_variables_initializer()]
      graph.finalize()
    self._session = tf.Session(graph=graph, config=self._device.session_config())

  def _build_sums(self, variables):
    """Makes the tensors that _pool() reads and replaces. variables: float32, the sums that metrics add to."""
    if self._ranks.count == 1:
      return
    self._sums = tf.concat([tf.reshape(variable, [-1]) for variable in variables], axis=0)
    self._sums_of_all = tf.compat.v1.placeholder(tf.float32, self._sums.shape)
    parts = tf.split(self._sums_of_all, [variable.shape.num_elements() for variable in variables])
    self._take_sums = tf.group(*[tf.assign(variable, tf.reshape(part, variable.shape))
                                 for variable, part in zip(variables, parts)])

  def close(self):
    """Gives back the session."""
    if self._session is not None:
      self._session.close()
      self._session = None


class DueEvaluations:
  """Which checkpoints of a run are evaluated, and when: each regular one once, and the best again on other data.

  Rank 0, which keeps the figures, decides for all ranks: the others read a folder that it is writing.
  """

  def __init__(self, run, evaluator, evaluated_on, stopper, ranks):
    """Decides for one run.

    Args:
      run: run.Run, which keeps the figures.
      evaluator: Evaluator, or None: nothing is due.
      evaluated_on: str that names the evaluation set, see schedule.evaluated_on.
      stopper: stopping.Stopper.
      ranks: together.Ranks.
    """
    self._run = run
    self._evaluator = evaluator
    self._evaluated_on = evaluated_on
    self._stopper = stopper
    self._ranks = ranks
    self._last_time, self._has_evaluated, self._is_advised = time.time(), False, False

  def of(self, checkpoint, step):
    """Evaluates a checkpoint that has no line in the history, unless it was only made to stop there."""
    if self._evaluator and self._run.is_regular(step) and self._ranks.as_chief_says(
        lambda: self._run.lacks_evaluation_of(step)):
      try:
        self._evaluate(checkpoint, step)
      except stopping.Stopped:
        _LOG.warning('the evaluation at step %s was left; it is made when the run goes on', '{:,}'.format(step))

  def _evaluate(self, checkpoint, step):
    self._stopper.activity.begin('evaluating the checkpoint of step {:,}'.format(step))
    started = time.time()
    figures = self._evaluator.evaluate(checkpoint, in_curve=step not in self._run.heldout_history.steps())
    is_first = self._is_first_after_a_third(step)
    self._run.keep(checkpoint, step, figures, self._evaluated_on)
    if is_first and self._evaluator.doubt:
      _LOG.warning('NOT LEARNED so far, after a third of the steps: %s', self._evaluator.doubt)
    self._report_time(started, time.time())

  def _report_time(self, started, now):
    """Says once where evaluations take much of the time; not of the first one, which builds its graph."""
    seconds, since, is_first = now - started, now - self._last_time, not self._has_evaluated
    self._last_time, self._has_evaluated = now, True
    if is_first or self._is_advised or seconds < _SHORT_SECONDS or seconds < _MOST_TIME * since:
      return
    self._is_advised = True
    if self._ranks.is_chief:
      _LOG.warning('evaluating took %.1f s, %.0f%% of the time since the evaluation before; a larger %s costs less',
                   seconds, 100 * seconds / since, self._evaluator.save_option)

  def _is_first_after_a_third(self, step):
    steps = self._evaluator.num_train_steps
    return 3 * step >= steps and not any(3 * before >= steps for before in self._run.heldout_history.steps()
                                         if before < step)

  def of_best_if_elsewhere(self):
    """Evaluates the best checkpoint again where the held-out data is another: else it would be compared with others."""
    def is_due():
      return self._run.best.measured_elsewhere(self._evaluated_on) is not None

    if not (self._evaluator and self._ranks.as_chief_says(is_due)):
      return
    best, _ = self._run.best.read()
    try:
      self._run.measure_best_again(self._evaluator.evaluate(best, in_curve=False), self._evaluated_on)
    except stopping.Stopped:
      _LOG.warning('the evaluation of the best checkpoint was left; it is made when the run goes on')
