"""What fine-tuning starts from: found with what lies beside it, or refused in one line."""

import os

import numpy as np
import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.model.config import AlbertConfig
from albert.model import names
from albert.run import starting_weights

CONFIG = AlbertConfig(vocab_size=8, embedding_size=4, hidden_size=6, num_hidden_layers=1, num_attention_heads=2,
                      intermediate_size=8, max_position_embeddings=16)
VOCAB = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'b', 'c']


def _write(folder, without=(), shapes=None, config=True, vocabulary=VOCAB):
  """Weights without some prefixes of names. Returns their prefix."""
  folder.mkdir()
  prefix = str(folder / 'model.ckpt-5')
  with tf.Graph().as_default(), tf.Session() as session:
    for name, shape in (shapes or names.model_shapes(CONFIG)).items():
      if not name.startswith(tuple(without) or ('-',)):
        tf.get_variable(name, initializer=np.zeros(shape, np.float32))
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, prefix, write_meta_graph=False)
  if config:
    (folder / 'albert_config.json').write_text(CONFIG.to_json_string())
  if vocabulary:
    (folder / 'vocab.txt').write_text(''.join(token + '\n' for token in vocabulary))
  return prefix


def test_a_folder_gives_weights_configuration_and_vocabulary(tmp_path):
  prefix = _write(tmp_path / 'run')
  for path in (str(tmp_path / 'run'), prefix):
    weights = starting_weights.find(path, None)
    assert weights == (prefix, CONFIG, str(tmp_path / 'run' / 'vocab.txt'))
  assert starting_weights.describe(weights, CONFIG, True, False) == (
      'encoder 23 of 23 variables, pooler 2 of 2, head new')
  assert starting_weights.describe(weights, CONFIG, True, True) == 'encoder 23 of 23 variables, pooler new, head new'
  assert starting_weights.describe(weights, CONFIG, False, False) == 'encoder 23 of 23 variables, head new'


def test_without_weights_a_vocabulary_is_enough(tmp_path):
  _write(tmp_path / 'run')
  vocab_file = str(tmp_path / 'run' / 'vocab.txt')
  assert starting_weights.find(None, vocab_file) == (None, None, vocab_file)
  for nothing in (None, str(tmp_path / 'absent')):
    with pytest.raises(UserError, match=r'INIT=.*VOCAB='):
      starting_weights.find('', nothing)


@pytest.mark.parametrize('changes, expected', [
    (dict(config=False), 'expected albert_config.json beside the weights'),
    (dict(vocabulary=None), 'expected vocab.txt beside the weights'),
    (dict(vocabulary=VOCAB[:-1]), 'vocab.txt: expected the 8 tokens of the weights, found 7; put the vocabulary'),
    (dict(config=False, vocabulary=None), 'expected albert_config.json and vocab.txt beside the weights'),
    (dict(shapes={'bert/encoder/layer_0/attention/self/query/kernel': (6, 6)}), 'found BERT'),
    (dict(shapes={'bert/embeddings/word_embeddings_2': (4, 6)}), 'from-albert-zh'),
])
def test_what_is_not_enough(tmp_path, changes, expected):
  _write(tmp_path / 'run', **changes)
  with pytest.raises(UserError, match=expected):
    starting_weights.find(str(tmp_path / 'run'), None)


def test_a_part_of_the_encoder_is_an_error_and_a_pooler_may_be_new(tmp_path):
  weights = starting_weights.find(_write(tmp_path / 'a', ['bert/embeddings/LayerNorm']), None)
  with pytest.raises(UserError, match='expected all 23 variables of the encoder, found that 2 are missing'):
    starting_weights.describe(weights, CONFIG, False, True)
  weights = starting_weights.find(_write(tmp_path / 'b', ['bert/pooler']), None)
  with pytest.raises(UserError, match='finetune.new_pooler=True'):
    starting_weights.describe(weights, CONFIG, True, False)
  assert 'pooler new' in starting_weights.describe(weights, CONFIG, True, True)
  assert 'pooler' not in starting_weights.describe(weights, CONFIG, False, False)


def test_another_vocabulary_is_compared_where_it_is_used(tmp_path):
  weights = starting_weights.find(_write(tmp_path / 'run'), None)
  other = os.path.join(str(tmp_path), 'other.txt')
  with open(other, 'w') as target:
    target.write('\n'.join(VOCAB[:6] + ['z', 'c', 'more']) + '\n')
  starting_weights.check_vocabulary(weights, other, {2, 3, 5, 7})
  with pytest.raises(UserError, match="other tokens for 1 ids that the training text uses: 6 'z' instead of 'b'"):
    starting_weights.check_vocabulary(weights, other, {2, 5, 6})
