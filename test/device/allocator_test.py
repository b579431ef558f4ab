"""The allocator settings: in place before the program starts, once, and never against the user's own."""

import ast
import json
import os
import subprocess
import sys

from albert.common.files import ROOT
from albert.device import allocator

PROGRAM = """
import json, os, sys
from albert.device import allocator
allocator.start_again_with_settings()
found = {name: os.environ.get(name) for name in list(allocator.SETTINGS) + ['ALBERT_MALLOC']}
print(json.dumps([sys.argv, sys.warnoptions, found, [name for name in sys.modules if name == 'tensorflow']]))
"""


def without_settings(**more):
  names = list(allocator.SETTINGS) + [allocator.CHOICE]
  return dict({name: value for name, value in os.environ.items() if name not in names}, PYTHONPATH=ROOT, **more)


def run(program, *words, **environ):
  command = [sys.executable, '-W', 'ignore::FutureWarning', program] + list(words)
  return json.loads(subprocess.check_output(command, env=without_settings(**environ)).decode())


def program_file(tmp_path):
  path = tmp_path / 'program.py'
  path.write_text(PROGRAM)
  return str(path)


def test_a_program_starts_again_with_the_settings_and_its_command_line(tmp_path):
  program = program_file(tmp_path)
  argv, options, settings, modules = run(program, '--a=b c', '中 文', '')
  assert argv == [program, '--a=b c', '中 文', '']
  assert options == ['ignore::FutureWarning']
  assert settings == dict(allocator.SETTINGS, ALBERT_MALLOC='tuned')
  assert modules == []


def test_settings_of_the_user_are_kept(tmp_path):
  settings = run(program_file(tmp_path), TF_CPU_BFC_MEM_LIMIT_IN_MB='4096', GLIBC_TUNABLES='glibc.malloc.check=1')[2]
  assert settings == dict(allocator.SETTINGS, TF_CPU_BFC_MEM_LIMIT_IN_MB='4096', GLIBC_TUNABLES='glibc.malloc.check=1',
                       ALBERT_MALLOC='tuned')


def test_default_leaves_everything_alone(tmp_path):
  settings = run(program_file(tmp_path), ALBERT_MALLOC='default')[2]
  assert settings == dict(dict.fromkeys(allocator.SETTINGS), ALBERT_MALLOC='default')


def test_only_once_and_not_on_an_npu_host():
  assert allocator.environment({'A': 'b'}, on_npu=False) == dict(allocator.SETTINGS, A='b', ALBERT_MALLOC='tuned')
  assert allocator.environment({'A': 'b', 'ALBERT_MALLOC': 'tuned'}, on_npu=False) is None
  assert allocator.environment({'A': 'b'}, on_npu=True) is None


def test_description():
  assert allocator.describe({}) == 'allocator=default'
  assert allocator.describe({'ALBERT_MALLOC': 'default'}) == 'allocator=default'
  tuned = allocator.describe(allocator.environment({}, on_npu=False))
  assert tuned.startswith('allocator=tuned (TF_CPU_ALLOCATOR_USE_BFC=1 ') and '\n' not in tuned
  assert allocator.describe({'GLIBC_TUNABLES': 'x'}).startswith('allocator=own settings (GLIBC_TUNABLES=x;')


FAULTS = """
import resource
import numpy as np
import tensorflow as tf
x = tf.compat.v1.placeholder(tf.float32, [1 << 22])
y = tf.reduce_sum(tf.exp(x + 1.0))
with tf.compat.v1.Session() as session:
  faults = []
  for _ in range(8):
    session.run(y, {x: np.ones(1 << 22, np.float32)})
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(faults[-1] - faults[2])
"""


def test_a_step_gets_the_memory_of_the_step_before():
  """Two tensors of 16 MB, five times: page faults, which TensorFlow has none of when it keeps the pages."""
  tuned, default = [int(subprocess.check_output([sys.executable, '-W', 'ignore', '-c', FAULTS], env=without_settings(
      **settings)).decode()) for settings in (allocator.SETTINGS, {})]
  assert tuned < default / 100


def test_the_training_program_starts_again_before_anything_that_imports_tensorflow():
  with open(os.path.join(ROOT, 'albert', 'run_pretraining.py'), encoding='utf-8') as source:
    body = ast.parse(source.read()).body
  position = next(i for i, node in enumerate(body) if 'start_again_with_settings' in ast.dump(node))
  assert '__main__' in ast.dump(body[position].test)
  before = [alias.name for node in body[:position] if hasattr(node, 'names') for alias in node.names]
  assert set(before) == {'flags', 'allocator', 'cli'}
