"""Looks into checkpoints, makes new ones from them, and converts them to and from other formats.

    python -m tools.checkpoints inspect CHECKPOINT
    python -m tools.checkpoints diff CHECKPOINT CHECKPOINT [--outputs]
    python -m tools.checkpoints strip CHECKPOINT --output=PREFIX
    python -m tools.checkpoints average CHECKPOINT CHECKPOINT ... | --last=N RUN | --best=K RUN  --output=PREFIX
    python -m tools.checkpoints verify CHECKPOINT [--probe]
    python -m tools.checkpoints rename CHECKPOINT --map=FILE --output=PREFIX
    python -m tools.checkpoints to-hf CHECKPOINT FOLDER
    python -m tools.checkpoints from-hf FOLDER RUN
    python -m tools.checkpoints from-albert-zh CHECKPOINT RUN
    python -m tools.checkpoints export CHECKPOINT FOLDER --format=saved_model|pb|onnx [--task=...]

CHECKPOINT is a prefix (out/model.ckpt-500, also with .index) or a folder: the checkpoint that its `checkpoint`
file names. A verb alone prints its help; --json prints JSON instead of text. What is written gets its name when it is
whole, is never written over something, and takes albert_config.json and vocab.txt along. See docs/conversion.md
and docs/export.md.
"""

import os

from absl import flags

from albert.common import cli  # before TensorFlow: silences the warnings of its import
from tools.conversion import checkpoint_text
from tools.conversion import verbs
import tensorflow.compat.v1 as tf


def main(argv):
  name, arguments = (argv[1], argv[2:]) if len(argv) > 1 else (None, [])
  if name is None:
    print(verbs.usage())
    return 0
  given = [flag.name for flag in flags.FLAGS.get_key_flags_for_module(__name__) if flag.present]
  if name in verbs.VERBS and not arguments and not given:
    print(verbs.help_of(name))
    return 0
  outcome = verbs.carry_out(name, arguments, flags.FLAGS, given)
  if flags.FLAGS.json:
    print(checkpoint_text.as_json(outcome.value))
  else:
    outcome.print_text(outcome.value)
  return outcome.code


if __name__ == '__main__':
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')  # what is wrong is raised and reported in one line
  tf.logging.set_verbosity(tf.logging.ERROR)
  # Here: other tools have a --json too, and tests import several of them.
  flags.DEFINE_bool('json', False, 'Print JSON instead of text.')
  flags.DEFINE_string('output', None, 'strip, average, rename: prefix of the new checkpoint, e.g. release/model.ckpt.')
  flags.DEFINE_bool('outputs', False, 'diff: also compare the outputs on a random batch.')
  flags.DEFINE_integer('last', None, 'average: how many of the newest checkpoints of a run.')
  flags.DEFINE_integer('best', None, 'average: how many of the best checkpoints of a run.')
  flags.DEFINE_bool('probe', False, 'verify: also the loss on Chinese text, as configured and otherwise.')
  flags.DEFINE_string('map', None, 'rename: file with "OLD NEW" on each line.')
  flags.DEFINE_string('task', None, 'to-hf: classify, regress, tag or read, where nothing beside the weights says so. '
                      'export: features, masked_lm or sentence_order; of a saved_model the one that is served by '
                      'default.')
  flags.DEFINE_string('ignore', None, 'Conversions: regular expression of variables that may be left out.')
  flags.DEFINE_bool('dedupe', False, 'Conversions: repair a vocabulary with repeated tokens.')
  flags.DEFINE_string('hidden_act', None, 'from-hf: gelu (tanh form) or relu, where config.json is mistaken.')
  flags.DEFINE_integer('drop_segment_row', None, 'from-hf: row of the table of segments to leave out.')
  flags.DEFINE_string('ln_type', None, 'from-albert-zh: postln or preln, where the JSON does not say.')
  flags.DEFINE_string('format', 'saved_model', 'export: saved_model, pb or onnx.')
  flags.DEFINE_integer('batch_size', None, 'export --format=pb: sequences at a time; 1 if not given.')
  flags.DEFINE_integer('max_seq_length', None, 'export --format=pb: tokens of a sequence; 128 if not given.')
  flags.DEFINE_integer('max_predictions_per_seq', None, 'export --format=pb --task=masked_lm: positions to predict; 20 '
                       'if not given.')
  flags.DEFINE_bool('float16', False, 'export: store the matrices in half precision.')
  flags.DEFINE_bool('quantize', False, 'export --format=onnx: products and embeddings in int8.')
  cli.run(main)
