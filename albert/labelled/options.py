"""Options of labelled text and of how it is prepared; the root of fine-tuning binds them as FinetuneData."""

import dataclasses
import typing

from albert.common import checks
from albert.dataset import record_format

CLASSIFY, REGRESS, TAG, READ = KINDS = record_format.KINDS
HEAD, HEAD_TAIL, WINDOWS = LONG_TEXT = ('head', 'head_tail', 'windows')
ERROR, SKIP = UNKNOWN_LABELS = ('error', 'skip')

_NAME = 'FinetuneData.'
_TEXTS = ('train', 'dev', 'test', 'text_a', 'text_b', 'label', 'id', 'label_separator', 'labels_file')


@dataclasses.dataclass(frozen=True)
class LabelledOptions:
  """Options of labelled text. Nothing has to be said about a file of a layout that is known.

  Attributes:
    train, dev, test: paths of the splits, from the data folder or from the working directory; None: the files of these
      names in the folder.
    text_a, text_b, label, id: names of the columns or JSON fields, in a table without a header their numbers from 1;
      None: recognised. `text_a` alone means that there is no second text.
    multi_label: whether an example has any number of classes; None: if the labels of train are lists.
    label_separator: what divides the classes of a string; None: `|`, or `,` where there is none.
    labels_file: labels in their order, one per line or as labels.json; None: those of train, sorted.
    unknown_labels: what happens to a label that train has not: 'error', or 'skip', which leaves it out and counts it.
    max_seq_length: tokens of a window at most, [CLS] and [SEP] included (S).
    doc_stride: tokens that two windows of a text share, of `tag` and `read`; None: a quarter of S.
    long_text: what is taken of a longer text of `classify` and `regress`: 'head', 'head_tail' or 'windows'.
    max_question_length: tokens of a question at most, of `read`.
    max_answer_length: tokens of an answer at most, of `read`.
    do_lower_case: whether the vocabulary is one of lower case, without accents; None: as is said beside the weights,
      else by its tokens.

  Raises:
    UserError: a value of another type or out of range.
  """

  train: typing.Optional[str] = None
  dev: typing.Optional[str] = None
  test: typing.Optional[str] = None
  text_a: typing.Optional[str] = None
  text_b: typing.Optional[str] = None
  label: typing.Optional[str] = None
  id: typing.Optional[str] = None
  multi_label: typing.Optional[bool] = None
  label_separator: typing.Optional[str] = None
  labels_file: typing.Optional[str] = None
  unknown_labels: str = ERROR
  max_seq_length: int = 128
  doc_stride: typing.Optional[int] = None
  long_text: str = HEAD
  max_question_length: int = 64
  max_answer_length: int = 50
  do_lower_case: typing.Optional[bool] = None

  def __post_init__(self):
    for name in _TEXTS:
      value = getattr(self, name)
      checks.fits(_NAME + name, value, value is None or isinstance(value, str) and bool(value), 'a name')
    if self.multi_label is not None:
      checks.flag(_NAME + 'multi_label', self.multi_label)
    if self.do_lower_case is not None:
      checks.flag(_NAME + 'do_lower_case', self.do_lower_case)
    checks.one_of(_NAME + 'unknown_labels', self.unknown_labels, UNKNOWN_LABELS)
    checks.one_of(_NAME + 'long_text', self.long_text, LONG_TEXT)
    # [CLS], [SEP], [SEP] and at least a token of each text.
    checks.whole_number(_NAME + 'max_seq_length', self.max_seq_length, least=8)
    checks.whole_number(_NAME + 'max_question_length', self.max_question_length)
    checks.whole_number(_NAME + 'max_answer_length', self.max_answer_length)
    if self.doc_stride is not None:
      checks.whole_number(_NAME + 'doc_stride', self.doc_stride, least=0, most=self.max_seq_length - 3)

  @property
  def overlap(self):
    """Tokens that two windows of a text share."""
    return self.max_seq_length // 4 if self.doc_stride is None else self.doc_stride


def check_kind(kind):
  """Raises UserError unless `kind` is one of KINDS."""
  checks.one_of('kind of task', kind, KINDS)
