"""Which checkpoint is meant, and which part a variable belongs to."""

import os
import shutil

import pytest
import tensorflow.compat.v1 as tf

from albert.common.errors import UserError
from albert.run.checkpoints import find
import named_variables
from tools.conversion import reading
from tools.conversion import writing


@pytest.mark.parametrize('suffix', ['', '.index', '.data-00000-of-00001', '.meta'])
def test_find_by_prefix_or_one_of_its_files(tmp_path, suffix):
  prefix = named_variables.save(tmp_path, 'a', named_variables.small_model())
  assert find(prefix + suffix) == prefix


def test_find_by_folder(tmp_path):
  prefix = named_variables.save(tmp_path, 'a', named_variables.small_model())
  assert find(os.path.dirname(prefix)) == prefix
  os.remove(str(tmp_path / 'a' / 'checkpoint'))  # a single checkpoint is unmistakable
  assert find(os.path.dirname(prefix)) == prefix
  writing.write_checkpoint(str(tmp_path / 'a' / 'other'), named_variables.small_model())
  os.remove(str(tmp_path / 'a' / 'checkpoint'))
  with pytest.raises(UserError, match='expected a TensorFlow checkpoint at'):
    find(os.path.dirname(prefix))


def test_copied_folder_means_its_own_checkpoint(tmp_path):
  prefix = named_variables.save(tmp_path, 'a', named_variables.small_model())
  with tf.Graph().as_default():
    tf.train.update_checkpoint_state(str(tmp_path / 'a'), prefix)  # absolute, as some programs write it
  shutil.copytree(str(tmp_path / 'a'), str(tmp_path / 'b'))
  assert find(str(tmp_path / 'b')) == str(tmp_path / 'b' / 'model.ckpt')


@pytest.mark.parametrize('name, part', [
    ('a/kernel', 'a/kernel'), ('a/kernel/adam_m', 'optimizer'), ('a/kernel/lamb_v', 'optimizer'),
    ('a/kernel/AnyOptimizer_1', 'optimizer'), ('orphan/adam_v', 'optimizer'), ('beta2_power', 'optimizer'),
    ('a/kernel/ExponentialMovingAverage', 'a/kernel'), ('bert/encoder/x/LayerNorm/beta', 'bert/encoder'),
    ('global_step', 'global_step')])
def test_parts(name, part):
  assert reading.part_of(name, {'a/kernel', name}) == part
