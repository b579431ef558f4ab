"""A data set from a corpus: finds a finished one, continues an unfinished one, refuses to replace another one."""

import collections
import contextlib
import errno
import hashlib
import json
import logging
import os
import re

from albert.common import checks
from albert.common.errors import UserError
from albert.common import files
from albert.dataset import contract
from albert.dataset import masking_rules
from albert.dataset import record_format
from albert.dataset import tokenization
from tools.preprocessing import inputs
from tools.preprocessing import pipeline
from tools.preprocessing import report
from tools.preprocessing import stages
from tools.text import corpus
from tools.text import origin
from tools.text import source
from tools.workers import kept_results
from tools.workers import local

# Increased when a change of the code changes the bytes of a data set with the same settings. 2: long sentences are
# divided instead of trimmed, held-out documents chosen by their texts instead of their places. 3: of these, characters
# that nobody sees do not count; sentences may end with full stops.
RECIPE = 3
HELDOUT_FRACTION = 0.05

WORK_FOLDER = '.unfinished'
# Names of shards, and of what lies beside them.
_SHARD = re.compile(r'(train|heldout)-\d+-of-\d+\.tfrecord')
# None: of numpy's tofile, which does not say why it could not write.
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None)

REPORT_FILE = 'data_report.html'

_LOG = logging.getLogger('albert')

Result = collections.namedtuple('Result', ['info', 'created', 'reused'], defaults=[0])
Result.__doc__ = """A data set.

info: contract.DatasetInfo; created: whether it was made now (False: it was there already); reused: how many steps were
taken over from an interrupted run.
"""


def create(settings, patterns, folder, force=False, engine=None):
  """Makes the data set that `settings` and the corpus describe, in `folder`, unless it is there.

  Finished parts are kept in a folder within it until the whole is finished: the same call continues after a kill.

  Args:
    settings: `stages.Settings`.
    patterns: files, globs or folders of text.
    folder: where the data set goes.
    force: whether another data set in `folder` may be replaced.
    engine: where the work is done, see tools/workers/local.py; by default in this process.

  Returns:
    `Result`.

  Raises:
    UserError: bad settings or corpus, or `folder` holds another data set.
  """
  check_settings(settings)
  vocabulary = _load_vocabulary(settings)
  paths = inputs.distinct(corpus.find_files(patterns))
  text = inputs.Inputs(paths, settings.vocab_file, vocabulary.sha256)
  described = describe(settings, vocabulary, text)
  existing = _existing(folder, described, vocabulary, force)
  if existing:
    return Result(existing, False)
  _warn_of_origin(settings, vocabulary, described['inputs'])
  work = os.path.join(folder, WORK_FOLDER)
  was_there = os.path.lexists(folder)
  kept = None
  finished = True
  try:
    kept = kept_results.KeptResults(work, _fingerprint(described, text))
    finished = False
    if kept.discarded:
      _LOG.warning('unfinished work in %s is of other text or settings, or of an earlier version: removed (%d finished '
                   'parts), made anew', files.shown(work), kept.discarded)
    data_set = pipeline.build(settings, vocabulary, paths, HELDOUT_FRACTION, kept, engine or local.Local())
    info = contract.DatasetInfo(work, settings.max_seq_length, settings.max_predictions_per_seq, len(vocabulary),
                                vocabulary.sha256, data_set.shards, described, data_set.statistics)
    text.check_unchanged()
    _put_in_place(info, data_set, settings.vocab_file, work, folder)
    finished = True
  except local.WorkerLost:
    raise
  except KeyboardInterrupt:
    _LOG.warning('finished parts are kept in %s: the same command continues', files.shown(work))
    raise
  except UserError:
    finished = True
    raise
  except OSError as error:
    raise UserError('{}: expected to write a data set there, found that it failed ({}); {}, the same command then '
                    'continues, or name another --output_dir'.format(
                        files.shown(folder), _described(error),
                        'free some space' if error.errno in _NO_SPACE else 'correct it'))
  finally:
    if kept:
      kept.close(remove=finished)
    if finished and not was_there:
      with contextlib.suppress(OSError):
        os.rmdir(folder)  # unless something is in it
  return Result(info, True, kept.reused)


def _described(error):
  """An OSError in words."""
  name = '' if error.filename is None else ': ' + files.shown(os.fsdecode(error.filename))
  return (error.strerror or str(error)) + name


def _load_vocabulary(settings):
  """The `tokenization.Vocabulary`; raises UserError if its tokens do not suit the settings."""
  vocabulary = tokenization.Vocabulary.load(settings.vocab_file)
  if not vocabulary.replacement_ids():
    raise UserError('{}: expected tokens besides the special ones, found none; build a vocabulary with '
                    'tools.build_vocab'.format(settings.vocab_file))
  if settings.record_format == record_format.COMPACT and len(vocabulary) > record_format.MAX_COMPACT_VOCABULARY:
    raise UserError('{}: expected at most {:,} tokens for --record_format=compact, whose ids have 16 bits, found {:,}; '
                    'use a smaller vocabulary or --record_format=reference'.format(
                        settings.vocab_file, record_format.MAX_COMPACT_VOCABULARY, len(vocabulary)))
  return vocabulary


def _warn_of_origin(settings, vocabulary, described_inputs):
  """Says it if the vocabulary was built from something else than this text."""
  difference = origin.difference(settings.vocab_file, vocabulary.sha256, described_inputs,
                                 origin.settings_of(stages.text_source(settings), settings.do_lower_case))
  if difference:
    _LOG.warning('the vocabulary %s was built %s; remove it, or name another, to build one from this text',
                 files.shown(settings.vocab_file), difference)


def _fingerprint(described, text):
  """Identifies settings and corpus, so that only unfinished work of the same ones is continued: hex SHA-256.

  Where they lie is no part of it: both may be moved.
  """
  return hashlib.sha256(json.dumps([described, text.stamps()]).encode('utf-8')).hexdigest()


def check_settings(settings):
  """Raises UserError for an encoding that is not known or a number out of range."""
  source.check(stages.text_source(settings))
  for check, name, least, most in (
      (checks.whole_number, 'max_seq_length', 8, 1 << 20),
      (checks.whole_number, 'max_predictions_per_seq', 1, settings.max_seq_length),
      (checks.number, 'masked_lm_prob', 0, 1), (checks.number, 'short_seq_prob', 0, 1),
      (checks.whole_number, 'dupe_factor', 1, 1 << 20), (checks.whole_number, 'random_seed', 0, (1 << 63) - 1),
      (checks.whole_number, 'records_per_shard', 1, 1 << 40),
      (checks.whole_number, 'max_ngram', 1, max(masking_rules.NGRAM_CUTS))):
    check('--' + name, getattr(settings, name), least=least, most=most)


def describe(settings, vocabulary, text):
  """Everything that determines the bytes of the data set, as dataset.json keeps it: dict. text: inputs.Inputs."""
  described = collections.OrderedDict(settings._asdict())
  del described['vocab_file'], described['cleaning']
  described.update(settings.cleaning._asdict())
  described.update(recipe=RECIPE, heldout_fraction=HELDOUT_FRACTION,
                   heldout_dupe_factor=stages.duplicates(settings)[contract.HELDOUT],
                   vocab_sha256=vocabulary.sha256, inputs=text.described())
  return described


def _existing(folder, described, vocabulary, force):
  """The finished data set in `folder` if it is the one described; None if there is none or it is to be replaced."""
  if force:
    return None
  if os.path.lexists(os.path.join(folder, contract.DATASET_FILE)):
    info = contract.DatasetInfo.load(folder)
    differences = _differences(info, described)
    if not differences:
      return info
    raise UserError('{}: expected this data set or none, found another one ({}); make it anew with FORCE=1 (make) or '
                    '--force, or name another folder'.format(files.shown(folder), '; '.join(differences)))
  vocab_file = os.path.join(folder, contract.VOCAB_FILE)
  if os.path.lexists(vocab_file) and not _holds(vocab_file, vocabulary.sha256):
    raise UserError('{}: expected the vocabulary of the data set or nothing, found another one; name another folder, '
                    'or overwrite it with FORCE=1 (make) or --force'.format(files.shown(vocab_file)))
  return None


def _holds(path, sha256):
  try:
    return files.file_sha256(path) == sha256
  except OSError:
    return False


def _differences(info, described):
  """The differences, a phrase each."""
  differences = []
  for name, wanted in described.items():
    present = info.settings.get(name)
    if name == 'inputs':
      differences.extend(_input_differences(present or [], wanted))
    elif name == 'vocab_sha256' and present != wanted:
      differences.append('another vocabulary')
    elif name == 'recipe' and present != wanted:
      differences.append('made by {} version of this tool'.format(
          'an earlier' if isinstance(present, int) and present < wanted else 'another'))
    elif present != wanted:
      differences.append('{} {} instead of {}'.format(name, _short(present), _short(wanted)))
  missing = [os.path.basename(path) for split in (contract.TRAIN, contract.HELDOUT) for path in info.paths(split)
             if not os.path.exists(path)]
  return differences + ['{} is missing'.format(name) for name in missing[:3]]


def _input_differences(present, wanted):
  if [entry['file'] for entry in present] != [entry['file'] for entry in wanted]:
    return ['inputs {} instead of {}'.format(*(
        _short(', '.join(entry['file'] for entry in entries)) for entries in (present, wanted)))]
  return ['the contents of {} changed'.format(new['file'])
          for old, new in zip(present, wanted) if old['sha256'] != new['sha256']]


def _short(value):
  text = str(value)
  return text if len(text) <= 40 else text[:37] + '...'


def _put_in_place(info, data_set, vocab_file, work, folder):
  """Moves the finished files from `work` to `folder`; an old dataset.json is removed first, the new one is last."""
  with files.atomic(os.path.join(work, contract.TOKEN_COUNTS_FILE), durable=False) as target:
    target.writelines('{}\n'.format(count) for count in data_set.token_counts)
  with files.atomic(os.path.join(work, REPORT_FILE), durable=False) as target:
    target.write(report.make(info, data_set.histograms, tokenization.Vocabulary.load(vocab_file)))
  files.copy_atomically(vocab_file, os.path.join(work, contract.VOCAB_FILE), durable=False)
  _remove_old(folder)
  for name in map(os.path.basename, _record_files(info)):
    if os.path.exists(os.path.join(work, name)):
      os.replace(os.path.join(work, name), os.path.join(folder, name))
  names = [contract.TOKEN_COUNTS_FILE, contract.VOCAB_FILE, REPORT_FILE]
  if os.path.exists(os.path.join(work, pipeline.SKIPPED_FILE)):
    names.append(pipeline.SKIPPED_FILE)
  for name in names:
    os.replace(os.path.join(work, name), os.path.join(folder, name))
  info.folder = folder
  info.save()


def _record_files(info):
  """Paths of the shards and of the files of lengths that may lie beside them."""
  return [name for split in (contract.TRAIN, contract.HELDOUT) for path in info.paths(split)
          for name in (path, contract.lengths_file(path))]


def _remove_old(folder):
  """Removes dataset.json and the shards that it names, if they have names that this tool gives."""
  path = os.path.join(folder, contract.DATASET_FILE)
  if not os.path.lexists(path):
    return
  try:
    old = contract.DatasetInfo.load(folder)
    names = [name for name in _record_files(old) if _SHARD.match(os.path.basename(name))]
  except UserError:
    names = []
  os.remove(path)
  for name in names + [os.path.join(folder, pipeline.SKIPPED_FILE)]:
    if os.path.lexists(name):
      os.remove(name)
