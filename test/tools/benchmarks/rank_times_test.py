"""What is said of the time of two ranks comes from Horovod's timeline."""

import pytest

from tools.benchmarks import ranks

# As Horovod writes it, the names of tensors shortened.
TIMELINE = """[
{"name": "process_name", "ph": "M", "pid": 0, "args": {"start_time_since_epoch_in_micros": 17}},
{"name": "process_name", "ph": "M", "pid": 1, "args": {"name": "gradients"}},
{"name": "process_name", "ph": "M", "pid": 2, "args": {"name": "figures"}},
{"ph": "B", "name": "ALLREDUCE", "ts": 0, "pid": 1},{"ph": "E", "ts": 100, "pid": 1},
{"ph": "B", "name": "NEGOTIATE_ALLREDUCE", "ts": 200, "pid": 2},{"ph": "X", "name": "0", "ts": 200, "pid": 2, "dur": 0},
{"ph": "E", "ts": 300, "pid": 2},{"ph": "B", "name": "ALLREDUCE", "ts": 300, "pid": 2},{"ph": "E", "ts": 400, "pid": 2},
{"ph": "B", "name": "ALLREDUCE", "ts": 800, "pid": 1},{"ph": "B", "name": "GLOO_ALLREDUCE", "ts": 850, "pid": 1},
{"ph": "E", "ts": 1090, "pid": 1},{"ph": "E", "ts": 1100, "pid": 1, "args": {"dtype": "float32"}},
{"ph": "B", "name": "ALLREDUCE", "ts": 1150, "pid": 2},{"ph": "E", "ts": 1200, "pid": 2}]"""


def test_shares_are_of_the_time_between_the_all_reduces_of_gradients(tmp_path):
  path = tmp_path / 'timeline'
  path.write_text(TIMELINE)
  assert ranks.shares_of(str(path)) == pytest.approx((0.4, 0.1))
