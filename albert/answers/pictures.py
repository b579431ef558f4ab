"""confusion.png and curves.png. Class names are written where a font has all of their characters, else numbers.

matplotlib is imported when there is something to draw: it is no part of what an NPU image has.
"""

import io
import logging
import os

from albert.common import files
from albert.run import names
from albert.run import results

# Above it, names and numbers cannot be read.
_MOST_CLASSES = 40
# Words in the names of fonts with Han characters.
_HAN_FONTS = ('cjk', 'hei', 'song', 'ming', 'kai', 'wenquanyi', 'fangsong', 'han', 'pingfang', 'yahei')

_LOG = logging.getLogger('albert')


def draw(folder, labels, outcome, history):
  """Draws what there is to draw. Returns whether classes are called by their numbers in it.

  Args:
    folder: path of the run.
    labels: labelled.labels.Labels. outcome: outcome.Outcome of dev, or None.
    history: the figure whose curve is shown besides the losses: str.
  """
  try:
    import matplotlib
  except ImportError:
    _LOG.warning('no pictures: matplotlib is not installed')
    return False
  matplotlib.use('Agg')
  _curves(folder, history)
  confusion = outcome and outcome.figures and outcome.figures.get('confusion')
  if not confusion or len(labels) > _MOST_CLASSES:
    return False
  family = font_for(labels.names)
  shown = labels.names if family else [str(number) for number in range(1, len(labels) + 1)]
  _confusion(os.path.join(folder, names.CONFUSION_PICTURE), confusion, shown, family)
  return family is None


def font_for(texts, fonts=None):
  """The family of a font that has every character of texts, or None. fonts: list of (family, path)."""
  from matplotlib import font_manager
  from matplotlib import ft2font
  wanted = {ord(char) for text in texts for char in text if not char.isspace()}
  if fonts is None:
    fonts = [(font.name, font.fname) for font in font_manager.fontManager.ttflist]
  default = [entry for entry in fonts if entry[0] == 'DejaVu Sans'][:1]
  chinese = [entry for entry in fonts if any(word in entry[0].lower() for word in _HAN_FONTS)]
  for family, path in default + chinese:
    try:
      if wanted <= set(ft2font.FT2Font(path).get_charmap()):
        return family
    except (OSError, RuntimeError):  # a font that cannot be read is none
      continue
  return None


def _confusion(path, confusion, shown, family):
  from matplotlib.figure import Figure
  count = len(shown)
  figure = Figure(figsize=(3. + 0.42 * count, 2.4 + 0.42 * count))
  axes = figure.subplots()
  shares = [[value / max(1, sum(row)) for value in row] for row in confusion]
  axes.imshow(shares, cmap='Blues', vmin=0., vmax=1.)
  font = {'fontfamily': family} if family else {}
  axes.set_xticks(range(count))
  axes.set_xticklabels(shown, rotation=90, fontsize=8, **font)
  axes.set_yticks(range(count))
  axes.set_yticklabels(shown, fontsize=8, **font)
  axes.set_xlabel('predicted')
  axes.set_ylabel('label')
  for row, values in enumerate(confusion):
    for column, value in enumerate(values):
      if value:
        axes.text(column, row, str(value), ha='center', va='center', fontsize=7,
                  color='white' if shares[row][column] > 0.5 else 'black')
  _save(figure, path)


def _curves(folder, history):
  from matplotlib.figure import Figure
  figure = Figure(figsize=(8., 3.2))
  losses, scores = figure.subplots(1, 2)
  for name, column, label in ((names.LOSS_HISTORY_FILE, 'total_loss', 'train'),
                              (names.HELDOUT_HISTORY_FILE, 'loss', 'dev')):
    steps, values = results.columns(os.path.join(folder, name), column)
    losses.plot(steps, values, label=label, marker='.' if label == 'dev' else None)
  losses.set_ylabel('loss')
  losses.legend()
  scores.plot(*results.columns(os.path.join(folder, names.HELDOUT_HISTORY_FILE), history), marker='.')
  scores.set_ylabel('dev ' + history.replace('_', ' '))
  for axes in (losses, scores):
    axes.set_xlabel('step')
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)  # no half steps
  _save(figure, os.path.join(folder, names.CURVES_PICTURE))


def _save(figure, path):
  figure.set_tight_layout(True)
  content = io.BytesIO()
  # Without the program's version and the time, the same figures are the same file.
  figure.savefig(content, format='png', dpi=120, metadata={'Software': None})
  with files.atomic(path, 'wb') as target:
    target.write(content.getvalue())
