"""The exchange between processes that train together.

A form for each way in which they are connected: alone, hccl, horovod.
"""

import tensorflow as tf


class Collectives:
  """One of `ranks` processes. A form brings the three methods that are not written here, and its own __init__.

  Every rank builds the same graph and calls these in the same order.

  Attributes:
    rank, ranks: int; this process among those that train together.
  """

  def __init__(self, rank, ranks):
    self.rank = rank
    self.ranks = ranks

  @property
  def is_chief(self):
    """Whether this is rank 0, the only one that saves and summarises."""
    return self.rank == 0

  def connect(self):
    """Called once, before anything else: connects the ranks, where that is not done elsewhere.

    Raises:
      UserError: it is not possible.
    """

  def all_reduce_sum(self, tensor, name='all_reduce_sum'):
    """The sum of a tensor over ranks.

    Args:
      tensor: int32, float16 or float32 (HCCL adds no int64), of the same shape on all ranks.
      name: name scope.
    """
    raise NotImplementedError

  def average(self, gradient, variable):
    """The mean of a gradient over ranks. gradient: dense tensor; variable: the tf.Variable it belongs to."""
    raise NotImplementedError

  def hooks(self):
    """A list of new tf.train.SessionRunHooks, which give every rank all variables of rank 0 when a session is made.

    Rank 0 alone restores a checkpoint. Hooks of the library that connects the ranks go before those made here.
    """
    raise NotImplementedError

  def explain(self, error):
    """A UserError for an exception that says that another rank is gone; None for any other exception."""
    del error
    return None

  def average_gradients(self, grads_and_vars):
    """Makes gradients dense and averages them over ranks. Call it before they are clipped.

    Args:
      grads_and_vars: list of (gradient, variable) as compute_gradients returns it: a tensor, IndexedSlices or None.
        IndexedSlices would be gathered instead of added, and their norm counts a row that occurs twice wrongly, so
        one rank would clip otherwise than several.

    Returns:
      A list of (tensor or None, variable).
    """
    with tf.name_scope('average_gradients'):
      return [(None if gradient is None else self.average(tf.convert_to_tensor(gradient), variable), variable)
              for gradient, variable in grads_and_vars]
