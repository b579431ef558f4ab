"""What every test starts from: no gin bindings, an empty graph."""

import os
import sys

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import gin
import pytest


@pytest.fixture(autouse=True)
def _fresh_state():
  gin.clear_config()
  if 'tensorflow' in sys.modules:
    sys.modules['tensorflow'].compat.v1.reset_default_graph()
  yield
  gin.clear_config()
