"""What the trainer does at the end of a phase."""

import types

import pytest

from albert.training import trainer


def made(step, end, wait=lambda: None):
  """A Trainer of a run of 12 steps that came to `step` of a phase. wait: what it does until other ranks are there."""
  plan = types.SimpleNamespace(options=types.SimpleNamespace(num_train_steps=12), task=None, evaluated_on=None)
  trained = trainer.Trainer(plan, None, None, [], None, types.SimpleNamespace(wait=wait))
  trained.phase = types.SimpleNamespace(end=end)
  trained.progress = types.SimpleNamespace(step=step)
  return trained


@pytest.mark.parametrize('step, end, goes_on', [
    (5, 5, True), (7, 5, True),  # beyond it, where a loop could not be stopped
    (4, 5, False), (12, 12, False)])
def test_training_goes_on_after_a_phase_unless_it_was_stopped_in_it(step, end, goes_on):
  assert made(step, end)._goes_on() == goes_on


def test_ranks_go_on_to_the_next_phase_together_when_rank_0_has_saved_the_end_of_this_one():
  waits = []
  assert made(5, 5, lambda: waits.append(1))._goes_on() and waits == [1]
