"""What tests leave out that takes most of the time of a tiny graph, and that what they assert does not depend on."""

import gc
import os
import sys
from unittest import mock

# As in `make test-faults`, where runs are compiled and rewritten as they are shipped.
THOROUGH = 'FAULT_KILLS' in os.environ


def make_graphs():
  """From now on graphs are made in three quarters of the time.

  Modules stay to the end, so the collector need not go through them again and again, nor after every 700 objects.
  And TensorFlow binds the arguments of each operation a second time, to warn of those that are deprecated.
  """
  gc.collect()
  gc.freeze()
  gc.set_threshold(20000, 10, 10)
  if 'tensorflow' in sys.modules:
    from tensorflow.python.util import deprecation
    deprecation._PRINT_DEPRECATION_WARNINGS = False


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
  import tensorflow as tf
  from albert import npu_session
  session_config = npu_session.Device.session_config

  def without_rewriting(device):
    config = session_config(device)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = tf.OptimizerOptions.L0
    return config
  return mock.patch.object(npu_session.Device, 'session_config', without_rewriting)
