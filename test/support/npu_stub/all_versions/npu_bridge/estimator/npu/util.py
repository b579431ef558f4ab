"""Stand-in for npu_bridge.estimator.npu.util: the variables that say how often the device repeats IterationOp."""

import tensorflow as tf

_NAMES = ('iterations_per_loop', 'loop_cond', 'zero', 'one')


def create_or_get_var(var_name):
  if var_name not in _NAMES:
    raise ValueError('unknown variable {!r}'.format(var_name))
  collection = 'npu_runconfig_' + var_name
  found = tf.get_collection(collection)
  if found:
    return found[0]
  with tf.variable_scope('npu_runconfig', reuse=tf.AUTO_REUSE):
    return tf.get_variable(var_name, shape=[], dtype=tf.int64, initializer=tf.zeros_initializer(), trainable=False,
                           collections=[collection, tf.GraphKeys.LOCAL_VARIABLES], use_resource=True)


def load_variables(session, iterations_per_loop):
  """Not in the real package: both ways of loading do this."""
  if not isinstance(iterations_per_loop, int) or iterations_per_loop <= 0:
    raise ValueError('iterations_per_loop must be a positive int, got {!r}'.format(iterations_per_loop))
  for name, value in zip(_NAMES, (iterations_per_loop - 1, 0, 0, 1)):
    create_or_get_var(name).load(value, session=session)


def set_iteration_per_loop(sess, train_op, iterations_per_loop=1):
  if not isinstance(train_op, tf.Operation):
    raise ValueError('train_op must be an Operation')
  if iterations_per_loop == 1:
    return train_op
  for name in _NAMES:
    create_or_get_var(name)
  load_variables(sess, iterations_per_loop)
  return tf.group(train_op, name='IterationOp')


class IterationPerLoop:

  def create_iteration_per_loop_var(self, train_op):
    for name in _NAMES:
      create_or_get_var(name)
    return tf.group(train_op, name='IterationOp')

  def load_iteration_per_loop_var(self, sess, iterations_per_loop=1):
    load_variables(sess, iterations_per_loop)
