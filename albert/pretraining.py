"""The root that gin binds as `pretrain`: its objective is tasks/pretraining.py, the rest training/running.py."""

import dataclasses

import gin

from albert.tasks.pretraining import Objective
from albert.training import planning
from albert.training.run_options import RunOptions
from albert.training import running


@gin.configurable('pretrain')
@dataclasses.dataclass(frozen=True)
class Options(Objective, RunOptions):
  """The options of a run and of its objective, as pretrain.*."""

  root = 'pretrain'

  def __post_init__(self):
    super().__post_init__()
    self.check(self.named)


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
  options = Options()
  return running.carry_out(planning.Where(input_file, output_dir, **where), options, options.task())
