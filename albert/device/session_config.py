"""The tf.ConfigProto of a session, by the kind of device."""

import tensorflow as tf
from tensorflow.core.protobuf import rewriter_config_pb2

from albert.device.session_options import NPU_PARAMETERS

_OFF = rewriter_config_pb2.RewriterConfig.OFF
_ON = rewriter_config_pb2.RewriterConfig.ON


def of_threads(threads):
  """A tf.ConfigProto with threads of the host. threads: cores.Cores or SessionOptions; None there: TensorFlow's own."""
  config = tf.ConfigProto(allow_soft_placement=True)
  config.intra_op_parallelism_threads = threads.intra_op_parallelism_threads or 0
  config.inter_op_parallelism_threads = threads.inter_op_parallelism_threads or 0
  return config


def for_npu(config, parameters, npu_init):
  """Adds the NpuOptimizer to a tf.ConfigProto, and returns it or what the adapter makes of it.

  Args:
    config: tf.ConfigProto.
    parameters: dict of name in NPU_PARAMETERS to value.
    npu_init: that module of npu_bridge.
  """
  rewrites = config.graph_options.rewrite_options
  # On the NPU only: elsewhere remapping fuses matmul and bias.
  rewrites.remapping = _OFF
  rewrites.memory_optimization = _OFF
  optimizer = rewrites.custom_optimizers.add(name='NpuOptimizer')
  for name, value in parameters.items():
    field = NPU_PARAMETERS[name].field
    setattr(optimizer.parameter_map[name], field, value.encode('utf-8') if field == 's' else value)
  return npu_init.npu_config_proto(config_proto=config) if hasattr(npu_init, 'npu_config_proto') else config


def for_host(config, kind, mixed_precision, card=None):
  """Completes a tf.ConfigProto for a CPU or a GPU, and returns it.

  Args:
    config: tf.ConfigProto.
    kind: 'cpu' or 'gpu'.
    mixed_precision: bool, see SessionOptions.
    card: int, the GPU of this process, or None for all.
  """
  # What tf.estimator sets itself when it is given no configuration.
  config.graph_options.rewrite_options.meta_optimizer_iterations = rewriter_config_pb2.RewriterConfig.ONE
  config.gpu_options.allow_growth = True
  if card is not None:
    config.gpu_options.visible_device_list = str(card)
  if kind == 'cpu':
    # Both make sums of three and more, which are added in the order in which they are ready: a run would not repeat
    # its last bits. A step takes as long without them.
    config.graph_options.rewrite_options.arithmetic_optimization = _OFF
    config.graph_options.rewrite_options.memory_optimization = rewriter_config_pb2.RewriterConfig.NO_MEM_OPT
  if mixed_precision:
    # Here and not by enable_mixed_precision_graph_rewrite, which switches it on for every session of the process.
    config.graph_options.rewrite_options.auto_mixed_precision = _ON
  return config
