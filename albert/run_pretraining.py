"""Command line of pre-training: `python -m albert.run_pretraining --input_file=data/records --output_dir=out`.

Later wins: gin files, then --gin_param bindings, then the named flags that were given.
"""

from absl import flags

from albert.common import cli
from albert.device import allocator

if __name__ == '__main__':
  allocator.start_again_with_settings()  # before TensorFlow is imported

from albert.common.errors import UserError
from albert.common import gin_settings
from albert.model.config import AlbertConfig
from albert import pretraining
from tools.conversion import published

FLAGS = flags.FLAGS

flags.DEFINE_string('input_file', None, 'Training data: a folder with dataset.json, or TFRecord files or globs, '
                    'separated by commas, in the reference format.')
flags.DEFINE_string('eval_input_file', None, 'Held-out data, if it is not in --input_file.')
flags.DEFINE_string('output_dir', './out', 'Folder of the run; a run found there is continued.')
flags.DEFINE_string('init_checkpoint', None, 'Published weights to start from; a folder of transformers or an '
                    'archive is made ready in OUTPUT_DIR/init. With --nodo_train the checkpoint to evaluate. Empty '
                    'means none.')
flags.DEFINE_string('albert_config_file', None, 'JSON that replaces every AlbertConfig binding.')
flags.DEFINE_bool('do_train', True, 'Train.')
flags.DEFINE_bool('do_eval', True, 'Evaluate on held-out data.')
flags.DEFINE_multi_string('gin_file', None, 'Experiment files; without any, gin/1p.gin.')
flags.DEFINE_multi_string('gin_param', None, 'Bindings such as "pretrain.num_train_steps=100", separated by ";".')
flags.DEFINE_integer('max_seq_length', None, 'Checked against the data, which says it.')
flags.DEFINE_integer('max_predictions_per_seq', None, 'Checked against the data, which says it.')

# Flags of the original release that are another name for a gin binding.
_BINDINGS = {
    'train_batch_size': ('integer', 'pretrain.train_batch_size'),
    'eval_batch_size': ('integer', 'pretrain.eval_batch_size'),
    'num_train_steps': ('integer', 'pretrain.num_train_steps'),
    'save_checkpoints_steps': ('integer', 'pretrain.save_checkpoints_steps'),
    'keep_checkpoint_max': ('integer', 'pretrain.keep_checkpoint_max'),
    'learning_rate': ('float', 'OptimizerOptions.learning_rate'),
    'num_warmup_steps': ('integer', 'OptimizerOptions.num_warmup_steps'),
    'poly_power': ('float', 'OptimizerOptions.poly_power'),
    'optimizer': ('string', 'OptimizerOptions.optimizer'),
}
for _name, (_kind, _binding) in _BINDINGS.items():
  getattr(flags, 'DEFINE_' + _kind)(_name, None, 'Same as --gin_param="{}=...".'.format(_binding))
flags.DEFINE_alias('warm_up_steps', 'num_warmup_steps')


def bindings_from_flags():
  """Bindings of --gin_param, --albert_config_file and the named flags, in the order in which the last one wins."""
  bindings = gin_settings.bindings_of(FLAGS.gin_param)
  if FLAGS.albert_config_file:
    bindings += AlbertConfig.from_json_file(FLAGS.albert_config_file).bindings()
  for name, (_, binding) in _BINDINGS.items():
    if FLAGS[name].present:
      bindings.append('{} = {!r}'.format(binding, FLAGS[name].value))
  return bindings


def main(argv):
  """Parses, then calls pretrain() and returns what it returns, the exit code."""
  cli.no_positional_arguments(argv)
  if not FLAGS.input_file:
    raise UserError('expected --input_file=FOLDER with a data set, found none; make one with "make data"')
  if not FLAGS.do_train and not FLAGS.do_eval:
    raise UserError('expected --do_train, --do_eval or both, found neither; leave out --nodo_train or --nodo_eval')
  bindings = bindings_from_flags()
  gin_settings.parse(FLAGS.gin_file or ['gin/1p.gin'], bindings)
  init_checkpoint = FLAGS.init_checkpoint or None
  if init_checkpoint and FLAGS.do_train:
    init_checkpoint = published.ready(init_checkpoint, FLAGS.output_dir)
  return pretraining.pretrain(
      FLAGS.input_file, FLAGS.output_dir, eval_input_file=FLAGS.eval_input_file or None,
      init_checkpoint=init_checkpoint, do_train=FLAGS.do_train, do_eval=FLAGS.do_eval,
      max_seq_length=FLAGS.max_seq_length, max_predictions_per_seq=FLAGS.max_predictions_per_seq,
      architecture_given=any(binding.startswith('AlbertConfig.') for binding in bindings))


if __name__ == '__main__':
  cli.run(main)
