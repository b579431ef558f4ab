"""tools.benchmark: what it counts, what it starts, and that its workers answer."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from albert import allocator
from albert.errors import UserError
from tools import benchmark

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASE, TINY = [shape for shape, _ in benchmark.COMPARED]


def test_floating_point_operations_are_those_of_the_plain_graph():
  per_token = benchmark.flop_per_step(benchmark.load_config('base'), BASE) / (4 * 512)
  assert per_token == pytest.approx(0.5685e9, rel=1e-4)
  assert benchmark.flop_per_step(benchmark.load_config('tiny'), TINY) == pytest.approx(0.134e12, rel=0.01)


def test_an_unknown_model_is_one_line():
  with pytest.raises(UserError, match='expected one of base, large.*found .huge'):
    benchmark.load_config('huge')


def test_a_batch_uses_every_slot_and_is_the_same_each_time():
  batch = benchmark.random_batch(benchmark.Shape('tiny', 3, 9, 4), 50)
  again = benchmark.random_batch(benchmark.Shape('tiny', 3, 9, 4), 50)
  assert all((batch[name] == again[name]).all() for name in batch)
  assert batch['input_ids'].shape == (3, 9) and batch['masked_lm_positions'].shape == (3, 4)
  assert batch['input_mask'].all() and batch['masked_lm_weights'].all()
  assert all(len(set(row)) == 4 and row.min() > 0 for row in batch['masked_lm_positions'])


def test_the_plain_graph_starts_as_people_start_it(monkeypatch):
  monkeypatch.setenv('MALLOC_TOP_PAD_', '5')
  default, tuned = benchmark.environments()
  assert not set(allocator.SETTINGS) & set(default) and default[allocator.CHOICE] == 'default'
  assert {name: tuned[name] for name in allocator.SETTINGS} == allocator.SETTINGS


def test_ratios_are_those_of_pairs(capsys):
  def figures(*seconds):
    return dict(all_seconds=seconds, cpu_seconds_per_step=seconds[0])
  benchmark.print_ratios({'library': figures(1.0, 3.0, 2.0), 'plain': figures(2.0, 4.0, 8.0)}, target=0.5)
  assert capsys.readouterr().out == ('library / plain            0.500 (pairs 0.250 to 0.750; cpu time 0.500), aim '
                                     '0.50\n')


def run(*words):
  command = [sys.executable, '-m', 'tools.benchmark', '--model=tiny', '--batch_size=2', '--max_seq_length=16',
             '--max_predictions_per_seq=3', '--steps=2'] + list(words)
  return subprocess.check_output(command, cwd=ROOT).decode()


@pytest.mark.integration
def test_figures_of_all_workers():
  found = json.loads(run('--json', '--against=plain', '--against=without:gelu,last_layer'))
  assert list(found) == ['library', 'plain', 'without:gelu,last_layer']
  for figures in found.values():
    assert len(figures['all_seconds']) == 2 and min(figures['all_seconds']) > 0
    assert figures['gflop_per_second'] == pytest.approx(
        benchmark.flop_per_step(benchmark.load_config('tiny'), benchmark.Shape('tiny', 2, 16, 3))
        / np.median(figures['all_seconds']) / 1e9)
    assert figures['tokens_per_second'] == pytest.approx(32 / np.median(figures['all_seconds']))
    assert figures['peak_rss_bytes'] > 1e8 and 0 < figures['share_of_matmul_peak'] < 1.5


@pytest.mark.integration
def test_profile(tmp_path):
  text = run('--profile', '--trace_file={}'.format(tmp_path / 'trace.json'))
  assert 'MatMul' in text
  assert json.loads((tmp_path / 'trace.json').read_text())['traceEvents']
