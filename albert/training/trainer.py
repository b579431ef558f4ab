"""The training loop of one process: model_fn for tf.estimator, and the evaluation of each new checkpoint."""

import logging

import gin.tf
import tensorflow as tf

from albert.dataset import contract
from albert.input import waiting
from albert import input_pipeline
from albert.run import loading
from albert.run import saver
from albert.training import finite_updates
from albert.training import guard
from albert.training import planning
from albert.training import progress
from albert.training import spikes
from albert.training import stopping
from albert.training import together
from albert.training import training_step

_LOG = logging.getLogger('albert')


class Trainer:
  """Trains and evaluates as a plan says.

  Attributes:
    run: run.Run.
    order: in which the training data comes, see input_pipeline.training_order.
    progress: progress.ProgressHook of this process, or None before it trains.
  """

  def __init__(self, plan, device, run, order, stopper, evaluator=None):
    """Makes a trainer.

    Args:
      plan: planning.Plan.
      device: npu_session.Device.
      run, order: as the attributes.
      stopper: stopping.Stopper.
      evaluator: evaluation.Evaluator of each new checkpoint, or None.
    """
    self._plan, self._options, self._task = plan, plan.options, plan.task
    self._device = device
    self._stopper = stopper
    self.run = run
    self.order = order
    self.progress = None
    self._evaluator = evaluator
    self._seconds_before = 0.0

  def _model_fn(self, features, labels, mode):
    """The model function of tf.estimator, for training."""
    del labels, mode  # part of the batch; there is one
    waited = features.pop(waiting.WAIT, None)
    batch = self._task.batch(features)
    global_step = tf.train.get_or_create_global_step()
    update, figures = training_step.make(
        self._task, batch, self._plan.optimizer, self._options.num_train_steps, self._device,
        self._options.random_seed, self._plan.micro_batch_size, self._options.recompute, self._plan.cores.cpu_towers)
    self._initialise()
    with tf.control_dependencies([update.train_op]):
      step_after = tf.identity(global_step)
    hooks = [stopping.StepHook(self._stopper.activity, self.run.start, self._device.steps_per_loop),
             self._progress_hook(step_after, figures, batch, waited),
             self._guard_hook(step_after, figures['total_loss'], update)]
    saves = None
    if self.run.is_chief:
      # After the other hooks: a checkpoint is saved when everything else of its step is on the disk.
      saves = saver.SaverHook(self.run.folder, self._options.save_checkpoints_steps, self._device.steps_per_loop,
                              self._remember, self._saved, self.run.lock.check)
      hooks.append(saves)
    # After the saver: when a signal has ended the evaluation of a checkpoint, no step may follow it, or the run would
    # go on from a later checkpoint and never evaluate this one.
    hooks.append(self._stop_hook(step_after, saves and saves.save_now))
    loss = finite_updates.finite_surrogate(figures['total_loss'])
    return tf.estimator.EstimatorSpec(tf.estimator.ModeKeys.TRAIN, loss=loss, train_op=update.train_op,
                                      training_hooks=hooks)

  def _initialise(self):
    """Checks the checkpoint that training goes on from, or loads the published one that it starts from."""
    own = self.run.newest()
    if own:
      loading.resume_from(own, tf.global_variables())
    elif self._plan.init_checkpoint:
      changes = loading.decide(self._plan.init_checkpoint, self._plan.config, self._plan.info, self._options)
      loading.initialise_from(self._plan.init_checkpoint, self._options.init_optimizer_slots, changes,
                              self._options.init_partial)

  def _progress_hook(self, step, figures, batch, waited):
    ranks, chief = self._device.ranks, self.run.is_chief
    examples, real_tokens = self._task.sizes(batch)
    self.progress = progress.ProgressHook(
        step, figures, real_tokens, examples, ranks,
        tokens_per_step=ranks * self._options.train_batch_size * self._plan.info.max_seq_length,
        steps_per_run=self._device.steps_per_loop, num_train_steps=self._options.num_train_steps,
        log_every_steps=self._options.log_every_steps, line=self._task.line,
        history=self.run.loss_history if chief else None, output_dir=self.run.folder if chief else None,
        group=self._task.name + '/', input_wait=waited, fetches_the_same=self._device.fetches_the_same)
    return self.progress

  def _stop_hook(self, step, save):
    if self._device.ranks == 1:
      return stopping.StopHook(self._stopper, save)
    return together.StopTogetherHook(
        self._stopper, self._device.collectives, step,
        lambda step: step < self._options.num_train_steps and self.run.is_regular(step))

  def _guard_hook(self, step_after, loss, update):
    return guard.GuardHook(
        self.run.counters, self.run.position, self.run.start, step_after, loss, update,
        [v.op.name for v in tf.trainable_variables()], self.order.records_at, self._device.steps_per_loop,
        self._options.log_every_steps, self.run.folder if self.run.is_chief else None)

  def train(self):
    """Trains to num_train_steps from the newest good checkpoint, evaluating each new one.

    Returns:
      The step that was reached: less than num_train_steps if a signal came.
    """
    while True:
      self._stopper.activity.begin('verifying the newest checkpoint')
      self.run.go_back()
      self._stopper.activity.saved()
      self._seconds_before = self.run.figures.get('train', {}).get('seconds', 0.0)
      try:
        self._measure_best_again()
        if self.run.start:
          self._evaluate_if_due(self.run.newest(), self.run.start)
        # Several ranks agree on it: the others may have begun.
        stops = self._stopper.requested and self._device.ranks == 1
        if self.run.start < self._options.num_train_steps and not stops:
          self._train_from_start()
        return self.run.newest_step()
      except spikes.SpikeFound as spike:
        self.run.leave_out(spike, self.order.unit)

  def _train_from_start(self):
    """Trains until the end, a signal or a spike."""
    self._announce()
    self._stopper.activity.begin('building the graph and loading the weights')
    hooks = [gin.tf.GinConfigSaverHook(self.run.folder, summarize_config=True)] if self.run.is_chief else []
    first = self.run.position.used

    def input_fn():
      batches = input_pipeline.training_batches(self.order, self._options.train_batch_size, first,
                                                self._plan.input_options, self._task.features)
      return waiting.timed_batch(batches) if self._device.measures_input_wait else batches

    estimator = tf.estimator.Estimator(self._model_fn, config=self._device.run_config(
        model_dir=self.run.folder, tf_random_seed=self._options.random_seed, save_checkpoints_steps=None,
        save_checkpoints_secs=None, save_summary_steps=0, log_step_count_steps=None))
    estimator.train(input_fn, hooks=self._comparison() + self._device.train_hooks(hooks),
                    max_steps=self._options.num_train_steps)

  def _comparison(self):
    """The hook that compares what ranks have in common, in a list; none on one."""
    if self._device.ranks == 1:
      return []
    values = planning.same_on_ranks(self._plan)
    values['checkpoint to go on from'] = self.run.start
    return [together.SameOnRanksHook(self._device.collectives, values)]

  def _announce(self):
    """Says what a step is, and what is not as usual."""
    info, batch_size, config = self._plan.info, self._options.train_batch_size, self._plan.config
    _LOG.info('step = %d rank(s) x %d sequences x %d tokens = %s tokens; from step %s to %s', self._device.ranks,
              batch_size, info.max_seq_length, '{:,}'.format(self._device.ranks * batch_size * info.max_seq_length),
              '{:,}'.format(self.run.start), '{:,}'.format(self._options.num_train_steps))
    if self._plan.input_options.packing:
      _LOG.info('packing: an epoch has %s rows for %s examples', '{:,}'.format(self.order.epoch_length),
                '{:,}'.format(info.records(contract.TRAIN)))
    if self._device.dropout and (config.hidden_dropout_prob or config.attention_probs_dropout_prob):
      _LOG.warning("dropout runs in the NPU's own operation: a run that is stopped and goes on draws other masks than "
                   'one that is not; SessionOptions.fused_ops=False repeats them')
    if not self._device.measures_input_wait:
      _LOG.info('time waiting for input is not measured on this device: a step runs there without a host')

  def _remember(self):
    """The entries of a checkpoint's manifest."""
    return self.run.remember(self._figures(), planning.config_hash(self._plan))

  def _figures(self):
    """Entries of results.json: the last figures of training, and how fast it was."""
    throughput = self.progress and self.progress.throughput()
    if throughput is None:
      return self.run.figures
    train = dict(self.progress.last_figures, seconds=self._seconds_before + throughput.seconds,
                 median_step_seconds=throughput.median_step_seconds, batch_size=self._options.train_batch_size)
    return {'train': train, 'examples_per_second': throughput.examples_per_second,
            'input_wait_fraction': throughput.input_wait_fraction}

  def _saved(self, checkpoint, step):
    """Called after a checkpoint was committed."""
    self._stopper.activity.saved()
    self.run.retain(step)
    if step:
      self._evaluate_if_due(checkpoint, step)

  def _measure_best_again(self):
    """Evaluates the best checkpoint again where the held-out data is another: else it would be compared with others."""
    best = self._evaluator and self.run.best.measured_elsewhere(self._plan.evaluated_on)
    if not best:
      return
    try:
      self.run.measure_best_again(self._evaluator.evaluate(best, in_curve=False), self._plan.evaluated_on)
    except stopping.Stopped:
      _LOG.warning('the evaluation of the best checkpoint was left; it is made when the run goes on')

  def _evaluate_if_due(self, checkpoint, step):
    """Evaluates a checkpoint that has no line in the history, unless it was only made to stop there."""
    if self._evaluator and self.run.is_regular(step) and self.run.lacks_evaluation_of(step):
      try:
        self._evaluate(checkpoint, step)
      except stopping.Stopped:
        _LOG.warning('the evaluation at step %s was left; it is made when the run goes on', '{:,}'.format(step))

  def _evaluate(self, checkpoint, step):
    self._stopper.activity.begin('evaluating the checkpoint of step {:,}'.format(step))
    figures = self._evaluator.evaluate(checkpoint, in_curve=step not in self.run.heldout_history.steps())
    self.run.keep(checkpoint, step, figures, self._plan.evaluated_on)
