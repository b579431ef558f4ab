"""tools.fill_mask and tools.embed as programs: a model, a file, an answer to each line."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import random_models
from albert.common.files import ROOT

CONFIG = random_models.config()
_HAN = random_models.tokens(53)[6:]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  random_models.save(folder, CONFIG, random_models.weights(CONFIG))
  return str(folder)


def call(program, *arguments):
  return subprocess.run([sys.executable, '-W', 'ignore', '-m', 'tools.' + program, *arguments], cwd=ROOT,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ, PYTHONPATH=ROOT))


@pytest.mark.integration
def test_every_line_of_a_file_is_answered_once_and_in_order(run, tmp_path):
  texts = [_HAN[1] + '[MASK]' + ''.join(_HAN[2:2 + number % 9]) for number in range(1, 80)]
  texts[3], texts[40] = 'no mask', '[MASK]' * 20
  (tmp_path / 'in.txt').write_text('\n'.join(texts), encoding='utf-8')
  done = call('fill_mask', '--init=' + run, '--input_file={}'.format(tmp_path / 'in.txt'), '--json', '--top=2',
              '--candidates={},{}'.format(_HAN[4], _HAN[5]))
  answers = [json.loads(line) for line in done.stdout.decode('utf-8').splitlines()]
  assert [answer['line'] for answer in answers] == list(range(1, 80))
  assert [answer['line'] for answer in answers if 'error' in answer] == [4, 41]
  assert all({choice['token'] for choice in answer['masks'][0]['answers']} == {_HAN[4], _HAN[5]}
             for answer in answers if 'error' not in answer)
  assert done.returncode == 1 and done.stderr.decode('utf-8') == (
      'error: expected an answer to each of 79 texts, found 2 without one; correct them\n')


@pytest.mark.integration
def test_a_line_each_a_vector_each(run, tmp_path):
  texts = [_HAN[1] * 3, '', _HAN[2] * 40, _HAN[3]]
  (tmp_path / 'in.txt').write_text('\n'.join(texts), encoding='utf-8')
  done = call('embed', '--init=' + run, '--input_file={}'.format(tmp_path / 'in.txt'), '--pool=pooler',
              '--output_file={}'.format(tmp_path / 'v.npy'))
  assert done.returncode == 0, done.stderr.decode('utf-8')
  vectors = np.load(str(tmp_path / 'v.npy'))
  assert vectors.shape == (4, CONFIG.hidden_size)
  assert (np.abs(vectors).sum(axis=1) > 0).tolist() == [True, False, True, True]
  said = done.stdout.decode('utf-8')
  assert '4 vectors of 21 numbers, pooler' in said
  assert 'zeros: 1 (line 2)' in said and 'of more than 15 tokens, whose first ones count: 1 (line 3)' in said


@pytest.mark.integration
@pytest.mark.parametrize('program, arguments, message', [
    ('fill_mask', ['--text=x'], "error: TEXT: expected [MASK] where a token is asked for, found none in 'x'"),
    ('fill_mask', [], 'error: expected a text or a file'),
    ('embed', ['--input_file=x', '--output_file=y', '--pool=max'],
     "error: POOL: expected one of mean, cls, pooler, found 'max'"),
])
def test_mistakes_are_one_line(run, program, arguments, message):
  done = call(program, '--init=' + run, *arguments)
  said = done.stderr.decode('utf-8')
  assert done.returncode == 1 and said.startswith(message) and said.count('\n') == 1 and not done.stdout
