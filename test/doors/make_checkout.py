"""A checkout in which the programs are replaced by one that notes its call: what make runs, with which arguments."""

import hashlib
import os
import re
import shutil
import subprocess

from albert.common.files import ROOT

# Notes each call as a line of words in brackets, and makes the file that the real program would make.
FAKE_PYTHON = r"""#!/usr/bin/env bash
if [ "$1" = -S ]; then exit; fi
shift 3  # -W ignore::FutureWarning -m
{ printf '<%s>' "$@"; echo; } >> "$CALLS"
for word in "$@"; do
  case $word in --output_file=*) mkdir -p "$(dirname "${word#*=}")"; printf 'a\nb\n' > "${word#*=}" ;; esac
done
"""


class Checkout:
  """A copy of what make needs, with a stand-in for Python."""

  def __init__(self, folder):
    self.folder = str(folder)
    self.calls_file = os.path.join(self.folder, 'calls.txt')
    for name in ('tools', 'ci', '.ci', 'data', '.venv/bin'):
      os.makedirs(os.path.join(self.folder, name))
    for name in ('Makefile', 'requirements.txt', 'tools/run.sh', 'tools/setup_env.sh', 'tools/vocabulary.sh',
                 'tools/with_words.sh', 'ci/run.sh', '.ci/run'):
      shutil.copy(os.path.join(ROOT, name), os.path.join(self.folder, name))
    self.write_program('.venv/bin/python', FAKE_PYTHON)
    self.write('data/sample_zh.txt', '')
    with open(os.path.join(ROOT, 'requirements.txt'), 'rb') as source:
      digest = hashlib.sha256(source.read()).hexdigest()
    self.write('.venv/complete', digest + '\nplain\tpython\t/prefix\t3.7.16\nPython 3.7.16 of /prefix\n')

  def write(self, name, text):
    """Writes a file, and its folder. Returns its name."""
    path = os.path.join(self.folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as target:
      target.write(text)
    return name

  def write_program(self, name, text):
    """Writes an executable file."""
    self.write(name, text)
    os.chmod(os.path.join(self.folder, name), 0o755)

  def run(self, command, code=0, cwd=None, **environment):
    """Runs a command. Returns what it printed."""
    done = subprocess.run(command, cwd=cwd or self.folder, env=self.environment(environment), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    assert done.returncode == code, done.stdout.decode()
    return done.stdout.decode()

  def make(self, *words, **options):
    """Runs make. Returns what it printed."""
    return self.run(['make', '--no-print-directory'] + list(words), **options)

  def environment(self, more):
    """The environment without what a make around this test hands down."""
    kept = {name: value for name, value in os.environ.items()
            if name not in user_variables() + ['MAKEFLAGS', 'MAKELEVEL', 'MFLAGS', 'MAKEOVERRIDES']}
    return dict(kept, CALLS=self.calls_file, **more)

  def calls(self):
    """The noted calls, each a list of words: module, then arguments."""
    if not os.path.exists(self.calls_file):
      return []
    with open(self.calls_file, encoding='utf-8') as source:
      return [line[1:-1].split('><') for line in source.read().splitlines()]


def makefile():
  with open(os.path.join(ROOT, 'Makefile'), encoding='utf-8') as source:
    return source.read()


def user_variables():
  """Names that the Makefile assigns and writes in capitals, as people give them."""
  return sorted(set(re.findall(r'^([A-Z][A-Z_]*) *[?:]?=', makefile(), re.MULTILINE)) - {'SHELL'})


def targets():
  return re.search(r'^targets := (help (?:.*\\\n)*.*)$', makefile(), re.MULTILINE).group(1).replace('\\', '').split()
