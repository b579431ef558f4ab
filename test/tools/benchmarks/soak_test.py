"""tools.benchmarks.soak: what it calls growth, and that it sees a process from outside."""

import os
import subprocess
import sys

import pytest

from albert.common.errors import UserError
from tools.benchmarks import soak
from tools.benchmarks.soak import Usage


@pytest.mark.parametrize('last,is_flat', [
    (Usage(102.9, 12, 30), True), (Usage(90.0, 10, 30), True), (Usage(103.1, 12, 30), False),
    (Usage(90.0, 90, 30), False)])
def test_what_has_grown_since_the_second_evaluation(last, is_flat):
  line, growth = soak.verdict([Usage(10.0, 5, 3), Usage(100.0, 12, 30)] + [Usage(500.0, 90, 30)] * 5 + [last])
  assert growth == is_flat and line.startswith('flat' if is_flat else 'GROWS') and 'evaluations 2 and 8' in line


def test_a_file_that_is_just_being_read_is_no_leak():
  usages = [Usage(100.0, descriptors, 30) for descriptors in (12, 12, 13, 12, 13)]
  assert soak.verdict(usages)[1] and not soak.verdict(usages[:2] + [Usage(100.0, 13, 30)] * 5)[1]


def test_a_process_is_seen_from_outside():
  usage = soak.usage_of(os.getpid())
  with open(os.devnull):
    assert soak.usage_of(os.getpid()).descriptors == usage.descriptors + 1
  assert usage.megabytes > 1 and usage.threads >= 1 and soak.usage_of(2**22 + 1) is None


WRITER = """
import sys, time
with open(sys.argv[1], 'w', buffering=1) as target:
  target.write('step\\n')
  for step in range(3):
    time.sleep(0.3)
    target.write('{}\\t1.0\\n'.format(step))
  time.sleep(0.3)
"""


def test_each_line_of_the_history_is_a_look(tmp_path):
  history = str(tmp_path / 'heldout_history.tsv')
  assert len(soak.watch([sys.executable, '-c', WRITER, history], history, 3)) == 3
  with pytest.raises(UserError, match='expected to see 9 evaluations, found [23]'):
    soak.watch([sys.executable, '-c', WRITER, history], history, 9)


def test_a_run_that_fails_is_told():
  with pytest.raises(UserError, match='exit code 3: no'):
    soak.watch([sys.executable, '-c', 'import sys; print("no"); sys.exit(3)'], 'absent', 3)


@pytest.mark.integration
def test_a_run_of_25_evaluations_does_not_grow():
  command = [sys.executable, '-W', 'ignore', '-m', 'tools.benchmarks.soak', '--evaluations=25', '--steps=3']
  done = subprocess.run(command,
                        cwd=soak.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
  assert done.returncode == 0 and 'flat' in done.stdout, done.stdout
