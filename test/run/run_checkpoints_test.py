"""Checkpoints as files: all there or not at all, verified, the newest good one found, retained as the options say."""

import functools
import json
import os

import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.common import json_text
from albert.run.best import Best
from albert.run import checkpoints
from albert.tasks.task import Criterion

CRITERION = Criterion('masked_lm_loss', lowest=True)
ENDINGS = ('.data-00000-of-00001', '.index', '.meta')


def save(folder, step, content='weights', check_writer=lambda: None):
  """Commits a checkpoint of three small files, as the saver's hook does."""
  return commit(folder, write(folder, step, content), step, check_writer)


def write(folder, step, content):
  """The first half of save(). Returns the temporary prefix."""
  temporary = checkpoints.temporary_prefix(str(folder), step)
  for ending in ENDINGS:
    with open(temporary + ending, 'w') as target:
      target.write('{} {} {}'.format(content, step, ending))
  return temporary


def commit(folder, temporary, step, check_writer=lambda: None):
  """The second half."""
  return checkpoints.commit(str(folder), temporary, step, {'guard': {'record': 4 * step}}, check_writer)


@pytest.fixture
def folder(tmp_path):
  """A run with checkpoints of steps 4 and 8."""
  save(tmp_path, 4)
  save(tmp_path, 8)
  return tmp_path


def _names(folder):
  return sorted(os.listdir(str(folder)))


def _files_of(*steps):
  return sorted(['model.ckpt-{}{}'.format(step, ending) for step in steps
                 for ending in ENDINGS + (checkpoints.MANIFEST,)] + ['checkpoint'])


def _edit(path, change):
  with open(path, 'rb') as source:
    content = source.read()
  with open(path, 'wb') as target:
    target.write(change(content))


def test_a_checkpoint_is_complete_and_what_tensorflow_takes(folder):
  assert _names(folder) == _files_of(4, 8)
  assert tf.train.latest_checkpoint(str(folder)) == str(folder / 'model.ckpt-8')
  manifest = checkpoints.read_manifest(str(folder / 'model.ckpt-8'))
  assert manifest['step'] == 8 and manifest['guard'] == {'record': 32} and len(manifest['files']) == 3
  assert checkpoints.recover(str(folder)) == str(folder / 'model.ckpt-8')


DAMAGE = {
    'truncated data file': ('.data-00000-of-00001', lambda content: content[:-3]),
    'flipped byte in the data file': ('.data-00000-of-00001', lambda content: b'W' + content[1:]),
    'empty index': ('.index', lambda content: b''),
    'cut manifest': (checkpoints.MANIFEST, lambda content: content[:40]),
    'flipped digit in the manifest': (checkpoints.MANIFEST, lambda content: content.replace(b': 32', b': 33')),
    'manifest that is no object': (checkpoints.MANIFEST, lambda content: b'[1]'),
    'empty manifest': (checkpoints.MANIFEST, lambda content: b'')}


@pytest.mark.parametrize('damage', sorted(DAMAGE))
@pytest.mark.fault('damaged checkpoint')
def test_a_damaged_checkpoint_is_told_and_the_one_before_taken(folder, caplog, damage):
  ending, change = DAMAGE[damage]
  _edit(str(folder / ('model.ckpt-8' + ending)), change)
  assert checkpoints.recover(str(folder)) == str(folder / 'model.ckpt-4')
  assert tf.train.latest_checkpoint(str(folder)) == str(folder / 'model.ckpt-4')
  assert 'DAMAGED CHECKPOINT' in caplog.text and 'going on from' in caplog.text
  save(folder, 8)
  assert checkpoints.recover(str(folder)) == str(folder / 'model.ckpt-8')


@pytest.mark.parametrize('ending', ENDINGS)
@pytest.mark.fault('damaged checkpoint')
def test_a_missing_file_is_damage(folder, ending):
  os.remove(str(folder / ('model.ckpt-8' + ending)))
  assert checkpoints.newest_good(str(folder)) == str(folder / 'model.ckpt-4')
  # Also for what looks at a run before it goes on: settings are compared with those of the run, not of a new one.
  assert checkpoints.latest(str(folder)) == str(folder / ('model.ckpt-4' if ending == '.index' else
                                                                       'model.ckpt-8'))


def test_where_all_are_damaged_the_run_does_not_start_again(folder):
  for step in (4, 8):
    _edit(str(folder / 'model.ckpt-{}.index'.format(step)), lambda content: content[1:])
  with pytest.raises(UserError, match='found 4, 8, all damaged'):
    checkpoints.recover(str(folder))


def test_a_folder_without_manifests_has_tensorflows_checkpoint(tmp_path):
  (tmp_path / 'model.ckpt-3.index').write_text('')
  tf.train.update_checkpoint_state(str(tmp_path), 'model.ckpt-3')
  assert checkpoints.recover(str(tmp_path)) == str(tmp_path / 'model.ckpt-3')
  assert checkpoints.recover(str(tmp_path / 'absent')) is None


class Killed(BaseException):
  """The process has ended."""


def _kill_at(place, monkeypatch, act):
  """Whether `act` ended before it had changed so many files."""
  changes = []

  def counted(whole):
    def call(*args, **kwargs):
      if len(changes) == place:
        raise Killed()
      changes.append(whole)
      return whole(*args, **kwargs)
    return call

  with monkeypatch.context() as patch:
    for name in ('replace', 'remove', 'rmdir', 'mkdir', 'fsync'):
      patch.setattr(os, name, counted(getattr(os, name)))
    try:
      act()
    except Killed:
      return True
  return False


@pytest.mark.parametrize('action,found', [
    ('save', {8, 12}), ('save what is damaged', {4, 8}), ('remove', {8})])
@pytest.mark.fault('killed at every change of a file')
def test_killed_at_any_change_of_a_file(tmp_path, monkeypatch, action, found):
  """Nothing partial stays, nothing good is lost."""
  results, place, killed = set(), 0, True
  while killed:
    folder = tmp_path / str(place)
    folder.mkdir()
    for step in (4, 8):
      save(folder, step)
    if action == 'save what is damaged':
      _edit(str(folder / 'model.ckpt-8.index'), lambda content: b'x')
    acts = {'save': (save, folder, 12), 'save what is damaged': (save, folder, 8),
            'remove': (checkpoints.retain, str(folder), 8, 1, lambda step: False, bool)}
    killed = _kill_at(place, monkeypatch, functools.partial(*acts[action]))
    good = checkpoints.recover(str(folder))
    steps = checkpoints.steps_in(str(folder))
    assert _names(folder) == _files_of(*steps)
    assert checkpoints.problem_with(good) is None
    results.add(checkpoints.step_of(good))
    place += 1
  assert place > 4 and results == found


class TakenOver(Exception):
  """The lock is another's."""


def _suspended_at(place, monkeypatch, takes_over, act):
  """Calls takes_over() before change number `place` of a file in act(check_writer). Returns whether act came there."""
  changes, away = [], []

  def counted(whole):
    def call(*args, **kwargs):
      changes.append(whole)
      if len(changes) == place and not away:
        away.append(True)
        with monkeypatch.context() as inner:
          for name, plain in plains.items():
            inner.setattr(os, name, plain)
          takes_over()
      return whole(*args, **kwargs)
    return call

  def check():
    if away:
      raise TakenOver()
  plains = {name: getattr(os, name) for name in ('replace', 'remove', 'unlink', 'open', 'rmdir', 'mkdir', 'fsync')}
  with monkeypatch.context() as patch:
    for name, plain in plains.items():
      patch.setattr(os, name, counted(plain))
    try:
      act(check)
    except OSError:
      with pytest.raises(TakenOver):
        check()
    except TakenOver:
      pass
  return bool(away)


@pytest.mark.parametrize('is_saving', [False, True])
@pytest.mark.parametrize('others', [(), (12,), (12, 16), (16,)])
@pytest.mark.fault('suspended while saving, folder taken over')
def test_a_process_that_comes_too_late_harms_nothing_of_the_other(tmp_path, monkeypatch, others, is_saving):
  """Suspended at any change of a file in commit(), while another run saves these steps; then it goes on.

  is_saving: whether the other one is just in the middle of a save of step 12.
  """
  place, came = 1, True
  while came:
    folder = tmp_path / str(place)
    folder.mkdir()
    save(folder, 8)
    begun = []

    def takes_over(folder=folder, begun=begun):
      checkpoints.recover(str(folder))
      for step in others:
        save(folder, step, 'of the other')
      if is_saving:
        begun.append(write(folder, 12, 'of the other'))
    came = _suspended_at(place, monkeypatch, takes_over, lambda check, folder=folder: save(
        folder, 12, check_writer=check))
    if not came:
      break
    for temporary in begun:
      commit(folder, temporary, 12)
    others_steps = set(others) | ({12} if is_saving else set())
    for step in others_steps:
      assert checkpoints.problem_with(str(folder / 'model.ckpt-{}'.format(step))) is None, place
      assert 'of the other' in (folder / 'model.ckpt-{}.index'.format(step)).read_text(), place
    good = checkpoints.recover(str(folder))
    steps = checkpoints.steps_in(str(folder))
    assert {8} | others_steps <= set(steps) <= {8, 12} | others_steps
    assert good == str(folder / 'model.ckpt-{}'.format(steps[-1]))
    assert _names(folder) == _files_of(*steps), place
    place += 1
  assert place > 10


def test_a_checkpoint_that_cannot_be_finished_leaves_nothing(folder, monkeypatch):
  before = {name: (folder / name).read_bytes() for name in _names(folder)}
  replace = os.replace
  monkeypatch.setattr(os, 'replace', lambda old, new: replace(old, new) if 'meta' not in new else 1 / 0)
  with pytest.raises(ZeroDivisionError):
    save(folder, 12)
  checkpoints.discard_unfinished(str(folder))
  assert {name: (folder / name).read_bytes() for name in _names(folder)} == before


@pytest.mark.parametrize('steps,arguments,kept', [
    ([4, 8, 12, 16], (16, 2, None), [12, 16]),
    ([4, 8, 12, 16, 20], (20, 1, 8), [8, 16, 20]),
    ([4, 6, 8], (8, 5, None), [4, 8]),  # 6 was made to stop there
    ([4, 6], (6, 2, None), [4, 6]),
    ([4, 6, 8], (6, 5, None), [4, 6])])  # 8 is damaged: the run went back to 4 and was stopped at 6
def test_what_is_kept(tmp_path, steps, arguments, kept):
  for step in steps:
    save(tmp_path, step)
  newest, keep_max, every = arguments
  checkpoints.retain(str(tmp_path), newest, keep_max, is_kept=lambda step: bool(every) and step % every == 0,
                     is_regular=lambda step: step % 4 == 0)
  assert _names(tmp_path) == _files_of(*kept)


FIGURES = dict(masked_lm_loss=3.0)


@pytest.fixture
def with_best(folder):
  Best(str(folder), CRITERION).keep_if_best(str(folder / 'model.ckpt-8'), 8, FIGURES)
  return folder


@pytest.mark.fault('damaged best')
def test_a_damaged_best_is_copied_again_while_the_run_has_it(with_best, caplog):
  _edit(str(with_best / 'best' / 'model.ckpt-8.index'), lambda content: content[1:])
  assert Best(str(with_best), CRITERION).is_damaged()
  Best(str(with_best), CRITERION).mend()
  best, figures = Best(str(with_best), CRITERION).read()
  assert checkpoints.problem_with(best) is None and figures['masked_lm_loss'] == 3.0
  assert 'copied again' in caplog.text and not Best(str(with_best), CRITERION).is_damaged()


@pytest.mark.parametrize('broken', ['best', 'best.json'])
@pytest.mark.fault('damaged best')
def test_a_damaged_best_that_is_nowhere_else_is_no_best(with_best, caplog, broken):
  if broken == 'best':
    _edit(str(with_best / 'best' / 'model.ckpt-8.index'), lambda content: content[1:])
    _edit(str(with_best / 'model.ckpt-8.index'), lambda content: content[1:])
  else:
    _edit(str(with_best / 'best' / 'best.json'), lambda content: content[:20])
  Best(str(with_best), CRITERION).mend()
  assert Best(str(with_best), CRITERION).read() == (None, None)
  assert 'DAMAGED BEST CHECKPOINT' in caplog.text
  assert Best(str(with_best), CRITERION).keep_if_best(str(with_best / 'model.ckpt-4'), 4, dict(masked_lm_loss=5.0))


def test_what_a_kill_left_of_keeping_the_best_is_finished(with_best):
  (with_best / 'best' / 'model.ckpt-12.index').write_text('half')
  (with_best / 'best' / 'checkpoint').unlink()
  Best(str(with_best), CRITERION).mend()
  assert sorted(_names(with_best / 'best')) == sorted(_files_of(8) + ['best.json'])
  assert tf.train.latest_checkpoint(str(with_best / 'best')) == str(with_best / 'best' / 'model.ckpt-8')


def test_a_manifest_says_what_it_says_after_being_read(folder):
  path = str(folder / 'model.ckpt-8') + checkpoints.MANIFEST
  with open(path) as source:
    said = json.load(source)
  assert len(said.pop('sha256')) == 64
  assert checkpoints.read_manifest(str(folder / 'model.ckpt-8')) == said


@pytest.fixture
def inner(tmp_path):
  """As `folder`, with a folder around it that is this test's own."""
  (tmp_path / 'out').mkdir()
  for step in (4, 8):
    save(tmp_path / 'out', step)
  return tmp_path / 'out'


def _says(folder, step, files_of_it):
  """A manifest with a good checksum that names these files."""
  path = str(folder / 'model.ckpt-{}'.format(step)) + checkpoints.MANIFEST
  said = {'step': step, 'guard': {'record': 0}, 'files': files_of_it}
  with open(path, 'w') as target:
    json.dump(dict(said, sha256=json_text.sha256(said)), target)


@pytest.mark.parametrize('name', ['../victim', '/dev/zero', '..', 'model.ckpt-4.index', 'checkpoint', ''])
@pytest.mark.fault('forged: names in manifests')
def test_a_manifest_names_files_of_its_checkpoint(inner, name):
  (inner.parent / 'victim').write_text('')
  _says(inner, 8, {name: {'bytes': 0, 'sha256': 'x'}})
  assert checkpoints.problem_with(str(inner / 'model.ckpt-8')) == 'its manifest is damaged'
  assert checkpoints.recover(str(inner)) == str(inner / 'model.ckpt-4')
  assert (inner.parent / 'victim').exists()


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir, lambda path: os.symlink('/dev/zero', path)])
@pytest.mark.fault('forged: pipes and devices')
def test_a_pipe_is_no_checkpoint(inner, make):
  manifest = checkpoints.read_manifest(str(inner / 'model.ckpt-8'))
  path = str(inner / 'model.ckpt-8.index')
  os.remove(path)
  make(path)
  manifest['files']['model.ckpt-8.index']['bytes'] = os.path.getsize(path)
  _says(inner, 8, manifest['files'])
  assert checkpoints.newest_good(str(inner)) == str(inner / 'model.ckpt-4')


@pytest.mark.parametrize('content', [
    'model_checkpoint_path: "/another/machine/model.ckpt-8"', 'model_checkpoint_path: "../elsewhere/model.ckpt-3"', '',
    'model_checkpoint_path: ""', 'garbage', b'\xff\xfe', 'model_checkpoint_path: "\\377"',
    b'model_checkpoint_path: "model\0.ckpt-4"', os.mkfifo])
@pytest.mark.fault('forged: checkpoint')
def test_the_pointer_leads_nowhere_else(inner, content):
  (inner.parent / 'elsewhere').mkdir()
  save(inner.parent / 'elsewhere', 3)
  pointer = inner / 'checkpoint'
  pointer.unlink()
  content(str(pointer)) if callable(content) else pointer.write_bytes(
      content if isinstance(content, bytes) else content.encode())
  assert checkpoints.latest(str(inner)) == str(inner / 'model.ckpt-8')
  assert checkpoints.recover(str(inner)) == str(inner / 'model.ckpt-8')
  assert tf.train.latest_checkpoint(str(inner)) == str(inner / 'model.ckpt-8')


def test_a_pointer_out_of_a_folder_without_checkpoints_is_removed(tmp_path):
  (tmp_path / 'elsewhere').mkdir()
  (tmp_path / 'out').mkdir()
  save(tmp_path / 'elsewhere', 3)
  (tmp_path / 'out' / 'checkpoint').write_text('model_checkpoint_path: "../elsewhere/model.ckpt-3"\n')
  assert checkpoints.recover(str(tmp_path / 'out')) is None
  assert os.listdir(str(tmp_path / 'out')) == []


POINTERS = {
    'empty': b'', 'garbage': b'\x80\xff\0', 'no path': b'model_checkpoint_path: ""\n', 'other words': b'hello {\n',
    'another machine': b'model_checkpoint_path: "/elsewhere/run/model.ckpt-8"\n',
    'another machine, other step': b'model_checkpoint_path: "/elsewhere/run/model.ckpt-99"\n',
    'an older one': b'model_checkpoint_path: "model.ckpt-4"\n', 'gone': None}


@pytest.mark.parametrize('pointer', sorted(POINTERS))
@pytest.mark.fault('damaged small file')
def test_the_manifests_are_the_truth_and_tensorflows_file_is_put_right(folder, pointer):
  (folder / 'checkpoint').unlink()
  if POINTERS[pointer] is not None:
    (folder / 'checkpoint').write_bytes(POINTERS[pointer])
  newest = str(folder / 'model.ckpt-8')
  assert checkpoints.find(str(folder)) == newest
  assert checkpoints.latest(str(folder)) == (str(folder / 'model.ckpt-4') if pointer == 'an older one' else newest)
  assert checkpoints.recover(str(folder)) == newest
  assert (folder / 'checkpoint').read_text() == (
      'model_checkpoint_path: "model.ckpt-8"\nall_model_checkpoint_paths: "model.ckpt-4"\n'
      'all_model_checkpoint_paths: "model.ckpt-8"\n')


def test_a_pointer_to_the_folder_that_this_one_was_copied_from_does_not_lead_there(folder, tmp_path_factory):
  original = tmp_path_factory.mktemp('original')
  save(original, 99)
  tf.train.update_checkpoint_state(str(folder), str(original / 'model.ckpt-99'))
  assert checkpoints.latest(str(folder)) == str(folder / 'model.ckpt-8')
  assert checkpoints.recover(str(folder)) == str(folder / 'model.ckpt-8')


@pytest.mark.parametrize('pointer', ['empty', 'garbage', 'another machine'])
def test_where_there_is_no_checkpoint_a_damaged_pointer_is_none(tmp_path, pointer):
  (tmp_path / 'checkpoint').write_bytes(POINTERS[pointer])
  assert checkpoints.latest(str(tmp_path)) is None and checkpoints.recover(str(tmp_path)) is None
  assert _names(tmp_path) == []  # tf.estimator would go by it


def test_a_manifest_of_another_checkpoint_under_this_name_is_damage(folder):
  content = (folder / ('model.ckpt-4' + checkpoints.MANIFEST)).read_bytes()
  (folder / ('model.ckpt-8' + checkpoints.MANIFEST)).write_bytes(content)
  assert checkpoints.problem_with(str(folder / 'model.ckpt-8')) == 'its manifest is damaged'


@pytest.mark.parametrize('change', [dict(files={'../victim': {'bytes': 1, 'sha256': 'a' * 64}}), dict(files=[]),
                                    dict(guard={'record': 'x'})])
def test_a_forged_manifest_with_a_right_checksum_is_damage(folder, change):
  path = folder / ('model.ckpt-8' + checkpoints.MANIFEST)
  said = dict(checkpoints.read_manifest(str(folder / 'model.ckpt-8')), **change)
  path.write_text(json.dumps(dict(said, sha256=json_text.sha256(said))))
  assert checkpoints.recover(str(folder)) == str(folder / 'model.ckpt-4')


def test_a_manifest_of_an_earlier_version_is_good(folder):
  """With NaN, and without what was added since."""
  path = folder / ('model.ckpt-8' + checkpoints.MANIFEST)
  said = {'step': 8, 'files': checkpoints.read_manifest(str(folder / 'model.ckpt-8'))['files'], 'train': {
      'train': {'total_loss': float('nan')}}, 'guard': {'record': 32}}
  path.write_text(json.dumps(dict(said, sha256=json_text.sha256(said))))
  assert checkpoints.newest_good(str(folder)) == str(folder / 'model.ckpt-8')


def test_figures_that_are_not_finite_are_never_the_best(with_best):
  best = Best(str(with_best), CRITERION)
  for figures in (dict(masked_lm_loss=float('nan')), dict(masked_lm_loss=-float('inf')),
                  dict(masked_lm_loss=1.0, other=float('nan'))):
    assert not best.keep_if_best(str(with_best / 'model.ckpt-4'), 4, figures)
  assert best.read()[1]['global_step'] == 8
  best._forget('a test')
  assert not best.keep_if_best(str(with_best / 'model.ckpt-4'), 4, dict(masked_lm_loss=float('nan')))
  assert best.read() == (None, None)


@pytest.mark.parametrize('content', ['{"checkpoint": "model.ckpt-8", "global_step": 8, "masked_lm_loss": NaN}',
                                     '{"checkpoint": "../model.ckpt-8", "global_step": 8, "masked_lm_loss": 1.0}',
                                     '[]', '{"checkpoint": 3, "global_step": 8, "masked_lm_loss": 1.0}'])
@pytest.mark.fault('damaged best')
def test_a_best_that_cannot_be_compared_is_no_best(with_best, content):
  (with_best / 'best' / 'best.json').write_text(content)
  best = Best(str(with_best), CRITERION)
  best.mend()
  assert best.read() == (None, None)
  assert best.keep_if_best(str(with_best / 'model.ckpt-4'), 4, dict(masked_lm_loss=5.0))


def test_best_can_be_handed_on(folder):
  """It holds what its checkpoint is of no use without, also in a run from before it did."""
  for name, text in (('albert_config.json', '{}'), ('vocab.txt', 'a\n')):
    (folder / name).write_text(text)
  best = Best(str(folder), CRITERION)
  best.keep_if_best(str(folder / 'model.ckpt-8'), 8, FIGURES)
  complete = sorted(_files_of(8) + ['best.json', 'albert_config.json', 'vocab.txt'])
  assert _names(folder / 'best') == complete
  (folder / 'best' / 'vocab.txt').unlink()
  best.mend()
  assert _names(folder / 'best') == complete and (folder / 'best' / 'vocab.txt').read_text() == 'a\n'


def test_the_best_knows_on_which_data_it_was_measured(folder):
  best = Best(str(folder), CRITERION)
  best.keep_if_best(str(folder / 'model.ckpt-4'), 4, dict(masked_lm_loss=3.0), 'first')
  assert best.measured_elsewhere('first') is None
  assert best.measured_elsewhere('second') == str(folder / 'best' / 'model.ckpt-4')
  best.measure_again(dict(masked_lm_loss=9.0), 'second')
  assert best.measured_elsewhere('second') is None and best.read()[1]['masked_lm_loss'] == 9.0
  assert best.keep_if_best(str(folder / 'model.ckpt-8'), 8, dict(masked_lm_loss=8.0), 'second')
  best.measure_again(dict(masked_lm_loss=float('nan')), 'third')
  assert best.read() == (None, None)


def test_a_best_of_an_earlier_version_is_compared(with_best):
  best = Best(str(with_best), CRITERION)
  assert 'evaluated_on' not in best.read()[1] and best.measured_elsewhere('any') is None


def test_a_path_without_a_checkpoint_names_what_is_near(tmp_path):
  """`make smoke` trains in out/smoke; whoever names out/ instead, or mistypes one, is told what is there."""
  def said(*path):
    with pytest.raises(UserError) as caught:
      checkpoints.find(str(tmp_path.joinpath(*path)))
    return str(caught.value).replace(str(tmp_path) + os.sep, '')
  assert said('out').endswith('its folder, or train one first (make train-full)')
  (tmp_path / 'out' / 'logs').mkdir(parents=True)
  assert said('out').endswith('or its folder')
  for name in ('smoke', 'mine'):
    (tmp_path / 'out' / name).mkdir()
    (tmp_path / 'out' / name / 'checkpoint').write_text('')
  (tmp_path / 'out' / 'mine' / 'model.ckpt-300.manifest.json').write_text('')
  assert said('out').endswith('or its folder; there are runs in it: out/mine, out/smoke')
  assert said('out', 'smok').endswith('; did you mean out/smoke?')
  assert said('out', 'mine', 'model.ckpt-350').endswith('; did you mean out/mine/model.ckpt-300?')
  assert 'did you mean' not in said('out', 'logs', 'x') and 'did you mean' not in said('elsewhere', 'smoke')
