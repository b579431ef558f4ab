"""The picture of a study: held-out loss over CPU seconds, a line for each run. No TensorFlow."""

from albert.common import files
from tools.studies import curves as all_curves


def draw(path, curves, title):
  """Writes a PNG.

  Args:
    path: of the picture.
    curves: as for curves.summary.
    title: str.
  """
  import matplotlib  # here: only this needs it
  matplotlib.use('Agg')  # no display
  from matplotlib import pyplot

  figure, axes = pyplot.subplots(figsize=(9, 5.5))
  colours = pyplot.get_cmap('tab20').colors
  for number, (name, by_seed) in enumerate(curves.items()):
    for points in by_seed.values():
      axes.plot([point.cpu_seconds for point in points], [point.figures[all_curves.LOSS] for point in points],
                color=colours[number % len(colours)], linewidth=2.0 if number == 0 else 1.2,
                linestyle='-' if number == 0 else '--', label=name)
      name = None  # the other seeds are the same line of the legend
  target = min(points[-1].figures[all_curves.LOSS] for points in next(iter(curves.values())).values())
  axes.axhline(target, color='grey', linewidth=0.8, linestyle=':')
  axes.set(xlabel='CPU seconds of training', ylabel='held-out masked LM loss (nats)', title=title)
  axes.legend(fontsize=8)
  axes.grid(alpha=0.3)
  figure.tight_layout()
  with files.atomic(path, 'wb') as target:
    figure.savefig(target, dpi=110, format='png', metadata={'Software': None})
  pyplot.close(figure)
