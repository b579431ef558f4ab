"""Checks that a checkpoint fits the graph, and loads published weights."""

import logging

import tensorflow as tf

from albert.common.errors import UserError
from albert.model import names

_LOG = logging.getLogger('albert')


def shapes_of(checkpoint):
  """{variable name: shape as a list} of a checkpoint prefix.

  Raises:
    UserError: it cannot be read.
  """
  try:
    return dict(tf.train.list_variables(checkpoint))
  except (ValueError, tf.errors.OpError) as error:
    raise UserError('{}: expected a TensorFlow checkpoint, found one that cannot be read ({}); name its prefix, '
                    'such as out/model.ckpt-1000'.format(checkpoint, str(error).split('\n')[0]))


def check_compatible(checkpoint, variables):
  """Raises UserError unless `checkpoint` holds every one of `variables` with its shape."""
  found = shapes_of(checkpoint)
  problems = _differences(found, variables) + [
      '{} is missing'.format(v.op.name) for v in variables if v.op.name not in found]
  if problems:
    raise UserError('{}: expected a checkpoint of this architecture, found {}{}; use the configuration that it was '
                    'trained with, or another folder'.format(checkpoint, _family(found), _first(problems)))


def resume_from(checkpoint, variables):
  """Checks that a run can go on from `checkpoint`, and sees to it that it does, whatever its loss scaling was.

  Where the run had no dynamic loss scale so far, or another device's, that of this graph begins at its first values.
  Call it when all of `variables` exist.

  Args:
    checkpoint: prefix.
    variables: list of tf.Variable, all that a checkpoint of this graph holds.

  Raises:
    UserError: as check_compatible, for all others.
  """
  scale = [v for v in variables if names.is_loss_scaling(v.op.name)]
  check_compatible(checkpoint, [v for v in variables if v not in scale])
  found = shapes_of(checkpoint)
  if all(v.op.name in found for v in scale):
    return
  _LOG.info('%s begin at their first values: the run had no such loss scale so far', ', '.join(
      v.op.name for v in scale))
  # tf.estimator makes none of its own when it finds one here.
  tf.compat.v1.add_to_collection(tf.GraphKeys.SAVERS, _SaverOfTheRest(variables, scale))


class _SaverOfTheRest(tf.train.Saver):
  """Saves all variables; restores all but some, which get their first values."""

  def __init__(self, variables, fresh):
    super().__init__(variables, sharded=True, save_relative_paths=True)
    self._rest = tf.train.Saver([v for v in variables if v not in fresh])
    self._first_values = tf.variables_initializer(fresh)

  def restore(self, sess, save_path):
    self._rest.restore(sess, save_path)
    sess.run(self._first_values)


def initialise_from(checkpoint, with_optimizer_slots):
  """Makes the initial values of this graph's variables those of a published checkpoint.

  Args:
    checkpoint: prefix.
    with_optimizer_slots: whether the optimizer's moments are taken too.

  Raises:
    UserError: shapes differ, or nothing fits.
  """
  found = shapes_of(checkpoint)
  wanted = [v for v in tf.global_variables() if v.op.name != names.GLOBAL_STEP
            and (with_optimizer_slots or not names.is_slot(v.op.name))]
  problems = _differences(found, wanted)
  loaded = [v for v in wanted if v.op.name in found]
  if problems or not loaded:
    raise UserError('{}: expected weights of this architecture, found {}{}; use the configuration that they were '
                    'trained with'.format(checkpoint, _family(found), _first(problems or ['no variable of its names'])))
  tf.train.init_from_checkpoint(checkpoint, {v.op.name: v for v in loaded})
  known = set(v.op.name for v in loaded)
  _report(checkpoint, loaded, [v.op.name for v in tf.trainable_variables() if v.op.name not in known],
          sorted(set(found) - known - {names.GLOBAL_STEP}))


def _report(checkpoint, loaded, fresh, unused):
  _LOG.info('loaded %d variables from %s: %s', len(loaded), checkpoint, ', '.join(v.op.name for v in loaded))
  _LOG.info('not in the checkpoint, initialised at random: %s', ', '.join(fresh) or 'none')
  slots = sum(names.is_slot(name) for name in unused)
  others = ['{} optimizer slots'.format(slots)] * bool(slots) + [name for name in unused if not names.is_slot(name)]
  _LOG.info('in the checkpoint, not used: %s', ', '.join(others) or 'none')


def _differences(found, variables):
  return ['{} {} (here: {})'.format(v.op.name, found[v.op.name], v.shape.as_list()) for v in variables
          if v.op.name in found and list(found[v.op.name]) != v.shape.as_list()]


def _family(found):
  family = names.family(found)
  return family + '; ' if family == names.EARLY_CHINESE else ''


def _first(problems, most=3):
  more = ' and {} more'.format(len(problems) - most) if len(problems) > most else ''
  return ', '.join(problems[:most]) + more
