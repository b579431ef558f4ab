"""The six model sizes: gin/model/<size>.gin and albert/albert_config/albert_config_<size>.json say the same."""

import ast
import glob
import json
import os
import re

import gin
import pytest

from albert.common.files import ROOT
from albert.model.config import AlbertConfig

VOCAB_SIZE = 21128

# size: (H, L, heads, intermediate, parameters of encoder and pooler at V = 21128), from the published models.
PUBLISHED = {
    'tiny': (312, 4, 12, 1248, 4080520),
    'small': (384, 6, 12, 1536, 4742272),
    'base': (768, 12, 12, 3072, 10547968),
    'large': (1024, 24, 16, 4096, 16548352),
    'xlarge': (2048, 24, 16, 8192, 57589248),
    'xxlarge': (4096, 12, 64, 16384, 221459968),
}
# What every size shares: embedding width 128, one group of one layer, no dropout (v2), tanh gelu.
COMMON = {
    'embedding_size': 128, 'num_hidden_groups': 1, 'inner_group_num': 1, 'hidden_act': 'gelu',
    'hidden_dropout_prob': 0.0, 'attention_probs_dropout_prob': 0.0, 'max_position_embeddings': 512,
    'type_vocab_size': 2, 'initializer_range': 0.02,
}


def gin_path(size):
  return os.path.join(ROOT, 'gin', 'model', size + '.gin')


def json_path(size):
  return os.path.join(ROOT, 'albert', 'albert_config', 'albert_config_{}.json'.format(size))


def gin_bindings(size):
  with open(gin_path(size), encoding='utf-8') as source:
    lines = [line.strip() for line in source if line.strip() and not line.startswith('#')]
  pairs = [re.match(r'^AlbertConfig\.(\w+) = (.+)$', line) for line in lines]
  assert all(pairs), 'only AlbertConfig bindings belong in {}: {}'.format(gin_path(size), lines)
  assert len({pair.group(1) for pair in pairs}) == len(pairs), 'a key is bound twice'
  return {pair.group(1): ast.literal_eval(pair.group(2)) for pair in pairs}


def json_values(size):
  with open(json_path(size), encoding='utf-8') as source:
    return json.load(source)


def count_parameters(v):
  """Encoder and pooler: embeddings, mapping, one shared layer, pooler."""
  e, h, i = v['embedding_size'], v['hidden_size'], v['intermediate_size']
  embeddings = (v['vocab_size'] + v['type_vocab_size'] + v['max_position_embeddings'] + 2) * e
  attention = 4 * (h * h + h) + 2 * h
  feed_forward = h * i + i + i * h + h + 2 * h
  return embeddings + (e * h + h) + attention + feed_forward + (h * h + h)


@pytest.fixture(autouse=True)
def clean_gin():
  gin.clear_config()
  yield
  gin.clear_config()


def test_six_sizes_in_both_folders():
  names = {os.path.splitext(os.path.basename(path))[0] for path in glob.glob(gin_path('*'))}
  assert names == set(PUBLISHED)
  assert sorted(glob.glob(json_path('*'))) == sorted(json_path(size) for size in PUBLISHED)


@pytest.mark.parametrize('size', sorted(PUBLISHED))
def test_gin_and_json_are_equal(size):
  in_json = json_values(size)
  # The one difference: in training the vocabulary size comes with the data set, other tools need it in the file.
  assert in_json.pop('vocab_size') == VOCAB_SIZE
  assert gin_bindings(size) == in_json


@pytest.mark.parametrize('size', sorted(PUBLISHED))
def test_published_values(size):
  hidden, layers, heads, intermediate, parameters = PUBLISHED[size]
  expected = dict(COMMON, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
                  intermediate_size=intermediate, vocab_size=VOCAB_SIZE)
  assert json_values(size) == expected
  assert count_parameters(expected) == parameters


@pytest.mark.parametrize('size', sorted(PUBLISHED))
def test_both_make_the_same_config(size):
  from_json = AlbertConfig.from_json_file(json_path(size))
  gin.parse_config_files_and_bindings([gin_path(size)], [])
  from_gin = AlbertConfig(vocab_size=VOCAB_SIZE)
  for key in json_values(size):
    assert getattr(from_gin, key) == getattr(from_json, key) == json_values(size)[key], key


def test_xlarge_says_that_the_original_has_32_heads():
  with open(gin_path('xlarge'), encoding='utf-8') as source:
    notes = ' '.join(line for line in source if line.startswith('#'))
  assert re.search(r"original release's JSON has 32", notes)
