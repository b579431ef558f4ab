"""The run of one process: model_fn for tf.estimator, training, and the evaluation of each new checkpoint."""

import hashlib
import logging
import os

import gin.tf
import tensorflow as tf

from albert.dataset import contract
from albert.dataset import data_order
from albert.dataset import lost_records
from albert.input import packed_batches
from albert.input import packed_rows
from albert.input import waiting
from albert import input_pipeline
from albert.run import checkpoints
from albert.run import directory
from albert.run import event_files
from albert.run import loading
from albert.run import saver
from albert.tasks import heads
from albert.tasks import pretraining
from albert.training import finite_updates
from albert.training import guard
from albert.training import micro_batches
from albert.training import progress
from albert.training import spikes
from albert.training import stopping
from albert.training import training_step

_LOG = logging.getLogger('albert')

_HISTORY_COLUMNS = ['masked_lm_loss', 'masked_lm_accuracy', 'sentence_order_loss', 'sentence_order_accuracy']


class Trainer:
  """One run: what model_fn and the loop around it share.

  Attributes:
    asked: the arguments of pretrain(). output_dir: one of them.
    info: contract.DatasetInfo of the training data; heldout: of the held-out data, or None.
    config: AlbertConfig with vocab_size.
    session: npu_session.Session.
    state: run_state.RunState.
    lost: lost_records.LostRecords of the training data; heldout_lost: of the held-out data.
    rows: packed_rows.Rows of the training data, or None without packing.
    guard: guard.Guard, with the position in the data. start: int, the step that training goes on from.
    loss_history, heldout_history: directory.History.
    train_figures: for results.json, of the newest checkpoint.
    progress: progress.ProgressHook of this process, or None before it trains.
  """

  def __init__(self, plan, stopper, micro_batch_size=None):
    """plan: run_plan.Plan; stopper: stopping.Stopper; micro_batch_size: int, or None for whole batches."""
    self.asked = asked = plan.asked
    self.output_dir = asked.output_dir
    self.info, self.heldout, self.config = plan.info, plan.heldout, plan.config
    self.session, self.state = plan.session, plan.state
    self._plan = plan
    self._stopper = stopper
    self._micro_batch_size = micro_batch_size
    self.lost = lost_records.LostRecords(plan.info, asked.output_dir if plan.session.is_chief else None)
    self.rows = (packed_rows.Rows(plan.info, self.lost, asked.output_dir, plan.session.is_chief)
                 if plan.input_options.packing else None)
    self.heldout_lost = self.lost if plan.heldout in (plan.info, None) else lost_records.LostRecords(plan.heldout)
    self.guard = guard.Guard(asked.train_batch_size, asked.max_bad_steps + plan.session.most_overflows,
                             asked.spike_factor)
    self.loss_history = directory.History(asked.output_dir, directory.LOSS_HISTORY_FILE, ['total_loss'])
    self.heldout_history = directory.History(asked.output_dir, directory.HELDOUT_HISTORY_FILE,
                                                 _HISTORY_COLUMNS)
    self.start = 0
    self.train_figures = {}
    self.progress = None

  def model_fn(self, features, labels, mode):
    """The model function of tf.estimator."""
    del labels  # part of the batch
    features = dict(features)
    waited = features.pop(waiting.WAIT, None)
    is_packed = 'example_ids' in features
    batch = packed_batches.PackedBatch(**features) if is_packed else input_pipeline.Batch(**features)
    if mode == tf.estimator.ModeKeys.TRAIN:
      return self._train_spec(batch, waited)
    columns = micro_batches.side_by_side(batch, self._plan.options.cpu_towers, self._heldout_columns)
    loading.check_compatible(self.evaluated_checkpoint, tf.trainable_variables())
    metrics = {pretraining.GROUP + name: metric
               for name, metric in pretraining.heldout_metrics(batch, columns, self._unigram_nats()).items()}
    return tf.estimator.EstimatorSpec(mode, loss=pretraining.heldout_loss(batch, columns), eval_metric_ops=metrics)

  def _heldout_columns(self, batch):
    model = heads.pretraining_model(batch, self.config, is_training=False,
                                         ops=training_step.model_ops(self.session))
    return pretraining.heldout_columns(batch, model)

  def _train_spec(self, batch, waited):
    global_step = tf.train.get_or_create_global_step()
    update, figures = training_step.make(batch, self.config, self._plan.optimizer, self.asked.num_train_steps,
                                         self.session, self.asked.random_seed, self._micro_batch_size,
                                         self.asked.recompute, self._plan.options.cpu_towers)
    self._initialise()
    with tf.control_dependencies([update.train_op]):
      step_after = tf.identity(global_step)
    hooks = [self._progress_hook(step_after, figures, batch, waited),
             self._guard_hook(step_after, figures['total_loss'], update)]
    if self.session.is_chief:
      # After the other hooks: a checkpoint is saved when everything else of its step is on the disk.
      hooks.append(saver.SaverHook(self.output_dir, self.asked.save_checkpoints_steps, self.session.steps_per_loop,
                                   self._manifest_entries, self._saved))
    # After the saver: when a signal has ended the evaluation of a checkpoint, no step may follow it, or the run would
    # go on from a later checkpoint and never evaluate this one.
    hooks.append(stopping.StopHook(self._stopper))
    loss = finite_updates.finite_surrogate(figures['total_loss'])
    return tf.estimator.EstimatorSpec(tf.estimator.ModeKeys.TRAIN, loss=loss, train_op=update.train_op,
                                      training_hooks=hooks)

  def _initialise(self):
    """Checks the checkpoint that training goes on from, or loads the published one that it starts from."""
    own = directory.latest_checkpoint(self.output_dir)
    if own:
      loading.check_compatible(own, tf.global_variables())
    elif self._plan.init_checkpoint:
      loading.initialise_from(self._plan.init_checkpoint, self.asked.init_optimizer_slots)

  def _progress_hook(self, step, figures, batch, waited):
    ranks = self.session.ranks
    chief = self.session.is_chief
    self.progress = progress.ProgressHook(
        step, figures, tf.reduce_sum(batch.input_mask),
        tf.cast(tf.reduce_sum(heads.example_weights(batch)), tf.int32), ranks,
        tokens_per_step=ranks * self.asked.train_batch_size * self.info.max_seq_length,
        steps_per_run=self.session.steps_per_loop, num_train_steps=self.asked.num_train_steps,
        log_every_steps=self.asked.log_every_steps, history=self.loss_history if chief else None,
        output_dir=self.output_dir if chief else None, group=pretraining.GROUP, input_wait=waited)
    return self.progress

  def _guard_hook(self, step_after, loss, update):
    def records_at(record, count):
      if self.rows:
        return self.rows.records_at(self.asked.random_seed, record, count, self.session.rank, self.session.ranks)
      return data_order.records_at(self.info, self.asked.random_seed, record, count, self.session.rank,
                                   self.session.ranks, self._plan.input_options.shuffle_buffer_records)
    return guard.GuardHook(
        self.guard, self.start, step_after, loss, update, [v.op.name for v in tf.trainable_variables()], records_at,
        self.session.steps_per_loop, self.asked.log_every_steps, self.output_dir if self.session.is_chief else None)

  def _unigram_nats(self):
    path = self.info.token_counts_file
    return pretraining.unigram_nats(path, self.config.vocab_size) if os.path.exists(path) else None

  def estimator(self):
    """A tf.estimator.Estimator over model_fn with this session's configuration; hooks save and summarise."""
    return tf.estimator.Estimator(self.model_fn, config=self.session.run_config(
        model_dir=self.output_dir, tf_random_seed=self.asked.random_seed, save_checkpoints_steps=None,
        save_checkpoints_secs=None, save_summary_steps=0, log_step_count_steps=None))

  def train(self, evaluate):
    """Trains to num_train_steps from the newest good checkpoint, evaluating at each new one.

    Returns:
      The step that was reached: less than num_train_steps if a signal came.
    """
    self._evaluates = evaluate and self.session.is_chief
    while True:
      self._find_start()
      try:
        if self.start:
          self._evaluate_if_due(directory.latest_checkpoint(self.output_dir), self.start)
        if self.start < self.asked.num_train_steps and not self._stopper.requested:
          self._train_from_start()
        return directory.step_of(directory.latest_checkpoint(self.output_dir))
      except spikes.SpikeFound as spike:
        self._skip_window(spike)

  def _find_start(self):
    """Goes back to the newest good checkpoint in everything that a run keeps."""
    find = checkpoints.recover if self.session.is_chief else checkpoints.newest_good
    checkpoint = find(self.output_dir)
    self.start = directory.step_of(checkpoint)
    manifest = (checkpoint and checkpoints.read_manifest(checkpoint)) or {}
    self._restore(manifest)
    if self.session.is_chief:
      directory.mend_best(self.output_dir)
      if checkpoints.steps_in(self.output_dir)[-1:] == [self.start]:
        self._retain(self.start)  # a process that was killed after saving has not got to it
      self.loss_history.forget_after(self.start)
      self.heldout_history.forget_after(self.start)
      tf.summary.FileWriterCache.clear()
      event_files.rewind(self.output_dir, lambda step: step <= self.start)
      evaluated = set(self.heldout_history.steps()) | {0}
      event_files.rewind(os.path.join(self.output_dir, 'eval_heldout'), lambda step: step in evaluated)

  def _restore(self, manifest):
    """Takes over what a manifest says besides the weights; a checkpoint without one is at `start` batches."""
    self.guard.restore(manifest.get('guard') or dict(
        record=self.start * self.asked.train_batch_size, skipped=0, in_a_row=0, loss={}))
    self.train_figures = manifest.get('train') or {}
    self._seconds_before = self.train_figures.get('train', {}).get('seconds', 0.0)
    position = manifest.get('data_position') or {}
    if position and position['data_set'] != self.info.fingerprint():
      self.guard.record = 0
    elif position:
      # The same part of the epoch, also where packing was switched and rows are counted instead of records.
      there = position.get('epoch_length') or self.info.records(contract.TRAIN)
      self.guard.record = (position['ranks'] * self.guard.record * self._epoch_length()
                           // (there * self.session.ranks))
    self.guard.record = self.state.record_after(self.start, self.guard.record)

  def _epoch_length(self):
    """How many positions all ranks together have in an epoch: records, or rows."""
    return sum(self.rows.counts) if self.rows else self.info.records(contract.TRAIN)

  def _manifest_entries(self):
    """What a checkpoint has to remember besides the weights."""
    self.train_figures = self._figures_of_training()
    return {'guard': self.guard.state(), 'train': self.train_figures, 'config_hash': self._config_hash(),
            'data_position': {'record': self.guard.record, 'ranks': self.session.ranks,
                              'epoch_length': self._epoch_length(), 'data_set': self.info.fingerprint()}}

  def _config_hash(self):
    described = [sorted(self.config.to_dict().items()), sorted(vars(self._plan.optimizer).items()),
                 sorted(self.state.settings.items()), self.asked.num_train_steps]
    return hashlib.sha256(repr(described).encode('utf-8')).hexdigest()

  def _figures_of_training(self):
    """Entries of results.json: the last figures of training, and how fast it was."""
    throughput = self.progress.throughput()
    if throughput is None:
      return self.train_figures
    train = dict(self.progress.last_figures, seconds=self._seconds_before + throughput.seconds,
                 median_step_seconds=throughput.median_step_seconds, batch_size=self.asked.train_batch_size)
    return {'train': train, 'examples_per_second': throughput.examples_per_second,
            'input_wait_fraction': throughput.input_wait_fraction}

  def _train_from_start(self):
    tokens = self.session.ranks * self.asked.train_batch_size * self.info.max_seq_length
    _LOG.info('step = %d rank(s) x %d sequences x %d tokens = %s tokens; from step %s to %s', self.session.ranks,
              self.asked.train_batch_size, self.info.max_seq_length, '{:,}'.format(tokens), '{:,}'.format(self.start),
              '{:,}'.format(self.asked.num_train_steps))
    if self.rows:
      _LOG.info('packing: an epoch has %s rows for %s examples', '{:,}'.format(self._epoch_length()),
                '{:,}'.format(self.info.records(contract.TRAIN)))
    if self.session.dropout and (self.config.hidden_dropout_prob or self.config.attention_probs_dropout_prob):
      _LOG.warning("dropout runs in the NPU's own operation: a run that is stopped and goes on draws other masks than "
                   'one that is not; SessionOptions.fused_ops=False repeats them')
    if not self.session.measures_input_wait:
      _LOG.info('time waiting for input is not measured on this device: a step runs there without a host')
    hooks = [gin.tf.GinConfigSaverHook(self.output_dir, summarize_config=True)] if self.session.is_chief else []
    first = self.guard.record

    def input_fn():
      batches = input_pipeline.training_batches(
          self.info, self.asked.train_batch_size, self.asked.random_seed, first, self.session.rank, self.session.ranks,
          self._plan.input_options, self.lost, self.rows)
      return waiting.timed_batch(batches) if self.session.measures_input_wait else batches

    self.estimator().train(input_fn, hooks=self.session.train_hooks(hooks), max_steps=self.asked.num_train_steps)

  def _skip_window(self, spike):
    """Notes that the data between the newest checkpoint and a spike is left out from now on."""
    checkpoint = directory.latest_checkpoint(self.output_dir)
    step = directory.step_of(checkpoint)
    from_record = self.state.record_after(step, checkpoints.read_manifest(checkpoint)['guard']['record'])
    _LOG.warning('LOSS SPIKE at step %s: %.4f, mean %.4f; going back to step %s and leaving out %s %s to %s',
                 '{:,}'.format(spike.step), spike.loss, spike.mean, '{:,}'.format(step),
                 'rows' if self.rows else 'records', '{:,}'.format(from_record), '{:,}'.format(spike.record))
    self.state.skip_window({'checkpoint_step': step, 'spike_step': spike.step, 'loss': spike.loss, 'mean': spike.mean,
                            'from_record': from_record, 'to_record': spike.record})

  def _is_regular(self, step):
    """Whether an uninterrupted run has a checkpoint of this step, and evaluates it."""
    return step % self.asked.save_checkpoints_steps == 0 or step >= self.asked.num_train_steps

  def _saved(self, checkpoint, step):
    """Called after a checkpoint was committed."""
    self._retain(step)
    if step:
      self._evaluate_if_due(checkpoint, step)

  def _retain(self, newest):
    checkpoints.retain(self.output_dir, newest, self.asked.keep_checkpoint_max, self.asked.keep_every_steps,
                            self._is_regular)

  def _evaluate_if_due(self, checkpoint, step):
    """Evaluates a checkpoint that has no line in the history, unless it was only made to stop there."""
    if self._evaluates and self._is_regular(step) and step not in self.heldout_history.steps():
      try:
        self.evaluate_and_keep(checkpoint)
      except stopping.Stopped:
        _LOG.warning('the evaluation at step %s was left; it is made when the run goes on', '{:,}'.format(step))

  def evaluate(self, checkpoint):
    """Evaluates a checkpoint on the held-out data.

    Returns:
      The figures as a dict of floats.

    Raises:
      stopping.Stopped: a signal came.
    """
    self.evaluated_checkpoint = checkpoint
    split = contract.HELDOUT if self.heldout.shards[contract.HELDOUT] else contract.TRAIN

    def input_fn():
      return input_pipeline.heldout_batches(self.heldout, self.asked.eval_batch_size, split, self.asked.max_eval_steps,
                                            self.heldout_lost)

    found = self.estimator().evaluate(input_fn, hooks=[stopping.AbandonHook(self._stopper)],
                                      checkpoint_path=checkpoint, name='heldout')
    event_files.sync(os.path.join(self.output_dir, 'eval_heldout'))
    figures = {name[len(pretraining.GROUP):]: float(value) for name, value in found.items()
               if name.startswith(pretraining.GROUP)}
    _LOG.info('held-out at step %s: %s', '{:,}'.format(directory.step_of(checkpoint)),
              '  '.join('{} {:.4f}'.format(name, value) for name, value in sorted(figures.items())))
    return figures

  def evaluate_and_keep(self, checkpoint):
    """Evaluates a checkpoint of this run, writes results.json, keeps it if it is the best."""
    step = directory.step_of(checkpoint)
    figures = self.evaluate(checkpoint)
    best = directory.keep_if_best(self.output_dir, checkpoint, step, figures)
    directory.update_results(self.output_dir, heldout=figures, global_step=step,
                                 checkpoint=os.path.basename(checkpoint))
    self.heldout_history.add(step, figures)
    if best:
      _LOG.info('best so far: kept in %s', os.path.join(self.output_dir, 'best'))
