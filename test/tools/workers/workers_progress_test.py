"""tools.workers.progress: what a log says where there is no terminal."""

import signal

import pytest

from tools.workers import progress


def test_a_line_says_how_far_it_is():
  with progress.Progress('reading', 200, 'B') as bar:
    bar.add(50)
    assert bar.line(10) == 'reading: 25% done, about 30 s left'
    assert bar.line(1000) == 'reading: 25% done, about 50 min left'
  with progress.Progress('reading', 200) as bar:
    assert bar.line(47) == 'reading: 47 s so far'


def test_lines_come_now_and_then(capfd, monkeypatch):
  monkeypatch.setattr(progress, '_SECONDS', 0)
  with progress.Progress('reading', 4) as bar:
    bar.add(3)
  assert capfd.readouterr().err.startswith('reading: 75% done')
  monkeypatch.setattr(progress, '_SECONDS', 60)
  with progress.Progress('reading', 4) as bar:
    bar.add(3)
  assert capfd.readouterr().err == ''


def test_one_long_part_is_no_silence(capfd, monkeypatch):
  before = signal.getsignal(signal.SIGALRM)
  with progress.Progress('reading', 4):
    assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 15
    monkeypatch.setattr(progress.time, 'time', lambda: 1e12)
    signal.getsignal(signal.SIGALRM)(signal.SIGALRM, None)
  assert ' s so far\n' in capfd.readouterr().err
  assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0) and signal.getsignal(signal.SIGALRM) == before


@pytest.mark.parametrize('error', [BrokenPipeError, RuntimeError('reentrant call')])
def test_that_nobody_reads_it_is_no_reason_to_stop(monkeypatch, error):
  def fails(*_, **__):
    raise error
  monkeypatch.setattr(progress, '_SECONDS', 0)
  with progress.Progress('reading', 4) as bar:
    monkeypatch.setattr(progress, 'print', fails, raising=False)
    bar.add(3)
