"""The agreements of several ranks: that they train the same, what is evaluated, and the step at which they stop.

A rank that leaves the others alone leaves them in a collective until its timeout. So what is decided follows from the
step or is sent to all, never from a clock. Works with any form of collectives.
"""

import hashlib

import numpy as np
import tensorflow as tf

from albert.common.errors import UserError
from albert.run import saver

_BYTES = 8  # of a hash; each is a small number, so that its sums and sums of squares fit into int32 on 32,768 ranks


class Ranks:
  """The exchange of ranks outside the step: sums over them of numbers that the host has.

  All ranks call the same methods in the same order; each call waits for the slowest one. One rank waits for nobody, and
  its sums are its own numbers.
  """

  def __init__(self, device):
    """Builds nothing yet. device: npu_session.Device."""
    self.count, self.is_chief = device.ranks, device.is_chief
    self._device = device
    self._session = None
    self._kept = {}  # (dtype, shape) -> (placeholder, sum)

  def sum(self, values):
    """The sums over ranks.

    Args:
      values: int32 or float32 array, of the same shape on all ranks.

    Returns:
      An array like it.

    Raises:
      RanksLost: another rank has ended.
    """
    if self.count == 1:
      return values
    key = values.dtype.name, values.shape
    if key not in self._kept:
      self._kept[key] = self._build(values)
    here, total = self._kept[key]
    try:
      return self._session.run(total, {here: values})
    except tf.errors.OpError as error:
      raise self._device.collectives.explain(error) or error

  def any(self, is_so):
    """Whether something is so on any rank. is_so: bool of this one."""
    return bool(self.sum(np.array([is_so], np.int32))[0])

  def as_chief_says(self, is_so):
    """Whether something is so for rank 0, the only one that writes what it is read from. is_so: callable() -> bool."""
    return self.any(self.is_chief and is_so())

  def wait(self):
    """Returns when all ranks have called it."""
    self.any(False)

  def _build(self, values):
    """(placeholder, sum), in the one session that has all of them."""
    self._session = self._session or self._open()
    with self._session.graph.as_default():
      # A placeholder: of a constant it would be computed before it is run.
      here = tf.compat.v1.placeholder(values.dtype, values.shape)
      return here, self._device.collectives.all_reduce_sum(here, 'sum_over_ranks_{}_{}'.format(
          values.dtype.name, '_'.join(map(str, values.shape))))

  def _open(self):
    config = self._device.session_config()
    if self._device.kind != 'npu':
      config.device_count['GPU'] = 0  # takes no memory of one
    return tf.Session(graph=tf.Graph(), config=config)

  def close(self):
    """Gives back the session."""
    if self._session is not None:
      self._session.close()
    self._session = None
    self._kept.clear()


def compare(ranks, values):
  """Compares what all ranks must have in common.

  Args:
    ranks: Ranks.
    values: OrderedDict of name to anything with a repr; all ranks have the same names in the same order.

  Raises:
    UserError: something is not the same, with its name.
  """
  if ranks.count == 1:
    return
  pieces = np.array([_hash(value) for value in values.values()], np.int32)
  total, squares = ranks.sum(np.stack([pieces, pieces ** 2])).astype(np.int64)
  # Numbers are equal where the square of their sum is as large as it can be (Cauchy-Schwarz).
  differs = (ranks.count * squares != total ** 2).any(axis=1)
  different = ['{} (here {})'.format(name, _short(value)) for (name, value), is_other in zip(
      values.items(), differs) if is_other]
  if different:
    raise UserError('expected the same data and options on all {} ranks, found others for {}; start all ranks with '
                    'the same command and data'.format(ranks.count, ', '.join(different)))


def _hash(value):
  """Bytes of a hash of a value, a list of ints."""
  return list(hashlib.sha256(repr(value).encode('utf-8')).digest()[:_BYTES])


def _short(value):
  return str(value)[:24]


class SavedElsewhereHook(saver.DueHook, tf.train.SessionRunHook):
  """Stands where rank 0 has its saver, on the other ranks: what follows a checkpoint takes all of them."""

  def __init__(self, save_steps, steps_per_run, after_save):
    """Arguments as for saver.SaverHook; after_save: callable(step)."""
    self._save_steps = save_steps
    self._run_steps = steps_per_run
    self._after_save = after_save

  def begin(self):
    self._global_step_tensor = tf.train.get_global_step()

  def after_create_session(self, session, coord):
    self._last_step = int(session.run(self._global_step_tensor))

  def before_run(self, run_context):
    return tf.train.SessionRunArgs(self._global_step_tensor)

  def _save(self, session, step):
    del session
    self._last_step = step
    self._after_save(step)


class StopTogetherHook(tf.train.SessionRunHook):
  """As stop_hooks.StopHook, on several ranks: all end after the same step, whenever the signal reaches which of them.

  Each step carries the sum over ranks of who has received a signal. Where rank 0 may evaluate, the ranks ask once more
  before the next step: a signal that ended the evaluation ends the training at this step.
  """

  def __init__(self, stopper, collectives, step, may_evaluate, is_over=lambda: False, save=None):
    """Watches a training loop.

    Args:
      stopper: stopping.Stopper.
      collectives: device.collectives.Collectives.
      step: int64 scalar tensor, the global step after the update.
      may_evaluate: callable(step) -> bool, the same on all ranks.
      is_over: callable() -> bool, whether the run has come to its end before its last step, the same on all ranks.
      save: as for stop_hooks.StopHook, on rank 0: nobody else takes part in it.
    """
    self._stopper = stopper
    self._collectives = collectives
    self._step = step
    self._may_evaluate = may_evaluate
    self._is_over = is_over
    self._save = save
    self._is_raised = False

  def begin(self):
    self._flag = tf.compat.v1.get_variable('has_signal', [], tf.int32, tf.zeros_initializer(), trainable=False,
                                           collections=[tf.GraphKeys.LOCAL_VARIABLES])
    self._raised = self._collectives.all_reduce_sum(self._flag, 'ranks_with_signal')

  def after_create_session(self, session, coord):
    self._is_raised = False
    if self._ask(session):
      coord.request_stop()

  def before_run(self, run_context):
    self._raise_flag(run_context.session)
    return tf.train.SessionRunArgs({'raised': self._raised, 'step': self._step})

  def after_run(self, run_context, run_values):
    if self._stopper.save_requested:
      self._stopper.save_requested = False
      if self._save:
        self._save(run_context.session)
    values = run_values.results
    stops = bool(values['raised'])
    if not stops and self._may_evaluate(int(values['step'])):
      stops = self._ask(run_context.session)
    if stops:
      self._stopper.join()
    if stops or self._is_over():
      run_context.request_stop()

  def _raise_flag(self, session):
    # Between two steps, and by a graph of its own: the step itself asks nothing of the host.
    if self._stopper.requested and not self._is_raised:
      self._flag.load(1, session)
      self._is_raised = True

  def _ask(self, session):
    """Whether a signal has reached any rank: all ranks get the same answer."""
    self._raise_flag(session)
    if not session.run(self._raised):
      return False
    self._stopper.join()
    return True
