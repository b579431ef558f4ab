"""A data set from a corpus, start to finish: plan, run the stages, choose what is held out, put the result in place."""

import collections
import os
import shutil

import numpy as np
import tqdm

from albert import features
from albert import tokenization
from albert.errors import UserError
from tools import corpus
from tools import stages

# Raised when a change of the code changes the bytes that the same settings give.
RECIPE = 1
HELDOUT_FRACTION = 0.05

_BUCKET_TOKENS = 1 << 21
_WORK_FOLDER = '.unfinished'
# How many places of skipped lines dataset.json names.
_MAX_NAMED_LINES = 100

Result = collections.namedtuple('Result', ['info', 'created'])
Result.__doc__ = """A data set (features.DatasetInfo), and whether it was made now or was there already (False)."""


def create(settings, patterns, folder, force=False):
  """Makes the data set that `settings` and the corpus mean, in `folder`, unless it is there.

  Args:
    settings: `stages.Settings`.
    patterns: files, globs or folders of text.
    folder: where the data set goes.
    force: whether another data set in `folder` may be replaced.

  Returns:
    `Result`.

  Raises:
    UserError: bad settings or corpus, or `folder` holds another data set.
  """
  check_settings(settings)
  vocabulary = tokenization.Vocabulary.load(settings.vocab_file)
  if not vocabulary.replacement_ids():
    raise UserError('{}: expected tokens besides the special ones, found none; build a vocabulary with '
                    'tools.build_vocab'.format(settings.vocab_file))
  paths = corpus.find_files(patterns)
  described = describe(settings, vocabulary, paths)
  existing = _existing(folder, described, vocabulary, force)
  if existing:
    return Result(existing, False)
  work = os.path.join(folder, _WORK_FOLDER)
  shutil.rmtree(work, ignore_errors=True)
  try:
    os.makedirs(work)
    info, token_counts = _build(settings, vocabulary, paths, described, work)
    _put_in_place(info, token_counts, settings.vocab_file, work, folder)
  except OSError as error:
    raise UserError('{}: expected to write a data set there, found that it failed ({}); free some space or name '
                    'another --output_dir'.format(folder, error.strerror or error))
  finally:
    shutil.rmtree(work, ignore_errors=True)
  return Result(info, True)


def check_settings(settings):
  """Raises UserError for a number that makes no sense."""
  corpus.check_encoding(settings.encoding)
  for name, low, high in (('max_seq_length', 8, 1 << 20), ('max_predictions_per_seq', 1, settings.max_seq_length),
                          ('masked_lm_prob', 0.0, 1.0), ('short_seq_prob', 0.0, 1.0), ('dupe_factor', 1, 1 << 20),
                          ('random_seed', 0, (1 << 63) - 1), ('records_per_shard', 1, 1 << 40)):
    value = getattr(settings, name)
    if not low <= value <= high:
      raise UserError('expected --{0} from {1} to {2}, found {3}; set --{0} within that range'.format(
          name, low, high, value))


def describe(settings, vocabulary, paths):
  """What determines the bytes of the data set, as dataset.json keeps it: dict."""
  described = collections.OrderedDict(settings._asdict())
  del described['vocab_file']
  described.update(recipe=RECIPE, record_format='reference', heldout_fraction=HELDOUT_FRACTION,
                   heldout_dupe_factor=stages.duplicates(settings)[features.HELDOUT],
                   vocab_sha256=vocabulary.sha256, inputs=[_describe_input(path) for path in paths])
  return described


def _describe_input(path):
  try:
    return collections.OrderedDict([('file', os.path.basename(path)), ('bytes', os.path.getsize(path)),
                                    ('sha256', features.file_sha256(path))])
  except OSError as error:
    raise UserError('{}: expected a text file, found one that cannot be opened ({}); check the path and its '
                    'permissions'.format(path, error.strerror))


def _existing(folder, described, vocabulary, force):
  """The finished data set in `folder` if it is the one described; None if there is none or it is to be replaced."""
  if force:
    return None
  if os.path.exists(os.path.join(folder, features.DATASET_FILE)):
    info = features.DatasetInfo.load(folder)
    differences = _differences(info, described)
    if not differences:
      return info
    raise UserError('{}: expected this data set or none, found another one ({}); make it anew with FORCE=1 (make) or '
                    '--force, or name another folder'.format(folder, '; '.join(differences)))
  vocab_file = os.path.join(folder, features.VOCAB_FILE)
  if os.path.exists(vocab_file) and features.file_sha256(vocab_file) != vocabulary.sha256:
    raise UserError('{}: expected the vocabulary of the data set or nothing, found another one; name another folder, '
                    'or overwrite it with FORCE=1 (make) or --force'.format(vocab_file))
  return None


def _differences(info, described):
  """What differs, a phrase each."""
  found = []
  for name, wanted in described.items():
    present = info.settings.get(name)
    if name == 'inputs':
      found.extend(_input_differences(present or [], wanted))
    elif name == 'vocab_sha256' and present != wanted:
      found.append('the vocabulary is another')
    elif present != wanted:
      found.append('{}: there {}, asked {}'.format(name, _short(present), _short(wanted)))
  missing = [os.path.basename(path) for split in (features.TRAIN, features.HELDOUT) for path in info.paths(split)
             if not os.path.exists(path)]
  return found + ['{} is missing'.format(name) for name in missing[:3]]


def _input_differences(present, wanted):
  if [entry['file'] for entry in present] != [entry['file'] for entry in wanted]:
    return ['inputs: there {}, asked {}'.format(*(
        _short(', '.join(entry['file'] for entry in entries)) for entries in (present, wanted)))]
  return ['the contents of {} changed'.format(new['file'])
          for old, new in zip(present, wanted) if old['sha256'] != new['sha256']]


def _short(value):
  text = str(value)
  return text if len(text) <= 40 else text[:37] + '...'


def _build(settings, vocabulary, paths, described, work):
  """Runs the stages: `features.DatasetInfo` of shards in `work`, and the token counts of the training documents."""
  units = corpus.plan_units(paths, settings.encoding)
  with _progress(None, 'reading', unit='B', unit_scale=True, total=_text_bytes(paths)) as bar:
    encoded = [stages.encode_unit(settings, unit, os.path.join(work, 'documents-{:05d}'.format(number)), bar.update)
               for number, unit in enumerate(units)]
  counts = sum((unit.counts for unit in encoded), collections.Counter())
  keys = np.concatenate([unit.keys for unit in encoded])
  threshold, heldout_documents = choose_heldout(keys, HELDOUT_FRACTION, paths)
  buckets = 1 + counts['tokens'] * settings.dupe_factor // _BUCKET_TOKENS
  assembled = [stages.assemble_unit(settings, unit.path, threshold, buckets,
                                    os.path.join(work, 'unit-{:05d}'.format(number)))
               for number, unit in enumerate(_progress(encoded, 'arranging'))]
  shards, written = {}, {}
  for split in (features.TRAIN, features.HELDOUT):
    runs = [run for unit in assembled for run in unit.runs[split]]
    shards[split], written[split] = _write_shards(settings, split, runs, buckets, work)
  statistics = _statistics(counts, heldout_documents, assembled, written)
  statistics['skipped'] = _named_lines(encoded, paths)
  info = features.DatasetInfo(work, settings.max_seq_length, settings.max_predictions_per_seq, len(vocabulary),
                              vocabulary.sha256, shards, described, statistics)
  return info, sum(unit.token_counts for unit in assembled)


def _progress(items, what, unit=' parts', **options):
  # Without a terminal a bar is noise: disable=None leaves it out there.
  return tqdm.tqdm(items, desc=what, unit=unit, disable=None, leave=False, **options)


def _text_bytes(paths):
  """How much text there is, if that is known before it is read: not in .gz files."""
  return None if any(path.endswith('.gz') for path in paths) else sum(map(os.path.getsize, paths))


def choose_heldout(keys, fraction, paths=()):
  """Which documents are held out: those with the lowest hashes, `fraction` of all, at least one and never all.

  Args:
    keys: uint64, of all documents.
    fraction: float.
    paths: names the corpus in errors.

  Returns:
    The largest hash that is held out (int), and how many documents are.

  Raises:
    UserError: fewer than two documents.
  """
  if not len(keys):
    raise UserError('expected text, a sentence per line and a blank line between documents, found no document of two '
                    'or more words in {}; is that the right file?'.format(', '.join(paths)))
  if len(keys) < 2:
    raise UserError('expected at least 2 documents of two or more words, as one of them is held out, found {}; put a '
                    'blank line between documents, or add text'.format(len(keys)))
  count = min(len(keys) - 1, max(1, int(len(keys) * fraction)))
  return int(np.partition(stages.heldout_hashes(keys), count - 1)[count - 1]), count


def _write_shards(settings, split, runs, buckets, work):
  places = stages.cut_shards(runs, buckets, settings.records_per_shard)
  shards, written = [], []
  for number, place in enumerate(_progress(places, 'writing ' + split)):
    name = features.shard_name(split, number, len(places))
    written.append(stages.write_shard(settings, runs, buckets, place, os.path.join(work, name)))
    shards.append(features.Shard(name, written[-1].records, written[-1].sha256, written[-1].bytes))
  return shards, written


def _statistics(counts, heldout_documents, assembled, written):
  found = collections.OrderedDict((name, counts[name]) for name in (
      'documents', 'sentences', 'words', 'tokens', 'unknown_tokens'))
  found['heldout_documents'] = heldout_documents
  for split in (features.TRAIN, features.HELDOUT):
    for name, values in zip(stages.WrittenShard._fields, zip(*written[split])):
      if name != 'sha256':
        found['{}_{}'.format(split, name)] = sum(values)
  for name in ('documents_too_short', 'divided_documents', 'skipped_lines'):
    found[name] = counts[name]
  found['skipped_chunks'] = sum(unit.skipped_chunks for unit in assembled)
  return found


def _named_lines(encoded, paths):
  """Where the first skipped lines are: ['name.txt line 7', ...]."""
  places = [place for unit in encoded for place in unit.skipped_lines][:_MAX_NAMED_LINES]
  return ['{} line {}'.format(os.path.basename(path), corpus.line_number(path, offset)) for path, offset in places]


def _put_in_place(info, token_counts, vocab_file, work, folder):
  """Moves the finished shards from `work` to `folder`; dataset.json goes first when old and comes last when new."""
  with open(os.path.join(work, features.TOKEN_COUNTS_FILE), 'w') as target:
    target.writelines('{}\n'.format(count) for count in token_counts)
  shutil.copyfile(vocab_file, os.path.join(work, features.VOCAB_FILE))
  _remove_old(folder)
  for name in [os.path.basename(path) for split in (features.TRAIN, features.HELDOUT) for path in info.paths(split)]:
    os.replace(os.path.join(work, name), os.path.join(folder, name))
  for name in (features.TOKEN_COUNTS_FILE, features.VOCAB_FILE):
    os.replace(os.path.join(work, name), os.path.join(folder, name))
  info.folder = folder
  info.save()


def _remove_old(folder):
  """Removes dataset.json and the shards that it names."""
  path = os.path.join(folder, features.DATASET_FILE)
  if not os.path.exists(path):
    return
  try:
    old = features.DatasetInfo.load(folder)
    files = old.paths(features.TRAIN) + old.paths(features.HELDOUT)
  except UserError:
    files = []
  os.remove(path)
  for name in files:
    if os.path.exists(name):
      os.remove(name)
