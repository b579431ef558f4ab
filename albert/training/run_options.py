"""Options that gin binds of a run, whatever its task: batch sizes, steps, checkpoints, evaluation, seed."""

import dataclasses
import typing

from albert.common import checks
from albert.common.errors import UserError
from albert.run import remapping
from albert.training import phases
from albert.training.telling.progress import WARMUP_STEPS

_POSITIVE = ('train_batch_size', 'eval_batch_size', 'num_train_steps', 'save_checkpoints_steps', 'keep_checkpoint_max',
             'log_every_steps', 'max_bad_steps')
_POSITIVE_OR_NONE = ('keep_every_steps', 'max_eval_steps')
_FLAGS = ('recompute', 'performance', 'init_optimizer_slots', 'init_partial')


@dataclasses.dataclass(frozen=True)
class RunOptions:
  """The options of a run. A root binds a subclass of its own, see albert/pretraining.py.

  Attributes:
    root: the name that gin binds them under, the same for all of a class; part of every error.
    save_option: the option that says how often a checkpoint is saved, the same for all of a class.
    train_batch_size: examples per step, of all ranks together; with InputOptions.packing, rows of several examples.
    eval_batch_size: examples per evaluation step, never packed.
    num_train_steps: updates in all.
    save_checkpoints_steps: steps between checkpoints, each of which is evaluated; there is one at the end as well.
    keep_checkpoint_max: number of the newest checkpoints that stay.
    keep_every_steps: checkpoints of multiples of this step stay as well; None: only the newest.
    max_eval_steps: batches of an evaluation; None evaluates every held-out record.
    log_every_steps: steps between two lines of the log, at which losses are kept.
    random_seed: of the initial weights, dropout and the order of the data.
    init_optimizer_slots: whether the optimizer moments of the weights to start from are loaded too.
    vocab_init: 'mean': tokens that are not in the vocabulary of the weights to start from begin as the mean of their
      characters or pieces; None: such tokens are refused.
    position_init: 'repeat': positions that the weights to start from do not have begin as those that they have, from
      the first on; None: a longer table is refused.
    init_partial: whether weights to start from will do that lack a part of the encoder, which is then initialised at
      random, or that were made with another configuration of the same shapes.
    performance: a short run that measures throughput; it starts afresh each time.
    max_bad_steps: skipped updates in a row that end the run, not counting those in which a loss scale falls from its
      start to 1. An update that is not finite is skipped.
    spike_factor: a training loss above this multiple of its running mean (of at least 100 steps) makes the run go
      back to the checkpoint before and leave out the data since; None: never. One rank only.
    allow_changes: names of settings in run_state.json that may be other than when the run began.
    micro_batch_size: sequences that a rank computes at a time; a step and its result stay the same. None: all of its
      batch, on a CPU a number that suits the free memory.
    recompute: whether the backward pass computes each layer again instead of keeping what is in it: the same step in
      less memory and less than a third more time.
    phases: list of dicts, parts of the run with another depth, data set, batch or masks, see training/phases.py.

  Raises:
    UserError: a value of another type or out of range.
  """

  root = 'RunOptions'
  save_option = 'save_checkpoints_steps'
  # Parts of the model that begin anew whatever weights are loaded, see loading.initialise_from.
  new_parts = ()
  # Length of an adversarial step, see training_step.make.
  fgm_epsilon = 0.0
  # Evaluations without a better one that end a run, see Run.stands_still.
  early_stopping_evals = None

  train_batch_size: int = 32
  eval_batch_size: int = 8
  num_train_steps: int = 125000
  save_checkpoints_steps: int = 5000
  keep_checkpoint_max: int = 5
  max_eval_steps: typing.Optional[int] = None
  log_every_steps: int = 100
  random_seed: int = 12345
  init_optimizer_slots: bool = False
  performance: bool = False
  keep_every_steps: typing.Optional[int] = None
  max_bad_steps: int = 10
  spike_factor: typing.Optional[float] = None
  allow_changes: typing.Sequence[str] = ()
  micro_batch_size: typing.Optional[int] = None
  recompute: bool = False
  vocab_init: typing.Optional[str] = None
  position_init: typing.Optional[str] = None
  init_partial: bool = False
  phases: typing.Sequence[typing.Mapping] = ()

  def adapt(self, optimizer):
    """The lamb.OptimizerOptions of a run with these options, given those that gin binds."""
    return optimizer

  def shorter_warm_up(self):
    """The setting that makes the warm-up 1 to 10% of the steps, as the user writes it."""
    return 'OptimizerOptions.num_warmup_steps={}'.format(max(1, self.num_train_steps // 40))

  def __post_init__(self):
    for name in _POSITIVE + tuple(name for name in _POSITIVE_OR_NONE if getattr(self, name) is not None):
      checks.whole_number(self.named(name), getattr(self, name))
    for name in _FLAGS:
      checks.flag(self.named(name), getattr(self, name))
    checks.one_of(self.named('vocab_init'), self.vocab_init, remapping.VOCAB_INITS + (None,))
    checks.one_of(self.named('position_init'), self.position_init, remapping.POSITION_INITS + (None,))
    checks.whole_number(self.named('random_seed'), self.random_seed, least=-2**63, most=2**63 - 1)
    if self.spike_factor is not None:  # below 1, ordinary losses would be spikes
      checks.number(self.named('spike_factor'), self.spike_factor, least=1)
    allowed = self.allow_changes
    checks.fits(self.named('allow_changes'), allowed, isinstance(allowed, (list, tuple)) and all(
        isinstance(name, str) for name in allowed), "a list of names such as ['train_batch_size']")
    object.__setattr__(self, 'allow_changes', tuple(self.allow_changes))  # a list could be appended to
    object.__setattr__(self, 'phases', phases.checked(self.named('phases'), self.phases))
    if self.performance and self.num_train_steps <= WARMUP_STEPS:
      raise UserError('{}: expected at least {} in a performance run, of which {} are warm-up, found {}'.format(
          self.named('num_train_steps'), WARMUP_STEPS + 1, WARMUP_STEPS, self.num_train_steps))

  @classmethod
  def named(cls, option):
    """An option as the user writes it, such as pretrain.train_batch_size."""
    return '{}.{}'.format(cls.root, option)
