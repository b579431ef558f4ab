"""tools.workers.progress: what a log says where there is no terminal."""

from tools.workers import progress


def test_a_line_says_how_far_it_is():
  with progress.Progress('reading', 200, 'B') as bar:
    bar.add(50)
    assert bar.line(10) == 'reading: 25% done, about 30 s left'
    assert bar.line(1000) == 'reading: 25% done, about 50 min left'


def test_lines_come_now_and_then(capfd, monkeypatch):
  monkeypatch.setattr(progress, '_SECONDS', 0)
  with progress.Progress('reading', 4) as bar:
    bar.add(3)
  assert capfd.readouterr().err.startswith('reading: 75% done')
  monkeypatch.setattr(progress, '_SECONDS', 60)
  with progress.Progress('reading', 4) as bar:
    bar.add(3)
  assert capfd.readouterr().err == ''
