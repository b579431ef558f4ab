"""answers.series: what several runs say together."""

import json

import numpy as np
import pytest

from albert.answers import closing
from albert.answers import series
from albert.tasks.task import Criterion

ACCURACY = Criterion('accuracy', lowest=False)


def closed(accuracy, learned=True, criterion=ACCURACY, **more):
  return closing.Closed(dict({'dev': {'accuracy': accuracy, 'loss': 1. - accuracy, 'examples': 10, 'labelled': 10},
                              'test': {'accuracy': accuracy / 2, 'examples': 5, 'labelled': 5},
                              'learned': learned, 'counts': {}, 'seconds': {'training': 1.}}, **more), None, criterion)


RUNS = {'seed-1': closed(.5), 'seed-2': closed(.1, learned=False, not_learned='NOT LEARNED: ...'),
        'seed-3': closed(.75)}


def test_spread_is_that_of_a_sample():
  assert series.spread([1., 2., 4.]) == {
      'mean': pytest.approx(7 / 3), 'std': pytest.approx(np.std([1, 2, 4], ddof=1)), 'min': 1., 'max': 4., 'runs': 3}
  assert series.spread([1.])['std'] is None


def test_with_and_without_what_has_not_learned(tmp_path, capsys):
  series.write(str(tmp_path), 'seed', dict(RUNS))
  told = json.loads((tmp_path / 'results.json').read_text())
  assert told['best_run'] == 'seed-3' and told['failed'] == ['seed-2'] and told['learned']
  assert told['dev']['accuracy']['mean'] == pytest.approx(.45) and told['dev']['accuracy']['runs'] == 3
  assert told['dev_learned_only']['accuracy']['mean'] == pytest.approx(.625)
  assert told['test']['accuracy']['max'] == .375 and 'examples' not in told['test']
  assert told['seeds']['seed-2']['learned'] is False
  printed = capsys.readouterr().out
  assert 'dev, without seed-2' in printed and printed.splitlines()[-1].startswith('NOT LEARNED: 1 of 3 runs: seed-2')
  report = (tmp_path / 'report.md').read_text()
  assert '| seed-3 (best on dev) | yes |' in report and '| seed-2 | NOT LEARNED |' in report


def test_a_run_that_diverged_is_marked(tmp_path, capsys):
  lost = closing.Closed({'failed': 'loss is NaN', 'learned': False}, None, None)
  series.write(str(tmp_path), 'seed', dict(RUNS, **{'seed-4': lost}))
  told = json.loads((tmp_path / 'results.json').read_text())
  assert told['failed'] == ['seed-2', 'seed-4'] and told['dev']['accuracy']['runs'] == 3
  assert 'FAILED: loss is NaN' in (tmp_path / 'report.md').read_text()
  assert capsys.readouterr().out.endswith(
      'NOT LEARNED: 2 of 4 runs: seed-2, seed-4 (FAILED); see their report.md\n')


def test_the_best_of_a_figure_that_is_good_when_low(tmp_path):
  by_loss = Criterion('loss', lowest=True)
  runs = {'seed-1': closed(.5, criterion=by_loss), 'seed-2': closed(.7, criterion=by_loss)}
  series.write(str(tmp_path), 'seed', runs)
  assert json.loads((tmp_path / 'results.json').read_text())['best_run'] == 'seed-2'


def test_nothing_but_failures(tmp_path, capsys):
  lost = closing.Closed({'failed': 'loss is NaN', 'learned': False}, None, None)
  series.write(str(tmp_path), 'seed', {'seed-1': lost})
  told = json.loads((tmp_path / 'results.json').read_text())
  assert told['best_run'] is None and told['dev'] == {} and not told['learned']
  printed = capsys.readouterr().out.splitlines()
  assert printed[0] == 'best seed on dev: none, no run has figures'
  assert printed[-1] == 'NOT LEARNED: 1 of 1 runs: seed-1 (FAILED); see report.md'


def test_averages_are_means_of_logits():
  average = series.Average()
  average.add([(0, [np.array([1., 3.])]), (1, [np.array([0., 0.]), np.array([2., 4.])])])
  average.add([(0, [np.array([3., 1.])]), (1, [np.array([1., 1.]), np.array([0., 0.])])])
  np.testing.assert_array_equal(average.logits_of(0), [[2., 2.]])
  np.testing.assert_array_equal(average.logits_of(1), [[.5, .5], [1., 2.]])
