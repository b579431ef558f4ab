"""Makes the records for pre-training from raw text: whole-word masks, sentence order, a held-out split.

  python -m tools.create_pretraining_data --input_files=news.txt,more/*.txt.gz --output_dir=data/records \
      --vocab_file=data/vocab.txt

Input: one sentence per line, a blank line between documents, or what docs/data.md names. Output: see
albert/dataset/contract.py. The same command again finds the finished data set and does nothing; after a kill it
continues.
"""

import logging
import os
import shutil
import time

from absl import flags

from albert.common import cli
from albert.common.errors import UserError
from albert.common import files
from albert.common.in_words import counted
from albert.dataset import contract
from albert.dataset import record_format
from tools.preprocessing import data_set
from tools.preprocessing import pipeline
from tools.preprocessing import report
from tools.preprocessing import stages
from tools.text import segmentation
from tools.text import source
from tools.workers import local
from tools.workers import spark

FLAGS = flags.FLAGS
_LOG = logging.getLogger('albert')


def define_flags():
  """Not at import: two programs may be imported into one test."""
  source.define_flags(flags)
  flags.DEFINE_string('output_dir', None, 'Folder of the data set.')
  flags.DEFINE_string('output_file', None, 'As in the original tool: one file with all training records. The data set '
                      'goes into its folder, unless --output_dir names another.')
  flags.DEFINE_string('vocab_file', None, 'WordPiece vocabulary, a token per line.')
  flags.DEFINE_bool('do_lower_case', True, 'Lower case and no accents, as the published vocabulary has it.')
  flags.DEFINE_bool('do_whole_word_mask', True, 'Mask whole words; else every token is masked on its own.')
  flags.DEFINE_integer('max_ngram', 1, 'The most whole words in a row that are masked together, 1 to 3: n of them '
                       'with a probability proportional to 1/n.')
  flags.DEFINE_integer('max_seq_length', 512, 'S: tokens of a record, with [CLS] and [SEP].')
  flags.DEFINE_integer('max_predictions_per_seq', 51, 'P: room for masked tokens in a record.')
  flags.DEFINE_float('masked_lm_prob', 0.10, 'Share of the tokens that are masked.')
  flags.DEFINE_integer('dupe_factor', None, 'How often each training document is used, with other cuts and masks. By '
                       'default 10; 1 if the record format is compact, where each epoch has other masks.')
  flags.DEFINE_enum('record_format', record_format.REFERENCE, record_format.RECORD_FORMATS,
                    'Of the training records. reference: masked here, readable elsewhere. compact: about a third of '
                    'the bytes, masked while they are read.')
  flags.DEFINE_float('short_seq_prob', 0.1, 'How often a document is cut into shorter sequences than S.')
  flags.DEFINE_integer('random_seed', 12345, 'Every random choice depends on it and on the place in the corpus only.')
  flags.DEFINE_enum('segmenter', None, segmentation.SEGMENTERS, 'Finds the words. By default rjieba, where it is '
                    'installed, else jieba; between Han characters they agree.')
  flags.DEFINE_integer('records_per_shard', 8192, 'Records of a file; the last one may have fewer.')
  flags.DEFINE_integer('num_workers', 0, 'Processes that share the work; 0: one for each core. The bytes do not depend '
                       'on it.', lower_bound=0)
  flags.DEFINE_enum('engine', 'local', ['local', 'spark'], 'Where the work is done: on this machine or by Spark. The '
                    'bytes do not depend on it.')
  flags.DEFINE_string('spark_master', 'local[*]', 'Spark master, such as spark://host:7077; its machines must see the '
                      'same files under the same names.')
  flags.DEFINE_bool('force', False, 'Replace another data set in the output folder.')
  flags.DEFINE_bool('check_flags', False, 'Only check the flags; make nothing.')


def main(argv):
  """Makes the data set, or finds it, and prints what it holds."""
  cli.no_positional_arguments(argv)
  if FLAGS.check_flags:
    return
  folder = _folder()
  for name in ('input_files', 'vocab_file'):
    if not getattr(FLAGS, name):
      raise UserError('expected --{}=..., found none; see --help'.format(name))
  start = time.time()
  text = source.of_flags(FLAGS)
  paths = source.find_files(FLAGS.input_files, text, documents_given=FLAGS.documents is not None)
  for hint in source.hints_for(paths, text, documents_given=FLAGS.documents is not None):
    _LOG.warning('%s', hint)
  engine = _engine()
  try:
    result = data_set.create(_settings(text), paths, folder, FLAGS.force, engine)
  finally:
    engine.close()
  if FLAGS.output_file and not os.path.isdir(FLAGS.output_file):
    write_single_file(result.info, FLAGS.output_file)
  print(summary(result, time.time() - start))


def _folder():
  """Where the data set goes."""
  if FLAGS.output_dir:
    return FLAGS.output_dir
  if not FLAGS.output_file:
    raise UserError('expected --output_dir=FOLDER, found none; name the folder of the data set')
  if os.path.isdir(FLAGS.output_file):
    return FLAGS.output_file
  return os.path.dirname(FLAGS.output_file) or os.curdir


def _engine():
  if FLAGS.engine == 'spark':
    return spark.Spark(FLAGS.spark_master)
  return local.Local(FLAGS.num_workers or len(os.sched_getaffinity(0)))


def _settings(text):
  dupe_factor = FLAGS.dupe_factor
  if dupe_factor is None:
    dupe_factor = 1 if FLAGS.record_format == record_format.COMPACT else 10
  return stages.Settings(
      vocab_file=FLAGS.vocab_file, do_lower_case=FLAGS.do_lower_case, do_whole_word_mask=FLAGS.do_whole_word_mask,
      segmenter=FLAGS.segmenter or segmentation.default(), encoding=text.encoding, skip_errors=text.skip_errors,
      max_seq_length=FLAGS.max_seq_length, max_predictions_per_seq=FLAGS.max_predictions_per_seq,
      masked_lm_prob=FLAGS.masked_lm_prob, dupe_factor=dupe_factor, short_seq_prob=FLAGS.short_seq_prob,
      random_seed=FLAGS.random_seed, records_per_shard=FLAGS.records_per_shard,
      record_format=FLAGS.record_format, max_ngram=FLAGS.max_ngram,
      cleaning=text.cleaning)


def write_single_file(info, path):
  """Writes all training records into one file, for programs that expect one; does nothing if it is there."""
  if os.path.exists(path) and os.path.getsize(path) == info.statistics['train_bytes']:
    return
  try:
    with files.atomic(path, 'wb') as target:
      for shard in info.paths(contract.TRAIN):
        with open(shard, 'rb') as records:
          shutil.copyfileobj(records, target, 1 << 20)
  except OSError as error:
    raise UserError('{}: expected to write all training records there, found that it failed ({}); name another '
                    '--output_file'.format(path, error.strerror))


def summary(result, seconds):
  """A description of the data set to print: str."""
  info = result.info
  counts = info.statistics
  lines = [] if result.created else ['finished data set, nothing to do']
  lines += [
      'data set    {}'.format(files.shown(info.folder)),
      'report      {}'.format(files.shown(os.path.join(info.folder, data_set.REPORT_FILE))),
      'training    {} of {}, {} each: {}, {:.1f} MB'.format(
          counted(info.records(contract.TRAIN), 'example'),
          counted(counts['documents'] - counts['heldout_documents'], 'document'),
          counted(info.settings['dupe_factor'], 'way'), counted(len(info.shards[contract.TRAIN]), 'file'),
          counts['train_bytes'] / 1e6),
      'held out    {} of {}, {} each; training never sees them'.format(
          counted(info.records(contract.HELDOUT), 'example'), counted(counts['heldout_documents'], 'document'),
          counted(info.settings['heldout_dupe_factor'], 'way')),
      'shape       S={}, P={}; {:.0%} of the positions hold text, {}'.format(
          info.max_seq_length, info.max_predictions_per_seq, report.text_rate(info),
          'masked when it is read' if info.record_format == record_format.COMPACT else
          '{:.1%} of that is masked'.format(counts['train_masked_tokens'] / counts['train_tokens'])),
      'text        {}, {}, {}, {}, {:.2%} [UNK]'.format(
          *[counted(counts[name + 's'], name) for name in ('document', 'sentence', 'word', 'token')],
          counts['unknown_tokens'] / counts['tokens']),
      'used        ' + _used(counts, info.settings['dupe_factor']),
      'left out    ' + _left_out(counts, os.path.join(info.folder, pipeline.SKIPPED_FILE))]
  lines += _warnings(counts, info.settings)
  lines += ['hint        ' + hint for hint in report.hints_of_shape(info)]
  if result.reused:
    lines.insert(0, 'continued a run that had been interrupted: ' + counted(result.reused, 'finished part'))
  if result.created:
    lines.append('time        {:.1f} s, {:,.0f} examples/s'.format(
        seconds, (info.records(contract.TRAIN) + info.records(contract.HELDOUT)) / seconds))
  return '\n'.join(lines)


def _used(counts, ways):
  """How much of the text is in a record, and the number of tokens that are in none."""
  tokens = ways * counts['train_document_tokens']
  unused = counts['train_unused_tokens']
  divided = '; sentences divided at {}, as the record was full'.format(counted(counts['divided_sentences'], 'place'))
  return '{:.2%} of the training tokens, {:,} of {:,} are in no record{}'.format(
      1 - unused / tokens, unused, tokens, divided if counts['divided_sentences'] else '')


def _warnings(counts, settings):
  """What is probably not as it was meant: lines."""
  lines = []
  if counts['repeated_documents']:
    repeated = '{} repeat{} the text of an earlier one'.format(
        counted(counts['repeated_documents'], 'document'), 's' if counts['repeated_documents'] == 1 else '')
    lines.append(repeated + (
        '; --duplicates=exact leaves such documents out, and =near those that are not quite equal'
        if settings['duplicates'] == 'keep' else
        ' but for case, width, space or lines, so that it is no exact duplicate; all of them are on one side'))
  share = counts['unknown_tokens'] / counts['tokens']
  if share > pipeline.WARN_UNKNOWN:
    lines.append('{:.2%} of the tokens are [UNK], the report says of what; a vocabulary built from this text has '
                 'them'.format(share))
  return ['warning     ' + line for line in lines]


def _left_out(counts, skipped_file):
  parts = [counted(counts[name], what) + why for name, what, why in (
      ('documents_too_short', 'document', ' of fewer than two words'),
      ('skipped_chunks', 'chunk', ' of one word, which has no two segments'),
      ('skipped_lines', 'line', ' in another encoding or format'),
      ('replaced_surrogates', 'lone surrogate', ' (half of a character), replaced'),
      ('documents_few_characters', 'document', ' of too few characters'),
      ('documents_little_Han_text', 'document', ' with too little Han text'),
      ('duplicate_documents', 'duplicate', ''), ('near_duplicate_documents', 'near duplicate', '')) if counts[name]]
  if os.path.exists(skipped_file):
    parts.append('each named in ' + files.shown(skipped_file))
  if counts['divided_documents']:
    parts.append('nothing of documents that were too long, divided at ' + counted(counts['divided_documents'], 'place'))
  return ', '.join(parts) or 'nothing'


if __name__ == '__main__':
  define_flags()
  cli.run(main)
