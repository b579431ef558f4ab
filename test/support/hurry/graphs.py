"""Graphs of tests: made and run in less time, and gone when their file is through."""

import gc
import sys
from unittest import mock

from hurry import THOROUGH

# Kept with each operation: those of TensorFlow that make it, and some of whose line it is.
_CALLS = 20


def make_graphs():
  """From now on graphs are made in three quarters of the time.

  Modules stay to the end, so the collector need not go through them again and again, nor after every 700 objects.
  TensorFlow binds the arguments of each operation a second time, to warn of those that are deprecated, and keeps the
  whole stack of calls with it, most of which is pytest's; the last ones say which line has made it.
  Sessions that nobody has configured, which are those of tests, run graphs as they were built; with a tf.ConfigProto(),
  as TensorFlow does.
  """
  gc.collect()
  gc.freeze()
  gc.set_threshold(20000, 10, 10)
  if 'tensorflow' in sys.modules:
    from tensorflow.python.util import deprecation
    from tensorflow.python.util import tf_stack
    deprecation._PRINT_DEPRECATION_WARNINGS = False
    tf_stack.extract_stack = _last_calls
    if not THOROUGH:
      _unconfigured_sessions_rewrite_nothing()


def _last_calls(limit=-1):
  """As tf_stack.extract_stack, where nobody says how many of them."""
  from tensorflow.python.util import tf_stack
  thread = tf_stack._get_thread_key()
  return tf_stack._tf_stack.extract_stack(_CALLS if limit < 0 else limit, tf_stack._source_mapper_stacks[thread],
                                          tf_stack._source_filter_stacks[thread])


def _unconfigured_sessions_rewrite_nothing():
  import tensorflow as tf
  from tensorflow.python.client import session
  begin = session.BaseSession.__init__

  def begin_without_rewriting(self, target='', graph=None, config=None):
    begin(self, target, graph, without_rewriting(tf.ConfigProto()) if config is None else config)
  session.BaseSession.__init__ = begin_without_rewriting


def without_rewriting(config):
  """Changes a tf.ConfigProto and returns it: rewriting a graph takes longer than running it a few times."""
  config.graph_options.rewrite_options.disable_meta_optimizer = True
  config.graph_options.optimizer_options.opt_level = -1  # L0
  return config


def forget_graphs():
  """Frees the graphs of models that nobody uses any more; their functions can be differentiated no longer.

  TensorFlow keeps the gradient of each tf.custom_gradient under a name, to the end of the process, and with it the
  tensors that it was defined on, so all of their graph.
  """
  if 'tensorflow' in sys.modules:
    from tensorflow.python.framework import ops
    gradients = ops._gradient_registry._registry
    kept = [name for name in gradients if name.startswith('CustomGradient-')]
    for name in kept:
      del gradients[name]
    if kept:
      sys.modules['tensorflow'].compat.v1.reset_default_graph()
      gc.collect()


def run_graphs():
  """A patch: sessions of devices run graphs as they were built, which a few steps do not repay rewriting."""
  from albert import npu_session
  session_config = npu_session.Device.session_config
  return mock.patch.object(npu_session.Device, 'session_config', lambda device: without_rewriting(
      session_config(device)))
