"""tools.benchmark: what it counts, what it starts, and that its workers answer."""

import json
import subprocess
import sys
import types

import numpy as np
import pytest

import synthetic_data
from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.dataset import contract
from albert.dataset import record_format
from albert.device import allocator
from tools import benchmark
from tools.benchmarks import growth
from tools.benchmarks import packing
from tools.benchmarks import step_times
from tools.benchmarks.step_times import Shape

BASE, TINY = [shape for shape, _ in benchmark.COMPARED]


def test_floating_point_operations_are_those_of_the_plain_graph():
  per_token = step_times.flop_per_step(step_times.load_config(BASE), BASE) / (4 * 512)
  assert per_token == pytest.approx(0.5685e9, rel=1e-4)
  assert step_times.flop_per_step(step_times.load_config(TINY), TINY) == pytest.approx(0.134e12, rel=0.01)
  one, two = [step_times.load_config(BASE._replace(num_hidden_layers=layers)) for layers in (1, 2)]
  assert (one.num_hidden_layers, two.num_hidden_layers) == (1, 2)


def test_an_unknown_model_is_one_line():
  with pytest.raises(UserError, match='expected one of base, large.*found .huge'):
    step_times.load_config(BASE._replace(model='huge'))


def test_a_batch_uses_every_slot_and_is_the_same_each_time():
  batch = step_times.random_batch(Shape('tiny', 3, 9, 4), 50)
  again = step_times.random_batch(Shape('tiny', 3, 9, 4), 50)
  assert all((batch[name] == again[name]).all() for name in batch)
  assert batch['input_ids'].shape == (3, 9) and batch['masked_lm_positions'].shape == (3, 4)
  assert batch['input_mask'].all() and batch['masked_lm_weights'].all()
  assert all(len(set(row)) == 4 and row.min() > 0 for row in batch['masked_lm_positions'])


def test_the_plain_graph_starts_as_people_start_it(monkeypatch):
  monkeypatch.setenv('GLIBC_TUNABLES', '5')
  default, tuned = step_times.environments()
  assert not set(allocator.SETTINGS) & set(default) and default[allocator.CHOICE] == 'default'
  assert {name: tuned[name] for name in allocator.SETTINGS} == allocator.SETTINGS


def test_growth_changes_one_thing_at_a_time():
  series = growth.shapes(BASE, 12)
  assert [shape[2:] for shape in series['max_seq_length']] == [(128, 12, 12), (256, 25, 12), (512, 51, 12)]
  assert [shape.batch_size for shape in series['batch_size']] == [1, 2, 4, 8]
  assert [shape.num_hidden_layers for shape in series['num_hidden_layers']] == [3, 6, 12, 24]
  middle = BASE._replace(num_hidden_layers=12)
  for changed, shapes in series.items():
    assert middle in shapes
    assert all(shape._replace(**{changed: None, 'max_predictions_per_seq': 51})
               == middle._replace(**{changed: None}) for shape in shapes)
  assert growth.shapes(Shape('tiny', 1, 2, 1), 1)['batch_size'][0].batch_size == 1


def test_real_tokens_are_compared_in_pairs(capsys):
  def figures(share, *seconds):
    return dict(seconds_per_step=seconds[0], cpu_seconds_per_step=2 * seconds[0], all_seconds=seconds,
                real_share=share, rows_per_epoch=1000, real_tokens_per_second=100.0, peak_rss_bytes=1e9)
  packing._print(BASE, {'library': figures(0.9, 1.0, 2.0, 4.0), 'plain': figures(0.6, 1.5, 4.0, 6.0)})
  assert capsys.readouterr().out.split('\n')[1:-1] == [
      'packed         1.0000 s/step (2.00 cpu s)  90.0% of 1,000 rows real   100.0 real tokens/s  peak memory 1.00 GB',
      'plain          1.5000 s/step (3.00 cpu s)  60.0% of 1,000 rows real   100.0 real tokens/s  peak memory 1.00 GB',
      'packed / plain        2.25 times the real tokens/s (pairs 2.25 to 3.00; by cpu time 2.25): 1.50 by time, '
      '1.50 by packing']


def test_growth_measures_no_shape_twice(monkeypatch, capsys):
  measured = []

  def measure(shape, steps, batches):
    measured.append(shape)
    config = step_times.load_config(shape)
    return {name: step_times._figures(shape, config, [dict(seconds=2.0, cpu_seconds=3.0)] * steps, 100.0, 5e8)
            for name in batches}
  monkeypatch.setattr(step_times, 'measure', measure)
  growth.run(Shape('tiny', 2, 16, 3), 1, as_json=True)
  rows = json.loads(capsys.readouterr().out)
  assert [row['max_seq_length'] for row in rows if row['changed'] == 'max_seq_length'] == [4, 8, 16]
  assert [row['batch_size'] for row in rows if row['changed'] == 'batch_size'] == [1, 2, 4]
  assert len(rows) == len(measured) + 2 and len(set(measured)) == len(measured)
  growth.run(Shape('tiny', 2, 16, 3), 1)
  lines = capsys.readouterr().out.split('\n')
  assert len(lines) == 1 + len(rows) + 1
  assert lines[3].split()[:7] == ['max_seq_length', '2', '16', '3', '4', '2.0000', '16']


@pytest.fixture(scope='module')
def info(tmp_path_factory):
  """Records of 8 to 30 tokens in rows of 48, none of which is alone."""
  folder = str(tmp_path_factory.mktemp('data'))
  return synthetic_data.write_lengths(synthetic_data.write_dataset(folder, (40, 30), 5, 48, longest=30))


def test_real_tokens_of_an_epoch_are_counted(info):
  tokens = sum(sum(synthetic_data.record(number, 48, longest=30)['input_mask']) for number in range(70))
  unpacked, packed = packing.epochs(info)
  assert unpacked == (70, pytest.approx(tokens / (70 * 48)))
  assert packed.rows == sum(shard.packed_rows for shard in info.shards[contract.TRAIN])
  assert packed.real_share == pytest.approx(tokens / (packed.rows * 48))
  assert packed.real_share > 1.5 * unpacked.real_share


def test_without_lengths_or_with_compact_records_it_says_so(tmp_path):
  bare = synthetic_data.write_dataset(str(tmp_path))
  with pytest.raises(UserError, match='expected lengths'):
    packing.epochs(bare)
  with pytest.raises(UserError, match='found compact'):
    packing.epochs(types.SimpleNamespace(folder='x', record_format=record_format.COMPACT))


def test_micro_batches_that_do_not_divide_the_batch():
  with pytest.raises(UserError, match='--micro_batch_size: expected a divisor of --batch_size=4, found 3'):
    benchmark.measure_micro_batches(BASE, 1, 3)


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
  report = json.loads(run('--json', '--against=plain', '--against=without:gelu,last_layer'))
  assert list(report) == ['library', 'plain', 'without:gelu,last_layer']
  for figures in report.values():
    assert len(figures['all_seconds']) == 2 and min(figures['all_seconds']) > 0
    assert figures['gflop_per_second'] == pytest.approx(
        step_times.flop_per_step(step_times.load_config(TINY), Shape('tiny', 2, 16, 3))
        / np.median(figures['all_seconds']) / 1e9)
    assert figures['tokens_per_second'] == pytest.approx(32 / np.median(figures['all_seconds']))
    assert figures['peak_rss_bytes'] > 1e8 and 0 < figures['share_of_matmul_peak'] < 1.5


@pytest.mark.integration
def test_profile(tmp_path):
  text = run('--profile', '--trace_file={}'.format(tmp_path / 'trace.json'))
  assert 'MatMul' in text
  assert json.loads((tmp_path / 'trace.json').read_text())['traceEvents']


@pytest.mark.integration
def test_packed_rows_against_unpacked_records(info):
  report = json.loads(run('--packing', '--input_file=' + info.folder, '--json'))
  assert list(report) == ['library', 'plain', 'plain_tuned']
  unpacked, packed = packing.epochs(info)
  for name, figures in report.items():
    epoch = packed if name == 'library' else unpacked
    assert (figures['max_seq_length'], figures['rows_per_epoch']) == (48, epoch.rows)
    assert figures['real_tokens_per_second'] == pytest.approx(
        2 * 48 * epoch.real_share / np.median(figures['all_seconds']))


@pytest.mark.integration
def test_micro_batches_against_themselves_alone():
  report = json.loads(run('--micro_batch_size=1', '--json'))
  assert list(report) == ['micro_batches:1', 'alone:1']
  assert all(len(figures['all_seconds']) == 2 for figures in report.values())


@pytest.mark.integration
def test_a_shape_with_other_layers_is_measured():
  figures = growth._measure(Shape('tiny', 1, 8, 1, 1), steps=1)
  assert (figures['num_hidden_layers'], figures['max_seq_length'], len(figures['all_seconds'])) == (1, 8, 1)
  assert figures['peak_rss_bytes'] > 1e8 and figures['estimated_bytes'] > 1e8
