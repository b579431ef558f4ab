"""albert.training.telling.activity: no long silence, and what is said then."""

import logging

import pytest

from albert.training.telling import activity


class Clock:
  """A clock that stands still until it is told."""

  def __init__(self):
    self.now = 0.0

  def __call__(self):
    return self.now


@pytest.fixture
def clock():
  return Clock()


@pytest.fixture
def doing(clock):
  made = activity.Activity(clock)
  logging.getLogger('albert').addHandler(made)
  yield made
  logging.getLogger('albert').removeHandler(made)


def test_a_silence_of_fifteen_seconds_is_broken_and_then_the_next(doing, clock, caplog):
  caplog.set_level(logging.INFO, 'albert')
  doing.begin('building the graph')
  for clock.now in range(1, 32):
    doing.speak_if_quiet()
  assert caplog.messages == ['... building the graph, for 15 s so far', '... building the graph, for 30 s so far']


def test_nothing_is_said_where_there_is_no_silence_but_what_only_the_file_gets_does_not_count(doing, clock, caplog):
  caplog.set_level(logging.DEBUG, 'albert')
  for clock.now in range(1, 31):
    if clock.now % 10 == 0:
      logging.getLogger('albert').info('a line')
    doing.speak_if_quiet()
  assert caplog.messages == 3 * ['a line']
  for clock.now in range(31, 46):
    logging.getLogger('albert').debug('detail')
    doing.speak_if_quiet()
  assert caplog.messages[-1] == '... starting, for 45 s so far'


def test_a_step_is_described_with_what_the_one_before_took(doing, clock):
  doing.begin_step(1)
  clock.now = 40.0
  assert doing.describe() == 'step 1, begun 40 s ago; the first one takes longest' and doing.may_be_left()
  clock.now = 48.25
  doing.end_step()
  clock.now = 50.0
  assert doing.describe() == 'after step 1: logging or saving, for 2 s so far'
  assert not doing.may_be_left()
  doing.begin_step(1234)
  assert doing.describe() == 'step 1,234, begun 0 s ago; the one before took 48.2 s'
  assert not doing.may_be_left()
  doing.saved()
  assert doing.may_be_left()
  doing.begin('evaluating')
  assert not doing.may_be_left()
  doing.begin('building the graph', writes_nothing=True)
  assert doing.may_be_left()


def test_it_is_over_when_the_run_is(caplog):
  with activity.spoken() as doing:
    assert doing in logging.getLogger('albert').handlers
  assert doing not in logging.getLogger('albert').handlers
