"""The training loop of one process: the model function of tf.estimator and its hooks, and what follows a checkpoint."""

import gin.tf
import tensorflow as tf

from albert.input import waiting
from albert import input_pipeline
from albert.run import checkpoints
from albert.run import loading
from albert.run import saver
from albert.training.evaluation import DueEvaluations
from albert.training.loop_hooks import LoopHooks
from albert.training import phases
from albert.training import planning
from albert.training import resources
from albert.training.stability import finite_updates
from albert.training.stability import spikes
from albert.training.telling import progress
from albert.training import together
from albert.training import training_step


class Trainer:
  """Trains and evaluates as a plan says.

  Attributes:
    run: run.Run.
    phase: phases.Phase that is under way, or None before it trains.
    progress: progress.ProgressHook of this process, or None before it trains.
  """

  def __init__(self, plan, device, run, orders, stopper, ranks, evaluator=None):
    """Makes a trainer.

    Args:
      plan: planning.Plan.
      device: npu_session.Device.
      run: as the attribute.
      orders: for each phase the one in which its data comes, see input_pipeline.training_order.
      stopper: stopping.Stopper.
      ranks: together.Ranks.
      evaluator: evaluation.Evaluator of each new checkpoint, or None.
    """
    self._plan, self._options = plan, plan.options
    self._whole_device = self._device = device
    self._stopper = stopper
    self._ranks = ranks
    self.run = run
    self._orders = orders
    self.phase = None
    self.progress = None
    self._evaluations = DueEvaluations(run, evaluator, plan.evaluated_on, stopper, ranks)
    self._before = {}  # figures of training that earlier starts of the run counted
    self._stands_still = False

  def _model_fn(self, features, labels, mode):
    """The model function of tf.estimator, for training."""
    del labels, mode  # part of the batch; there is one
    plan = self.phase.plan
    waited = features.pop(waiting.WAIT, None)
    batch = plan.task.batch(features)
    global_step = tf.train.get_or_create_global_step()
    update, figures = training_step.make(
        plan.task, batch, plan.optimizer, self._options.num_train_steps, self._device, self._options.random_seed,
        plan.micro_batch_size, self._options.recompute, plan.cores.cpu_towers,
        self._options.fgm_epsilon)
    self._initialise()
    with tf.control_dependencies([update.train_op]):
      step_after = tf.identity(global_step)
    make = LoopHooks(self._plan, self.phase, self._device, self.run, self._order, self._stopper)
    self.progress = make.progress(step_after, figures, batch, waited)
    hooks = [make.steps(), self.progress, make.guard(step_after, figures['total_loss'], update)]
    # After the other hooks: a checkpoint is saved when everything else of its step is on the disk.
    hooks.append(self._save_hook())
    # After the saver: when a signal has ended the evaluation of a checkpoint, no step may follow it, or the run would
    # go on from a later checkpoint and never evaluate this one.
    hooks.append(make.stop(step_after, hooks[-1].save_now if self.run.is_chief else None, lambda: self._stands_still))
    loss = finite_updates.finite_surrogate(figures['total_loss'])
    return tf.estimator.EstimatorSpec(tf.estimator.ModeKeys.TRAIN, loss=loss, train_op=update.train_op,
                                      training_hooks=hooks)

  def _initialise(self):
    """Checks the checkpoint that training goes on from, or loads the published one that it starts from."""
    own = self.run.newest()
    if own:
      loading.resume_from(own, tf.global_variables())
    elif self._plan.init_checkpoint:
      loading.initialise_from(self._plan.init_checkpoint, self._options.init_optimizer_slots, self._plan.remapping,
                              self._options.init_partial, self._options.new_parts, self._options.named)

  def _save_hook(self):
    every, at_once = self._options.save_checkpoints_steps, self._device.steps_per_loop
    if not self.run.is_chief:
      return together.SavedElsewhereHook(every, at_once, self._follow_checkpoint)
    return saver.SaverHook(self.run.folder, every, at_once, self._remember, self._saved, self.run.lock.check,
                           self._options.named(self._options.save_option))

  @property
  def _order(self):
    """data_order.Order of the phase that is under way."""
    return self._orders[self.phase.number - 1]

  def train(self):
    """Trains to num_train_steps from the newest good checkpoint, evaluating each new one.

    Returns:
      The step that was reached: less than num_train_steps if a signal came.
    """
    while True:
      self._stopper.activity.begin('verifying the newest checkpoint')
      self.run.go_back()
      together.compare(self._ranks, {'checkpoint to go on from': self.run.start})
      self._stopper.activity.saved()
      self._before = self.run.figures.get('train', {})
      try:
        self._evaluations.of_best_if_elsewhere()
        if self.run.start:
          self._evaluations.of(self.run.newest(), self.run.start)
        if self._stops() or self._ranks.as_chief_says(lambda: self.run.is_over(self.run.start)):
          return self.run.newest_step()
        self._train_from_start()
        if not self._goes_on():
          return self.run.newest_step()
      except spikes.SpikeFound as spike:
        self.run.leave_out(spike, self._order.plural)

  def _stops(self):
    """Whether a signal has come, to any rank."""
    if self._ranks.any(self._stopper.requested):
      self._stopper.join()
    return self._stopper.requested

  def _goes_on(self):
    """Whether training ended because the phase did, and not the run; if so, its last step is on the disk."""
    if self.progress.step < self.phase.end or self.phase.end >= self._options.num_train_steps:
      return False
    self._ranks.wait()  # rank 0 has written it
    return True

  def _train_from_start(self):
    """Trains until the end of the phase, a signal or a spike."""
    self.phase = phases.at(self._plan.phases, self.run.start)
    self._device = self._whole_device.with_threads(self.phase.plan.cores)
    phases.log(self.phase)
    progress.announce(self.phase.plan, self._device, self._order, self.run.start)
    self._stopper.activity.begin('building the graph and loading the weights', writes_nothing=True)
    hooks = [gin.tf.GinConfigSaverHook(self.run.folder, summarize_config=True)] if self.run.is_chief else []
    first = self.run.position.used

    def input_fn():
      plan = self.phase.plan
      batches = input_pipeline.training_batches(self._order, resources.rank_batch_size(plan), first,
                                                plan.input_options, plan.task.features)
      return waiting.timed_batch(batches) if self._device.measures_input_wait else batches

    estimator = tf.estimator.Estimator(self._model_fn, config=self._device.run_config(
        model_dir=self.run.folder, tf_random_seed=self._options.random_seed, save_checkpoints_steps=None,
        save_checkpoints_secs=None, save_summary_steps=0, log_step_count_steps=None))
    estimator.train(input_fn, hooks=self._device.train_hooks(hooks), max_steps=self.phase.end)

  def _remember(self):
    """The entries of a checkpoint's manifest."""
    figures = self.progress and self.progress.results(self.phase.plan.options.train_batch_size, self._before)
    return self.run.remember(figures or self.run.figures, planning.config_hash(self._plan))

  def _saved(self, checkpoint, step):
    """Called after a checkpoint was committed."""
    self._stopper.activity.saved()
    self.run.retain(step)
    self._follow_checkpoint(step)

  def _follow_checkpoint(self, step):
    """Evaluates on all ranks once rank 0 has saved, except a checkpoint that only a signal to rank 0 has caused."""
    if step and self.run.is_regular(step):
      self._evaluations.of(checkpoints.prefix_of(self.run.folder, step), step)
      self._stands_still = self._ranks.as_chief_says(self.run.stands_still)
