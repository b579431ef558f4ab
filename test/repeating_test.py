"""albert.repeating: a run that diverges does not keep the others from being made, and is no success."""

import json

import pytest

from albert.answers import closing
from albert.common.errors import Diverged
from albert import finetuning
from albert import repeating
from albert.tasks.task import Criterion

RESULTS = {'dev': {'accuracy': .5, 'examples': 4, 'labelled': 4}, 'learned': True, 'counts': {}, 'seconds': {}}


@pytest.mark.parametrize('diverging', [{2}, {1, 2, 3}])
@pytest.mark.parametrize('repeat, names', [
    (lambda out: repeating.over_seeds([1, 2, 3], 'data', out), 'seed-{}'),
    (lambda out: repeating.over_folds(3, 'data', out), 'fold-{}')])
def test_what_has_diverged_is_told_when_all_are_made(tmp_path, monkeypatch, diverging, repeat, names):
  made = []
  def run_once(data_dir, output_dir, *unused, **more):
    made.append(output_dir)
    if len(made) in diverging:
      raise Diverged('the run has diverged')
    return None, closing.Closed(RESULTS, None, Criterion('accuracy', lowest=False))
  monkeypatch.setattr(finetuning, 'run_once', run_once)
  with pytest.raises(Diverged) as raised:
    repeat(str(tmp_path))
  failed = [names.format(number) for number in sorted(diverging)]
  assert 'found {} of 3 that have diverged ({})'.format(len(failed), ', '.join(failed)) in str(raised.value)
  told = json.loads((tmp_path / 'results.json').read_text())
  assert len(made) == 3 and told['failed'] == failed and told['learned'] == (len(failed) < 3)
