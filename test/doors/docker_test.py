"""Dockerfiles, environment.yml, CI files without an engine: parsed, and their commands run in order in a clean folder.

Absolute paths are moved below a sandbox; apt-get and Python are stand-ins. What the images really hold is not tested.
"""

import fnmatch
import json
import os
import re
import shutil
import subprocess

import pytest

import setup_env_test
from albert.common.files import ROOT

INSTRUCTIONS = {'ARG', 'FROM', 'RUN', 'WORKDIR', 'COPY', 'CMD', 'ENTRYPOINT', 'SHELL'}


def read(name):
  with open(os.path.join(ROOT, name), encoding='utf-8') as source:
    return source.read()


def instructions(name):
  """[(instruction, what follows it)] of a Dockerfile."""
  text = re.sub(r'(?m)^#.*\n', '', read(name)).replace('\\\n', ' ')
  return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


class Sandbox(setup_env_test.Machine):
  """A machine on which a Dockerfile is carried out: the image's root is a folder."""

  def __init__(self, folder):
    super().__init__(folder)
    self.image = os.path.join(folder, 'image')
    shutil.rmtree(self.root)
    self.root = os.path.join(self.image, 'albert')
    for path in ('albert', 'etc/profile.d', 'var/lib/apt/lists', 'usr/local/Ascend'):
      os.makedirs(os.path.join(self.image, path))
    self.program(os.path.join(self.bin, 'apt-get'), '#!/bin/sh\necho "apt-get $*" >> "$CALLS"\n')

  def run(self, command, shell=('bash', '-c')):
    """Runs a command in WORKDIR, with the image's folders instead of this machine's."""
    moved = re.sub(r'(?<![\w.}])/(etc|var|usr/local/Ascend)/', r'{}/\1/'.format(self.image), command)
    environment = {'PATH': self.bin + ':/usr/bin:/bin', 'HOME': self.home, 'CALLS': self.calls_file}
    done = subprocess.run(list(shell) + [moved], cwd=self.root, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == 0, (moved, done.stdout.decode())
    return done.stdout.decode()

  def build(self, name):
    """Carries out a Dockerfile. Returns {instruction: last argument of it}."""
    last, printed = {}, []
    for instruction, rest in instructions(name):
      last[instruction] = rest
      if instruction == 'COPY':
        for source in rest.split()[:-1]:
          copy(source, os.path.join(self.root, rest.split()[-1]))
      elif instruction == 'RUN':
        printed.append(self.run(rest))
    return last, ''.join(printed)


def ignored(path):
  """Whether .dockerignore leaves a path out."""
  is_ignored = False
  for pattern in [line for line in read('.dockerignore').splitlines() if line and not line.startswith('#')]:
    matches = any(fnmatch.fnmatch(part, pattern.lstrip('!').replace('**/', '')) for part in (path, path.split('/')[0])
                  ) or pattern.startswith('**/') and pattern[3:] in path.split('/')
    if matches:
      is_ignored = not pattern.startswith('!')
  return is_ignored


def files():
  """Paths of what is copied of the checkout."""
  for folder, folders, names in os.walk(ROOT):
    relative = os.path.relpath(folder, ROOT)
    folders[:] = [name for name in folders if not ignored(os.path.normpath(os.path.join(relative, name)))]
    yield from (path for path in (os.path.normpath(os.path.join(relative, name)) for name in names)
                if not ignored(path))


def copy(source, target):
  """COPY: of a file, or of what .dockerignore leaves of the whole."""
  assert source == '.' or not ignored(source)
  for name in files() if source == '.' else [source]:
    place = os.path.join(target, name if source == '.' else os.path.basename(name))
    os.makedirs(os.path.dirname(place), exist_ok=True)
    shutil.copy(os.path.join(ROOT, name), place)


@pytest.fixture
def sandbox(tmp_path):
  return Sandbox(str(tmp_path))


@pytest.mark.parametrize('name', ['Dockerfile', 'Dockerfile.ascend'])
def test_it_is_made_of_known_instructions_and_ends_in_the_two_commands(name):
  lines = instructions(name)
  assert {instruction for instruction, _ in lines} <= INSTRUCTIONS
  assert [instruction for instruction, _ in lines if instruction != 'ARG'][0] == 'FROM'
  assert json.loads(lines[-1][1])[-1] == 'make smoke && make test' and lines[-1][0] == 'CMD'
  arguments = {rest.split('=')[0] for instruction, rest in lines if instruction == 'ARG'}
  assert set(re.findall(r'\$\{(\w+)\}', dict(lines)['FROM'])) == arguments


def test_the_image_for_a_cpu_is_built(sandbox):
  sandbox.python(os.path.dirname(sandbox.bin))
  _, printed = sandbox.build('Dockerfile')
  calls = sandbox.calls()
  assert calls[:2] == ['apt-get update', 'apt-get install --yes --no-install-recommends make']
  assert [call.split()[1] for call in calls[2:]] == ['venv', 'pip'], 'packages are installed once'
  assert printed.endswith('env: found .venv: Python 3.7.16 of {}, TensorFlow 1.15.0\n'.format(
      os.path.dirname(sandbox.bin)))
  assert 'make smoke' in sandbox.run('make help')
  assert os.path.exists(os.path.join(sandbox.root, 'data', 'sample_zh.txt'))
  assert not os.path.exists(os.path.join(sandbox.root, '.git'))


def test_the_image_for_ascend_keeps_what_it_brings_and_sources_what_is_there(sandbox):
  sandbox.python(os.path.dirname(sandbox.bin), kind='npu')
  sandbox.program(os.path.join(sandbox.image, 'usr/local/Ascend/nnae/set_env.sh'), 'export FROM_CANN=yes\n')
  last, printed = sandbox.build('Dockerfile.ascend')
  assert 'TensorFlow 1.15.0 (its own)' in printed
  entry = json.loads(last['ENTRYPOINT'])
  moved = [word.replace('/etc/', sandbox.image + '/etc/') for word in entry]
  words = subprocess.check_output(moved + ['bash', '-c', 'echo "$FROM_CANN" "$0" "$1"', 'first', 'a second'])
  assert words.decode() == 'yes first a second\n'


def test_environment_yml_asks_for_what_requirements_txt_says():
  text = read('environment.yml')
  assert re.search(r'(?m)^  - python=3\.7$', text) and re.search(r'(?m)^      - -r requirements\.txt$', text)


@pytest.mark.parametrize('name', ['.github/workflows/ci.yml', '.gitlab-ci.yml'])
def test_ci_files_call_the_one_script_in_a_python_3_7(name):
  text = read(name)
  assert re.search(r'(?:container|image): python:3\.7', text)
  assert len(re.findall(r'- (?:run: )?bash ci/run.sh', text)) == 1
