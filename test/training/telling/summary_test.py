"""What is told at the end of a run."""

import os
import types

from albert.run import results
from albert.tasks.pretraining import Pretraining
from albert.training import running

COLUMNS = Pretraining.heldout_columns


def summary(folder, steps, written, capsys):
  history = results.History(str(folder), 'history.tsv', COLUMNS)
  history.forget_after(0)
  for step in steps:
    history.add(step, dict.fromkeys(COLUMNS, 1.0))
  run = types.SimpleNamespace(folder=str(folder), heldout_history=history, newest=lambda: os.path.join('out', 'newest'),
                              best=types.SimpleNamespace(read=lambda: (None, None)))
  running._print_summary(run, Pretraining.__new__(Pretraining), written)
  return capsys.readouterr().out


def test_the_figures_of_a_run_that_was_stopped_are_of_its_last_evaluation(tmp_path, capsys):
  written = {'heldout': dict.fromkeys(COLUMNS, 1.0), 'global_step': 250}
  assert summary(tmp_path, [100, 200], written, capsys).startswith('held-out at step 200: masked LM loss 1.0000')


def test_without_an_evaluation_of_its_own_they_are_of_the_step_that_is_written_beside_them(tmp_path, capsys):
  written = {'heldout': dict.fromkeys(COLUMNS, 1.0), 'global_step': 250}
  assert summary(tmp_path, [], written, capsys).startswith('held-out at step 250: masked LM loss 1.0000')
  assert 'held-out' not in summary(tmp_path, [200], {'global_step': 250}, capsys)
