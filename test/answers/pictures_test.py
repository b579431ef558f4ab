"""answers.pictures: names of classes are written where a font has their characters."""

from matplotlib import font_manager
import pytest

from albert.answers import outcome
from albert.answers import pictures
from albert.labelled.labels import Labels
from albert.run import names as run_names

DEJAVU = [('DejaVu Sans', font_manager.findfont('DejaVu Sans'))]
FIGURES = {'confusion': [[3, 1], [0, 2]], 'accuracy': 5 / 6}


def test_a_font_counts_if_it_has_every_character():
  assert pictures.font_for(['news', 'sport'], DEJAVU) == 'DejaVu Sans'
  assert pictures.font_for(['news', '体育'], DEJAVU) is None


def test_a_font_that_cannot_be_read_is_none(tmp_path):
  (tmp_path / 'bad.ttf').write_bytes(b'nothing')
  assert pictures.font_for(['体育'], DEJAVU + [('Noto Sans CJK SC', str(tmp_path / 'bad.ttf'))]) is None


@pytest.mark.parametrize('names, by_number', [(['a', 'b'], False), (['\ue000', 'b'], True)])
def test_pictures_are_the_same_for_the_same_figures(names, by_number, tmp_path):
  """A character of private use is in no font with Han: numbers are drawn."""
  for folder in ('first', 'second'):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / 'loss_history.tsv').write_text('step\ttotal_loss\n1\t0.7\n2\t0.5\n')
    (tmp_path / folder / 'heldout_history.tsv').write_text('step\tloss\taccuracy\n2\t0.6\t0.5\nbroken\n')
    paths = pictures.draw(str(tmp_path / folder), Labels('classify', names),
                          outcome.Outcome(6, 6, 0, FIGURES, [], []), 'accuracy')
    assert paths == by_number
  for name in (run_names.CONFUSION_PICTURE, run_names.CURVES_PICTURE):
    content = (tmp_path / 'first' / name).read_bytes()
    assert content.startswith(b'\x89PNG') and content == (tmp_path / 'second' / name).read_bytes()


def test_steps_are_whole_numbers(tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(pictures, '_save', lambda figure, path: drawn.append(figure))
  (tmp_path / 'loss_history.tsv').write_text('step\ttotal_loss\n1\t0.7\n2\t0.5\n')
  (tmp_path / 'heldout_history.tsv').write_text('step\tloss\tmse\n2\t0.6\t0.5\n')
  pictures.draw(str(tmp_path), Labels('regress'), None, 'mse')
  ticks = [tick for axes in drawn[0].axes for tick in axes.get_xticks()]
  assert ticks and all(tick == round(tick) for tick in ticks)


def test_no_confusion_without_classes(tmp_path):
  assert pictures.draw(str(tmp_path), Labels('regress'), outcome.Outcome(6, 6, 0, {'mse': 0.5}, [], []), 'mse') is False
  assert not (tmp_path / run_names.CONFUSION_PICTURE).exists()
