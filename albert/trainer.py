"""The run of one process: model_fn for tf.estimator, training, and the evaluation of each new checkpoint."""

import logging
import os
import time

import gin.tf
import tensorflow as tf

from albert import checkpoints
from albert import cpu_ops
from albert import evaluation
from albert import features
from albert import input_pipeline
from albert import lamb
from albert import layers
from albert import modeling
from albert import objectives
from albert import run_directory
from albert import training_hooks

_LOG = logging.getLogger('albert')

_HISTORY_COLUMNS = ['masked_lm_loss', 'masked_lm_accuracy', 'sentence_order_loss', 'sentence_order_accuracy']


class Trainer:
  """One run: what model_fn and the loop around it share. All arguments are plain values; gin ends at pretrain().

  Attributes:
    info: features.DatasetInfo of the training data; heldout: of the held-out data, or None.
    config: AlbertConfig with vocab_size.
    optimizer: lamb.OptimizerOptions.
    session: npu_session.Session.
  """

  def __init__(self, info, heldout, config, optimizer, session, output_dir, num_train_steps, train_batch_size,
               eval_batch_size, max_eval_steps, log_every_steps, random_seed, init_checkpoint, init_optimizer_slots):
    self.info = info
    self.heldout = heldout
    self.config = config
    self.optimizer = optimizer
    self.session = session
    self.output_dir = output_dir
    self.num_train_steps = num_train_steps
    self.train_batch_size = train_batch_size
    self.eval_batch_size = eval_batch_size
    self.max_eval_steps = max_eval_steps
    self.log_every_steps = log_every_steps
    self.random_seed = random_seed
    self.init_checkpoint = init_checkpoint
    self.init_optimizer_slots = init_optimizer_slots
    self.loss_history = run_directory.History(output_dir, run_directory.LOSS_HISTORY_FILE, ['total_loss'])
    self.heldout_history = run_directory.History(output_dir, run_directory.HELDOUT_HISTORY_FILE, _HISTORY_COLUMNS)
    self.progress = None

  def model_fn(self, features, labels, mode):
    """The model function of tf.estimator."""
    del labels  # part of the batch
    batch = input_pipeline.Batch(**features)
    if mode == tf.estimator.ModeKeys.TRAIN:
      return self._train_spec(batch)
    model = objectives.pretraining_model(batch, self.config, is_training=False,
                                         ops=model_ops(self.session))
    checkpoints.check_compatible(self.evaluated_checkpoint, tf.trainable_variables())
    metrics = evaluation.heldout_metrics(batch, model, self._unigram_nats())
    return tf.estimator.EstimatorSpec(mode, loss=model.total_loss, eval_metric_ops=metrics)

  def _train_spec(self, batch):
    global_step = tf.train.get_or_create_global_step()
    model = objectives.pretraining_model(batch, self.config, is_training=True,
                                         ops=model_ops(self.session, self.random_seed, global_step),
                                         session=self.session)
    rate, norm, train_op = make_train_op(model.total_loss, self.optimizer, self.num_train_steps, self.session)
    self._initialise()
    figures = evaluation.training_figures(batch, model, rate, norm)
    for name, value in figures.items():
      tf.summary.scalar(name, value)
    with tf.control_dependencies([train_op]):
      step_after = tf.identity(global_step)
    self.progress = self._progress_hook(step_after, figures, batch)
    return tf.estimator.EstimatorSpec(tf.estimator.ModeKeys.TRAIN, loss=model.total_loss, train_op=train_op,
                                      training_hooks=[self.progress])

  def _initialise(self):
    """Checks the checkpoint that training goes on from, or loads the published one that it starts from."""
    own = run_directory.latest_checkpoint(self.output_dir)
    if own:
      checkpoints.check_compatible(own, tf.global_variables())
    elif self.init_checkpoint:
      checkpoints.initialise_from(self.init_checkpoint, self.init_optimizer_slots)

  def _progress_hook(self, step, figures, batch):
    ranks = self.session.ranks
    chief = self.session.is_chief
    return training_hooks.ProgressHook(
        step, figures, tf.reduce_sum(batch.input_mask), ranks, examples_per_step=ranks * self.train_batch_size,
        tokens_per_step=ranks * self.train_batch_size * self.info.max_seq_length,
        num_train_steps=self.num_train_steps, log_every_steps=self.log_every_steps,
        history=self.loss_history if chief else None, output_dir=self.output_dir if chief else None)

  def _unigram_nats(self):
    path = self.info.token_counts_file
    return evaluation.unigram_nats(path, self.config.vocab_size) if os.path.exists(path) else None

  def estimator(self, save_checkpoints_steps=None, keep_checkpoint_max=5):
    """A tf.estimator.Estimator over model_fn with this session's configuration."""
    return tf.estimator.Estimator(self.model_fn, config=self.session.run_config(
        model_dir=self.output_dir, tf_random_seed=self.random_seed, save_checkpoints_steps=save_checkpoints_steps,
        save_summary_steps=self.log_every_steps, keep_checkpoint_max=keep_checkpoint_max,
        log_step_count_steps=None))

  def train(self, save_checkpoints_steps, keep_checkpoint_max, evaluate):
    """Trains to num_train_steps from the newest checkpoint, evaluating at each new one."""
    start = run_directory.step_of(run_directory.latest_checkpoint(self.output_dir))
    self.loss_history.forget_after(start)
    self.heldout_history.forget_after(start)
    _LOG.info('step = %d rank(s) x %d sequences x %d tokens = %s tokens; from step %s to %s', self.session.ranks,
              self.train_batch_size, self.info.max_seq_length,
              '{:,}'.format(self.session.ranks * self.train_batch_size * self.info.max_seq_length),
              '{:,}'.format(start), '{:,}'.format(self.num_train_steps))
    if evaluate and start and start not in self.heldout_history.steps():
      self.evaluate_and_keep(run_directory.latest_checkpoint(self.output_dir))
    if start >= self.num_train_steps:
      return
    estimator = self.estimator(save_checkpoints_steps, keep_checkpoint_max)
    hooks = [gin.tf.GinConfigSaverHook(self.output_dir, summarize_config=True)] if self.session.is_chief else []

    def input_fn():
      return input_pipeline.training_batches(
          self.info, self.train_batch_size, self.random_seed, start, self.session.rank, self.session.ranks)

    estimator.train(input_fn, hooks=self.session.train_hooks(hooks), max_steps=self.num_train_steps,
                    saving_listeners=[_CheckpointListener(self, evaluate)])

  def evaluate(self, checkpoint):
    """Evaluates a checkpoint on the held-out data. Returns the figures as a dict of floats."""
    self.evaluated_checkpoint = checkpoint
    split = features.HELDOUT if self.heldout.shards[features.HELDOUT] else features.TRAIN

    def input_fn():
      return input_pipeline.heldout_batches(self.heldout, self.eval_batch_size, split, self.max_eval_steps)

    found = self.estimator().evaluate(input_fn, checkpoint_path=checkpoint, name='heldout')
    figures = {name: float(value) for name, value in found.items() if name not in ('loss', 'global_step')}
    _LOG.info('held-out at step %s: %s', '{:,}'.format(run_directory.step_of(checkpoint)),
              '  '.join('{} {:.4f}'.format(name, value) for name, value in sorted(figures.items())))
    return figures

  def evaluate_and_keep(self, checkpoint):
    """Evaluates a checkpoint of this run, writes results.json, keeps it if it is the best."""
    step = run_directory.step_of(checkpoint)
    figures = self.evaluate(checkpoint)
    best = run_directory.keep_if_best(self.output_dir, checkpoint, step, figures)
    run_directory.update_results(self.output_dir, heldout=figures, global_step=step,
                                 checkpoint=os.path.basename(checkpoint))
    self.heldout_history.add(step, figures)
    if best:
      _LOG.info('best so far: kept in %s', os.path.join(self.output_dir, 'best'))


class _CheckpointListener(tf.train.CheckpointSaverListener):
  """Evaluates each checkpoint when it has been saved, in a graph of its own; saving is no part of a step's time."""

  def __init__(self, trainer, evaluate):
    self._trainer = trainer
    self._evaluate = evaluate

  def before_save(self, session, global_step_value):
    self._started = time.time()

  def after_save(self, session, global_step_value):
    if self._evaluate and global_step_value > 0 and global_step_value not in self._trainer.heldout_history.steps():
      self._trainer.evaluate_and_keep(run_directory.latest_checkpoint(self._trainer.output_dir))
    self._trainer.progress.leave_out(time.time() - self._started)


def model_ops(session, random_seed=0, step=None):
  """The operations that suit a device.

  Args:
    session: npu_session.Session.
    random_seed: Python int, of dropout.
    step: int64 scalar tensor, of which dropout is a function; None where nothing is dropped.

  Returns:
    modeling.Ops.
  """
  ops = modeling.default_ops()
  if session.cpu_ops:
    ops = ops._replace(gelu=cpu_ops.gelu, add_and_norm=cpu_ops.add_and_norm, attention=cpu_ops.attention,
                       cross_entropy=cpu_ops.cross_entropy)
  if session.gelu:
    ops = ops._replace(gelu=session.gelu)
  if session.dropout:
    return ops._replace(dropout=session.dropout)
  # Ranks drop different elements.
  return ops if step is None else ops._replace(
      dropout=layers.StatelessDropout(random_seed * session.ranks + session.rank, step))


def make_train_op(total_loss, options, num_train_steps, session):
  """Gradients, averaged over ranks, then clipped, then applied.

  Args:
    total_loss: float32 scalar.
    options: lamb.OptimizerOptions.
    num_train_steps: Python int.
    session: npu_session.Session.

  Returns:
    (learning rate float32 scalar, global norm of the gradients float32 scalar, train op).
  """
  global_step = tf.train.get_or_create_global_step()
  rate = lamb.learning_rate_at(global_step, options, num_train_steps)
  optimizer = session.wrap_optimizer(lamb.create_optimizer(rate, options))
  found = optimizer.compute_gradients(total_loss, tf.trainable_variables())
  averaged = session.average_gradients([(tf.convert_to_tensor(gradient), variable) for gradient, variable in found])
  gradients, norm = lamb.clip_by_global_norm([gradient for gradient, _ in averaged], options.clip_norm)
  variables = [variable for _, variable in averaged]
  train_op = optimizer.apply_gradients(list(zip(gradients, variables)), global_step)
  return rate, norm, session.wrap_train_op(train_op)
