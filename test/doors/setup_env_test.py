"""tools/setup_env.sh: which Python it takes, what it installs, what it takes for complete."""

import glob
import os
import shutil
import subprocess
import sys

import pytest

from albert.common.files import ROOT

# A Python that answers for the real one: it knows its version and packages, makes a venv with itself in it, and notes
# what pip is asked for. The words in capitals are filled in.
FAKE_PYTHON = """#!/usr/bin/env bash
case "$*" in
  *'print(sys.prefix)'*) echo 'PREFIX' ;;
  '-W ignore - '*.txt*.txt*) cat > /dev/null; echo gin-config==0.5.0 > "$5"; echo numpy==1.16.0 > "$6" ;;
  '-W ignore - '*/requirements.txt) cat > /dev/null; ls -d "$(dirname "$0")"/../lib/* 2> /dev/null ;;
  '-W ignore - '*) cat > /dev/null; printf '\\nKIND\\tPREFIX/bin/python\\tPREFIX\\tVERSION\\n' ;;
  '-m venv '*) for folder; do :; done; mkdir -p "$folder/bin"; cp "$0" "$folder/bin/python"; echo "$*" >> "$CALLS" ;;
  '-m pip --version') echo 'pip PIP from here' ;;
  '-m pip '*)
    echo "$*" >> "$CALLS"; [ ! -e "$CALLS.offline" ] || exit
    mkdir -p "$(dirname "$0")/../lib"; touch "$(dirname "$0")"/../lib/{tensorflow-1.15.0.dist-info,tensorflow.py} ;;
  *'print(tensorflow.__version__)'*) echo 1.15.0 ;;
esac
"""
SHIM = '#!/bin/sh\necho "pyenv: python3.7: command not found" >&2\necho "The command exists in 3.7.16" >&2\nexit 127\n'
# Makes a Python in the folder that follows -p, as conda does.
CONDA = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$CALLS"
if [ -e "$CALLS.offline" ]; then echo 'no such host'; exit 1; fi
while [ "$1" != -p ]; do shift; done
mkdir -p "$2/bin"
cat > "$2/bin/python" << 'PYTHON'
TEXT
PYTHON
chmod +x "$2/bin/python"
"""
OLD = '#!/bin/sh\necho "is Python 3.11.2" >&2\nexit 1\n'
# Absolute paths that setup_env.sh tries last; where one exists, "no Python at all" cannot be staged.
SYSTEM_WIDE = [path for pattern in ('/usr/bin/python3.7', '/usr/local/bin/python3.7', '/usr/local/python3*/bin/python3',
                                    '/opt/pyenv/versions/*/bin/python3.7', '/opt/*conda*/bin/python3.7',
                                    '/opt/*conda*/envs/*/bin/python3.7') for path in glob.glob(pattern)]
only_where_no_other_python_is = pytest.mark.skipif(SYSTEM_WIDE != [], reason='found ' + ', '.join(SYSTEM_WIDE))


class Machine:
  """A checkout, a home folder and a PATH with only what a test puts there."""

  def __init__(self, folder):
    self.root = os.path.join(folder, 'checkout')
    self.home = os.path.join(folder, 'home')
    self.bin = os.path.join(folder, 'bin')
    self.calls_file = os.path.join(folder, 'calls.txt')
    for path in (os.path.join(self.root, 'tools'), self.home, self.bin):
      os.makedirs(path)
    for name in ('tools/setup_env.sh', 'requirements.txt'):
      shutil.copy(os.path.join(ROOT, name), os.path.join(self.root, name))
    for name in ('python3.7', 'python3', 'python'):
      self.program(os.path.join(self.bin, name), OLD)

  def program(self, path, text):
    """Writes an executable file, its folder too."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as target:
      target.write(text)
    os.chmod(path, 0o755)
    return path

  def python(self, prefix, kind='plain', version='3.7.16', name='python3.7', pip='22.0.4'):
    """Puts a Python in prefix/bin. Returns its path."""
    text = FAKE_PYTHON.replace('KIND', kind).replace('VERSION', version).replace('PREFIX', prefix)
    text = text.replace('PIP', pip)
    self.program(os.path.join(prefix, 'bin', 'python'), text)
    return self.program(os.path.join(prefix, 'bin', name), text)

  def conda(self, name):
    """Puts a program that makes Pythons into PATH."""
    text = FAKE_PYTHON.replace('KIND', 'plain').replace('VERSION', '3.7.12').replace('PIP', '24.0')
    text = text.replace("*'print(sys.prefix)'*)", "*'sys.version_info[:3]'*) echo 3.7.12 ;;\n  *'print(sys.prefix)'*)")
    self.program(os.path.join(self.bin, name), CONDA.replace('TEXT', text.replace('PREFIX', self.root + '/.venv')))

  def setup(self, *words, code=0, **environment):
    """Runs setup_env.sh. Returns what it printed."""
    environment = dict({'PATH': self.bin + ':/usr/bin:/bin', 'HOME': self.home, 'CALLS': self.calls_file},
                       **environment)
    done = subprocess.run(['bash', os.path.join(self.root, 'tools/setup_env.sh')] + list(words), env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == code, done.stdout.decode()
    return done.stdout.decode()

  def calls(self):
    """The noted calls of venv and pip."""
    if not os.path.exists(self.calls_file):
      return []
    with open(self.calls_file) as source:
      return source.read().splitlines()


@pytest.fixture
def machine(tmp_path):
  return Machine(str(tmp_path))


@only_where_no_other_python_is
def test_no_python_is_one_line_that_says_what_to_install(machine):
  text = machine.setup(code=1)
  assert text.startswith('error: expected a working Python 3.7, found none (')
  assert text.count('\n') == 1
  assert 'pyenv install 3.7' in text and 'micromamba' in text and 'make env PYTHON=' in text
  assert not os.path.exists(os.path.join(machine.root, '.venv'))


@only_where_no_other_python_is
def test_a_shim_that_does_not_start_does_not_count(machine):
  machine.program(os.path.join(machine.bin, 'python3.7'), SHIM)
  assert 'pyenv: python3.7: command not found' in machine.setup(code=1)
  prefix = os.path.join(machine.home, '.pyenv/versions/3.7.9')
  machine.python(prefix)
  assert 'made .venv: Python 3.7.16 of ' + prefix in machine.setup()


@pytest.mark.parametrize('place', ['home/.pyenv/versions/3.7.9', 'home/.pyenv/versions/work', 'home/miniconda3',
                                   'home/miniconda3/envs/py37', 'root_of_pyenv/versions/3.7.1', 'conda/envs/old'])
def test_pyenv_and_conda_are_looked_through(machine, place):
  folder = os.path.dirname(machine.home)
  machine.python(os.path.join(folder, place))
  text = machine.setup(PYENV_ROOT=os.path.join(folder, 'root_of_pyenv'),
                       CONDA_EXE=os.path.join(folder, 'conda/bin/conda'))
  assert 'of ' + os.path.join(folder, place) in text


def test_the_first_that_works_is_taken(machine):
  machine.python(os.path.join(machine.home, '.pyenv/versions/3.7.9'))
  machine.python(os.path.dirname(machine.bin))
  assert 'Python 3.7.16 of {},'.format(os.path.dirname(machine.bin)) in machine.setup()


def test_where_npu_bridge_is_that_python_is_taken(machine):
  machine.python(os.path.dirname(machine.bin))
  image = os.path.join(machine.home, 'miniconda3')
  machine.python(image, kind='npu')
  assert 'Python 3.7.16 of {}, TensorFlow 1.15.0 (its own)'.format(image) in machine.setup()


@only_where_no_other_python_is
def test_tensorflow_1_15_on_another_python_is_the_last_choice(machine):
  image = os.path.dirname(machine.bin)
  machine.python(image, kind='tf', version='3.8.2', name='python3')
  assert 'Python 3.8.2 of {}, TensorFlow 1.15.0 (its own)'.format(image) in machine.setup()
  assert machine.calls()[0].startswith('-m venv --system-site-packages ')


def test_python_that_is_given_is_taken_or_refused(machine):
  machine.python(os.path.dirname(machine.bin))
  other = machine.python(os.path.join(machine.home, 'other'))
  assert 'of ' + os.path.join(machine.home, 'other') in machine.setup(PYTHON=other)
  assert 'found .venv' in machine.setup(PYTHON=other)
  assert 'found .venv' in machine.setup()
  text = machine.setup(code=1, PYTHON='/nowhere/python3.7')
  assert text == ('error: PYTHON=/nowhere/python3.7: expected a working Python 3.7, found "No such file or directory"; '
                  'give the path of one\n')
  assert 'found "is Python 3.11.2"' in machine.setup(code=1, PYTHON=os.path.join(machine.bin, 'python3'))
  assert 'found .venv' in machine.setup()
  assert 'making it anew' in machine.setup(PYTHON=os.path.join(machine.bin, 'python3.7'))


def test_a_second_run_installs_nothing_and_says_what_it_found(machine):
  machine.python(os.path.dirname(machine.bin))
  machine.setup()
  calls = machine.calls()
  assert [call.split()[1] for call in calls] == ['venv', 'pip']
  assert '-r {}/requirements.txt'.format(machine.root) in calls[1]
  assert machine.setup() == 'env: found .venv: Python 3.7.16 of {}, TensorFlow 1.15.0\n'.format(
      os.path.dirname(machine.bin))
  assert machine.setup('--quiet') == ''
  assert machine.calls() == calls


@pytest.mark.parametrize('pip, updated', [('19.2.3', True), ('9.0.1', True), ('20.3', False), ('24.0', False)])
def test_a_pip_that_does_not_know_todays_wheels_is_updated(machine, pip, updated):
  machine.python(os.path.dirname(machine.bin), pip=pip)
  machine.setup()
  assert ('pip==' in machine.calls()[1]) == updated
  assert machine.calls()[-1].endswith('requirements.txt')


def test_changed_requirements_are_installed(machine):
  machine.python(os.path.dirname(machine.bin))
  machine.setup()
  with open(os.path.join(machine.root, 'requirements.txt'), 'a') as target:
    target.write('another==1.0\n')
  assert 'updating .venv' in machine.setup()
  assert [call.split()[1] for call in machine.calls()] == ['venv', 'pip', 'pip']
  assert 'found .venv' in machine.setup()


def test_an_interrupted_installation_is_not_taken_for_complete(machine):
  machine.python(os.path.dirname(machine.bin))
  with open(machine.calls_file + '.offline', 'w'):
    text = machine.setup(code=1)
  assert text.splitlines()[-1].startswith('error: pip could not install')
  machine.setup(code=1)
  os.remove(machine.calls_file + '.offline')
  assert 'not complete' in machine.setup()
  assert 'found .venv' in machine.setup()


def test_an_update_that_was_interrupted_starts_anew(machine):
  machine.python(os.path.dirname(machine.bin))
  machine.setup()
  with open(os.path.join(machine.root, 'requirements.txt'), 'a') as target:
    target.write('another==1.0\n')
  with open(machine.calls_file + '.offline', 'w'):
    machine.setup(code=1)
  os.remove(machine.calls_file + '.offline')
  assert 'making it anew' in machine.setup()


def test_the_image_gets_only_what_is_missing(machine):
  machine.python(os.path.dirname(machine.bin), kind='npu')
  machine.setup()
  venv, pip = machine.calls()
  assert venv == '-m venv --system-site-packages {}/.venv'.format(machine.root)
  assert pip.endswith('-r {0}/missing.txt -c {0}/kept.txt'.format(machine.root + '/.venv'))


@pytest.mark.integration
def test_over_a_python_with_tensorflow_nothing_of_it_is_installed(machine):
  # The Python that runs this test has TensorFlow 1.15 and everything else.
  text = machine.setup(PYTHON=sys.executable, PIP_NO_INDEX='1')
  assert 'missing: nothing' in text and 'TensorFlow 1.15.0 (its own)' in text
  program = 'import tensorflow, numpy, google.protobuf as p; print(tensorflow.__file__, numpy.__file__, p.__file__)'
  output = subprocess.check_output([os.path.join(machine.root, '.venv/bin/python'), '-W', 'ignore', '-c', program])
  assert machine.root not in output.decode()
  assert 'found .venv' in machine.setup()


@only_where_no_other_python_is
@pytest.mark.parametrize('name', ['conda', 'mamba', 'micromamba'])
def test_where_there_is_no_python_conda_makes_one_in_the_environment_itself(machine, name):
  machine.conda(name)
  said = machine.setup()
  assert said.startswith('env: found no Python 3.7: {}/{} makes one in .venv (300 MB; CONDA=0'.format(
      machine.bin, name))
  made, pip = machine.calls()
  assert made == '{} create -y -q -p {}/.venv --override-channels -c conda-forge python=3.7 pip'.format(
      name, machine.root)
  assert pip.endswith('install -qq --disable-pip-version-check -r {}/requirements.txt'.format(machine.root))
  assert said.endswith('env: made .venv: Python 3.7.12 of {}/.venv, TensorFlow 1.15.0\n'.format(machine.root))
  assert machine.setup() == 'env: found .venv: Python 3.7.12 of {}/.venv, TensorFlow 1.15.0\n'.format(machine.root)
  with open(os.path.join(machine.root, 'requirements.txt'), 'a') as target:
    target.write('another==1.0\n')
  assert 'updating .venv' in machine.setup() and len(machine.calls()) == 3


@only_where_no_other_python_is
def test_conda_can_be_forbidden_and_its_failure_is_told(machine):
  machine.conda('conda')
  assert 'found none' in machine.setup(code=1, CONDA='0') and machine.calls() == []
  with open(machine.calls_file + '.offline', 'w'):
    text = machine.setup(code=1, CONDA='/usr/share/miniconda')  # what some hosts set
  assert 'no such host\nerror: {}/conda could not make a Python 3.7 in .venv'.format(machine.bin) in text
  os.remove(machine.calls_file + '.offline')
  machine.setup()
  assert not os.path.exists(os.path.join(machine.root, '.venv.log'))


def test_a_python_that_is_there_is_taken_before_conda_makes_one(machine):
  machine.conda('conda')
  machine.python(os.path.dirname(machine.bin))
  assert 'Python 3.7.16 of ' in machine.setup() and 'conda' not in machine.calls()[0]


@only_where_no_other_python_is
def test_a_python_3_7_that_lacks_something_is_named_before_conda_makes_another(machine):
  machine.program(os.path.join(machine.bin, 'python3.7'), OLD.replace('3.11.2', '3.7.3 without venv (on Debian: ...)'))
  assert 'is Python 3.7.3 without venv' in machine.setup(code=1)
  machine.conda('mamba')
  assert machine.setup().startswith('env: found no complete Python 3.7 ({}/python3.7: is Python 3.7.3 without venv (on '
                                    'Debian: ...)): {}/mamba makes one'.format(machine.bin, machine.bin))


@only_where_no_other_python_is
def test_of_several_programs_one_is_asked_also_by_its_variable_alone(machine):
  machine.program(os.path.join(machine.bin, 'pyenv'), '#!/bin/sh\necho /nowhere\n')
  machine.conda('conda')
  elsewhere = shutil.move(os.path.join(machine.bin, 'conda'), os.path.join(machine.home, 'conda'))
  assert 'pyenv install' in machine.setup(code=1)
  assert 'pyenv install' in machine.setup(code=1, CONDA_EXE=elsewhere, CONDA='0')
  machine.setup(CONDA_EXE=elsewhere)
  assert machine.calls()[0].startswith('conda create') and len(machine.calls()) == 2
  shutil.rmtree(os.path.join(machine.root, '.venv'))
  machine.conda('micromamba')
  machine.setup(MAMBA_EXE=elsewhere)
  assert machine.calls()[2].startswith('micromamba create')


@only_where_no_other_python_is
def test_pyenv_gets_its_one_command(machine):
  machine.program(os.path.join(machine.bin, 'pyenv'), '#!/bin/sh\necho /nowhere\n')
  text = machine.setup(code=1)
  assert text.endswith('pyenv builds one in some minutes: pyenv install 3.7.17 && make env\n') and text.count('\n') == 1


@pytest.mark.parametrize('name', ['tensorflow-1.15.0.dist-info', 'tensorflow.py'])
def test_a_package_that_was_removed_is_noticed_and_installed_again(machine, name):
  machine.python(os.path.dirname(machine.bin))
  machine.setup()
  os.remove(os.path.join(machine.root, '.venv', 'lib', name))
  said = machine.setup('--quiet')
  assert name + ' is gone: installing the packages of .venv again' in said
  assert '--force-reinstall --no-deps -r' in machine.calls()[-1]
  assert machine.setup('--quiet') == ''


def test_an_environment_that_checkouts_share_by_links_outlives_the_one_that_updated_it(machine):
  machine.python(os.path.dirname(machine.bin))
  machine.setup()
  own = os.path.join(machine.root, '.venv')
  shared = shutil.move(own, os.path.join(machine.home, 'shared'))
  os.symlink(shared, own)
  with open(os.path.join(machine.root, 'requirements.txt'), 'a') as target:
    target.write('another==1.0\n')
  assert 'updating .venv' in machine.setup()
  machine.root = shutil.move(machine.root, os.path.join(machine.home, 'another_checkout'))
  assert 'found .venv' in machine.setup()


def test_nobody_reading_what_is_said_is_no_error(machine):
  machine.python(os.path.dirname(machine.bin))
  closed, end = os.pipe()
  os.close(closed)
  environment = {'PATH': machine.bin + ':/usr/bin:/bin', 'HOME': machine.home, 'CALLS': machine.calls_file}
  code = subprocess.call(['bash', os.path.join(machine.root, 'tools/setup_env.sh')], env=environment, stdout=end)
  assert code == 0 and 'found .venv' in machine.setup()
