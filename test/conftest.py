"""What every test starts from: no gin bindings, an empty graph. And the table of the fault tests."""

import os
import sys

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# Compiling with LLVM's optimisations takes four times as long as without, and is most of what a small graph costs.
# parity_test and `make smoke` run programs that are compiled as they are shipped.
os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')
# Before NumPy: where the other worker has the second core, two threads of a matrix product wait for each other, and
# waiting took twice the time of the products.
os.environ.setdefault('OPENBLAS_NUM_THREADS', '1')

import gin
import pytest

import fault_client
import fault_table
import hurry
from hurry import graphs
from hurry import starts

starts.install()
hurry.forget_power_cuts()
# Each worker would rewrite the assertions of all tests anew, and each program compile its modules.
os.environ.pop('PYTHONDONTWRITEBYTECODE', None)
sys.dont_write_bytecode = False

# The files that take longest, longest first: those with whole programs, then those with graphs. xdist begins with those
# of many tests, and would leave one worker with a file of two tests and a minute when the other has nothing to do.
LONG_FILES = ['test/{}_test.py'.format(name) for name in (
    'doors/learning', 'doors/doors', 'answers/answering', 'training/finetuning', 'training/pretraining',
    'device/npu_runs', 'device/equal_ranks', 'faults/phase_changes', 'device/npu_ranks', 'faults/outside_view',
    'tools/benchmarks/soak', 'faults/resume', 'faults/sigkill', 'training/training_step',
    'input/formats/dynamic_masking', 'training/repeated_steps', 'input/formats/packed_rows', 'tasks/labelled_tasks',
    'tools/create_pretraining_data',
    'input/input_pipeline', 'answers/streaming', 'model/parity', 'tools/conversion/exporting/export_graph',
    'tools/preprocessing/data_set', 'model/dynamic_shapes', 'model/recomputation', 'device/shared_evaluation',
    'faults/restart', 'model/plain_albert', 'device/mixed_precision', 'run/continuing', 'training/adversarial')]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
  """The scheduler of --dist loadfile, which here begins with the files that take longest."""
  if config.getvalue('dist') != 'loadfile':
    return None
  from xdist.scheduler import LoadFileScheduling

  class LongestFirst(LoadFileScheduling):

    def _assign_work_unit(self, node):
      for name in LONG_FILES:
        if name in self.workqueue:
          self.workqueue.move_to_end(name, last=False)
          break
      super()._assign_work_unit(node)
  return LongestFirst(config, log)


def pytest_collection_finish():
  graphs.make_graphs()


@pytest.fixture(autouse=True)
def _fresh_state():
  gin.clear_config()
  if 'tensorflow' in sys.modules:
    sys.modules['tensorflow'].compat.v1.reset_default_graph()
  yield
  gin.clear_config()


@pytest.fixture(scope='module', autouse=True)
def _graphs_end_with_their_module():
  yield
  graphs.forget_graphs()


@pytest.fixture(scope='module')
def hurried():
  """For whole runs in this process, of a few steps each: their graphs are not rewritten, except where all is tried."""
  if hurry.THOROUGH:
    yield
  else:
    with graphs.run_graphs():
      yield


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
