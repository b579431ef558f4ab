"""albert.common.address_space: a low limit is one line, whatever dies of it."""

import subprocess
import sys

import pytest

from albert.common.files import ROOT


def _run(kilobytes, *command):
  """(exit code, stderr) of Python under a limit of address space."""
  limited = ['bash', '-c', 'ulimit -v {}; exec "$@"'.format(kilobytes), 'bash', sys.executable, '-W', 'ignore']
  done = subprocess.run(limited + list(command), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        universal_newlines=True)
  return done.returncode, done.stderr


@pytest.mark.parametrize('kilobytes', [60000, 90000])
@pytest.mark.parametrize('program', ['tools.create_pretraining_data', 'tools.inspect_records'])
@pytest.mark.fault('limit of address space')
def test_too_little_for_numpy(kilobytes, program):
  code, words = _run(kilobytes, '-m', program, '--help')
  assert code == 1 and words.count('\n') == 1
  assert words.startswith('error: expected room for numpy, found that it cannot start; this process may have ')
  assert words.endswith('raise or remove the limit (ulimit -v unlimited)\n')


@pytest.mark.integration
@pytest.mark.parametrize('kilobytes', [800000, 1500000])
@pytest.mark.fault('limit of address space')
def test_too_little_for_tensorflow(kilobytes):
  code, words = _run(kilobytes, '-m', 'albert.run_pretraining', '--input_file=nowhere')
  assert code == 1 and words.count('\n') == 1 and words.startswith('error: expected ')
  assert 'ulimit -v unlimited' in words


@pytest.mark.fault('limit of address space')
def test_memory_that_ends_later():
  program = 'from albert.common import cli; cli.run(lambda argv: bytearray(1 << 40))'
  code, words = _run(2000000, '-c', program)
  assert code == 1 and words.count('\n') == 1 and 'expected enough memory, found none left' in words


def test_without_a_limit_nothing_is_tried():
  program = ('import subprocess; subprocess.call = None; import albert.common.address_space as a; '
             'a.check("tensorflow"); print(a.limit())')
  assert subprocess.check_output([sys.executable, '-c', program], cwd=ROOT) == b'None\n'
