"""A run that starts from published weights with another vocabulary, as a whole."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

import small_runs
import synthetic_data
from albert.common.errors import UserError

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

SMALL = list(small_runs.BINDINGS) + [
    'pretrain.train_batch_size = 4', 'pretrain.num_train_steps = 3', 'pretrain.save_checkpoints_steps = 3',
    'OptimizerOptions.num_warmup_steps = 0']
WORDS, BIAS = 'bert/embeddings/word_embeddings', 'cls/predictions/output_bias'


def _pretrain(data, out, *bindings, **arguments):
  small_runs.pretrain(data, out, SMALL + list(bindings), do_eval=False, **arguments)


@pytest.fixture(scope='module')
def published(info, tmp_path_factory):
  """A run whose vocabulary is that of the data in another order, with a token less and one that the data has not."""
  folder = tmp_path_factory.mktemp('published')
  _pretrain(info.folder, folder)
  tokens = [synthetic_data.VOCAB[row] for row in _order()]
  tokens[tokens.index(synthetic_data.VOCAB[-1])] = '龘'
  (folder / 'vocab.txt').write_text(''.join(token + '\n' for token in tokens), encoding='utf-8')
  for manifest in folder.glob('model.ckpt-*.manifest*'):
    manifest.unlink()  # published weights have none, which would say that this is another vocabulary
  return folder


def _order():
  return np.random.RandomState(1).permutation(len(synthetic_data.VOCAB))


def test_rows_go_where_their_tokens_are(info, published, tmp_path, caplog):
  caplog.set_level('INFO', logger='albert')
  _pretrain(info.folder, tmp_path / 'out', "pretrain.vocab_init = 'mean'", 'pretrain.init_optimizer_slots = True',
            init_checkpoint=str(published))
  start, source = [tf.train.load_checkpoint(str(folder / 'model.ckpt-{}'.format(step)))
                   for folder, step in ((tmp_path / 'out', 0), (published, 3))]
  row_of = np.argsort(_order())
  for name in (WORDS, BIAS, WORDS + '/adam_m', WORDS + '/adam_v'):
    table, given = start.get_tensor(name), source.get_tensor(name)
    assert np.count_nonzero(given) and (table[:-1] == given[row_of[:-1]]).all(), name
    new = {WORDS: given.mean(axis=0), BIAS: given.min()}.get(name, np.zeros_like(table[-1]))
    np.testing.assert_allclose(table[-1], new, rtol=1e-5, atol=1e-7)
  np.testing.assert_array_equal(start.get_tensor('bert/pooler/dense/kernel'),
                                source.get_tensor('bert/pooler/dense/kernel'))
  assert start.get_tensor('global_step') == 0
  assert '59 of 60 tokens of the data are in that of the weights' in caplog.text


@pytest.mark.parametrize('bindings, message', [
    ([], "pretrain.vocab_init='mean'"),
    (["AlbertConfig.hidden_act = 'relu'", "pretrain.vocab_init = 'mean'"], 'hidden_act gelu'),
    (["pretrain.vocab_init = 'median'"], "pretrain.vocab_init: expected one of mean, None, found 'median'"),
    (["pretrain.position_init = 'zeros'"], 'pretrain.position_init: expected one of repeat, None'),
])
def test_what_does_not_fit_is_one_line_and_leaves_nothing(info, published, tmp_path, bindings, message):
  with pytest.raises(UserError) as caught:
    _pretrain(info.folder, tmp_path / 'out', *bindings, init_checkpoint=str(published))
  first = str(caught.value).split('\n  In call')[0]
  assert message in first and '\n' not in first
  assert not (tmp_path / 'out').exists()


def test_a_run_that_goes_on_does_not_start_again(info, published, tmp_path):
  shutil.copytree(str(published), str(tmp_path / 'out'))
  shutil.copy(info.vocab_file, str(tmp_path / 'out' / 'vocab.txt'))
  _pretrain(info.folder, tmp_path / 'out', "pretrain.vocab_init = 'mean'", 'pretrain.num_train_steps = 4',
            init_checkpoint=str(published))
  assert os.path.exists(str(tmp_path / 'out' / 'model.ckpt-4.index'))
