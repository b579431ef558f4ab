"""tools.studies.study: which runs are made, and what is told of those that are finished."""

import os

import pytest

from albert.common.errors import UserError
from tools.studies import carrying_out
from tools.studies import curves
from tools.studies import study
from tools.studies import table

RUNS = [table.Run(name, 'data', '') for name in ('plain', 'grown', 'packed')]


def made(folder):
  return carrying_out.Study(table.Table('mini.gin', {'data': ''}, '', RUNS), 'corpus.txt', str(folder))


def finish(monkeypatch, *names):
  """Runs of these names are finished."""
  monkeypatch.setattr(carrying_out, 'is_finished', lambda folder: folder.split(os.sep)[-2] in names)
  monkeypatch.setattr(curves, 'read', lambda folder: [
      curves.Point(2, 8.0, {'masked_lm_loss': 6.0, 'sentence_order_accuracy': 0.5})])


def test_the_report_is_of_the_runs_that_are_finished(monkeypatch, tmp_path, capsys):
  finish(monkeypatch, 'plain', 'packed')
  study.report(made(tmp_path), [1], str(tmp_path / 'reports' / 'levers'))
  assert sorted(os.listdir(str(tmp_path / 'reports'))) == ['levers.csv', 'levers.md', 'levers.png']
  said = capsys.readouterr().out
  assert '| plain |' in said and '| packed |' in said and 'grown' not in said


def test_without_the_run_to_compare_with_nothing_is_written(monkeypatch, tmp_path, caplog):
  finish(monkeypatch, 'packed')
  caplog.set_level('INFO', logger='albert')
  study.report(made(tmp_path), [1], str(tmp_path / 'levers'))
  assert os.listdir(str(tmp_path)) == [] and 'plain is not finished' in caplog.text


def test_runs_are_chosen_by_name_in_the_order_of_the_table():
  assert [run.name for run in study.chosen(RUNS, ['packed', 'plain'])] == ['plain', 'packed']
  assert study.chosen(RUNS, None) == RUNS
  with pytest.raises(UserError, match='--runs: expected names among plain, grown, packed, found shrunk'):
    study.chosen(RUNS, ['shrunk'])


def test_seeds_are_numbers():
  assert study.whole_seeds(['1', ' 2']) == [1, 2]
  with pytest.raises(UserError, match='--seeds: expected whole numbers'):
    study.whole_seeds(['one'])


class Scripted:
  """A Study whose runs end as they are told."""

  def __init__(self, **ends):
    self._ends, self.made = ends, []

  def carry_out(self, run, seed):
    self.made.append((run.name, seed))
    if run.name in self._ends:
      raise self._ends[run.name]


def test_a_run_that_fails_does_not_keep_the_others_from_being_made(caplog):
  scripted = Scripted(grown=UserError('the run has diverged'))
  assert study.carry_out(scripted, RUNS, [1, 2]) == [
      'grown, seed {}: the run has diverged'.format(seed) for seed in (1, 2)]
  assert [name for name, _ in scripted.made] == ['plain', 'plain', 'grown', 'grown', 'packed', 'packed']
  assert caplog.text.count('grown, seed 1: the run has diverged') == 1


def test_after_a_signal_nothing_else_is_begun():
  scripted = Scripted(grown=carrying_out.Stopped('stopped'))
  with pytest.raises(carrying_out.Stopped):
    study.carry_out(scripted, RUNS, [1])
  assert scripted.made == [('plain', 1), ('grown', 1)]
