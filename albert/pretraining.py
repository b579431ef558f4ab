"""The root that gin binds as `pretrain`: what is particular about pre-training, the rest is training/running.py."""

import gin

from albert.tasks.pretraining import Pretraining
from albert.training import planning
from albert.training.run_options import RunOptions
from albert.training import running


@gin.configurable('pretrain')
class Options(RunOptions):
  """The options of a run, as pretrain.*."""

  root = 'pretrain'



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
  return running.carry_out(planning.Where(input_file, output_dir, **where), Options(), Pretraining)
