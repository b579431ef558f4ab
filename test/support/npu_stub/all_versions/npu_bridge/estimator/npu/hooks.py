"""What both forms of npu_hook share; not a module of the real package."""

import tensorflow as tf

from npu_bridge.estimator.npu import util
from npu_bridge.hccl import hccl_ops


class BroadcastHook(tf.train.SessionRunHook):
  """Broadcasts what self.variables() returns when the session has been made."""

  def __init__(self, root_rank=None, index=None):
    self._root_rank = root_rank
    self._index = index

  def variables(self):
    raise NotImplementedError

  def begin(self):
    self._broadcast = tf.group(*[tf.assign(variable, hccl_ops.broadcast([variable], self._root_rank)[0])
                                 for variable in self.variables()])

  def after_create_session(self, session, coord):
    session.run(self._broadcast)


class SetIterationsVarHook(tf.train.SessionRunHook):

  def __init__(self, iterations_per_loop=None):
    self._iterations_per_loop = iterations_per_loop

  def begin(self):
    for name in ('iterations_per_loop', 'loop_cond', 'zero', 'one'):
      util.create_or_get_var(name)

  def after_create_session(self, session, coord):
    util.load_variables(session, self._iterations_per_loop)
