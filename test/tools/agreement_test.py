"""tools.agreement, and why rjieba may be the default segmenter where it is installed."""

import os

import pytest

from albert.common.files import ROOT
from tools import agreement
from tools.text import corpus
from tools.text import segmentation

SAMPLE = os.path.join(ROOT, 'data', 'sample_zh.txt')


def test_only_boundaries_between_han_characters_count():
  first = {'我们a1走了。': ['我们', 'a1', '走', '了', '。']}.__getitem__
  second = {'我们a1走了。': ['我', '们', 'a', '1', '走', '了。']}.__getitem__
  agreed = agreement.measure(['我们a1走了。'], first, second)
  assert agreed == (2, 1, 1, 0, [('我们/a1/走/了/。', '我/们/a/1/走/了。')])
  assert '1 of 2 the same (50.0000%)' in agreement.report(agreed) and '  rjieba  我/们/a' in agreement.report(agreed)


def test_lines_without_han_do_not_count():
  assert agreement.measure(['abc', '1我2'], list, list) == (0, 0, 0, 0, [])


def test_rjieba_agrees_with_jieba_on_real_text():
  pytest.importorskip('rjieba', reason='rjieba has no wheel for this machine; jieba serves')
  unit, = corpus.units([SAMPLE], unit_bytes=1 << 30)
  lines = [line for document in corpus.Reader().documents(unit) for line in document.sentences]
  agreed = agreement.measure(lines, segmentation.segmenter('jieba'), segmentation.segmenter('rjieba'))
  print(agreement.report(agreed))
  assert agreed.pairs > 20000 and agreed.same / agreed.pairs > 0.9999, agreement.report(agreed)


def test_the_default_is_what_is_installed(monkeypatch):
  installed = set()
  monkeypatch.setattr(segmentation, 'is_installed', installed.__contains__)
  assert segmentation.default() == 'jieba'
  installed.add('rjieba')
  assert segmentation.default() == 'rjieba'
