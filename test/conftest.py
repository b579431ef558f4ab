"""What every test starts from: no gin bindings, an empty graph. And the table of the fault tests."""

import gc
import os
import sys

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# Compiling with LLVM's optimisations takes four times as long as without, and is most of what a small graph costs.
# parity_test and `make smoke` run programs that are compiled as they are shipped.
os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')

import gin
import pytest

import fault_client
import fault_table


def pytest_collection_finish():
  """Graphs are most of what tests make, and these two are a quarter of what making one costs.

  Modules stay to the end, so the collector need not go through them again and again, nor after every 700 objects.
  And TensorFlow binds the arguments of each operation a second time, to warn of those that are deprecated.
  """
  gc.collect()
  gc.freeze()
  gc.set_threshold(20000, 10, 10)
  if 'tensorflow' in sys.modules:
    from tensorflow.python.util import deprecation
    deprecation._PRINT_DEPRECATION_WARNINGS = False


@pytest.fixture(autouse=True)
def _fresh_state():
  gin.clear_config()
  if 'tensorflow' in sys.modules:
    sys.modules['tensorflow'].compat.v1.reset_default_graph()
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def info(tmp_path_factory):
  """The contract.DatasetInfo of a data set of synthetic records, which all tests of a file leave as it is."""
  import synthetic_data
  return synthetic_data.write_dataset(str(tmp_path_factory.mktemp('data')))


@pytest.fixture(scope='session')
def fault_server():
  """One process that has imported TensorFlow and forks a training for each job."""
  server = fault_client.Server()
  yield server
  server.close()


@pytest.fixture(scope='session')
def fault_data(tmp_path_factory):
  """The folder of a data set for fault_runs."""
  import fault_runs
  return fault_runs.write_data(str(tmp_path_factory.mktemp('faults') / 'data')).folder


@pytest.fixture(scope='session')
def uninterrupted(fault_server, fault_data, tmp_path_factory):
  """Of a run that nothing happened to: (what is left of it, fault_client.Answer, its folder)."""
  import fault_runs
  out = tmp_path_factory.mktemp('uninterrupted') / 'out'
  answer = fault_server.run(fault_data, out)
  assert answer.code == 0, answer.log
  return fault_runs.snapshot(out), answer, out


@pytest.fixture
def lost(request):
  """Called with records= and steps=, how much of each a fault has cost: they go to the table."""
  def note(records=0, steps=0):
    request.node.user_properties.append(('lost', (records, steps)))
  return note


def pytest_runtest_setup(item):
  for marker in item.iter_markers('fault'):
    item.user_properties.append(('fault', marker.args[0]))


def pytest_terminal_summary(terminalreporter):
  reports = [report for kind in ('passed', 'failed', 'error') for report in terminalreporter.stats.get(kind, [])]
  for line in fault_table.lines(reports):
    terminalreporter.write_line(line)
