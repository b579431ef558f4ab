"""The root that gin binds as `pretrain`: what is particular about pre-training, the rest is training/running.py."""

import dataclasses

import gin

from albert.common import checks
from albert.tasks.pretraining import Pretraining
from albert.training import planning
from albert.training.run_options import RunOptions
from albert.training import running


@gin.configurable('pretrain')
@dataclasses.dataclass(frozen=True)
class Options(RunOptions):
  """The options of a run, as pretrain.*.

  Attributes:
    sentence_order_weight: of the sentence order loss in training, beside 1 for masked words. The paper's is 1; short
      runs learn the order only with more, see docs/results.md. Held-out losses are not weighted.
  """

  root = 'pretrain'
  sentence_order_weight: float = 1.0

  def __post_init__(self):
    super().__post_init__()
    checks.number(self.named('sentence_order_weight'), self.sentence_order_weight)


def pretrain(input_file, output_dir, **where):
  """Trains an ALBERT, evaluates it on held-out documents, keeps the best; goes on where a former call stopped.

  Args:
    input_file: training data, see input_pipeline.open_dataset.
    output_dir: folder of the run.
    **where: further fields of planning.Where, such as do_train=False.

  Returns:
    None, or stopping.EXIT_CODE if a signal came: the same call goes on.

  Raises:
    UserError: anything that does not fit together, raised before the graph is built where possible.
  """
  options, task = Options(), Pretraining
  if options.sentence_order_weight != 1.0:
    task = task.weighted(float(options.sentence_order_weight))
  return running.carry_out(planning.Where(input_file, output_dir, **where), options, task)
