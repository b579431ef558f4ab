"""From training to answers, of every kind: what is written, and that it is the same however often it was stopped."""

import json
import os
import shutil

import pytest
import tensorflow as tf

import labelled_text
import small_finetunings
from albert.answers import closing
from albert.answers import fine_tuned
from albert.answers import inputs
from albert.answers import outcome as outcomes
from albert.answers import pictures
from albert.answers import report
from albert.answers import series
from albert import finetuning
from albert import modeling
from albert import npu_session
from albert import repeating
from albert.run import loading
from albert.run import names
from albert.run import results
from albert.tasks import labelled_tasks
from albert.training import running

# Each kind is a run with its graphs.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

SHORT = ('finetune.epochs = 4', 'finetune.eval_every_steps = 4', 'finetune.log_every_steps = 1')
LONG = ('finetune.epochs = 60', 'finetune.eval_every_steps = 60')


@pytest.fixture(scope='module')
def vocabulary(tmp_path_factory):
  return labelled_text.write_vocabulary(tmp_path_factory.mktemp('vocabulary'))


def text_of(folder, kind):
  """A folder of train, dev and test, which are the same."""
  labelled_text.write(folder, kind)
  dev = next(name for name in os.listdir(str(folder)) if name.startswith('dev'))
  shutil.copy(str(folder / dev), str(folder / dev.replace('dev', 'test')))
  return folder, folder / dev


def finetune(kind, data, out, vocabulary, *bindings):
  small_finetunings.begin(kind, *bindings)
  assert finetuning.finetune(str(data), str(out), vocab_file=vocabulary) is None
  return results.read(str(out))


def lines_of(path):
  return [json.loads(line) for line in path.read_text(encoding='utf-8').splitlines()]


def figures_on(folder, path):
  """What evaluation says of a file."""
  model = fine_tuned.find(str(folder))
  _, entries = inputs.read_file(str(path), model.kind, model.data, model.labels, is_labelled=True)
  judge = outcomes.Judge(model)
  with model.predictor(npu_session.start()) as predictor:
    for _ in outcomes.answered(model, model.logits(predictor, entries), None, judge):
      pass
  return judge


@pytest.mark.parametrize('kind, most, more', [
    ('classify', 1.0, ()), ('pair', 1.0, ()), ('multi_label', 1.0, ("finetune.threshold = 'dev'",)),
    ('regress', 0.99, ('finetune.epochs = 160', 'finetune.eval_every_steps = 160')),
    ('tag', 1.0, ('finetune.crf = True', "OptimizerOptions.rate_multipliers = {'head': 3}")), ('read', 100.0, ())])
def test_each_kind_learns_32_examples_by_heart_and_answers_dev_and_test(kind, most, more, vocabulary, tmp_path, capsys):
  data, dev = text_of(tmp_path / 'data', kind)
  out = tmp_path / 'out'
  written = finetune(kind, data, out, vocabulary, *(LONG + more))
  assert written['learned'] and 'not_learned' not in written and written['dev']['labelled'] == 32
  assert written['counts']['train_examples'] == written['counts']['dev_examples'] == 32
  metric = fine_tuned.find(str(out)).task.figures[0]
  assert written['dev'][metric] >= most
  check_complete(str(out / 'best'), kind)
  assert written['dev'][metric] == pytest.approx(written['heldout'][metric], abs=1e-3)
  assert {name: value for name, value in written['test'].items()} == {
      name: value for name, value in written['dev'].items() if name != 'loss'}
  if kind == 'multi_label':
    best = json.loads((out / 'best' / 'best.json').read_text())
    assert written['dev']['threshold'] == best['threshold']
    assert fine_tuned.find(str(out / 'model.ckpt-120')).task.threshold == written['dev']['threshold']
  judge = figures_on(out, dev)
  assert outcomes.numbers(judge.figures()) == {
      name: value for name, value in written['dev'].items()
      if name not in ('loss', 'examples', 'labelled') + outcomes.TABLES}
  assert metric.replace('_', ' ') in capsys.readouterr().out
  said = lines_of(out / 'predictions-dev.jsonl')
  assert len(said) == 32 and len(lines_of(out / 'predictions-test.jsonl')) == 32
  assert '## dev' in (out / names.ANSWERS_FILE).read_text(encoding='utf-8') or kind in ('regress', 'read')
  assert (out / names.CURVES_PICTURE).exists()
  if kind == 'tag':
    texts = [''.join(line.split(' ')[0] for line in block.split('\n')) for block in
             dev.read_text(encoding='utf-8').strip().split('\n\n')]
    assert all(entity['text'] == text[entity['start']:entity['end']] and entity['type'] in ('PER', 'LOC')
               for text, entry in zip(texts, said) for entity in entry['entities'])
    assert [entry['entities'] for entry in said] == [entry['gold'] for entry in said]
  elif kind == 'read':
    contexts = [entry['context_text'] for entry in json.loads(dev.read_text(encoding='utf-8'))]
    assert all(entry['answer'] == context[entry['start']:entry['end']] and entry['answer'] in entry['gold']
               for context, entry in zip(contexts, said))
  elif kind == 'classify':
    assert all(entry['label'] == entry['gold'] and entry['score'] == max(entry['scores'].values()) for entry in said)
    assert list(said[0])[0] == 'line' and [entry['line'] for entry in said] == list(range(1, 33))


def check_complete(folder, kind):
  """best/ says by itself what prediction needs: the task, its labels, and all weights of its graph."""
  weights = loading.find(folder)
  made = labelled_tasks.of_run(os.path.join(folder, names.TASK_FILE), os.path.join(folder, names.LABELS_FILE),
                               weights.config)
  assert made.data.max_seq_length == 32 and made.data.do_lower_case is True and len(made.labels) == {
      'classify': 3, 'pair': 3, 'multi_label': 3, 'tag': 5}.get(kind, 0)
  with tf.Graph().as_default():
    given = {name: tf.zeros([2, 8], tf.int32) for name in made.task.signatures[made.task.kind]}
    logits = made.task.serve(made.task.kind, made.task.batch(given), modeling.default_ops())['logits']
    assert logits.shape.as_list()[-1] == {'regress': 1, 'read': 2}.get(kind, len(made.labels))
    loading.check_compatible(weights.prefix, tf.trainable_variables())


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  return text_of(tmp_path_factory.mktemp('data'), 'classify')[0]


@pytest.fixture(scope='module')
def whole(data, vocabulary, tmp_path_factory):
  """The folder of a run of 8 steps."""
  out = tmp_path_factory.mktemp('whole') / 'out'
  finetune('classify', data, out, vocabulary, *SHORT)
  return out


def without_times(folder):
  """results.json without what takes another time each time."""
  written = results.read(str(folder))
  for name in ('seconds', 'examples_per_second', 'input_wait_fraction'):
    written.pop(name, None)
  for name in ('seconds', 'median_step_seconds'):
    written.get('train', {}).pop(name, None)
  return written


class Killed(BaseException):
  """As a kill, nobody catches it."""


@pytest.mark.parametrize('module, name', [
    (running, '_print_summary'), (outcomes.Judge, 'figures'), (pictures, 'draw'), (report, 'write'),
    (closing.results, 'update')])
def test_killed_between_training_and_the_end_it_goes_on_to_the_same(
    module, name, data, whole, vocabulary, tmp_path, monkeypatch):
  def kill(*unused, **given):
    if name != 'update' or 'learned' in given:
      raise Killed()
    return update(*unused, **given)
  update = closing.results.update
  out = tmp_path / 'out'
  shutil.copytree(str(whole), str(out))
  results.update(str(out), without=('dev', 'test', 'answered', 'learned', 'not_learned', 'seconds'))
  for path in list(out.glob('predictions-*')) + list(out.glob('*.png')) + [out / names.ANSWERS_FILE]:
    path.unlink()
  with monkeypatch.context() as patched:
    patched.setattr(module, name, kill)
    with pytest.raises(Killed):
      finetune('classify', data, out, vocabulary, *SHORT)
  assert 'dev' not in results.read(str(out))
  finetune('classify', data, out, vocabulary, *SHORT)
  assert without_times(out) == without_times(whole)
  for path in ('predictions-dev.jsonl', 'predictions-test.jsonl', 'report.md', 'confusion.png', 'confusion.tsv'):
    assert (out / path).read_bytes() == (whole / path).read_bytes()


def test_labels_of_dev_that_say_nothing_are_told(data, vocabulary, tmp_path, capsys):
  """Train is learned by heart; in dev the labels of other texts stand."""
  folder = tmp_path / 'data'
  shutil.copytree(str(data), str(folder))
  entries = lines_of(folder / 'dev.json')
  labels = [entry['label'] for entry in entries]
  (folder / 'dev.json').write_text(''.join(
      json.dumps(dict(entry, label=labels[(place + 7) % 32])) + '\n' for place, entry in enumerate(entries)))
  without = [{'sentence': entry['sentence'], 'id': 'x{}'.format(place)} for place, entry in enumerate(entries)]
  (folder / 'test.json').write_text(''.join(json.dumps(entry) + '\n' for entry in without))
  written = finetune('classify', folder, tmp_path / 'out', vocabulary, 'finetune.epochs = 30',
                   'finetune.eval_every_steps = 30')
  assert written['learned'] is False
  printed = capsys.readouterr().out.strip().splitlines()
  assert printed[-1].startswith('NOT LEARNED: dev accuracy') and printed[-1] == written['not_learned']
  assert 'THE LABELS OF DEV MAY NOT FOLLOW FROM THE TEXT' in printed[-1] and '(2) NO INIT' in printed[-1]
  # Without labels of test no figures of it are invented, and its lines are answered.
  assert written['test'] == {'examples': 32, 'labelled': 0}
  said = lines_of(tmp_path / 'out' / 'predictions-test.jsonl')
  assert [entry['id'] for entry in said] == ['x{}'.format(place) for place in range(32)]
  assert not any('gold' in entry for entry in said)


def test_seeds_are_runs_of_their_own_and_recognised_when_finished(data, vocabulary, tmp_path, monkeypatch):
  out = tmp_path / 'out'
  small_finetunings.begin('classify', *SHORT)
  assert repeating.over_seeds([1, 2], str(data), str(out), vocab_file=vocabulary) is None
  first = results.read(str(out))
  assert sorted(first['seeds']) == ['seed-1', 'seed-2'] and first['dev']['accuracy']['runs'] == 2
  weights = [results.read(str(out / name))['train']['total_loss'] for name in ('seed-1', 'seed-2')]
  assert weights[0] != weights[1]
  assert series.is_series(str(out))
  assert fine_tuned.find(str(out)).prefix.startswith(str(out / first['best_run']))
  monkeypatch.setattr(running, '_train', lambda *unused: pytest.fail('it trains again'))
  small_finetunings.begin('classify', *SHORT)
  assert repeating.over_seeds([1, 2], str(data), str(out), vocab_file=vocabulary) is None
  assert results.read(str(out)) == first


def test_folds_take_turns_and_their_predictions_on_test_are_averaged(data, vocabulary, tmp_path):
  out = tmp_path / 'out'
  small_finetunings.begin('classify', *SHORT)
  assert repeating.over_folds(2, str(data), str(out), vocab_file=vocabulary) is None
  written = results.read(str(out))
  assert sum(results.read(str(out / name))['dev']['labelled'] for name in ('fold-1', 'fold-2')) == 32
  assert 0. <= written['test_averaged']['accuracy'] <= 1.
  averaged = lines_of(out / names.PREDICTIONS_FILE.format('test'))
  assert [entry['line'] for entry in averaged] == list(range(1, 33))
  parts = [lines_of(out / name / 'predictions-test.jsonl') for name in ('fold-1', 'fold-2')]
  agreed = [place for place in range(32) if parts[0][place]['label'] == parts[1][place]['label']]
  # Where both say the same, so does their mean.
  assert all(averaged[place]['label'] == parts[0][place]['label'] for place in agreed)
