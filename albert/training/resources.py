"""How a step of a plan is computed: rows, micro-batches, towers and threads, and whether that fits into the memory."""

import logging

from albert.common.errors import UserError
from albert.dataset.batch_order import Layout
from albert.dataset import packing
from albert.device import cores
from albert.device import memory
from albert import input_pipeline
from albert.run import checkpoints
from albert.run.run_state import RunState

_LOG = logging.getLogger('albert')

# The settings that a micro-batch size is chosen for.
_SOURCES = ('train_batch_size', 'ranks', 'data_set', 'packing')


def computed(plan, prefix=''):
  """The planning.Plan with how a step is computed.

  Args:
    plan: planning.Plan without it.
    prefix: of the names under which the run so far has recorded it.

  Raises:
    UserError: the batch cannot be divided as the options say.
  """
  recorded = _recorded(plan, prefix)
  return _with_cores(_with_micro_batches(_with_layout(plan, recorded), recorded), recorded)


def _recorded(plan, prefix=''):
  """The settings of the run so far, a dict; empty where there is none, or one without a step and with other options.

  Args:
    plan: Plan.
    prefix: of the names of those that count; they are given without it.
  """
  if not plan.where.do_train:
    return {}
  settings = RunState(plan.where.output_dir, fresh=plan.options.performance).settings
  recorded = {name[len(prefix):]: value for name, value in settings.items() if name.startswith(prefix)}
  # Before the first step everything may change, and is chosen as for a new run.
  is_new = not checkpoints.step_of(checkpoints.latest(plan.where.output_dir))
  return {} if is_new and _differs(plan, recorded, _SOURCES) else recorded


def _with_layout(plan, recorded):
  """The plan with the layout of labelled batches: that of the run so far where they fit into it."""
  if not (plan.where.do_train and input_pipeline.is_labelled(plan.info)):
    return plan
  options = plan.options
  order = input_pipeline.training_order(plan.info, plan.input_options, options.random_seed,
                                        batch_size=options.train_batch_size)
  towers = plan.session_options.cpu_towers or (min(2, cores.available()) if plan.placement.kind == 'cpu' else 1)
  # Whole epochs, and one more: a spike makes a run leave out batches.
  batches = (options.num_train_steps // order.epoch_length + 2) * order.epoch_length
  needed = order.plan_layout(batches, options.micro_batch_size or towers)
  before = Layout(recorded.get('rows_per_step', 0), recorded.get('examples_per_row', 0))
  if all(had >= needs for had, needs in zip(before, needed)):
    return plan._replace(layout=before)
  changed = ('rows_per_step', 'examples_per_row', 'micro_batch_size') if any(before) else ()
  return plan._replace(layout=needed, chosen_again=plan.chosen_again + changed)


def _with_micro_batches(plan, recorded):
  """The plan with micro_batch_size: of the options, or of the run so far; on a CPU else what suits the free memory.

  That of the run so far was chosen for its batch and its data: where these were changed on purpose, it is chosen again.

  Raises:
    UserError: it does not divide the batch size.
  """
  if not plan.where.do_train:
    return plan
  size, batch_size, on_cpu = plan.options.micro_batch_size, rank_batch_size(plan), plan.placement.kind == 'cpu'
  before = recorded.get('micro_batch_size')
  if size is None and before is not None:
    changed = _differs(plan, recorded, _SOURCES, plan.options.allow_changes)
    # Where it does not fit what was not allowed to change, that is what RunState.agree refuses, by its own name.
    size = None if changed and on_cpu or batch_size % before else before
    plan = plan._replace(chosen_again=plan.chosen_again + (('micro_batch_size',) if size is None else ()))
  if size is not None and (not isinstance(size, int) or size < 1 or batch_size % size):
    ranks = plan.placement.ranks
    raise UserError('{}: expected a divisor of {}={}{}, found {!r}'.format(
        plan.options.named('micro_batch_size'), plan.options.named('train_batch_size'), batch_size * ranks,
        ' / {} ranks'.format(ranks) if ranks > 1 else '', size))
  if on_cpu and size is None:
    towers = plan.session_options.cpu_towers or (None if plan.chosen_again else recorded.get('cpu_towers'))
    processes = _processes(plan)
    size = memory.choose_micro_batch_size(
        plan.config, batch_size, *_shape(plan), available=memory.available_bytes() // processes,
        recompute=plan.options.recompute, towers=towers or cores.available(processes))
  return plan._replace(micro_batch_size=size)


def _differs(plan, recorded, settings, allowed=None):
  """Whether one of these settings, of those that are allowed to, is other than in the run so far. Arguments: names."""
  options = plan.options
  now = {'train_batch_size': options.train_batch_size, 'ranks': plan.placement.ranks,
         'micro_batch_size': plan.micro_batch_size,
         'data_set': plan.info.fingerprint(), 'packing': plan.input_options.packing,
         'cpu_towers': plan.session_options.cpu_towers}
  return any(name in recorded and recorded[name] != now[name] for name in settings
             if allowed is None or name in allowed)


def _shape(plan):
  """S, and the task's HeadSize, as memory.training_bytes wants them."""
  labels = plan.info.max_predictions_per_seq
  return plan.info.max_seq_length, plan.task.head_size(
      packing.max_predictions(labels) if plan.input_options.packing else labels)


def rank_batch_size(plan):
  """int, the part of a batch that each rank computes.

  Raises:
    UserError: the ranks do not divide the batch.
  """
  batch_size, ranks = plan.rows_per_step, plan.placement.ranks
  if batch_size % ranks:
    raise UserError('{}: expected a multiple of {} ranks, which divide each batch, found {}; change it or the number '
                    'of ranks'.format(plan.options.named('train_batch_size'), ranks, batch_size))
  return batch_size // ranks


def _processes(plan):
  """How many processes of this machine train together, and share its cores and its memory."""
  return plan.placement.launched.local_ranks if plan.placement.launched else 1


def sequences_at_a_time(plan):
  """int, the sequences whose activations are in memory together."""
  if not plan.where.do_train:
    return plan.options.eval_batch_size
  return plan.micro_batch_size or rank_batch_size(plan)


def _with_cores(plan, recorded):
  """The plan with cores and settings. The sums of an evaluation need not be those of the run: it has no `recorded`."""
  options, on_cpu = plan.options, plan.placement.kind == 'cpu'
  if plan.chosen_again or _differs(plan, recorded, ('train_batch_size', 'ranks', 'micro_batch_size', 'cpu_towers'),
                                   options.allow_changes):
    # Towers and threads follow from how many sequences are computed at a time.
    followers = [name for name in cores.Cores._fields if getattr(plan.session_options, name) is None]
    plan, recorded = plan._replace(chosen_again=plan.chosen_again + tuple(followers)), {}
  chosen = cores.choose(plan.session_options, sequences_at_a_time(plan), on_cpu, recorded, _processes(plan))
  settings = {'task': plan.task.name, 'train_batch_size': options.train_batch_size,
              'micro_batch_size': plan.micro_batch_size, 'ranks': plan.placement.ranks,
              'data_set': plan.info.fingerprint(), 'random_seed': options.random_seed,
              'shuffle_buffer_records': plan.input_options.shuffle_buffer_records,
              'packing': plan.input_options.packing}
  settings.update(plan.task.settings)
  if plan.layout:
    settings.update(rows_per_step=plan.layout.rows, examples_per_row=plan.layout.slots)
  # Towers are no setting of other devices: there a run that began on a CPU has none to differ in.
  settings.update((name, value) for name, value in chosen._asdict().items() if name != 'cpu_towers' or on_cpu)
  return plan._replace(cores=chosen, settings=settings)


def check(plan):
  """Logs what a step takes of memory and cores; raises UserError if it does not fit into the memory of a CPU."""
  for phase in plan.phases:
    named = 'phase {}: '.format(phase.number) if plan.phases[1:] else ''
    if plan.placement.kind == 'cpu' and plan.where.do_train:
      _check_memory(phase.plan, named)
    line = cores.describe(phase.plan.cores, sequences_at_a_time(phase.plan), _processes(plan))
    if line:
      _LOG.info('%s%s', named, line)


def _check_memory(plan, named):
  batch_size, size = rank_batch_size(plan), plan.micro_batch_size
  evaluates = plan.where.do_eval and plan.heldout
  estimate, available = memory.check_fits(
      plan.config, batch_size, size, *_shape(plan), available=memory.available_bytes() // _processes(plan),
      recompute=plan.options.recompute, eval_batch_size=plan.options.eval_batch_size if evaluates else None,
      root=plan.options.root)
  _LOG.info('%sestimated memory %.1f GB of %.1f GB that are free, %s', named, estimate / 1e9, available / 1e9,
            'the whole batch at once' if size == batch_size else '{} sequences at a time'.format(size))
