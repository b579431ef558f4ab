"""The splits of a folder of labelled text."""

import collections
import itertools

from albert.common.errors import UserError
from albert.common import files
from albert.common.in_words import counted
from albert.common import same_text
from albert.labelled.example import BadLine
from albert.labelled.example import EMPTY_LINE
from albert.labelled.example import Tags
from albert.labelled import folds
from albert.labelled.labels import as_classes
from albert.labelled.labels import Labels
from albert.labelled.layout import forms
from albert.labelled.layout import layouts
from albert.labelled.layout import questions
from albert.labelled.layout import tagged
from albert.labelled.options import check_kind
from albert.labelled.options import CLASSIFY
from albert.labelled.options import READ
from albert.labelled.options import SKIP
from albert.labelled.options import TAG
from albert.labelled import split_files
from albert.labelled import tag_schemes

Splits = collections.namedtuple('Splits', ['train', 'dev', 'test', 'labels', 'notes', 'counts', 'sha256', 'files'])
Splits.__doc__ = """The text to learn from.

train, dev: lists of Example with labels that `labels` has; those without are left out, and counted.
test: the same with a label of None where there is none, or None without a test file.
labels: labels.Labels of train.
notes: list of str, lines for the log: layouts, counts, what was left out, texts that are in two splits.
counts: OrderedDict of numbers for results.json.
sha256: hex, of the contents of the files and their roles.
files: {split: path}; dev is train's path if it was taken from train.
"""

# Without a dev file, one text of train in this many.
_DEV_ONE_IN = 10


def open_splits(folder, kind, options):
  """Reads the splits of a folder as `Splits`.

  Raises:
    UserError: no train, a file that cannot be read as this kind, a label that train has not.
  """
  check_kind(kind)
  paths = split_files.find(folder, options)
  return _Reader(kind, options).read(paths)


def read_labelled(path, kind, options, labels=None, labelled=True):
  """Yields the `Example`s and `BadLine`s of a file, in order, without holding it. For prediction and evaluation.

  Args:
    path: str.
    kind: one of options.KINDS.
    options: LabelledOptions.
    labels: labels.Labels of the model, by which a table without a header is understood; of `tag`, its entities are
      those of the file's own scheme, which is recognised in its first lines.
    labelled: whether labels are read; if not they are None. A label that `labels` has not is a BadLine.

  Raises:
    UserError: the file as a whole cannot be read.
  """
  layout = layouts.recognise(path, kind, options, labels.names if labels and kind == CLASSIFY else ())
  if not labelled:
    yield from layouts.read_examples(layout, options, labelled=False)
    return
  sample = itertools.islice(layouts.read_examples(layout, options), forms.SAMPLE) if kind == TAG else ()
  scheme, _ = tag_schemes.recognise([entry.label.tags for entry in sample if _has_tags(entry)])
  for entry in layouts.read_examples(layout, options):
    if isinstance(entry, BadLine):
      yield entry
      continue
    try:
      example = with_entities(entry, scheme)
    except tag_schemes.TagError as error:
      yield BadLine(entry.label.lines[error.place], entry.id, str(error))
      continue
    unknown = [] if labels is None else unknown_labels(example, labels)
    if unknown and options.unknown_labels != SKIP:
      yield BadLine(entry.line, entry.id, 'expected a label of the model, found {}'.format(unknown[0]))
    else:
      yield without_labels(example, unknown)


def _is_empty(layout, options):
  return all(isinstance(entry, BadLine) and entry.error == EMPTY_LINE
             for entry in layouts.read_examples(layout, options))


def _has_tags(entry):
  return not isinstance(entry, BadLine) and isinstance(entry.label, Tags)


def with_entities(example, scheme):
  """An `Example` of `tag` with entities that do not overlap instead of `Tags`; others as they are. Raises TagError."""
  label = example.label
  if isinstance(label, Tags):
    tag_schemes.check(label.tags, scheme)
    label = tag_schemes.entities_of(label.tags, label.starts, label.ends, example.text_a)
  elif not (isinstance(label, tuple) and label and hasattr(label[0], 'start')):
    return example
  return example._replace(label=tag_schemes.without_overlaps(label))


def unknown_labels(example, labels):
  """Those labels of an example that `labels` has not: list of str."""
  if example.label is None or not labels.names:
    return []
  names = [entity.type for entity in example.label] if labels.kind == TAG else as_classes(example.label)
  return [name for name in names if not labels.knows(name)]


class _Reader:
  """Reads splits, and notes and counts what there is to say about them."""

  def __init__(self, kind, options):
    self._kind, self._options = kind, options
    self._notes, self._counts = [], collections.OrderedDict()
    self._train_layout, self._train_classes = None, set()

  def read(self, paths):
    """The `Splits` of {split: path}."""
    splits = collections.OrderedDict((split, self._read_file(split, path)) for split, path in paths.items())
    scheme = self._recognise_scheme(splits.values()) if self._kind == TAG else None
    for split in splits:
      splits[split] = self._with_labels(split, [self._with_entities(split, example, scheme)
                                                for example in splits[split]])
    labels = Labels.of(splits['train'], self._kind, self._options, scheme)
    labels.numbers = layouts.numbers_of_labels(self._train_layout)
    for split in splits:
      splits[split] = self._known(split, splits[split], labels)
    files_of = dict(paths)
    if 'dev' not in splits:
      splits['train'], splits['dev'] = self._divide(splits['train'], paths['train'])
      files_of['dev'] = paths['train']
    for split in ('train', 'dev', 'test'):
      if split in splits:
        splits[split] = [example._replace(number=number) for number, example in enumerate(splits[split])]
        self._count_examples(split, splits[split])
    self._count_shared(splits)
    return Splits(splits['train'], splits['dev'], splits.get('test'), labels, self._notes, self._counts,
                  split_files.digest(paths), files_of)

  def _read_file(self, split, path):
    layout = layouts.recognise(path, self._kind, self._options, self._train_classes)
    if split == 'train':
      self._train_layout = layout
    elif not layout.has_header and (layout.form, layout.names) == (self._train_layout.form, self._train_layout.names):
      layout = layout._replace(columns=self._train_layout.columns)
    if split != 'test' and layout.columns and layout.columns.label is None and not _is_empty(layout, self._options):
      raise self._without_label_column(layout)
    examples = []
    for entry in layouts.read_examples(layout, self._options):
      if not isinstance(entry, BadLine):
        examples.append(entry)
      elif entry.error != EMPTY_LINE:
        raise UserError('{}:{}: {}; correct the line, or leave it out'.format(
            files.shown(path), entry.line, entry.error))
    if not examples and split != 'test':
      raise UserError('{}: expected examples, found {}; name another file with FinetuneData.{}'.format(
          files.shown(path), 'none below the header' if layout.has_header else 'an empty file', split))
    self._notes.append('{}: {}, {}'.format(files.shown(path), layouts.describe(layout),
                                             counted(len(examples), 'example')))
    unread = layouts.unread_texts(layout) if split == 'train' and not self._options.text_a else ()
    if unread:
      self._notes.append('train: `{}` not read; if it is a second text, say FinetuneData.text_a={!r} and FinetuneData.'
                         'text_b={!r}'.format('`, `'.join(unread), layout.columns.text_a, unread[0]))
    if split == 'train' and self._kind == CLASSIFY:
      self._train_classes = {name for example in examples if example.label for name in as_classes(example.label)}
    return examples

  def _without_label_column(self, layout):
    """The UserError for a file of train or dev that has no label."""
    if self._kind == TAG and not layout.has_header and layout.form in forms.TABLES:
      line, text = tagged.first_without_tag(layout.path)
      return UserError("{}:{}: expected a character, a blank or tab and its tag, such as O or B-LOC, found '{:.40}'; "
                       'correct the tags'.format(files.shown(layout.path), line, text))
    return UserError('{}: expected a label{}, found the columns {}; name the column with FinetuneData.label'.format(
        files.shown(layout.path), ' "{}"'.format(self._options.label) if self._options.label else '',
        ', '.join(map(str, layout.names))))

  def _recognise_scheme(self, splits):
    examples = [example for examples in splits for example in examples if _has_tags(example)]
    scheme, fault = tag_schemes.recognise([example.label.tags for example in examples])
    if fault:
      number, error = fault
      raise _tag_error(examples[number], error)
    if examples:
      self._notes.append('tags: {}{}'.format(
          scheme, '' if scheme == tag_schemes.training_scheme(scheme) else ', learned as BIO'))
    return scheme

  def _with_entities(self, split, example, scheme):
    if self._kind != TAG:
      return example
    try:
      flat = with_entities(example, scheme)
    except tag_schemes.TagError as error:
      raise _tag_error(example, error)
    if not _has_tags(example) and example.label:
      self._add(split, 'overlapping_entities', len(example.label) - len(flat.label))
    return flat

  def _with_labels(self, split, examples):
    """Those with a label; all of test."""
    labelled = [example for example in examples if example.label is not None]
    without = len(examples) - len(labelled)
    self._add(split, 'without_label', without)
    if split == 'test':
      return examples
    if not labelled:
      raise UserError('{}: expected examples with labels, found {:,} without; check which column is the label '
                      '(FinetuneData.label)'.format(files.shown(examples[0].file), len(examples)))
    if without:
      self._notes.append('{}: {} without a label, left out'.format(split, counted(without, 'example')))
    return labelled

  def _known(self, split, examples, labels):
    """The examples whose labels `labels` has; of others an error, or what is left of them."""
    kept = []
    for example in examples:
      if self._kind == CLASSIFY and not labels.multi_label and isinstance(example.label, tuple):
        raise UserError('{}:{}: expected one class, as in train, found {}; say FinetuneData.multi_label=True if there '
                        'may be several'.format(files.shown(example.file), example.line, list(example.label)))
      unknown = unknown_labels(example, labels)
      if unknown and self._options.unknown_labels != SKIP:
        raise labels.unknown(unknown[0], example)
      self._add(split, 'unknown_labels', len(unknown))
      example = without_labels(example, unknown)
      if example.label is not None or split == 'test':
        kept.append(example)
    if self._counts.get(split + '_unknown_labels'):
      self._notes.append('{}: {} that train has not, left out'.format(
          split, counted(self._counts[split + '_unknown_labels'], 'label')))
    return kept

  def _divide(self, examples, path):
    """(train, dev): a tenth of the texts, by their hash, so that the same text is in one of them only."""
    digests = [int.from_bytes(digest[:8], 'big') for digest in folds.digests_of_texts(examples)]
    chosen = {digest for digest in digests if digest % _DEV_ONE_IN == 0} or {min(digests)}
    chosen -= {max(digests)}
    train = [example for example, digest in zip(examples, digests) if digest not in chosen]
    dev = [example for example, digest in zip(examples, digests) if digest in chosen]
    if not dev:
      raise UserError('{}: expected two different texts or more, one of them for dev, found {}; add examples'.format(
          files.shown(path), len(set(digests))))
    self._notes.append('dev: no file, {:,} of the {:,} examples of train, by the hash of their text'.format(
        len(dev), len(examples)))
    return train, dev

  def _count_examples(self, split, examples):
    self._counts[split + '_examples'] = len(examples)
    if self._kind == READ:
      readings = [(example, example.label) for example in examples if example.label]
      self._add(split, 'unanswerable', sum(reading.impossible for _, reading in readings))
      self._add(split, 'answers_moved', sum(reading.moved for _, reading in readings))
      lost = sum(reading.span is None and not reading.impossible for _, reading in readings)
      self._add(split, 'answers_not_found', lost)
      self._add(split, 'answers_not_as_written', sum(
          any(text not in example.text_b for text in reading.answers) for example, reading in readings))
      self._add(split, 'answers_several_times', sum(
          any(questions.occurrences(example.text_b, text) > 1 for text in reading.answers)
          for example, reading in readings))
      if lost:
        self._notes.append('{}: {:,} answers are not in their text{}'.format(
            split, lost, ', these questions are left out of training' if split == 'train' else ''))

  def _count_shared(self, splits):
    seen = set(map(_both_texts, splits['train']))
    for split in ('dev', 'test'):
      shared = sum(_both_texts(example) in seen for example in splits.get(split, ()))
      self._add(split, 'also_in_train', shared)
      if shared:
        self._notes.append('{}: {:,} of {:,} texts are in train too: its figures will be too good'.format(
            split, shared, len(splits[split])))

  def _add(self, split, what, number):
    if number:
      key = '{}_{}'.format(split, what)
      self._counts[key] = self._counts.get(key, 0) + number


def without_labels(example, names):
  """An `Example` without those of its labels; with a label of None if no class is left."""
  if not names:
    return example
  if example.label and isinstance(example.label, tuple):
    label = tuple(entry for entry in example.label if getattr(entry, 'type', entry) not in names)
    return example._replace(label=label)
  return example._replace(label=None)


def _tag_error(example, error):
  return UserError('{}:{}: {}; correct the tags'.format(
      files.shown(example.file), example.label.lines[error.place], error))


def _both_texts(example):
  """The key of an example's texts, equal where both of them are the same."""
  return same_text.key(example.text_a), same_text.key(example.text_b or '')
