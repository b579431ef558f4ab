"""albert.run.loading.initialise_from: what it says about what was loaded and what was not."""

import logging

import pytest
import tensorflow as tf

from albert.common.errors import UserError
from albert.run import loading


def _save(path, names):
  with tf.Graph().as_default(), tf.Session() as session:
    for name in names:
      tf.get_variable(name, [2], initializer=tf.ones_initializer())
    session.run(tf.global_variables_initializer())
    return tf.train.Saver().save(session, path)


def test_optimizer_slots_that_are_not_used_are_counted_and_others_named(tmp_path, caplog):
  slots = ['a/adam_m', 'a/adam_v', 'b/adam_m', 'b/adam_v']
  prefix = _save(str(tmp_path / 'model.ckpt'), ['a', 'b', 'other'] + slots)
  for name in ('a', 'b', 'c'):
    tf.get_variable(name, [2])
  with caplog.at_level(logging.INFO, 'albert'):
    loading.initialise_from(prefix, with_optimizer_slots=False)
  loaded, fresh, unused = [record.getMessage() for record in caplog.records if record.name == 'albert']
  assert loaded.startswith('loaded 2 variables') and loaded.endswith(': a, b')
  assert fresh == 'not in the checkpoint, initialised at random: c'
  assert unused == 'in the checkpoint, not used: 4 optimizer slots, other'


def test_nothing_left_over(tmp_path, caplog):
  prefix = _save(str(tmp_path / 'model.ckpt'), ['a'])
  tf.get_variable('a', [2])
  with caplog.at_level(logging.INFO, 'albert'):
    loading.initialise_from(prefix, with_optimizer_slots=False)
  assert caplog.records[-1].getMessage() == 'in the checkpoint, not used: none'


def test_the_early_chinese_family_is_named(tmp_path):
  prefix = _save(str(tmp_path / 'model.ckpt'), ['bert/embeddings/word_embeddings_2'])
  variable = tf.get_variable('bert/embeddings/word_embeddings', [2])
  for refuse in (lambda: loading.check_compatible(prefix, [variable]),
                 lambda: loading.initialise_from(prefix, with_optimizer_slots=False)):
    with pytest.raises(UserError, match='found early Chinese ALBERT .*; use the configuration'):
      refuse()
