"""Checks that a checkpoint fits the graph, finds published weights and loads them."""

import collections
import logging
import os

import numpy as np
import tensorflow as tf

from albert.common.errors import first_of
from albert.common.errors import UserError
from albert.common import files
from albert.dataset.tokenization import Vocabulary
from albert.model.config import AlbertConfig
from albert.model import hugging_face
from albert.model import names
from albert.run import belonging
from albert.run import checkpoints
from albert.run import directory
from albert.run.names import BEST_FOLDER
from albert.run.names import CONFIG_FILE
from albert.run.names import RESULTS_FILE
from albert.run.names import VOCAB_FILE
from albert.run import remapping
from albert.run import run_files

_LOG = logging.getLogger('albert')

# Published weights. prefix: of the checkpoint. config: the AlbertConfig beside it, vocab_file: path of the vocabulary
# beside it; None where there is none.
Weights = collections.namedtuple('Weights', ['prefix', 'config', 'vocab_file'])

# The ends of names of archives.
TAR, ZIP = ('.tar.gz', '.tgz', '.tar'), ('.zip',)


def find(path, warn=_LOG.warning):
  """Published weights and what lies beside them.

  Args:
    path: a prefix, or a folder: of a run, of which the best checkpoint is taken, else the newest; of several seeds, of
      which the best one is taken; best/, or a release that was unpacked.
    warn: as for checkpoints.find.

  Returns:
    Weights.

  Raises:
    UserError: no checkpoint of TensorFlow's, or what lies beside it is not what it was trained with.
  """
  if path.lower().endswith(TAR + ZIP) and os.path.isfile(path):
    raise UserError('{}: expected a folder, found an archive; unpack it and name the folder that holds the '
                    'checkpoint'.format(path))
  if hugging_face.is_folder(path):
    raise UserError('{}: expected a TensorFlow checkpoint, found a Hugging Face folder; convert it first: '
                    '.venv/bin/python -m tools.checkpoints from-hf {} RUN, and name RUN'.format(path, path))
  prefix = checkpoints.find(_chosen(path), warn)
  config_file = directory.file_beside(prefix, CONFIG_FILE)
  vocab_file = directory.file_beside(prefix, VOCAB_FILE)
  belonging.check_beside(prefix, config_file, vocab_file)
  return Weights(prefix, config_file and AlbertConfig.from_json_file(config_file), vocab_file)


def _chosen(path):
  """The folder that a path stands for: of several runs that of the best one; of a run its best/, where it has one."""
  about, _ = run_files.read_json(os.path.join(path, RESULTS_FILE), run_files.is_results)
  best_run = (about or {}).get('best_run')
  if isinstance(best_run, str) and files.is_plain_name(best_run) and os.path.isdir(os.path.join(path, best_run)):
    path = os.path.join(path, best_run)
  best = os.path.join(path, BEST_FOLDER)
  return best if checkpoints.latest(best) else path


def decide(path, config, info, options):
  """How published weights become those of a model; reads files and changes nothing.

  Args:
    path: as for find().
    config: AlbertConfig of the model, with vocab_size.
    info: contract.DatasetInfo of the training data, whose vocabulary the model has.
    options: has vocab_init, position_init, init_partial and named(), see training/run_options.py.

  Returns:
    remapping.Remapping.

  Raises:
    UserError: they cannot.
  """
  weights = find(path)
  shapes, lines = albert_shapes(weights.prefix), []
  if weights.config:
    lines += remapping.check_architecture(weights.prefix, weights.config, config, options.init_partial, options.named)
  else:
    lines.append('no {} beside the weights: heads and activation, which shapes do not show, are taken to be {} and '
                 '{}'.format(CONFIG_FILE, config.num_attention_heads, config.hidden_act))
  groups = remapping.groups(weights.prefix, shapes, weights.config, config)
  positions = None
  if names.POSITION_EMBEDDINGS in shapes:
    positions, more = remapping.positions(weights.prefix, shapes[names.POSITION_EMBEDDINGS][0],
                                          config.max_position_embeddings, options.position_init, options.named)
    lines += more
  tokens = None
  if names.WORD_EMBEDDINGS in shapes:
    tokens = _tokens(weights, shapes[names.WORD_EMBEDDINGS][0], config, info, options)
  if groups:
    lines.append('groups: {}'.format(', '.join('{} from {}'.format(*item) for item in sorted(groups.items()))))
  return remapping.Remapping(groups, tokens if tokens and tokens.rows is not None else None, positions,
                             lines + ([tokens.line] if tokens else []))


def _tokens(weights, there, config, info, options):
  """remapping.Tokens of two vocabularies, without rows where they are equal or cannot be compared. there: int, W."""
  vocab_file = info.vocab_file if info.vocab_sha256 and os.path.exists(info.vocab_file) else None
  if weights.vocab_file is None or vocab_file is None:
    if there != config.vocab_size:
      raise UserError('{}: expected weights of {:,} tokens, found {:,}; {}'.format(
          weights.prefix, config.vocab_size, there, 'put their {} beside them'.format(VOCAB_FILE)
          if weights.vocab_file is None else 'make a data set with its vocabulary'))
    return remapping.Tokens(None, {}, 'vocabulary: not compared, {} has none; tokens are taken to have the same '
                            'rows'.format(info.folder if weights.vocab_file else 'the folder of the weights'))
  listed = len(Vocabulary.load(weights.vocab_file))
  if listed != there:
    raise UserError('{}: expected the vocabulary of the weights beside it, {:,} tokens, found {:,}; put the right one '
                    'there'.format(weights.vocab_file, there, listed))
  return remapping.tokens(weights.vocab_file, vocab_file, options.vocab_init, options.named)


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


def albert_shapes(checkpoint):
  """shapes_of() a checkpoint. Raises UserError if it cannot be read, or has weights of another family."""
  shapes = shapes_of(checkpoint)
  family = names.recognise(shapes)
  if family.name != names.ALBERT:
    raise UserError('{}: expected weights of ALBERT, found {} ({}); name others, or convert them: docs/'
                    'conversion.md'.format(checkpoint, family.name, family.reason))
  return shapes


def check_compatible(checkpoint, variables):
  """Raises UserError unless `checkpoint` holds every one of `variables` with its shape."""
  shapes = shapes_of(checkpoint)
  problems = _differences(shapes, variables) + [
      '{} is missing'.format(v.op.name) for v in variables if v.op.name not in shapes]
  if problems:
    raise UserError('{}: expected a checkpoint of this architecture, found {}{}; use the configuration that it was '
                    'trained with, or another folder'.format(checkpoint, _family(shapes), first_of(problems)))


def check_finite(checkpoint, with_optimizer_slots=False):
  """Raises UserError unless every weight of a checkpoint is finite. Reads all of it.

  Args:
    checkpoint: prefix.
    with_optimizer_slots: whether the optimizer's moments must be finite too.
  """
  shapes, wrong = shapes_of(checkpoint), []
  try:
    reader = tf.train.load_checkpoint(checkpoint)
    for name, dtype in sorted(reader.get_variable_to_dtype_map().items()):
      is_wanted = with_optimizer_slots or not names.belongs_to_optimizer(name, shapes)
      if is_wanted and dtype.is_floating and not np.isfinite(reader.get_tensor(name)).all():
        wrong.append(name)
  except (ValueError, tf.errors.OpError) as error:
    raise UserError('{}: expected a TensorFlow checkpoint, found one that cannot be read ({}); copy it again'.format(
        checkpoint, str(error).split('\n')[0]))
  if wrong:
    raise UserError('{}: expected finite weights, found NaN or infinity in {} of {} variables: {}; take another '
                    'checkpoint'.format(checkpoint, len(wrong), len(shapes), first_of(wrong)))


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
  shapes = shapes_of(checkpoint)
  if all(v.op.name in shapes for v in scale):
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


def initialise_from(path, with_optimizer_slots, changes=None, is_partial=False, new_parts=(), named=str):
  """Makes the initial values of this graph's variables those of a published checkpoint.

  Heads that the checkpoint does not have are initialised at random, as those of a new task are; the encoder must be
  there.

  Args:
    path: as for find().
    with_optimizer_slots: whether the optimizer's moments are taken too.
    changes: remapping.Remapping, what decide() gave; None: every row is where it was.
    is_partial: whether an encoder of which variables are missing will do.
    new_parts: those of names.rate_part() that begin anew, whatever the checkpoint has under their names: a head that
      was fine-tuned before has learned other labels.
    named: callable(option) -> str, how the user writes it, as RunOptions.named.

  Raises:
    UserError: shapes differ, nothing fits, or the encoder is not all there.
  """
  checkpoint = find(path).prefix
  changes = changes or remapping.Remapping()
  shapes = shapes_of(checkpoint)
  wanted = [v for v in tf.global_variables() if v.op.name != names.GLOBAL_STEP
            and (with_optimizer_slots or not names.is_slot(v.op.name))
            and names.rate_part(v.op.name) not in new_parts]
  sources = {v.op.name: changes.source(v.op.name) for v in wanted}
  problems = _differences(shapes, [v for v in wanted if not changes.has_other_rows(v.op.name)], sources)
  if problems:
    raise UserError('{}: expected weights of this architecture, found {}{}; use the configuration that they were '
                    'trained with'.format(checkpoint, _family(shapes), first_of(problems)))
  loaded = [v for v in wanted if sources[v.op.name] in shapes]
  _check_loaded(checkpoint, shapes, loaded, is_partial, new_parts, named)
  for variable in loaded:
    if changes.has_other_rows(variable.op.name):
      _begin_with_other_rows(variable, checkpoint, changes)
    else:  # one at a time: several groups may begin as one
      tf.train.init_from_checkpoint(checkpoint, {sources[variable.op.name]: variable})
  for line in changes.lines:
    _LOG.info('%s', line)
  known = set(v.op.name for v in loaded)
  fresh = [v.op.name for v in tf.trainable_variables() if v.op.name not in known]
  _report(checkpoint, loaded, fresh, sorted(set(shapes) - set(sources[name] for name in known) - {names.GLOBAL_STEP}))
  slots = [v.op.name for v in wanted if names.is_slot(v.op.name) and v.op.name not in known]
  if slots:
    _LOG.warning('%s=True: the checkpoint lacks %d optimizer slots: %s; they begin at zero',
                 named('init_optimizer_slots'), len(slots), first_of(slots))


def _check_loaded(checkpoint, shapes, loaded, is_partial, new_parts, named):
  """Raises UserError if nothing is loaded, or not all of the encoder. loaded: variables; the rest as they are there."""
  if not loaded:
    raise UserError('{}: expected variables of this model, found {}no variable of its names, but {}; rename them '
                    '("tools.checkpoints rename"), or name other weights'.format(
                        checkpoint, _family(shapes), first_of(sorted(shapes))))
  trained = tf.trainable_variables()
  missing = [v.op.name for v in trained if v not in loaded and names.rate_part(v.op.name) not in new_parts
             and names.part_of_model(v.op.name) in (names.ENCODER, names.POOLER)]
  if missing and not is_partial:
    raise UserError('{}: expected all variables of the encoder, found {} of {} variables of this model: {}{} missing; '
                    'rename them ("tools.checkpoints rename"), or say that a part will do: '
                    '{}=True'.format(
                        checkpoint, len([v for v in trained if v in loaded]), len(trained), _family(shapes),
                        first_of(missing), named('init_partial')))


def _begin_with_other_rows(variable, checkpoint, changes):
  """Makes the initial value of a variable what a remapping.Remapping makes of it; read when the session begins."""
  name, shape = variable.op.name, variable.shape.as_list()

  def value():
    rows = changes.rows(name, tf.train.load_variable(checkpoint, name))
    assert list(rows.shape) == shape, (name, rows.shape, shape)
    return rows
  initial = tf.py_func(value, [], variable.dtype.base_dtype)
  initial.set_shape(shape)
  # As tf.train.init_from_checkpoint does it.
  variable._initializer_op = variable.assign(initial, read_value=False)
  variable._initial_value = initial


def _report(checkpoint, loaded, fresh, unused):
  _LOG.info('loaded %d variables from %s; not in it, so initialised at random: %d; in it, but not used: %d',
            len(loaded), checkpoint, len(fresh), len(unused))
  _LOG.debug('loaded: %s', ', '.join(v.op.name for v in loaded))
  _LOG.log(logging.WARNING if fresh else logging.DEBUG, 'not in the checkpoint, initialised at random: %s',
           ', '.join(fresh) or 'none')
  slots = sum(names.is_slot(name) for name in unused)
  others = ['{} optimizer slots'.format(slots)] * bool(slots) + [name for name in unused if not names.is_slot(name)]
  _LOG.debug('in the checkpoint, not used: %s', ', '.join(others) or 'none')


def _differences(shapes, variables, sources=None):
  """The variables of another shape, in words. sources: {name: name in the checkpoint}; None: the same names."""
  pairs = [(v, (sources or {}).get(v.op.name, v.op.name)) for v in variables]
  return ['{} {} (here: {})'.format(v.op.name, shapes[name], v.shape.as_list()) for v, name in pairs
          if name in shapes and list(shapes[name]) != v.shape.as_list()]


def _family(shapes):
  family = names.family(shapes)
  return '' if family in (names.ALBERT, names.UNKNOWN) else family + '; '
