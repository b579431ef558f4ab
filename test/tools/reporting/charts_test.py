"""tools.reporting.charts: curves as SVG, whatever the numbers are."""

import math
import re
from xml.etree import ElementTree

import pytest

from tools.reporting import charts


def made(points, kind=charts.TRAINING, **more):
  return charts.chart('Loss & more', [charts.Curve('training', points, kind)], **more)


def places(text):
  """The points of the first line of a chart, as floats."""
  return [tuple(map(float, point.split(','))) for point in re.search('points="([^"]*)"', text).group(1).split()]


def test_a_curve_stays_in_its_picture_and_is_no_lie():
  text = made([(0, 7.0), (100, 3.0), (200, 5.0)])
  ElementTree.fromstring(text)  # well-formed
  (x0, y0), (x1, y1), (x2, y2) = places(text)
  assert 0 <= x0 < x1 < x2 <= 460 and x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
  assert y0 < y2 < y1 and y2 == pytest.approx((y0 + y1) / 2, abs=0.2)
  assert 'Loss &amp; more' in text


@pytest.mark.parametrize('points', [
    [(5, 0.0)], [(0, 1.0), (10, 1.0)], [(0, 0.0), (10, 0.0)], [(1, 1e-9), (2, 3e-9)], [(1, -1e12), (2, 1e12)],
    [(125000, 3.0), (125001, 3.0000001)]])
def test_every_range_has_an_axis(points):
  text = made(points)
  ElementTree.fromstring(text)
  labels = re.findall('class="y">([^<]*)</text>', text)
  assert len(labels) >= 2 and len(set(labels)) >= 2
  assert all(0 <= y <= 190 for _, y in places(text))


def test_what_is_not_finite_is_left_out():
  text = made([(0, 1.0), (1, math.nan), (2, math.inf), (3, None), (4, 2.0)])
  assert len(places(text)) == 2
  assert made([(0, math.nan)]) == '' and made([]) == ''


def test_a_long_curve_is_thinned_and_keeps_its_end():
  text = made([(step, float(step % 2)) for step in range(100_000)] + [(100_000, 0.75)])
  assert len(places(text)) <= 302
  assert places(text)[-1][0] == pytest.approx(450)


def test_curves_of_two_kinds_are_named_and_dotted():
  text = charts.chart('Loss', [charts.Curve('training', [(0, 1.0), (9, 2.0)], charts.TRAINING),
                               charts.Curve('held-out', [(9, 1.5)], charts.HELDOUT),
                               charts.Curve('unigram', [(0, 3.0)], charts.LEVEL)])
  assert text.count('<span') == 3 and '<title>step 9: 1.5</title>' in text
  assert len(places(text[text.index('class="level"', text.index('<svg')):])) == 2


@pytest.mark.parametrize('value, shown', [(600, '600'), (1500, '1.5k'), (125000, '125k'), (2.5e6, '2.5M')])
def test_short(value, shown):
  assert charts.short(value) == shown
