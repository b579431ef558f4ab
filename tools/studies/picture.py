"""Pictures of studies: a line for each run. No TensorFlow."""

import contextlib

from albert.common import files
from tools.studies import curves as all_curves


def draw(path, curves, title):
  """Writes a PNG: held-out loss over CPU seconds.

  Args:
    path: of the picture.
    curves: as for curves.summary.
    title: str.
  """
  with _axes(path) as axes:
    for number, (name, by_seed) in enumerate(curves.items()):
      _plot(axes, number, name, [([point.cpu_seconds for point in points],
                                  [point.figures[all_curves.LOSS] for point in points]) for points in by_seed.values()])
    target = min(points[-1].figures[all_curves.LOSS] for points in next(iter(curves.values())).values())
    axes.axhline(target, color='grey', linewidth=0.8, linestyle=':')
    axes.set(xlabel='CPU seconds of training', ylabel='held-out masked LM loss (nats)', title=title)


def draw_fine_tuning(path, of_runs, figure, lines):
  """Writes a PNG: a figure on dev over steps.

  Args:
    path: of the picture.
    of_runs: OrderedDict of name to [(steps, values)] of each seed.
    figure: str, what the values are.
    lines: dict of name to float, the height of a horizontal line.
  """
  with _axes(path) as axes:
    for number, (name, of_seeds) in enumerate(of_runs.items()):
      _plot(axes, number, name, of_seeds)
    for name, height in lines.items():
      axes.axhline(height, color='grey', linewidth=0.8, linestyle=':')
      axes.annotate(name, (0.01, height), xycoords=('axes fraction', 'data'), fontsize=8, va='bottom')
    axes.set(xlabel='step of fine-tuning', ylabel='{} on dev'.format(figure), title='{} on dev'.format(figure))


@contextlib.contextmanager
def _axes(path):
  """Axes to plot on; written to a path in the end, with a legend."""
  import matplotlib  # here: only this needs it
  matplotlib.use('Agg')  # no display
  from matplotlib import pyplot

  figure, axes = pyplot.subplots(figsize=(9, 5.5))
  yield axes
  axes.legend(fontsize=8)
  axes.grid(alpha=0.3)
  figure.tight_layout()
  with files.atomic(path, 'wb') as target:
    figure.savefig(target, dpi=110, format='png', metadata={'Software': None})
  pyplot.close(figure)


def _plot(axes, number, name, of_seeds):
  """A line of one colour for each seed, the seeds of a run together in the legend; the first run is the thickest.

  A run that was evaluated once is a dot.
  """
  from matplotlib import cm
  colours = cm.get_cmap('tab10').colors + cm.get_cmap('tab20').colors[1::2]
  for seed, (across, up) in enumerate(of_seeds):
    axes.plot(across, up, color=colours[number % len(colours)],
              linewidth=1.2 if number else 2.0, linestyle='--' if number else '-',
              marker='o' if len(across) == 1 else None, label=None if seed else name)
