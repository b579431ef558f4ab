"""Stand-in for npu_bridge.npu_init of CANN 20.2: classes only, and like the real one a few names too many."""

import os  # noqa: F401

import tensorflow as tf  # noqa: F401
from tensorflow.python.client import session  # noqa: F401

from npu_bridge.estimator import npu_ops  # noqa: F401
from npu_bridge.estimator.npu.npu_config import NPURunConfig  # noqa: F401
from npu_bridge.estimator.npu.npu_hook import NPUBroadcastGlobalVariablesHook  # noqa: F401
from npu_bridge.estimator.npu.npu_loss_scale_manager import ExponentialUpdateLossScaleManager  # noqa: F401
from npu_bridge.estimator.npu.npu_loss_scale_manager import FixedLossScaleManager  # noqa: F401
from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer  # noqa: F401
from npu_stub import installed

installed.start_in_process()
