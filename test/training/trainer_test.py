"""What the trainer does at the end of a phase."""

import types

import pytest

from albert.training import trainer


def made(step, end, steps_on_disk):
  """A Trainer of a run of 12 steps that came to `step` of a phase; the newest checkpoints, one for each look."""
  plan = types.SimpleNamespace(options=types.SimpleNamespace(num_train_steps=12), task=None, evaluated_on=None)
  looks = iter(steps_on_disk)
  trained = trainer.Trainer(plan, None, types.SimpleNamespace(newest_step=lambda: next(looks)), [], None)
  trained.phase = types.SimpleNamespace(end=end)
  trained.progress = types.SimpleNamespace(step=step)
  return trained, looks


@pytest.mark.parametrize('step, end, goes_on', [
    (5, 5, True), (7, 5, True),  # beyond it, where a loop could not be stopped
    (4, 5, False), (12, 12, False)])
def test_training_goes_on_after_a_phase_unless_it_was_stopped_in_it(step, end, goes_on):
  assert made(step, end, [step])[0]._goes_on() == goes_on


def test_other_ranks_wait_until_rank_0_has_saved_the_end_of_a_phase(monkeypatch):
  waits = []
  monkeypatch.setattr(trainer.time, 'sleep', waits.append)
  trained, looks = made(5, 5, [0, 4, 5, 99])
  assert trained._goes_on() and len(waits) == 2 and next(looks) == 99
