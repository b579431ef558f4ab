"""When a run reached the loss of another, and how it is told."""

import collections
import json

import pytest

from albert.common.errors import UserError
from albert.run import names
from tools.studies import curves
from tools.studies import picture

HEADER = 'step\tmasked_lm_loss\tmasked_lm_accuracy\tsentence_order_loss\tsentence_order_accuracy\n'


def points(*seconds_and_losses):
  return [curves.Point(number, seconds, {'masked_lm_loss': loss, 'sentence_order_accuracy': 0.5})
          for number, (seconds, loss) in enumerate(seconds_and_losses, 1)]


def test_the_time_to_a_loss_lies_between_two_evaluations():
  falling = points((10.0, 7.0), (20.0, 6.0), (30.0, 6.5))
  assert curves.seconds_to(falling, 6.25) == pytest.approx(17.5)
  assert curves.seconds_to(falling, 7.5) == 10.0 and curves.seconds_to(falling, 5.9) is None


def test_runs_are_compared_with_the_first_one_seed_by_seed():
  summary = curves.summary(collections.OrderedDict([
      ('plain', {1: points((50.0, 7.0), (100.0, 6.0)), 2: points((50.0, 7.0), (100.0, 6.5))}),
      ('fast', {1: points((25.0, 7.0), (75.0, 5.0)), 2: points((100.0, 6.6))}), ('new', {3: points((5.0, 5.0))})]))
  assert [(row['run'], row['seed'], row['share_of_baseline']) for row in summary] == [
      ('plain', 1, 1.0), ('plain', 2, 1.0), ('fast', 1, 0.5), ('fast', 2, None), ('new', 3, None)]
  text = curves.as_table(summary)
  assert ('| fast | 2 | 2 | 88 (75 to 100) | 5.800 (5.000 to 6.600) | 0.500 (0.500 to 0.500) | 50, 1 of 2 seeds '
          '| 0.50, 1 of 2 seeds |') in text
  assert text[-1].endswith('| not reached | not reached |')


def write_run(folder, with_cpu_seconds=True):
  folder.mkdir()
  (folder / names.HELDOUT_HISTORY_FILE).write_text(HEADER + '4\t6.5\t0.1\t0.7\t0.5\n')
  train = {'total_loss': 7.0, 'seconds': 9.0}
  if with_cpu_seconds:
    train['cpu_seconds'] = 3.25
  (folder / 'model.ckpt-4.manifest.json').write_text(json.dumps(
      {'step': 4, 'files': {'model.ckpt-4.index': {'bytes': 1, 'sha256': 64 * '0'}}, 'train': {'train': train}}))
  return str(folder)


def test_a_point_has_the_cpu_seconds_of_its_checkpoint(tmp_path):
  point, = curves.read(write_run(tmp_path / 'run'))
  assert (point.step, point.cpu_seconds, point.figures['masked_lm_loss']) == (4, 3.25, 6.5)


def test_a_checkpoint_without_cpu_seconds_is_named(tmp_path):
  with pytest.raises(UserError, match='model.ckpt-4.manifest.json: expected the CPU seconds of training, found none'):
    curves.read(write_run(tmp_path / 'run', with_cpu_seconds=False))
  with pytest.raises(UserError, match='expected held-out losses by step, found none'):
    curves.read(str(tmp_path))


def test_csv_and_picture_are_written_the_same_each_time(tmp_path):
  runs = collections.OrderedDict([
      ('plain', {1: points((50.0, 7.0), (100.0, 6.0))}), ('fast', {1: points((9.0, 6.0))})])
  written = []
  for name in ('first', 'second'):
    curves.write_csv(str(tmp_path / name) + '.csv', runs)
    picture.draw(str(tmp_path / name) + '.png', runs, 'levers')
    written.append([(tmp_path / (name + ending)).read_bytes() for ending in ('.csv', '.png')])
  assert written[0] == written[1]
  lines = written[0][0].decode().split('\n')
  assert lines[1:3] == ['plain,1,1,50.0,7.0000,,,0.5000', 'plain,1,2,100.0,6.0000,,,0.5000']
  assert written[0][1].startswith(b'\x89PNG')
