"""How the cores share the work: towers where the sequences can be divided, threads in operations where not."""

import os

import pytest

from albert.common.errors import UserError
from albert.device import cores
from albert.device import session_options


@pytest.fixture
def machine(monkeypatch):
  """machine(count): makes this a machine of that many cores."""
  return lambda count: monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(count)))


def _chosen(sequences, on_cpu=True, recorded=None, **options):
  return cores.choose(session_options.SessionOptions(**options), sequences, on_cpu, recorded)


@pytest.mark.parametrize('count,sequences,towers,threads', [
    (2, 4, 2, 1), (2, 5, 1, 2), (1, 4, 1, 1), (4, 6, 3, 4), (4, 2, 2, 4), (16, 32, 8, 16), (8, 32, 8, 1)])
def test_a_core_for_each_tower_or_all_cores_for_each_operation(machine, count, sequences, towers, threads):
  machine(count)
  assert _chosen(sequences) == (towers, threads, count)


def test_what_is_asked_for_goes_before_what_is_recorded_and_that_before_what_suits(machine):
  machine(2)
  recorded = dict(cpu_towers=4, intra_op_parallelism_threads=3, inter_op_parallelism_threads=5)
  assert _chosen(8, recorded=recorded) == (4, 3, 5)
  assert _chosen(8, recorded=recorded, cpu_towers=4, inter_op_parallelism_threads=7) == (4, 3, 7)
  # Other towers, which run_state refuses unless they are allowed, need other threads.
  assert _chosen(8, recorded=recorded, cpu_towers=1) == (1, 2, 5)
  assert _chosen(2, recorded=recorded) == (2, 1, 5)


def test_the_names_are_those_of_the_options_and_of_the_log(machine):
  machine(2)
  assert all(hasattr(session_options.SessionOptions(), name) for name in cores.Cores._fields)
  assert cores.describe(_chosen(8), 8) == '2 towers of 4 sequences side by side, on 2 cores'
  assert cores.describe(_chosen(5), 5) is None


def test_a_run_from_before_there_were_towers_has_one(machine):
  machine(2)
  assert _chosen(8, recorded=dict(intra_op_parallelism_threads=2, inter_op_parallelism_threads=2)) == (1, 2, 2)


def test_one_tower_on_other_devices(machine):
  machine(2)
  assert _chosen(4, on_cpu=False) == (1, 2, 2)
  assert _chosen(3, on_cpu=False, cpu_towers=2) == (1, 2, 2)


def test_towers_that_do_not_divide_the_sequences():
  with pytest.raises(UserError, match='cpu_towers: expected a divisor of the 3 sequences .*, found 2'):
    _chosen(3, cpu_towers=2)
