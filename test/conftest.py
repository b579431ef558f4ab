"""What every test starts from: no gin bindings, an empty graph."""

import os
import sys

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
# Compiling with LLVM's optimisations takes four times as long as without, and is most of what a small graph costs.
# parity_test and `make smoke` run programs that are compiled as they are shipped.
os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')

import gin
import pytest


@pytest.fixture(autouse=True)
def _fresh_state():
  gin.clear_config()
  if 'tensorflow' in sys.modules:
    sys.modules['tensorflow'].compat.v1.reset_default_graph()
  yield
  gin.clear_config()


class FaultTable:
  """What the fault tests survived; printed at the end."""

  rows = []

  def add(self, fault, tries, survived, records_lost=0, steps_lost=0):
    self.rows.append((fault, str(tries), str(survived), str(records_lost), str(steps_lost)))


@pytest.fixture
def fault_table():
  return FaultTable()


def pytest_terminal_summary(terminalreporter):
  if FaultTable.rows:
    rows = [('fault', 'tries', 'survived', 'records lost', 'steps lost')] + FaultTable.rows
    widths = [max(map(len, column)) for column in zip(*rows)]
    terminalreporter.write_line('')
    for row in rows:
      terminalreporter.write_line('  '.join(word.ljust(width) for word, width in zip(row, widths)).rstrip())
