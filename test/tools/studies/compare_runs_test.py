"""tools.studies.compare: fine-tuned models held against each other."""

import collections
import json
import os

import pytest

from albert.common.errors import UserError
from albert.run import names
from tools.studies import compare
from tools.studies import picture


def a_run(folder, test=None, dev=0.5):
  """A folder as a finished fine-tuning leaves it."""
  os.makedirs(str(folder))
  entry = {'dev': {'accuracy': dev, 'examples': 7}}
  if test is not None:
    entry['test'] = {'accuracy': test}
  with open(str(folder / names.RESULTS_FILE), 'w') as target:
    json.dump(entry, target)
  with open(str(folder / names.HELDOUT_HISTORY_FILE), 'w') as target:
    target.write('step\tloss\taccuracy\n10\t1.0\t0.25\n20\t0.5\t{}\n'.format(dev))


def series(folder, *tests, kind='seed'):
  for number, value in enumerate(tests, 1):
    a_run(folder / '{}-{}'.format(kind, number), value)
  # Beside them, means over them.
  (folder / names.RESULTS_FILE).write_text(json.dumps({'dev': {'accuracy': {'mean': 0.5}}}))
  return str(folder)


def test_figures_of_all_seeds_are_those_on_test(tmp_path):
  assert compare.final_figures(series(tmp_path / 'a', 0.3, 0.4, 0.5), 'accuracy') == ('test', [0.3, 0.4, 0.5])
  folds = series(tmp_path / 'b', 0.3, 0.4, kind='fold')
  assert compare.final_figures(folds, 'accuracy') == ('test', [0.3, 0.4])
  a_run(tmp_path / 'one')
  assert compare.final_figures(str(tmp_path / 'one'), 'accuracy') == ('dev', [0.5])


def test_ten_seeds_are_in_the_order_of_their_numbers(tmp_path):
  folders = compare.folders_of(series(tmp_path / 'a', *[0.1] * 11))
  assert [os.path.basename(folder) for folder in folders] == ['seed-{}'.format(number) for number in range(1, 12)]


def test_the_distance_is_in_standard_errors_of_the_difference():
  # Standard deviations 0.1 and 0.2, of three each: errors 0.0577 and 0.1155, together 0.1291.
  assert compare.distance([0.5, 0.6, 0.7], [0.1, 0.3, 0.5]) == pytest.approx(0.3 / 0.1290994, rel=1e-6)
  assert compare.distance([0.5], [0.1, 0.3]) is None and compare.distance([0.5, 0.5], [0.4, 0.4]) is None


def test_the_table_compares_with_the_first():
  lines = compare.as_table('accuracy', 'test', collections.OrderedDict(
      pretrained=[0.5, 0.6, 0.7], random=[0.1, 0.3, 0.5], once=[0.2]))
  assert lines[0].startswith('| test accuracy | mean |') and 'pretrained is better by' in lines[0]
  assert lines[2:] == ['| pretrained | 0.600 | 0.100 | 0.058 | 0.500, 0.600, 0.700 |  |',
                       '| random | 0.300 | 0.200 | 0.115 | 0.100, 0.300, 0.500 | 0.300, 2.3 standard errors |',
                       '| once | 0.200 |  |  | 0.200 |  |']


def test_the_picture_has_a_line_for_each_seed_and_one_name_for_each_run(tmp_path, monkeypatch):
  plotted = []
  monkeypatch.setattr(picture, '_plot', lambda axes, number, name, of_seeds: plotted.append((name, of_seeds)))
  of_runs = {'a': compare.histories(series(tmp_path / 'a', 0.3, 0.4), 'accuracy')}
  picture.draw_fine_tuning(str(tmp_path / 'p.png'), of_runs, 'accuracy', {'regression': 0.4})
  assert plotted == [('a', [([10, 20], [0.25, 0.5])] * 2)]
  with open(str(tmp_path / 'p.png'), 'rb') as source:
    assert source.read(4) == b'\x89PNG'


@pytest.mark.parametrize('words, message', [
    (['a'], "expected NAME=VALUE, each name once, found 'a'"), (['a=1', 'a=2'], "found 'a=2'"), (['=1'], "found '=1'")])
def test_words_that_name_nothing(words, message):
  with pytest.raises(UserError, match=message):
    compare.pairs('runs', words)


def test_what_cannot_be_compared(tmp_path):
  with pytest.raises(UserError, match='expected the results of a finished fine-tuning, found none'):
    compare.final_figures(str(tmp_path / 'nothing'), 'accuracy')
  a_run(tmp_path / 'one')
  with pytest.raises(UserError, match="expected a figure among accuracy, found 'f1'; correct --figure"):
    compare.final_figures(str(tmp_path / 'one'), 'f1')
  with pytest.raises(UserError, match='--lines: expected NAME=NUMBER'):
    compare.numbers('lines', {'regression': 'high'})
  with pytest.raises(UserError, match='--lines: expected finite numbers, found regression=nan'):
    compare.numbers('lines', {'regression': 'nan'})


def test_a_run_that_was_evaluated_once_is_seen_as_a_dot():
  from matplotlib import figure
  axes = figure.Figure().add_subplot()
  picture._plot(axes, 0, 'once', [([300], [0.8]), ([100, 200], [0.7, 0.8])])
  assert [line.get_marker() for line in axes.lines] == ['o', 'None']
