"""make tb: what is wrong with folder, host or port is one line, before an address is announced."""

import os
import socket
import subprocess
import sys

import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from tools import tensorboard


@pytest.mark.parametrize('port', ['', 'x', '-1', '0', '65536', '1e4', '６００６', '6006;ls', ' 80'])
def test_a_port_is_a_number_in_range(port):
  with pytest.raises(UserError, match='PORT: expected a number from 1 to 65535'):
    tensorboard.check_address('localhost', port)


@pytest.mark.parametrize('holder', ['localhost', '0.0.0.0'])
def test_a_port_that_is_in_use_is_told_and_a_free_one_is_not(holder):
  with socket.socket() as taken:
    taken.bind((holder, 0))
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(UserError, match='port {}, found "Address already in use"; name another'.format(port)):
      tensorboard.check_address('localhost', str(port))
  assert tensorboard.check_address('localhost', str(port)) == port


def test_a_host_that_is_not_of_this_machine_is_told():
  with pytest.raises(UserError, match='expected to listen on 192.0.2.1 port 6006'):  # an address for documentation
    tensorboard.check_address('192.0.2.1', '6006')


def test_the_folder_must_be_there(tmp_path):
  tensorboard.check_folder(str(tmp_path))
  with pytest.raises(UserError, match='expected the folder of a run, found none'):
    tensorboard.check_folder(str(tmp_path / 'out'))
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='found a file'):
    tensorboard.check_folder(str(tmp_path / 'file'))
  (tmp_path / 'a,b').mkdir()
  with pytest.raises(UserError, match='without a comma'):
    tensorboard.check_folder(str(tmp_path / 'a,b'))


@pytest.mark.parametrize('words', [['--logdir=nowhere'], ['--logdir=.', '--port=0'], ['--logdir=.', '--host='],
                                   ['--logdir=.', '--port=x']])
def test_nothing_is_announced_that_will_not_be(words, tmp_path):
  done = subprocess.run([sys.executable, '-m', 'tools.tensorboard'] + words, cwd=str(tmp_path), stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT), universal_newlines=True)
  assert done.returncode == 1 and done.stdout == '' and done.stderr.count('\n') == 1


# In place of TensorBoard: warns of what its arguments say.
STAND_IN = """
import logging, sys, types
log = logging.getLogger('tensorboard')
main = types.ModuleType('tensorboard.main')
main.run_main = lambda: [log.warning(word) for word in sys.argv[1:]]
sys.modules.update({'tensorboard': types.ModuleType('tensorboard'), 'tensorboard.main': main})
sys.modules['tensorboard'].main = main
"""


def test_that_a_run_has_several_graphs_is_no_warning():
  words = ['Found more than one graph event per run, or ...', 'Found more than one metagraph event per run.', 'Another']
  done = subprocess.run([sys.executable, '-c', STAND_IN + tensorboard.START] + words, stderr=subprocess.PIPE,
                        universal_newlines=True, check=True)
  assert done.stderr == 'Another\n'
