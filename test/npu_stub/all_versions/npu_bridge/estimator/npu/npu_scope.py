"""Stand-in for npu_bridge.estimator.npu.npu_scope."""

import contextlib

import tensorflow as tf
from tensorflow.core.framework import attr_value_pb2


@contextlib.contextmanager
def keep_dtype_scope():
  with tf.get_default_graph()._attr_scope({'_keep_dtype': attr_value_pb2.AttrValue(b=True)}):
    yield
