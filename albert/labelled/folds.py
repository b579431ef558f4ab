"""Cross-validation: train divided into folds of the same shares of labels, each of which is dev once."""

import collections
import hashlib

from albert.common.errors import UserError
from albert.common import same_text
from albert.labelled.example import Reading
from albert.labelled.labels import as_classes


def fold_numbers(examples, count):
  """The fold of each Example: list of ints from 0.

  Examples of one text are in one fold: else it would be known when it is asked for. Within the texts of a label, or of
  a set of labels, the folds take turns, in the order of a hash of the text.
  """
  digests, texts = digests_of_texts(examples), {}
  for digest, example in zip(digests, examples):
    texts.setdefault(digest, example)
  order = sorted(texts, key=lambda digest: (_stratum(texts[digest]), digest))
  fold_of = {digest: place % count for place, digest in enumerate(order)}
  return [fold_of[digest] for digest in digests]


def digests_of_texts(examples):
  """A hash for each Example, list of bytes: the same for the same text, see same_text; of `read`, for a context."""
  keys, lowest = [], {}
  for example in examples:
    is_reading = isinstance(example.label, Reading)
    texts = [example.text_b] if is_reading else [example.text_a, example.text_b or '']
    keys.append(tuple(map(same_text.key, texts)))
    digest = hashlib.sha256('\0'.join(texts).encode('utf-8')).digest()
    lowest[keys[-1]] = min(digest, lowest.get(keys[-1], digest))
  return [lowest[key] for key in keys]


def _stratum(example):
  """str: the label of a class, the types of entities; nothing of numbers and answers, which have none."""
  label = example.label
  if isinstance(label, (float, Reading)) or label is None:
    return ''
  return '|'.join(sorted({getattr(entry, 'type', entry) for entry in as_classes(label)}))


def divide(splits, number, count):
  """Splits of which one fold of train is dev; the file of dev is not used.

  Args:
    splits: sources.Splits.
    number: of the fold, from 0.
    count: how many folds there are.

  Raises:
    UserError: train has fewer texts than folds.
  """
  folds = fold_numbers(splits.train, count)
  if len(set(folds)) < count:
    raise UserError('FOLDS={}: expected at least as many texts in train, found {}; make fewer folds'.format(
        count, len(set(folds))))
  parts = {is_dev: [example for example, fold in zip(splits.train, folds) if (fold == number) == is_dev]
           for is_dev in (True, False)}
  train, dev = [[example._replace(number=place) for place, example in enumerate(parts[is_dev])]
                for is_dev in (False, True)]
  note = 'dev: fold {} of {} of train, {:,} of {:,} examples'.format(number + 1, count, len(dev), len(splits.train))
  counts = collections.OrderedDict(splits.counts, train_examples=len(train), dev_examples=len(dev))
  key = hashlib.sha256('{} {} {}'.format(splits.sha256, number, count).encode('utf-8')).hexdigest()
  return splits._replace(train=train, dev=dev, notes=splits.notes + [note], counts=counts, sha256=key,
                         files=dict(splits.files, dev=splits.files['train']))
