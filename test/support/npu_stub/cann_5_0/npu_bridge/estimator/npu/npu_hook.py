"""Stand-in for npu_bridge.estimator.npu.npu_hook from CANN 5.0.1 on: trainable variables are broadcast."""

import tensorflow as tf

from npu_bridge.estimator.npu import hooks

SetIterationsVarHook = hooks.SetIterationsVarHook


class NPUBroadcastGlobalVariablesHook(hooks.BroadcastHook):

  def variables(self):
    return tf.trainable_variables()
