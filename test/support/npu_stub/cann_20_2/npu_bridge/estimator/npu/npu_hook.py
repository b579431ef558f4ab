"""Stand-in for npu_bridge.estimator.npu.npu_hook of CANN 20.2: global variables are broadcast."""

import tensorflow as tf

from npu_bridge.estimator.npu import hooks

SetIterationsVarHook = hooks.SetIterationsVarHook


class NPUBroadcastGlobalVariablesHook(hooks.BroadcastHook):

  def variables(self):
    return tf.global_variables()
