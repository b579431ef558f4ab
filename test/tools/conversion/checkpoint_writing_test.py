"""New checkpoints: whole or absent, never over something; what describes them goes along."""

import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from albert.common.errors import UserError
import named_variables
from tools.conversion import writing


def test_written_checkpoint_is_restored_by_a_saver(tmp_path):
  prefix = named_variables.save(tmp_path, 'a', named_variables.small_model())
  with tf.Graph().as_default(), tf.Session() as session:
    bias = tf.get_variable('cls/predictions/output_bias', [5], initializer=tf.ones_initializer())
    step = tf.train.create_global_step()
    tf.train.Saver().restore(session, prefix)
    np.testing.assert_array_equal(session.run(bias), np.zeros([5]))
    assert session.run(step) == 7
  assert sorted(os.listdir(os.path.dirname(prefix))) == [
      'checkpoint', 'model.ckpt.data-00000-of-00001', 'model.ckpt.index']


def test_writing_leaves_the_checkpoint_file_of_a_run_alone(tmp_path):
  named_variables.save(tmp_path, 'a', named_variables.small_model())
  before = (tmp_path / 'a' / 'checkpoint').read_text()
  writing.write_checkpoint(str(tmp_path / 'a' / 'average'), named_variables.small_model())
  assert (tmp_path / 'a' / 'checkpoint').read_text() == before


def test_failed_write_leaves_nothing(tmp_path, monkeypatch):
  real_replace = os.replace

  def fail_at_the_index(source, target):
    if target.endswith('.index'):
      raise OSError('disk full')
    real_replace(source, target)
  monkeypatch.setattr(os, 'replace', fail_at_the_index)
  with pytest.raises(UserError, match='found: disk full; free space'):
    named_variables.save(tmp_path, 'a', named_variables.small_model())
  # Data without an index is no checkpoint to any reader.
  assert os.listdir(str(tmp_path / 'a')) == ['model.ckpt.data-00000-of-00001']


def test_a_description_that_is_there_stays_and_none_is_made_up(tmp_path):
  source, target = [named_variables.save(tmp_path, name, named_variables.small_model()) for name in ('run', 'release')]
  assert writing.copy_description(source, target) == []
  (tmp_path / 'vocab.txt').write_text('of something else')  # above a folder that is not best/
  (tmp_path / 'run' / 'albert_config.json').write_text('new')
  (tmp_path / 'release' / 'albert_config.json').write_text('old')
  assert writing.copy_description(source, target) == []
  assert (tmp_path / 'release' / 'albert_config.json').read_text() == 'old'
  assert not (tmp_path / 'release' / 'vocab.txt').exists()


def test_output_must_be_new(tmp_path):
  prefix = named_variables.save(tmp_path, 'a', named_variables.small_model())
  for bad, message in ((prefix, 'a new name'), (str(tmp_path), 'a prefix'), (str(tmp_path) + '/x/', 'a prefix'),
                       (None, '--output=PREFIX')):
    with pytest.raises(UserError, match=message):
      writing.check_output(bad)
