"""tools.prediction.vectors: pools, and a .npy file whose length is known at its end."""

import os

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.dataset import tokenization
from albert.model.config import AlbertConfig
from albert import prediction
from tools.prediction import vectors

VOCABULARY = tokenization.Vocabulary(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '中', '国'])
MODEL = prediction.Model('model.ckpt-1', AlbertConfig(max_position_embeddings=6), VOCABULARY,
                         tokenization.Tokenizer(VOCABULARY))


def test_pools():
  fields, left_out = vectors.row('中国', MODEL)
  assert fields['input_ids'] == [2, 5, 6, 3] and left_out == 0
  answer = {'sequence_output': np.arange(12, dtype=np.float32).reshape(6, 2),  # two rows of padding
            'pooled_output': np.array([8, 9], np.float32)}
  assert vectors.pooled(fields, answer, vectors.MEAN).tolist() == [3, 4]
  assert vectors.pooled(fields, answer, vectors.CLS).tolist() == [0, 1]
  assert vectors.pooled(fields, answer, vectors.POOLER).tolist() == [8, 9]
  assert vectors.pooled(fields, answer, vectors.CLS).base is None, 'a view would keep the whole batch'


def test_a_text_that_is_too_long_keeps_its_first_tokens():
  fields, left_out = vectors.row('中国中国中国', MODEL)
  assert fields['input_ids'] == [2, 5, 6, 5, 6, 3] and left_out == 2


@pytest.mark.parametrize('text', ['', ' \t', '\u3000'])
def test_no_text_has_no_row(text):
  assert vectors.row(text, MODEL) == (None, 0)


@pytest.mark.parametrize('rows', [0, 1, 1000])
def test_numpy_reads_what_was_written(tmp_path, rows):
  path = str(tmp_path / 'v.npy')
  expected = np.random.RandomState(1).normal(size=[rows, 3]).astype(np.float32)
  with vectors.writing(path, 3) as writer:
    for vector in expected:
      writer.add(vector)
    assert not os.path.exists(path), 'it appears when it is complete'
  vectors_read = np.load(path)
  assert vectors_read.dtype == np.float32 and vectors_read.shape == (rows, 3) and (vectors_read == expected).all()
  assert np.load(path, mmap_mode='r').shape == (rows, 3)


def test_nothing_is_left_of_a_file_that_was_not_finished(tmp_path):
  with pytest.raises(ZeroDivisionError):
    with vectors.writing(str(tmp_path / 'v.npy'), 3) as writer:
      writer.add([1, 2, 3])
      raise ZeroDivisionError
  assert os.listdir(str(tmp_path)) == []


def test_a_folder_that_is_not_there(tmp_path):
  with pytest.raises(UserError, match='none/v.npy: expected a file that can be written, found: No such file'):
    with vectors.writing(str(tmp_path / 'none' / 'v.npy'), 3):
      pass
