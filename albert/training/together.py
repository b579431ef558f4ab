"""What several ranks have to agree on: that they train the same, and the step at which they stop.

A rank that leaves the others alone leaves them in a collective until its timeout. Works with any form of collectives.
"""

import hashlib

import numpy as np
import tensorflow as tf

from albert.common.errors import UserError

_BYTES = 8  # of a hash; each is a small number, so that its sums and sums of squares fit into int32 on 32,768 ranks


class SameOnRanksHook(tf.train.SessionRunHook):
  """Compares what all ranks must have in common, when the session is made. Put it before all other hooks."""

  def __init__(self, collectives, values):
    """collectives: device.collectives.Collectives. values: OrderedDict of name to anything with a repr; all ranks have
    the same names in the same order."""
    self._collectives = collectives
    self._values = values
    self._sums = None

  def begin(self):
    pieces = np.array([_hash(value) for value in self._values.values()], np.int32)
    self._sums = self._collectives.all_reduce_sum(tf.constant(np.stack([pieces, pieces ** 2])), 'same_on_ranks')

  def after_create_session(self, session, coord):
    total, squares = session.run(self._sums).astype(np.int64)
    # Numbers are equal where the square of their sum is as large as it can be (Cauchy-Schwarz).
    differs = (self._collectives.ranks * squares != total ** 2).any(axis=1)
    different = ['{} (here {})'.format(name, _short(value)) for (name, value), is_other in zip(
        self._values.items(), differs) if is_other]
    if different:
      raise UserError('expected the same data and options on all {} ranks, found others for {}; start all ranks with '
                      'the same command and data'.format(self._collectives.ranks, ', '.join(different)))


def _hash(value):
  """Bytes of a hash of a value, a list of ints."""
  return list(hashlib.sha256(repr(value).encode('utf-8')).digest()[:_BYTES])


def _short(value):
  return str(value)[:24]


class StopTogetherHook(tf.train.SessionRunHook):
  """As stop_hooks.StopHook, on several ranks: all end after the same step, whenever the signal reaches which of them.

  Each step carries the sum over ranks of who has received a signal. Where rank 0 may evaluate, the ranks ask once more
  before the next step: a signal that ended the evaluation ends the training at this step.
  """

  def __init__(self, stopper, collectives, step, may_evaluate):
    """Watches a training loop.

    Args:
      stopper: stopping.Stopper.
      collectives: device.collectives.Collectives.
      step: int64 scalar tensor, the global step after the update.
      may_evaluate: callable(step) -> bool, the same on all ranks.
    """
    self._stopper = stopper
    self._collectives = collectives
    self._step = step
    self._may_evaluate = may_evaluate
    self._has_told = False

  def begin(self):
    self._flag = tf.compat.v1.get_variable('is_told_to_stop', [], tf.int32, tf.zeros_initializer(), trainable=False,
                                           collections=[tf.GraphKeys.LOCAL_VARIABLES])
    self._told = self._collectives.all_reduce_sum(self._flag, 'ranks_told_to_stop')

  def after_create_session(self, session, coord):
    self._has_told = False
    if self._ask(session):
      coord.request_stop()

  def before_run(self, run_context):
    self._tell(run_context.session)
    return tf.train.SessionRunArgs({'told': self._told, 'step': self._step})

  def after_run(self, run_context, run_values):
    values = run_values.results
    stops = bool(values['told'])
    if not stops and self._may_evaluate(int(values['step'])):
      stops = self._ask(run_context.session)
    if stops:
      self._stopper.join()
      run_context.request_stop()

  def _tell(self, session):
    # Between two steps, and by a graph of its own: the step itself asks nothing of the host.
    if self._stopper.requested and not self._has_told:
      self._flag.load(1, session)
      self._has_told = True

  def _ask(self, session):
    """Whether a signal has reached any rank: all ranks get the same answer."""
    self._tell(session)
    if not session.run(self._told):
      return False
    self._stopper.join()
    return True
