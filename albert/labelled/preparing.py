"""A folder of labelled text to the records that fine-tuning reads. Needs no TensorFlow."""

import collections
import contextlib
import dataclasses
import os

from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import protobuf
from albert.dataset import tfrecord
from albert.dataset.tokenization import guessed_lower_case
from albert.dataset.tokenization import Tokenizer
from albert.dataset.tokenization import Vocabulary
from albert.labelled import options as labelled
from albert.labelled.encoding import Encoder
from albert.labelled import records

RECORDS_FOLDER = 'records'
# Where text is found; which text it is, its checksum says.
_PLACES = ('train', 'dev', 'test', 'labels_file')

# info: contract.DatasetInfo of the records. dev_windows: list of Window. counts: OrderedDict of ints, for results.json.
# is_new: whether records were written.
Prepared = collections.namedtuple('Prepared', ['info', 'dev_windows', 'counts', 'is_new'])


def prepare(splits, kind, options, vocab_file, output_dir, is_begun, check_ids=None, writing=contextlib.nullcontext):
  """Makes records of text, unless those of the same text, vocabulary and options are there.

  Args:
    splits: sources.Splits.
    kind: one of options.KINDS.
    options: LabelledOptions.
    vocab_file: path.
    output_dir: folder of the run, which gets the folder `records`.
    is_begun: whether a run has begun there, which must go on with what it began.
    check_ids: callable(set of the token ids of train) that raises where they may not be used, before anything is
      written; or None.
    writing: callable() that gives a context in which records are written.

  Returns:
    Prepared.

  Raises:
    UserError: as check_ids raises it; a run has begun with other text, vocabulary or options; or nothing can be
      learned from.
  """
  vocabulary = Vocabulary.load(vocab_file)
  if options.do_lower_case is None:
    options = dataclasses.replace(options, do_lower_case=guessed_lower_case(vocabulary.tokens))
  tokenizer = Tokenizer(vocabulary, options.do_lower_case)
  recipe = _recipe(splits, kind, options, vocab_file, len(vocabulary))
  folder = os.path.join(output_dir, RECORDS_FOLDER)
  info = records.existing(folder, recipe)
  encoder, dev_encoder = [Encoder(kind, tokenizer, options, splits.labels) for _ in range(2)]
  dev = [window for example in splits.dev for window in dev_encoder.windows(example)]
  is_new = info is None
  if is_new and is_begun:
    raise UserError('{}: expected the text, labels, vocabulary and FinetuneData options that the run began with, '
                    'found others; restore them, or use another output folder (OUT=...)'.format(output_dir))
  if is_new:
    train, dropped = _training_windows(splits, encoder)
  if check_ids:
    check_ids({token for window in train for token in window.input_ids} if is_new else _used_ids(info))
  if is_new:
    with writing():
      info = records.write(folder, recipe, train, dev, {
          'train_examples': encoder.texts - dropped, 'train_windows': len(train), 'train_cut': encoder.cut,
          'train_unusable': dropped, 'dev_examples': dev_encoder.texts, 'dev_windows': len(dev),
          'dev_cut': dev_encoder.cut})
  return Prepared(info, dev, collections.OrderedDict(sorted(info.statistics.items())), is_new)


def _recipe(splits, kind, options, vocab_file, vocab_size):
  chosen = {name: value for name, value in dataclasses.asdict(options).items() if name not in _PLACES}
  labels = splits.labels
  names = list(labels.names) if labels else []
  classes = {labelled.REGRESS: 1, labelled.READ: 2}.get(kind, len(names))
  return records.Recipe(kind, classes, bool(labels and labels.multi_label), options.max_seq_length, vocab_file,
                        vocab_size, {'text': splits.sha256, 'options': chosen, 'labels': names})


def _training_windows(splits, encoder):
  """(windows of train that can be learned from, how many examples have none). Raises UserError if all have none."""
  train, dropped = [], 0
  for example in splits.train:
    windows = encoder.windows(example, training=True)
    # Without a target where the answer is nowhere in the text, or longer than a window.
    kept = [window for window in windows if window.target is not None]
    dropped += not kept
    train += kept
  if not train:
    raise UserError('{}: expected training examples that can be learned from, found none of {:,}; look at the '
                    'text'.format(splits.files['train'], len(splits.train)))
  return train, dropped


def _used_ids(info):
  """The token ids in the training records, a set. info: contract.DatasetInfo."""
  used = set()
  for path in info.paths(contract.TRAIN):
    for record in tfrecord.read_records(path):
      used.update(protobuf.parse(record)['input_ids'].tolist())
  return used


def training_examples(info):
  """How many examples an epoch of labelled records has. info: contract.DatasetInfo."""
  return sum(int(info.lengths(number)[:, 1].sum()) for number in range(len(info.shards[contract.TRAIN])))
