"""albert.run.loading.initialise_from: what it says about what was loaded and what was not."""

import logging
import os

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


def _resume(prefix, scale_names, others=()):
  """{name: value} in a session that goes on from a checkpoint as tf.estimator does."""
  with tf.Graph().as_default():
    tf.train.create_global_step()
    for name in ('weight',) + tuple(others):
      tf.get_variable(name, [2], initializer=tf.zeros_initializer())
    for name in scale_names:
      tf.get_variable(name, [], initializer=tf.constant_initializer(8.0), trainable=False)
    loading.resume_from(prefix, tf.global_variables())
    with tf.train.MonitoredTrainingSession(checkpoint_dir=os.path.dirname(prefix), save_checkpoint_steps=None,
                                           save_checkpoint_secs=None, save_summaries_steps=None) as session:
      return session.run({v.op.name: v for v in tf.global_variables()})


@pytest.mark.parametrize('before, now, kept', [
    ((), ('loss_scale', 'good_steps', 'bad_steps'), False),  # a CPU or a fixed scale, then a dynamic one
    (('current_loss_scale', 'good_steps'), ('loss_scale', 'good_steps', 'bad_steps'), False),  # a GPU, then an NPU
    (('loss_scale', 'good_steps', 'bad_steps'), ('loss_scale', 'good_steps', 'bad_steps'), True),
    (('loss_scale', 'good_steps', 'bad_steps'), (), True)])
def test_a_loss_scale_that_the_run_did_not_have_begins_at_its_first_value(before, now, kept, tmp_path, caplog):
  prefix = str(tmp_path / 'model.ckpt')
  with tf.Graph().as_default(), tf.Session() as session:
    tf.train.create_global_step()
    tf.get_variable('weight', [2], initializer=tf.ones_initializer())
    for name in before:
      tf.get_variable(name, [], initializer=tf.constant_initializer(2.0), trainable=False)
    session.run(tf.global_variables_initializer())
    prefix = tf.train.Saver().save(session, prefix)
  with caplog.at_level(logging.INFO, 'albert'):
    found = _resume(prefix, now)
  assert found.pop('weight').tolist() == [1.0, 1.0] and found.pop('global_step') == 0
  assert found == {name: 2.0 if kept else 8.0 for name in now}
  said = [record.getMessage() for record in caplog.records if record.name == 'albert']
  assert said == [] if kept else said[0].startswith(', '.join(now) + ' begin at their first values')
  with pytest.raises(UserError, match='other is missing'):
    _resume(prefix, now, others=['other'])
