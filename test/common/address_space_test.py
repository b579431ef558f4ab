"""albert.common.address_space: a low limit is one line, whatever dies of it."""

import os
import subprocess
import sys

import pytest

import synthetic_data
from albert.common.files import ROOT


def _run(kilobytes, *command):
  """(exit code, stderr) of Python under a limit of address space, with as many threads as users have."""
  limited = ['bash', '-c', 'ulimit -v {}; exec "$@"'.format(kilobytes), 'bash', sys.executable, '-W', 'ignore']
  done = subprocess.run(limited + list(command), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        universal_newlines=True, env={name: value for name, value in os.environ.items()
                                                      if name != 'OPENBLAS_NUM_THREADS'})
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


@pytest.mark.integration
@pytest.mark.fault('limit of address space')
def test_too_little_for_training(tmp_path):
  """TensorFlow starts and would end the process in the middle of the first steps."""
  synthetic_data.write_dataset(str(tmp_path / 'data'))
  code, words = _run(2300000, '-m', 'albert.run_pretraining', '--input_file=' + str(tmp_path / 'data'),
                     '--output_dir=' + str(tmp_path / 'out'), '--gin_file=gin/smoke.gin')
  last = words.split('\n')[-2]
  assert code == 1 and last.startswith('error: expected ') and last.endswith('(ulimit -v unlimited)'), words
  assert 'Traceback' not in words and 'Fatal' not in words and not (tmp_path / 'out').exists()


@pytest.mark.fault('limit of address space')
def test_what_is_left_of_a_limit():
  program = ('import albert.common.address_space as a, mmap; before = a.room(); kept = mmap.mmap(-1, 1 << 30); '
             'print(before - a.room() >> 20, a.room() < a.limit()); print(a.note())')
  limited = 'ulimit -v 8000000; exec "$@"'
  said = subprocess.check_output(['bash', '-c', limited, 'bash', sys.executable, '-c', program], cwd=ROOT,
                                 universal_newlines=True).split('\n')
  assert said[0] == '1024 True' and said[1].startswith('address space is limited to 8,192 MB (ulimit -v)')


@pytest.mark.fault('limit of address space')
def test_memory_that_ends_later():
  program = 'from albert.common import cli; cli.run(lambda argv: bytearray(1 << 40))'
  code, words = _run(2000000, '-c', program)
  assert code == 1 and words.count('\n') == 1 and 'expected enough memory, found none left' in words


def test_without_a_limit_nothing_is_tried():
  program = ('import subprocess; subprocess.call = None; import albert.common.address_space as a; '
             'a.check("tensorflow"); print(a.limit(), a.room(), a.note())')
  assert subprocess.check_output([sys.executable, '-c', program], cwd=ROOT) == b'None None None\n'
