"""A study makes what is missing and nothing else."""

import json
import os
import subprocess
import sys

import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.run import names
from tools.studies import carrying_out
from tools.studies import table

RUN = table.Run('grown', 'long', "pretrain.phases=[{'data': <short>}]")


@pytest.fixture
def study(tmp_path):
  made = table.Table('gin/study/mini.gin', {'long': '--max_seq_length=128', 'short': '--max_seq_length=64'},
                     '--masked_lm_prob=0.15', [RUN])
  return carrying_out.Study(made, 'corpus.txt', str(tmp_path))


@pytest.fixture
def calls(monkeypatch, study):
  """The programs that were called, as lists of words; a training leaves a finished run."""
  called = []

  def call(words, log):
    called.append(words)
    if words[0] == 'tools.build_vocab':
      open(words[-1].split('=')[1], 'w').close()
    if words[0] == 'albert.run_pretraining':
      finish(study.run_folder('grown', 1))
    return 7.5
  monkeypatch.setattr(carrying_out, '_call', call)
  return called


def finish(folder, trained_steps=600):
  os.makedirs(folder, exist_ok=True)
  state = {'settings': {}, 'skipped_windows': [], 'changes': [], 'schedule': {'num_train_steps': 600}}
  for name, content in ((names.STATE_FILE, state), (names.RESULTS_FILE, {
      'trained_steps': trained_steps, 'global_step': trained_steps, 'heldout': {'masked_lm_loss': 6.0}})):
    with open(os.path.join(folder, name), 'w') as target:
      json.dump(content, target)


def test_a_run_gets_its_data_sets_and_the_held_out_one_and_is_made_once(study, calls):
  study.carry_out(RUN, 1)
  assert [words[0].split('.')[1] for words in calls] == ['build_vocab'] + 3 * ['create_pretraining_data'] + [
      'run_pretraining']
  data = [word.split('=')[1] for words in calls for word in words if word.startswith('--output_dir=')][:3]
  assert [os.path.basename(path) for path in data] == ['long', 'short', 'long-heldout'], calls
  assert calls[-2][-2:] == ['--max_seq_length=128', '--masked_lm_prob=0.15']
  assert '--input_file=' + data[0] in calls[-1] and '--eval_input_file=' + data[2] in calls[-1]
  assert calls[-1][-1] == "--gin_param=pretrain.random_seed=1; pretrain.phases=[{{'data': {!r}}}]".format(data[1])
  assert carrying_out.cpu_seconds_of_starts(study.run_folder('grown', 1)) == [7.5]
  del calls[:]
  study.carry_out(RUN, 1)
  assert calls == []


def test_a_run_that_was_stopped_goes_on(study, calls):
  study.carry_out(RUN, 1)
  finish(study.run_folder('grown', 1), trained_steps=400)
  study.carry_out(RUN, 1)
  assert [words[0] for words in calls].count('albert.run_pretraining') == 2
  assert carrying_out.cpu_seconds_of_starts(study.run_folder('grown', 1)) == [7.5, 7.5]


def test_a_run_of_another_line_is_refused(study, calls):
  study.carry_out(RUN, 1)
  with pytest.raises(UserError, match='expected the run that the table describes, found one of long'):
    study.carry_out(RUN._replace(settings='pretrain.recompute=True'), 1)


def test_a_program_that_fails_is_told_by_its_last_line(tmp_path):
  with open(str(tmp_path / 'log'), 'ab') as log:
    with pytest.raises(UserError, match='no_such_program: expected it to succeed, found exit code 1: .*No module'):
      carrying_out._call(['tools.no_such_program'], log)


def test_a_program_that_a_signal_stopped_is_told_from_one_that_failed(tmp_path, monkeypatch):
  (tmp_path / 'stopping.py').write_text('import sys; print("stopped at step 3"); sys.exit(75)')
  monkeypatch.setenv('PYTHONPATH', str(tmp_path))
  with open(str(tmp_path / 'log'), 'ab') as log:
    with pytest.raises(carrying_out.Stopped, match='exit code 75: stopped at step 3') as stopped:
      carrying_out._call(['stopping'], log)
  assert stopped.value.exit_code == 75


def test_a_study_that_is_killed_takes_its_program_along(tmp_path):
  """The program opens a pipe for writing and sleeps: the pipe ends with it."""
  pipe = str(tmp_path / 'pipe')
  os.mkfifo(pipe)
  (tmp_path / 'sleeping.py').write_text('import time; pipe = open({!r}, "w"); pipe.write("."); pipe.flush(); '
                                        'time.sleep(60)'.format(pipe))
  study = subprocess.Popen(
      [sys.executable, '-c', 'from tools.studies import carrying_out; carrying_out._call(["sleeping"], None)'],
      cwd=ROOT, env=dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), ROOT])))
  with open(pipe) as reader:
    assert reader.read(1) == '.'
    study.kill()
    study.wait()
    assert reader.read() == ''  # the end of the file, long before the sleep is over
