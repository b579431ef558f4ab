"""Options that gin binds as finetune.*: those of every run, and those of learning from labels."""

import dataclasses
import typing

from albert.common import checks
from albert.common.errors import UserError
from albert.labelled import options as labelled
from albert.training.run_options import RunOptions


@dataclasses.dataclass(frozen=True)
class FinetuneOptions(RunOptions):
  """The options of a fine-tuning run, besides those of RunOptions, some of which follow from these.

  Attributes:
    kind: 'classify', 'regress', 'tag' or 'read'.
    epochs: how often the training examples are used, from which num_train_steps follows; None: num_train_steps says it.
    eval_every_steps: steps between checkpoints, each of which is evaluated; None: one an epoch.
    early_stopping_evals: evaluations without a better one that end the run; None: all steps are made.
    warmup_proportion: share of the steps that the rate rises; None: OptimizerOptions.num_warmup_steps says it.
    metric: the dev figure that picks the best checkpoint; None: the first of the kind.
    dropout: of the encoder, instead of what its configuration says; None: as there.
    head_dropout: of what the head reads.
    class_weights: of `classify`: 'balanced', a list of a number per class in the order of the labels, or None.
    threshold: of `classify` with several classes: the probability above which one is predicted; 'dev': at each
      evaluation the one of 0.05, 0.10 ... 0.95 that gives dev the best micro-F1.
    label_smoothing: of `classify`: share of the probability that is spread over all classes.
    fgm_epsilon: length of an adversarial step on the word embeddings (Miyato et al. 2017), for which each step takes
      twice its time; 0: none.
    crf: of `tag`: whether transitions between tags are trained.
    new_pooler: whether weights to start from will do that have no pooler, which then begins at random.
  """

  root = 'finetune'
  save_option = 'eval_every_steps'

  kind: typing.Optional[str] = None
  epochs: typing.Optional[float] = 3.0
  eval_every_steps: typing.Optional[int] = None
  early_stopping_evals: typing.Optional[int] = None
  warmup_proportion: typing.Optional[float] = 0.1
  metric: typing.Optional[str] = None
  dropout: typing.Optional[float] = None
  head_dropout: float = 0.1
  class_weights: typing.Union[None, str, typing.Sequence[float]] = None
  threshold: typing.Union[float, str] = 0.5
  label_smoothing: float = 0.0
  fgm_epsilon: float = 0.0
  crf: bool = False
  new_pooler: bool = False

  def __post_init__(self):
    super().__post_init__()
    checks.one_of('finetune.kind', self.kind, labelled.KINDS)
    if self.epochs is not None:
      checks.positive_number('finetune.epochs', self.epochs)
    for name in ('eval_every_steps', 'early_stopping_evals'):
      if getattr(self, name) is not None:
        checks.whole_number('finetune.' + name, getattr(self, name))
    for name in ('warmup_proportion', 'dropout', 'head_dropout', 'label_smoothing'):
      if getattr(self, name) is not None:
        checks.number('finetune.' + name, getattr(self, name), below=1)
    checks.number('finetune.fgm_epsilon', self.fgm_epsilon)
    if self.threshold != 'dev':
      checks.number('finetune.threshold', self.threshold, below=1)
    for name in ('crf', 'new_pooler'):
      checks.flag('finetune.' + name, getattr(self, name))
    self._check_kind()

  def _check_kind(self):
    """Raises UserError for an option of another kind; class_weights become a tuple."""
    for name, kind in (('crf', labelled.TAG), ('class_weights', labelled.CLASSIFY), ('label_smoothing',
                                                                                     labelled.CLASSIFY)):
      if getattr(self, name) and self.kind != kind:
        raise UserError('finetune.{}: expected nothing for the kind {}, found {!r}; it belongs to {}'.format(
            name, self.kind, getattr(self, name), kind))
    weights = self.class_weights
    if weights is None or weights == 'balanced':
      return
    checks.fits('finetune.class_weights', weights, isinstance(weights, (list, tuple)) and bool(weights),
                "'balanced' or a list of numbers")
    for weight in weights:
      checks.positive_number('finetune.class_weights', weight)
    object.__setattr__(self, 'class_weights', tuple(weights))

  @property
  def new_parts(self):
    return ('head', 'pooler') if self.new_pooler else ('head',)

  def with_steps(self, examples):
    """The options for a number of training examples: num_train_steps and save_checkpoints_steps follow from them."""
    epoch = -(-examples // self.train_batch_size)
    steps = self.num_train_steps if self.epochs is None else max(1, int(round(self.epochs * epoch)))
    return dataclasses.replace(self, epochs=None, num_train_steps=steps,
                               save_checkpoints_steps=self.eval_every_steps or min(epoch, steps))

  def shorter_warm_up(self):
    return super().shorter_warm_up() if self.warmup_proportion is None else 'finetune.warmup_proportion=0.1'

  def adapt(self, optimizer):
    if self.warmup_proportion is None:
      return optimizer
    return dataclasses.replace(optimizer, num_warmup_steps=int(round(self.warmup_proportion * self.num_train_steps)))
