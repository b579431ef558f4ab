"""Labels in their order, which is part of a model."""

import collections
import json

from albert.common.errors import UserError
from albert.common import files
from albert.common import json_text
from albert.labelled.layout import label_values
from albert.labelled.layout import lines
from albert.labelled.options import CLASSIFY
from albert.labelled.options import KINDS
from albert.labelled.options import TAG
from albert.labelled import tag_schemes


class Labels:
  """The labels of a kind of task.

  Attributes:
    kind: one of options.KINDS.
    names: list of C str; of `tag` the tags with their scheme, 'O' first; empty for `regress` and `read`.
    counts: OrderedDict {name: how many examples of train have it}; of `tag`: {type of entity: number of entities}.
    multi_label: whether an example has any number of the classes.
    scheme: of `tag`, one of tag_schemes.SCHEMES, else None.
    types: of `tag`, the types of entities: list of str; else empty.
    numbers: dict, {name: its number, a str} where train has both, as TNEWS has label_desc and label; else empty.
  """

  def __init__(self, kind, names=(), counts=None, multi_label=False, scheme=None, numbers=None):
    self.kind = kind
    self.names = list(names)
    self.counts = collections.OrderedDict(counts or {})
    self.multi_label = multi_label
    self.numbers = dict(numbers or {})
    self.scheme = (scheme or tag_schemes.scheme_of_names(self.names)) if kind == TAG else None
    self._ids = {name: number for number, name in enumerate(self.names)}
    self._forbidden, self._tags = None, {}
    if kind == TAG:
      self._tags = {tag_schemes.parse(name): number for number, name in enumerate(self.names)}
    self.types = sorted({parsed[1] for parsed in self._tags if parsed and parsed[0] != tag_schemes.OUTSIDE})

  @property
  def forbidden(self):
    """The transitions that the scheme forbids, see tag_schemes.forbidden."""
    if self._forbidden is None:
      self._forbidden = tag_schemes.forbidden(self.names, self.scheme)
    return self._forbidden

  def __len__(self):
    return len(self.names)

  def __eq__(self, other):
    return isinstance(other, Labels) and self._order() == other._order()

  def _order(self):
    return self.kind, self.names, self.multi_label, self.scheme

  @classmethod
  def of(cls, examples, kind, options, scheme=None):
    """The labels of a list of `Example` (train), or those of options.labels_file with the counts of train.

    Args:
      examples: list of Example; of `tag` their labels are entities.
      kind, options: see sources.open_splits.
      scheme: of `tag`, that of the file; None: BIO.

    Raises:
      UserError: no labels in train, or only one class, or a labels_file that is none.
    """
    labels = [example.label for example in examples if example.label is not None]
    if kind not in (CLASSIFY, TAG):
      return cls(kind)
    multi_label = kind == CLASSIFY and bool(options.multi_label or any(isinstance(label, tuple) for label in labels))
    given = _names_of(options.labels_file) if options.labels_file else None
    if kind == TAG:
      counts = collections.Counter(entity.type for label in labels for entity in label)
      scheme = tag_schemes.training_scheme(scheme or 'BIO')
      names = given or tag_schemes.tags_of(scheme, counts)
      if not counts:
        raise UserError('{}: expected entities, found tags that are all O; check the labels'.format(
            files.shown(examples[0].file) if examples else 'train'))
      return cls(kind, names, sorted(counts.items()), scheme=None if given else scheme)
    counts = collections.Counter(name for label in labels for name in as_classes(label))
    names = given or label_values.in_order(counts)
    if not multi_label and len(names) < 2:
      where = ' in ' + files.shown(examples[0].file) if examples else ''
      raise UserError('expected two classes or more{}, found {}; check which column is the label '
                      '(FinetuneData.label)'.format(where, ' and '.join(names) or 'none'))
    return cls(kind, names, [(name, counts[name]) for name in names], multi_label)

  @classmethod
  def load(cls, path):
    """Reads labels.json. Raises UserError."""
    values = _read_json(path)
    names = _names_in(values, path)
    about = values if isinstance(values, dict) and 'labels' in values else {}
    kind = about.get('kind')
    scheme = about.get('scheme')
    if kind not in KINDS:
      kind = TAG if names and all(map(tag_schemes.parse, names)) and tag_schemes.OUTSIDE in names else CLASSIFY
    counts = about.get('counts') if isinstance(about.get('counts'), dict) else {}
    order = [name for name in names if name in counts] if kind == CLASSIFY else sorted(counts)
    numbers = about.get('numbers')
    return cls(kind, names, [(name, counts[name]) for name in order], about.get('multi_label') is True,
               scheme if scheme in tag_schemes.SCHEMES else None, numbers if isinstance(numbers, dict) else None)

  def save(self, path):
    """Writes labels.json, atomically."""
    values = {'kind': self.kind, 'labels': self.names, 'counts': self.counts, 'multi_label': self.multi_label,
              'scheme': self.scheme}
    files.write_atomically(path, json_text.dumps(dict(values, numbers=self.numbers) if self.numbers else values))

  def knows(self, name):
    """Whether there is a class of this name, of `tag` a type of entity."""
    return name in self.types if self.kind == TAG else name in self._ids

  def id(self, name, example=None):
    """The number of a label; raises UserError, which names the file and line of the example, if there is none."""
    if name not in self._ids:
      raise self.unknown(name, example)
    return self._ids[name]

  def tag_ids(self, kind, count, example=None):
    """The numbers of the tags of an entity of `count` tokens: list of int. Raises UserError."""
    letters = tag_schemes.letters_of(self.scheme, count)
    try:
      return [self._tags[letter, kind] for letter in letters]
    except KeyError:
      raise self.unknown(kind, example)

  @property
  def outside(self):
    """The number of the tag O."""
    return self._tags.get((tag_schemes.OUTSIDE, ''), 0)

  def unknown(self, name, example=None):
    """The UserError for a label that is none of these."""
    where = '{}:{}: '.format(files.shown(example.file), example.line) if example else ''
    known = self.types if self.kind == TAG else self.names
    return UserError("{}expected one of the labels of train ({}{}), found {}; correct it, or leave such out with "
                     "FinetuneData.unknown_labels='skip'".format(
                         where, ', '.join(known[:8]), ', ...' if len(known) > 8 else '', name))


def as_classes(label):
  """A label of `classify` as a tuple of str."""
  return label if isinstance(label, tuple) else (label,)


def _names_of(path):
  """The labels of a file that the user names, one per line or as labels.json."""
  written = [text for _, text in lines.read_lines(path)]
  if ''.join(written).lstrip()[:1] in ('[', '{'):
    return _names_in(_read_json(path), path)
  return _checked([text.strip() for text in written if text.strip()], path)


def _read_json(path):
  try:
    return json.loads(files.read_small(path).decode('utf-8-sig'), object_pairs_hook=collections.OrderedDict)
  except (OSError, ValueError, RecursionError) as error:
    raise UserError('{}: expected labels as JSON, found a file that cannot be read ({}); restore it'.format(
        files.shown(path), error))


def _names_in(values, path):
  names = values['labels'] if isinstance(values, dict) and 'labels' in values else values
  if not isinstance(names, (list, dict)) or not all(isinstance(name, (str, int)) for name in names):
    raise UserError('{}: expected a list of labels, found {!r:.60}; correct it'.format(files.shown(path), names))
  return _checked([str(name) for name in names], path)


def _checked(names, path):
  if not all(map(lines.is_text, names)):
    raise UserError('{}: expected labels in UTF-8, found bytes or a \\u escape that are no character; correct '
                    'it'.format(files.shown(path)))
  if len(set(names)) != len(names):
    twice = next(name for name, count in collections.Counter(names).items() if count > 1)
    raise UserError('{}: expected each label once, found {} twice; correct it'.format(files.shown(path), twice))
  return names
