"""The memory estimate: monotone, names a setting that fits, counts the parameters of the real graph."""

import os

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.device import memory
from albert import input_pipeline
from albert.modeling import AlbertConfig
from albert.tasks import pretraining
from albert.tasks.pretraining import head_size

CONFIG = dict(vocab_size=97, embedding_size=16, hidden_size=24, num_hidden_layers=4, num_attention_heads=2,
              intermediate_size=40)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
  monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 1})


@pytest.mark.parametrize('changes', [{}, dict(embedding_size=24), dict(num_hidden_groups=2, inner_group_num=3)])
def test_parameter_count_is_that_of_the_graph(changes):
  config = AlbertConfig(**dict(CONFIG, **changes))
  columns = dict(input_ids=9, input_mask=9, segment_ids=9, masked_lm_positions=3, masked_lm_ids=3,
                 masked_lm_weights=3, next_sentence_labels=1)
  batch = input_pipeline.Batch(**{
      name: tf.zeros([2, size], tf.float32 if name == 'masked_lm_weights' else tf.int32)
      for name, size in columns.items()})
  pretraining.model(batch, config, False)
  assert memory.parameter_count(config, head_size(config, 3)) == sum(
      np.prod(v.shape.as_list()) for v in tf.trainable_variables())


def test_the_message_names_a_setting_that_fits():
  config = AlbertConfig(**CONFIG)
  size = head_size(config, 20)
  limit = memory.training_bytes(config, 10, 128, size, towers=2) + memory.input_bytes(20, 128, size)
  assert memory.check_fits(config, 20, 10, 128, size, available=limit)[0] == limit
  with pytest.raises(UserError, match='set pretrain.micro_batch_size=10$'):
    memory.check_fits(config, 20, 20, 128, size, available=limit)
  with pytest.raises(UserError, match='smaller model'):
    memory.check_fits(config, 1, 1, 128, size, available=10**6)
  with pytest.raises(UserError, match='set pretrain.train_batch_size=[0-9]+$') as caught:
    memory.check_fits(config, 10**8, 1, 128, size, available=10**9)
  fitting = int(str(caught.value).rsplit('=', 1)[1])
  memory.check_fits(config, fitting, 1, 128, size, available=10**9)


def test_micro_batches_divide_the_batch_and_leave_most_of_the_memory():
  base = AlbertConfig(vocab_size=21128, hidden_size=768, num_attention_heads=12, intermediate_size=3072)
  for gigabytes, expected in ((24, 4), (12, 2), (1, 1), (400, 4)):
    assert memory.choose_micro_batch_size(base, 32, 512, head_size(base, 51), gigabytes * 10**9) == expected
  for whole in (1, 3, 5):
    assert memory.choose_micro_batch_size(base, whole, 512, head_size(base, 51), 24 * 10**9) == whole
  assert memory.choose_micro_batch_size(base, 2, 512, head_size(base, 51), 10**9) == 1
  assert memory.choose_micro_batch_size(base, 10**10, 512, head_size(base, 51), 24 * 10**9) == 4  # not counted up to
  # Two cores share 6 sequences better than 7, and three towers cannot share 4.
  assert memory.choose_micro_batch_size(base, 30, 512, head_size(base, 51), 24 * 10**9) == 6
  assert memory.choose_micro_batch_size(base, 24, 512, head_size(base, 51), 24 * 10**9, towers=3) == 6
  assert memory.choose_micro_batch_size(base, 32, 512, head_size(base, 51), 24 * 10**9, recompute=True) == 16


def test_recomputation_needs_less():
  base = AlbertConfig(vocab_size=21128, hidden_size=768, num_attention_heads=12, intermediate_size=3072)
  assert memory.check_fits(base, 4, 4, 512, head_size(base, 51), available=2 * 10**9, recompute=True)
  with pytest.raises(UserError):
    memory.check_fits(base, 4, 4, 512, head_size(base, 51), available=2 * 10**9)


def test_the_estimate_is_near_measured_peaks():
  """Peaks in GB of three steps on two cores, by getrusage: (hidden size, layers, batch, length, recompute)."""
  for (hidden, layers, batch, length, recompute), peak in {
      (312, 4, 32, 128, False): 1.10, (768, 12, 4, 128, False): 1.84, (768, 12, 4, 256, False): 1.99,
      (768, 12, 4, 512, False): 3.10, (768, 12, 1, 512, False): 1.27, (768, 12, 2, 512, False): 2.00,
      (768, 12, 8, 512, False): 5.13, (768, 3, 4, 512, False): 1.22, (768, 6, 4, 512, False): 1.83,
      (768, 24, 4, 512, False): 5.45, (768, 12, 4, 512, True): 1.59}.items():
    config = AlbertConfig(vocab_size=21128, hidden_size=hidden, num_hidden_layers=layers, intermediate_size=4 * hidden,
                          num_attention_heads=12)
    towers = 2 if batch > 1 else 1
    estimate = memory.training_bytes(config, batch, length, head_size(config, length // 10), recompute, towers) / 1e9
    assert 0.9 * peak < estimate < 1.2 * peak, (hidden, layers, batch, length, estimate)


def test_the_estimate_with_evaluation_is_near_measured_peaks():
  """Peaks in GB of base at 4 x 512 with three steps and an evaluation: (micro-batch size, evaluation batch size)."""
  base = AlbertConfig(vocab_size=21128, hidden_size=768, num_attention_heads=12, intermediate_size=3072)
  heads = head_size(base, 51)
  for (micro, evaluated), peak in {(1, 1): 1.60, (1, 8): 1.72, (2, 8): 2.57, (1, 32): 2.36}.items():
    estimate, _ = memory.check_fits(base, 4, micro, 512, heads, available=10**11, eval_batch_size=evaluated)
    assert 0.9 * peak < estimate / 1e9 < 1.2 * peak, (micro, evaluated, estimate)
  assert estimate > memory.check_fits(base, 4, micro, 512, heads, available=10**11)[0]


@pytest.mark.parametrize('files', [
    {'memory.max': '5000000', 'memory.current': '4000000', 'memory.stat': 'anon 7\ninactive_file 300000\nfile 9\n'},
    {'memory/memory.limit_in_bytes': '5000000', 'memory/memory.usage_in_bytes': '4000000',
     'memory/memory.stat': 'inactive_file 1\ntotal_inactive_file 300000\n'}])
def test_the_page_cache_of_the_control_group_counts_as_free(files, tmp_path, monkeypatch):
  (tmp_path / 'memory').mkdir()
  for name, text in files.items():
    (tmp_path / name).write_text(text)
  monkeypatch.setattr(memory, '_CONTROL_GROUP', str(tmp_path))
  assert memory.available_bytes() == 1300000
  for path in tmp_path.glob('**/memory.stat'):
    path.unlink()
  assert memory.available_bytes() == 1000000


def test_a_limit_of_address_space_counts_less_what_threads_reserve(monkeypatch):
  monkeypatch.setattr(memory.address_space, 'room', lambda: 2 << 30)
  assert memory.available_bytes() == (2 << 30) + (300 << 20) - 22 * (72 << 20)  # two cores
  monkeypatch.setattr(memory.address_space, 'room', lambda: 1 << 29)
  assert memory.available_bytes() == 0
  monkeypatch.setattr(memory.address_space, 'limit', lambda: 3 << 30)
  config = AlbertConfig(**CONFIG)
  with pytest.raises(UserError, match='free under the limit of address space .*raise or remove the limit'):
    memory.check_fits(config, 1, 1, 128, head_size(config, 20))
  with pytest.raises(UserError, match='free under the limit of address space .* set pretrain.micro_batch_size=1$'):
    memory.check_fits(config, 2, 2, 128, head_size(config, 20), available=memory.training_bytes(
        config, 1, 128, head_size(config, 20)) + memory.input_bytes(2, 128, head_size(config, 20)))


def test_available_memory_is_a_sensible_number():
  assert 10**7 < memory.available_bytes() < 10**14
