"""tools.predict and tools.evaluate_task as programs: every line is answered once, in order."""

import json
import os
import subprocess
import sys

import pytest

import random_models
import small_finetunings
from albert.common.files import ROOT

pytestmark = pytest.mark.integration

CONFIG = random_models.config()
HAN = random_models.tokens(53)[6:]
NAMES = ['down', 'up']
TEXTS = [''.join(HAN[(number * 7 + place) % 40] for place in range(1 + number % 20)) for number in range(70)]


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  """A classifier with random weights, as the folder of a run."""
  folder = tmp_path_factory.mktemp('model')
  return small_finetunings.save(folder, 'classify', NAMES, CONFIG, max_seq_length=16, text_a='title', label='topic',
                                long_text='windows')


def call(program, *arguments, typed=''):
  done = subprocess.run([sys.executable, '-W', 'ignore', '-m', 'tools.' + program, *arguments], cwd=ROOT,
                        input=typed.encode('utf-8'), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        env=dict(os.environ, PYTHONPATH=ROOT))
  return done.returncode, done.stdout.decode('utf-8'), done.stderr.decode('utf-8')


def test_every_line_of_a_file_is_answered_once_and_in_order(model, tmp_path):
  """Text of every length, some of it empty, unknown or of several windows, and lines that cannot be read."""
  texts = TEXTS[:]
  texts[5], texts[6], texts[7] = '', '\U0001F600\u3000', HAN[1] * 3000
  written = [json.dumps({'title': text, 'id': 'n{}'.format(place)} if place % 2 else {'title': text})
             for place, text in enumerate(texts)]
  written[10], written[20], written[30] = 'garbage', '', json.dumps({'title': [1]})
  (tmp_path / 'in.json').write_text('\n'.join(written) + '\n', encoding='utf-8')
  output = tmp_path / 'out.jsonl'
  code, _, errors = call('predict', '--init=' + model, '--input_file={}'.format(tmp_path / 'in.json'),
                         '--output_file={}'.format(output))
  said = [json.loads(line) for line in output.read_text(encoding='utf-8').splitlines()]
  assert code == 1 and 'expected an answer to each of 70 lines, found 3 that could not be read' in errors
  assert len(said) == 70 and not (tmp_path / 'out.jsonl.tmp').exists()
  for place, entry in enumerate(said):
    if place in (10, 20, 30):
      assert entry['line'] == place + 1 and set(entry) == {'line', 'error'}
    else:
      assert entry['id' if place % 2 else 'line'] == ('n{}'.format(place) if place % 2 else place + 1)
      assert entry['score'] == entry['scores'][entry['label']] >= 0.5
  # The order of batches is another than that of the lines; an answer does not depend on what is beside it.
  code, alone, _ = call('predict', '--init=' + model, '--interactive', typed='\n'.join(texts[40:45]) + '\n')
  assert code == 0 and [(json.loads(line)['label'], json.loads(line)['line']) for line in alone.splitlines()] == [
      (entry['label'], place) for place, entry in enumerate(said[40:45], 1)]


def test_labels_give_figures_by_the_code_of_evaluation(model, tmp_path):
  lines = [json.dumps({'title': text, 'topic': NAMES[place % 2]}) for place, text in enumerate(TEXTS)]
  (tmp_path / 'dev.json').write_text('\n'.join(lines), encoding='utf-8')
  path = '--input_file={}'.format(tmp_path / 'dev.json')
  code, printed, _ = call('predict', '--init=' + model, path, '--labelled', '--output_file={}'.format(tmp_path / 'o'))
  said = [json.loads(line) for line in (tmp_path / 'o').read_text(encoding='utf-8').splitlines()]
  accuracy = sum(entry['label'] == entry['gold'] for entry in said) / 70
  assert code == 0 and 'labelled accuracy {:.4f}'.format(accuracy) in printed
  code, printed, _ = call('evaluate_task', '--init=' + model, '--data={}'.format(tmp_path), '--json')
  assert code == 0 and json.loads(printed)['dev']['accuracy'] == accuracy
  code, printed, _ = call('predict', '--init=' + model, path, '--clue_format')
  assert [json.loads(line) for line in printed.splitlines()] == [
      {'id': place, 'label': entry['label']} for place, entry in enumerate(said)]


def test_what_cannot_be_meant_is_one_line(model, tmp_path):
  (tmp_path / 'in.txt').write_text(TEXTS[0] + '\n', encoding='utf-8')
  (tmp_path / 'pairs.csv').write_text('sentence1,sentence2\na,b\n')
  bare = tmp_path / 'bare'
  bare.mkdir()
  random_models.save(bare, CONFIG, random_models.weights(CONFIG))
  path = '--input_file={}'.format(tmp_path / 'in.txt')
  for arguments, expected in (
      ([path], 'expected --init=RUN'),
      (['--init=' + model], 'expected --input_file=... (INPUT=...) or --interactive, found neither'),
      (['--init=' + str(bare), path], 'expected a fine-tuned model, found no task.json beside it'),
      (['--init=' + model, path, '--labelled'], 'expected a label with each text'),
      (['--init=' + model, path, '--output_file={}'.format(tmp_path)], 'found a folder; name another'),
      (['--init=' + model, '--input_file=absent.txt', '--output_file={}'.format(tmp_path / 'out')], 'absent.txt')):
    code, _, errors = call('predict', *arguments)
    told = [line for line in errors.splitlines() if line.startswith('error: ')]
    assert code == 1 and len(told) == 1 and expected in told[0], errors
    assert 'Traceback' not in errors
  assert not (tmp_path / 'out').exists()
  code, printed, _ = call('predict', '--init=' + model, '--input_file={}'.format(tmp_path / 'pairs.csv'))
  assert code == 1 and json.loads(printed)['error'] == (
      'expected one text, as the model was trained with, found two')
