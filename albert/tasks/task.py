"""The interface of a task: all that training, evaluation and prediction need to know of what is learned.

A task brings its batch, losses, figures, outputs, what is better and how figures are printed. What a run brings is
everything else: the loop, ranks, checkpoints, histories. Pre-training is the first task (tasks/pretraining.py); a new
one is a file beside it.

Shapes: B batch.
"""

import collections

from albert.dataset import record_format

# Which checkpoint is the best. metric: name of a held-out figure; lowest: whether a low one is good.
Criterion = collections.namedtuple('Criterion', ['metric', 'lowest'])
# What a task adds to the encoder, ints. parameters: trainable ones. logits: float32 values for each sequence. inputs:
# numbers of a batch for each sequence, labels above all, besides the three for each token.
HeadSize = collections.namedtuple('HeadSize', ['parameters', 'logits', 'inputs'])


class Task:
  """The interface.

  Attributes:
    features: tuple of record_format.FeatureSpec, the record that it learns from.
    name: what its figures are grouped under in TensorBoard, 'name/figure', for training and held-out data alike.
    criterion: Criterion.
    heldout_columns: names of the figures in heldout_history.tsv. loss_columns: of those in loss_history.tsv.
    settings: dict of name to str, number or None: what the weights depend on besides the settings of every run.
    signatures: dict of what an export offers: name to the fields of the batch that it is given, int32 [B, ...]. The
      first one is that of the task.
    recipes: tuple of (file of gin/, how long it takes): what there is for a CPU, where a run would take days.
  """

  features = record_format.REFERENCE_FEATURES
  name = None
  criterion = None
  heldout_columns = ()
  loss_columns = ('total_loss',)
  settings = {}
  signatures = {}
  recipes = ()

  def head_size(self, max_predictions_per_seq):
    """HeadSize, for the estimate of memory. max_predictions_per_seq: labels that a row has room for."""
    raise NotImplementedError

  def batch(self, features):
    """The namedtuple of this task's batch. features: dict of tensors [B, ...], as the input pipeline makes them."""
    raise NotImplementedError

  def sizes(self, batch):
    """(int32 scalar, int32 scalar): examples in a batch, and their tokens that are not padding. For throughput."""
    raise NotImplementedError

  def denominators(self, batch, collectives=None):
    """The divisors of the losses of a batch, so that its parts may be computed apart and added.

    Args:
      batch: what batch() gives, the whole one.
      collectives: of the device, if several ranks make one batch; the average of the ranks' gradients is then the
        gradient of the whole batch's loss.
    """
    raise NotImplementedError

  def loss(self, part, ops, divide_by, recompute=False):
    """The loss of a part of a batch, in training.

    Args:
      part: as the batch, fewer rows.
      ops: modeling.Ops.
      divide_by: what denominators() gave for the whole batch.
      recompute: Python bool, as for modeling.albert.

    Returns:
      (float32 scalar, OrderedDict of name to float32 scalar: the figures to log, `total_loss` first). Summed over the
      parts both are those of the batch.
    """
    raise NotImplementedError

  def outputs(self, part, ops):
    """The graph of inference, the one door for evaluation, prediction and export.

    Args:
      part: as the batch, or with None for labels that are not known and for fields that a signature does not give.
      ops: modeling.Ops.

    Returns:
      A namedtuple of tensors [rows, ...], None where it would need a label that is not there.
    """
    raise NotImplementedError

  def serve(self, signature, part, ops):
    """The answers of an export under one of `signatures`, made of outputs().

    Args:
      signature: str.
      part: as for outputs(), with the fields of the signature and None for all others.
      ops: modeling.Ops.

    Returns:
      OrderedDict of name to float32 or int32 tensor [B, ...].
    """
    raise NotImplementedError

  def metrics(self, batch, outputs):
    """Held-out figures that are means over rows, pooled so that the batch size does not matter.

    Args:
      batch: rows whose first input_mask is 0 are filling and count nowhere.
      outputs: what outputs() gave for it.

    Returns:
      dict of name to (value, update op), as tf.metrics.mean makes them: what an update adds to are sums, which several
      ranks add to each other's.
    """
    raise NotImplementedError

  def predictions(self, batch, outputs):
    """The tensors of a batch that score() needs, a dict [rows, ...]; empty where metrics() says everything."""
    del batch, outputs
    return {}

  def score(self, predictions):
    """Held-out figures that are no means over rows, such as the F1 of spans, computed on the host.

    Args:
      predictions: dict of name to array, what predictions() gave for all batches, concatenated.

    Returns:
      (dict of name to float, str or None: why they suggest that nothing was learned).
    """
    del predictions
    return {}, None

  def line(self, figures):
    """The figures of a step in a few words, for the progress line. figures: dict of floats."""
    return 'loss {:.4f}'.format(figures['total_loss'])

  def summary(self, step, figures):
    """Lines for the end of a run. step: int; figures: dict of floats, the held-out ones."""
    return ['held-out at step {:,}: {}'.format(
        step, ', '.join('{} {:.4f}'.format(name, value) for name, value in sorted(figures.items())))]
