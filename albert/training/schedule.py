"""Settings that a run may change on its way, the data of its figures, and settings that change nothing."""

import hashlib
import json
import logging
import os

from albert.dataset import contract


def of(options, optimizer, heldout, device):
  """The settings that a run may change on its way, a dict for RunState.follow. device: npu_session.Device."""
  # run_state.json holds plain values.
  plain = {name: str(value) if isinstance(value, dict) else value for name, value in vars(optimizer).items()}
  return dict(plain, num_train_steps=options.num_train_steps, max_eval_steps=options.max_eval_steps,
              save_checkpoints_steps=options.save_checkpoints_steps, spike_factor=options.spike_factor,
              max_bad_steps=options.max_bad_steps, evaluation_set=_content(heldout), device=device.kind,
              precision=device.precision, loss_scale=device.loss_scaling.scale, fused_ops=device.fused_ops,
              # The size of the batches that max_eval_steps counts.
              eval_batch_size=None if options.max_eval_steps is None else options.eval_batch_size)


def evaluated_on(options, heldout):
  """Names the data of an evaluation: figures of different data are not compared."""
  if heldout is None:
    return None
  return '{:.16} {} records'.format(_content(heldout), evaluated_records(options, heldout))


def evaluated_elsewhere(named, options, heldout):
  """How the data of an evaluation is not what evaluated_on() has named before, in words, or None if it is.

  named: str, or None where that is not known.
  """
  if named in (None, evaluated_on(options, heldout)):
    return None
  records = '{:,}'.format(evaluated_records(options, heldout))
  content, before = named.split(' ')[:2]
  if _content(heldout).startswith(content):
    return '{} held-out records are read here, not the {:,} ({})'.format(
        records, int(before), options.named('max_eval_steps'))
  return 'its {} held-out records are not those'.format(records)


def evaluated_records(options, heldout):
  """How many records an evaluation reads, 0 without held-out data."""
  if heldout is None:
    return 0
  records = heldout.records(heldout_split(heldout))
  if options.max_eval_steps is not None:
    records = min(records, options.max_eval_steps * options.eval_batch_size)
  return records


def heldout_split(heldout):
  """The split of a data set that evaluation reads: the training records where nothing is held out of it."""
  return contract.HELDOUT if heldout.shards[contract.HELDOUT] else contract.TRAIN


def _content(heldout):
  """Hex SHA-256 of held-out data, whatever its files are called, or None."""
  if heldout is None:
    return None
  described = [[shard.records, shard.sha256 or os.path.basename(shard.file)]
               for shard in heldout.shards[heldout_split(heldout)]]
  return hashlib.sha256(json.dumps(described).encode('utf-8')).hexdigest()


def without_effect(where, options, optimizer):
  """Notes about settings that were given and change nothing, or not what one would think."""
  notes = []
  if not where.do_train:
    return notes
  for name in ('init_optimizer_slots', 'init_partial', 'vocab_init', 'position_init'):
    if getattr(options, name) and not where.init_checkpoint:
      notes.append('{}={!r} has no effect without --init_checkpoint'.format(
          options.named(name), getattr(options, name)))
  if where.eval_input_file and not where.do_eval:
    notes.append('--eval_input_file has no effect with --nodo_eval')
  warm_up, steps = optimizer.num_warmup_steps, options.num_train_steps
  if warm_up >= steps and not options.performance:
    notes.append('the warm-up of {:,} steps is {} the run of {:,}: the rate only reaches {:.2g} of '
                 'OptimizerOptions.learning_rate={:g}; set {}'.format(
                     warm_up, 'longer than' if warm_up > steps else 'as long as', steps, (steps - 1) / warm_up,
                     optimizer.learning_rate, options.shorter_warm_up()))
  return [(logging.WARNING, note) for note in notes]
