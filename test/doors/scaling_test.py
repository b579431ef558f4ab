"""The figures that docs/scaling.md calculates, in both languages, follow from its assumptions and formulas."""

import os
import re

import pytest

from albert.common.files import ROOT
from albert.model.config import AlbertConfig

BYTES_A_SECOND, HOP, RATE = 10e9, 20e-6, 180.0  # b, a and rate of the table of assumptions
S, P, VOCABULARY = 512, 51, 21128
SIZES = {'base': {}, 'xxlarge': dict(hidden_size=4096, num_attention_heads=64, intermediate_size=16384)}


ENGLISH, CHINESE = 'scaling.md', 'scaling.zh-CN.md'


def text(name=ENGLISH):
  with open(os.path.join(ROOT, 'docs', name), encoding='utf-8') as source:
    return source.read()


def config(size):
  return AlbertConfig(vocab_size=VOCABULARY, **dict(dict(
      embedding_size=128, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072),
                                                    **SIZES[size]))


def parameters(c):
  """Of encoder, pooler and both heads."""
  layer = 4 * (c.hidden_size + 1) * c.hidden_size + 4 * c.hidden_size + (
      (c.hidden_size + 1) * c.intermediate_size + (c.intermediate_size + 1) * c.hidden_size)
  embeddings = (VOCABULARY + 2 + c.max_position_embeddings + 2) * c.embedding_size + (
      c.embedding_size + 1) * c.hidden_size
  pooler, heads = (c.hidden_size + 1) * c.hidden_size, (
      (c.hidden_size + 1) * c.embedding_size + 2 * c.embedding_size + VOCABULARY + 2 * c.hidden_size + 2)
  return layer + embeddings + pooler + heads


def work(c):
  """FLOP a token."""
  h, i, e = c.hidden_size, c.intermediate_size, c.embedding_size
  return 6 * (c.num_hidden_layers * (4 * h * h + 2 * h * i + 2 * S * h) + e * h + P / S * (h * e + e * VOCABULARY))


def test_bytes_and_work():
  base, xxlarge = config('base'), config('xxlarge')
  said = 'base {:.2f} M (10.55 M in encoder and pooler), {:.1f} MB;\nxxlarge {:.0f} M, {:.2f} GB.'.format(
      parameters(base) / 1e6, 4 * parameters(base) / 1e6, parameters(xxlarge) / 1e6, 4 * parameters(xxlarge) / 1e9)
  assert said in text()
  assert '{:.4f} GFLOP a token for base, {:.1f} for xxlarge'.format(work(base) / 1e9, work(xxlarge) / 1e9) in text()


@pytest.mark.parametrize('name, row', [
    (ENGLISH, r'^\| (base|xxlarge), (\d+) sequences a card \| (.*) \|$'),
    (CHINESE, r'^\| (base|xxlarge)，每卡 (\d+) 个序列 \| (.*) \|$')])
def test_all_reduce_and_efficiency(name, row):
  rows = re.findall(row, text(name), re.M)
  assert len(rows) == 3
  for size, sequences, cells in rows:
    c = config(size)
    alone = int(sequences) / (RATE * work(config('base')) / work(c))
    found = ['{:.2f} s'.format(alone) if alone > 1 else '{:.0f} ms'.format(1e3 * alone)]
    for ranks in (8, 64, 512):
      reduce = 2 * (ranks - 1) / ranks * 4 * parameters(c) / BYTES_A_SECOND + 2 * (ranks - 1) * HOP
      found.append('{} ms, {:.0%}'.format(
          '{:.0f}'.format(1e3 * reduce) if reduce > 0.1 else '{:.1f}'.format(1e3 * reduce), alone / (alone + reduce)))
    assert cells.replace('，', ', ').split(' | ') == found


@pytest.mark.parametrize('name', [ENGLISH, CHINESE])
def test_batches_rates_and_steps(name):
  rows = re.findall(r'^\| ([\d,]+) \| (\d+) \| ([\d.e-]+)[^|]* \| ([\d.e-]+) \| ([\d,]+) \|$', text(name), re.M)
  assert len(rows) == 5
  for row in rows:
    batch, cards, linear, root, steps = [float(cell.replace(',', '')) for cell in row]
    assert cards == batch / 32 and steps == round(32 * 125000 / batch)
    for said, exact in ((linear, 0.00176 * batch / 4096), (root, 0.00176 * (batch / 4096) ** 0.5)):
      assert abs(said / exact - 1) < 0.01


def test_what_the_data_feeds():
  fed = ', '.join('{:,.0f} on {}'.format(ranks * RATE, ranks) for ranks in (8, 64, 512))
  assert fed.replace(' on 8', ' on 8 cards') in text()
