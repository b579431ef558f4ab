"""How programs start and end: help, one line for a mistake, and output that nobody reads."""

import os
import subprocess
import sys

from absl import flags
import pytest

from albert.common import cli
from albert.common import errors
from albert.common.files import ROOT

# Says much, then something to its log, and writes a file last: its work.
PROGRAM = """
import logging
from albert.common import cli

def main(argv):
  for number in range({lines}):
    print('a line of a program that says much', number)
  logging.getLogger('albert').info('nearly done')
  open({work!r}, 'w').close()
  return {code}

cli.run(main{options})
"""


@pytest.fixture
def program(tmp_path):
  """Function that starts a program: (exit code, whether its work was done, stderr)."""
  def start(stdout, lines=5000, code=75, options='', stderr=subprocess.PIPE, words=()):
    work = str(tmp_path / 'work')
    text = PROGRAM.format(lines=lines, work=work, code=code, options=options)
    process = subprocess.Popen([sys.executable, '-c', text] + list(words), cwd=ROOT, stdout=stdout, stderr=stderr,
                               env={name: value for name, value in os.environ.items() if name != 'PYTHONUNBUFFERED'})
    if process.stdout:
      process.stdout.close()
    said = process.stderr.read().decode() if process.stderr else ''
    return process.wait(), os.path.exists(work), said
  return start


@pytest.mark.parametrize('word, advice', [
    ('data', 'was a "--" or a quote forgotten?'), ('——text_field=x', 'write -- instead of the full-width ——'),
    ('“--text_field=x', 'write " instead of the full-width “')])
def test_what_is_no_flag_is_refused(word, advice):
  cli.no_positional_arguments(['program'])
  with pytest.raises(errors.UserError) as caught:
    cli.no_positional_arguments(['program', word])
  assert str(caught.value).endswith("found '{}'; {}".format(word, advice))


@pytest.fixture
def full():
  with open('/dev/full', 'w') as device:
    yield device


@pytest.mark.parametrize('lines', [1, 5000])  # less than the buffer of a pipe, which is written at the very end; more
def test_a_program_goes_on_when_nobody_reads_it(program, full, lines):
  code, done, said = program(subprocess.PIPE, lines)
  assert (code, done) == (75, True) and said.count('\n') == 1 and said.endswith(' nearly done\n')
  code, done, said = program(full, lines)
  assert (code, done) == (75, True) and 'Traceback' not in said
  assert said.split('\n')[-2] == ('standard output could not be written (No space left on device); what this program '
                                  'printed is not complete')


def test_a_program_goes_on_when_nobody_reads_its_log(program, full):
  closed, end = os.pipe()
  os.close(closed)
  assert program(end, code=0, stderr=end)[:2] == (0, True)
  os.close(end)
  assert program(full, code=0, stderr=full)[:2] == (0, True)


@pytest.mark.parametrize('lines', [1, 5000])
def test_a_program_whose_output_is_its_result_ends_or_fails(program, full, lines):
  code, done, said = program(subprocess.PIPE, lines, code=0, options=', prints_result=True')
  assert code == 0 and done == (lines == 1) and 'rror' not in said
  code, done, said = program(full, lines, code=0, options=', prints_result=True')
  assert code == 1 and said.split('\n')[-2] == (
      'error: standard output: expected room to write, found No space left on device; write somewhere else')


@pytest.mark.parametrize('word', ['--help', '-?', '--helpfull', '--helpxml'])
def test_help_is_no_failure_read_or_unread(program, word):
  with open(os.devnull, 'w') as nowhere:
    assert program(nowhere, words=[word]) == (0, False, '')
  assert program(subprocess.PIPE, words=[word]) == (0, False, '')


def test_a_mistake_in_a_flag_is_one_line(program):
  code, done, said = program(subprocess.DEVNULL, words=['--no_such_flag=3'])
  assert (code, done) == (1, False) and said.startswith('error: ') and said.count('\n') == 1


@pytest.mark.parametrize('word, said', [
    ('--sort_by=x', 'expected the name of a flag, found --sort_by'),
    ('--shard=3', 'expected the name of a flag, found --shard; did you mean --shards?'),
    ('--shard_sise=3', 'expected the name of a flag, found --shard_sise; did you mean --shard_size?')])
def test_a_flag_that_is_nearly_one_names_it(word, said):
  values = flags.FlagValues()
  for name in ('shard_size', 'shard_size_of_all', 'shards'):
    flags.DEFINE_integer(name, 1, '', flag_values=values)
  with pytest.raises(flags.Error) as caught:
    values(['program', word])
  assert cli._explain(caught.value) == said


@pytest.mark.parametrize('error,code', [(errors.UserError, 1), (errors.Diverged, 76)])
def test_the_exit_code_is_that_of_the_error(error, code, capsys):
  def main(argv):
    raise error('expected a, found b\n  In call to configurable')
  with pytest.raises(SystemExit) as caught:
    cli._guarded(main)(['program'])
  assert caught.value.code == code
  assert capsys.readouterr().err == 'error: expected a, found b\n'


@pytest.mark.parametrize('error, code, last', [
    ('KeyboardInterrupt', 130, 'interrupted'), ('OSError(1)', 1, 'OSError: 1')])
def test_an_interruption_before_the_program_starts(error, code, last):
  """While TensorFlow is imported, say."""
  ended = subprocess.run([sys.executable, '-c', 'from albert.common import cli\nraise ' + error], cwd=ROOT,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
  lines = ended.stderr.decode().splitlines()
  assert ended.returncode == code and lines[-1] == last and (len(lines) == 1) == (code == 130)
