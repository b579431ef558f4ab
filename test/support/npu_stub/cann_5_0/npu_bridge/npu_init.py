"""Stand-in for npu_bridge.npu_init from CANN 5.0.1 on. Like the real one it exports a few names too many."""

import os

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.client import session  # noqa: F401

from npu_bridge.estimator import npu_ops  # noqa: F401
from npu_bridge.estimator.npu.npu_config import NPURunConfig  # noqa: F401
from npu_bridge.estimator.npu.npu_hook import NPUBroadcastGlobalVariablesHook
from npu_bridge.estimator.npu.npu_loss_scale_manager import ExponentialUpdateLossScaleManager  # noqa: F401
from npu_bridge.estimator.npu.npu_loss_scale_manager import FixedLossScaleManager  # noqa: F401
from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer  # noqa: F401
from npu_bridge.estimator.npu.npu_optimizer import npu_distributed_optimizer_wrapper  # noqa: F401
from npu_stub import installed

installed.start_in_process()


def npu_hooks_append(hooks_list=()):
  """Anything but a list is replaced by a new list."""
  if not isinstance(hooks_list, list):
    hooks_list = []
  hooks_list.append(NPUBroadcastGlobalVariablesHook(0, int(os.getenv('RANK_ID', '0'))))
  return hooks_list


def npu_config_proto(config_proto=None):
  """Adds an NpuOptimizer if there is none."""
  if not isinstance(config_proto, config_pb2.ConfigProto):
    config_proto = config_pb2.ConfigProto()
  rewrites = config_proto.graph_options.rewrite_options
  if not installed.npu_optimizers(config_proto):
    rewrites.custom_optimizers.add(name='NpuOptimizer')
  config_proto.allow_soft_placement = True
  config_proto.log_device_placement = False
  rewrites.remapping = RewriterConfig.OFF
  config_proto.graph_options.optimizer_options.global_jit_level = config_pb2.OptimizerOptions.OFF
  return config_proto


def npu_run_config_init(run_config=None):
  if not isinstance(run_config, tf.estimator.RunConfig):
    run_config = tf.estimator.RunConfig()
  run_config.__dict__['_session_config'] = npu_config_proto(run_config.session_config)
  return run_config
