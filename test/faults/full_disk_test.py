"""A full disk, a folder that cannot be written, data that is gone: one clear line, nothing partial, nothing lost."""

import os
import shutil

import pytest

import fault_client
import fault_runs
from albert.run.best import Best
from albert.run import checkpoints
from albert.run import saver
from albert.tasks.pretraining import Pretraining
from albert.training.finetune_options import FinetuneOptions

pytestmark = pytest.mark.integration


class Run:
  """One folder, in which a run fails again and again."""

  def __init__(self, server, out):
    self._server = server
    self.out = str(out)
    self.most_lost = 0

  def fails(self, data, fault, newest, *words):
    """Goes on until `fault`: one line with `words`, the checkpoint of step `newest` good, nothing partial visible."""
    answer = self._server.run(data, self.out, faults=[('obey_permissions',), fault])
    assert answer.code == 1, answer.log
    line = [line for line in answer.log.split('\n') if line.startswith('error: ')][-1]
    assert all(word in line for word in words) and 'Traceback' not in answer.log, line
    os.chmod(self.out, 0o755)
    good = checkpoints.newest_good(self.out)
    assert checkpoints.step_of(good) == newest and 'DAMAGED' not in answer.log
    assert checkpoints.latest(self.out) == good
    assert not fault_runs.leftovers(self.out)
    steps = checkpoints.steps_in(self.out)
    assert {checkpoints.step_of(name.split('.index')[0]) for name in os.listdir(self.out)
            if name.endswith('.index')} == set(steps)
    fault_runs.scalars(self.out)  # raises where an event is not whole
    fault_runs.scalars(os.path.join(self.out, 'eval_heldout'))
    self.most_lost = max(self.most_lost, answer.step - newest)
    return answer


@pytest.mark.fault('disk full: checkpoint')
@pytest.mark.fault('disk full: manifest')
@pytest.mark.fault('disk full: history')
@pytest.mark.fault('disk full: best')
@pytest.mark.fault('disk full: event files')
@pytest.mark.fault('folder that cannot be written')
@pytest.mark.fault('data set vanished')
def test_a_run_on_a_bad_disk_ends_as_one_on_a_good_one(fault_server, fault_data, uninterrupted, tmp_path, lost):
  run, data = Run(fault_server, tmp_path / 'out'), str(tmp_path / 'data')
  run.fails(fault_data, ('full_disk_in_checkpoint', 4), 0, 'expected to write the checkpoint of step 4', 'make room')
  run.fails(fault_data, ('full_disk_in_history', 2), 0, 'No space left on device', 'loss_history.tsv')
  run.fails(fault_data, ('full_disk_in_best', 4), 4, 'No space left on device', 'best')
  assert Best(run.out, Pretraining.criterion).read() == (None, None)
  run.fails(fault_data, ('full_disk_in_manifest', 8), 4, 'expected to write the checkpoint of step 8', 'No space left')
  run.fails(fault_data, ('full_disk_in_events', 5), 4, 'an event that was not written to its end', 'tfevents')
  run.fails(fault_data, ('read_only_after_step', 6, run.out), 4, 'Permission denied')
  shutil.copytree(fault_data, data)
  run.fails(data, ('vanish_after_step', 6, data), 8, 'heldout-00000-of-00001.tfrecord', 'No such file')
  answer = fault_server.run(fault_data, run.out)
  assert answer.code == 0 and fault_client.start_of(answer) == 8
  assert fault_runs.different(uninterrupted[0], fault_runs.snapshot(run.out)) == []
  lost(steps=run.most_lost)


def test_saving_that_takes_long_is_told_once_with_the_option_to_change(tmp_path, monkeypatch, caplog):
  caplog.set_level('INFO', logger='albert')
  option = FinetuneOptions.named(FinetuneOptions.save_option)
  hook = saver.SaverHook(str(tmp_path), 4, 1, None, None, option=option)
  hook._last_step, hook._last_time = 6, 95.0
  monkeypatch.setattr(saver.time, 'time', lambda: 100.0)
  hook._report_time(8, 98.0)  # two steps after one that a signal asked for
  assert caplog.records[-1].levelname == 'INFO' and '40.0% of the time' in caplog.records[-1].getMessage()
  hook._last_step, hook._last_time = 4, 0.0
  for now, level in ((1000.0, 'INFO'), (100.0, 'WARNING'), (100.0, 'INFO')):
    monkeypatch.setattr(saver.time, 'time', lambda: now)  # noqa: B023
    hook._report_time(8, now - 2.0)
    assert caplog.records[-1].levelname == level
    assert ('a larger finetune.eval_every_steps costs less' in caplog.records[-1].getMessage()) == (level == 'WARNING')
