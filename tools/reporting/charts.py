"""Curves as SVG that stands in a page by itself."""

import collections
import html
import math

_WIDTH, _HEIGHT = 460, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 8, 26
_MOST_POINTS = 300
_MOST_DOTS = 40

# A curve. name: what the legend says. points: [(step, value)], steps ascending. kind: of KINDS.
Curve = collections.namedtuple('Curve', ['name', 'points', 'kind'])
TRAINING, HELDOUT, LEVEL = KINDS = ('training', 'heldout', 'level')


def chart(title, curves, shown=None):
  """A chart of some Curves as HTML; empty where they have no point.

  Args:
    title: str. curves: list of Curve.
    shown: function of a value that gives its words on the axis; None: as few digits as tell the lines apart.
  """
  curves = [curve._replace(points=_thinned([
      (step, value) for step, value in curve.points if value is not None and math.isfinite(value)]))
            for curve in curves]
  curves = [curve for curve in curves if curve.points]
  if not curves:
    return ''
  first, last = _range([step for curve in curves for step, _ in curve.points if curve.kind != LEVEL] or [0])
  places = _ticks(*_range([value for curve in curves for _, value in curve.points]), count=4, outside=True)
  low, high = places[0], places[-1]
  shown = shown or _shown(places)

  def x(step):
    return _LEFT + (step - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

  def y(value):
    return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

  parts = ['<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/><text x="{}" y="{:.1f}" '
           'class="y">{}</text>'.format(_LEFT, _WIDTH - _RIGHT, _LEFT - 6, y(place) + 4, html.escape(shown(place)),
                                        y=y(place)) for place in places]
  parts += ['<text x="{:.1f}" y="{}" class="{}">{}</text>'.format(
      x(step), _HEIGHT - 8, 'y' if x(step) > _WIDTH - _RIGHT - 16 else 'x', short(step))
            for step in _ticks(first, last, count=5)]
  for curve in curves:
    parts += _drawn(curve, x, y)
  # One curve needs no legend: the title says what it is.
  legend = ''.join('<span class="{}">{}</span>'.format(curve.kind, html.escape(curve.name))
                   for curve in curves if len(curves) > 1)
  return ('<figure><figcaption><b>{}</b>{}</figcaption><svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
          '</figure>'.format(html.escape(title), legend, _WIDTH, _HEIGHT, html.escape(title), ''.join(parts)))


def _drawn(curve, x, y):
  """The SVG elements of a curve."""
  points = [(x(step), y(value)) for step, value in curve.points]
  if curve.kind == LEVEL:
    points = [(_LEFT, points[-1][1]), (_WIDTH - _RIGHT, points[-1][1])]
  parts = ['<polyline class="{}" points="{}"/>'.format(
      curve.kind, ' '.join('{:.1f},{:.1f}'.format(*place) for place in points))]
  if curve.kind == HELDOUT and len(points) <= _MOST_DOTS or len(points) == 1:
    parts += ['<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.6"><title>step {:,}: {:.4g}</title></circle>'.format(
        curve.kind, place[0], place[1], step, value) for place, (step, value) in zip(points, curve.points)]
  return parts


def _thinned(points):
  """At most _MOST_POINTS points: means of neighbours, the last one as it is."""
  size = -(-len(points) // _MOST_POINTS)
  if size <= 1:
    return points
  groups = [points[start:start + size] for start in range(0, len(points) - 1, size)]
  return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups] + points[-1:]


def _range(values):
  """(low, high) of numbers, never equal."""
  low, high = min(values), max(values)
  if low == high:
    margin = abs(low) / 2 or 1
    return low - margin, high + margin
  return low, high


def _ticks(low, high, count, outside=False):
  """Round numbers from low to high, about `count` of them; `outside`: the first and the last one lie around both."""
  rough = (high - low) / count
  power = 10.0 ** math.floor(math.log10(rough))
  step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
  first, last = low / step, high / step
  if outside:
    first, last = math.floor(first + 1e-9), math.ceil(last - 1e-9)
  return [number * step for number in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1)] or [low, high]


def _shown(places):
  """A function that writes the numbers of an axis."""
  most, apart = max(map(abs, places)), abs(places[-1] - places[0]) / max(1, len(places) - 1)
  if most >= 1000:
    return short
  if most and most < 0.001:
    return lambda value: '{:.1e}'.format(value).replace('e-0', 'e-') if value else '0'
  digits = max(0, min(5, -math.floor(math.log10(apart) + 1e-9))) if apart else 2
  return lambda value: '{:.{}f}'.format(value, digits)


def short(number):
  """A number for an axis: 1,500 is 1.5k."""
  for size, letter in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
    if abs(number) >= size:
      return '{:.3g}{}'.format(number / size, letter)
  return '{:.3g}'.format(number)
