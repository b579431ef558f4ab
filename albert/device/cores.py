"""How the cores of a CPU share the work of a step. Needs no TensorFlow.

TensorFlow divides each operation among the cores, and each time waits for the slowest of them. So the sequences are
computed in towers side by side, whose operations have a core to themselves; see micro_batches.
"""

import logging
import os

from albert.common.errors import UserError

# How the cores share the work. Sums depend on it, so a run keeps what it began with.
SETTINGS = ('cpu_towers', 'intra_op_parallelism_threads', 'inter_op_parallelism_threads')
# Each tower is a graph of its own, to be built and compiled. More than two were never measured.
_MOST_TOWERS = 8

_LOG = logging.getLogger('albert')


def available():
  """How many cores this process may use."""
  return len(os.sched_getaffinity(0))


def choose_towers(sequences, cores=None):
  """How many towers suit so many sequences at a time: the most that divide them evenly, a core for each. ints.

  cores: None: those of this machine.
  """
  most = min(cores or available(), _MOST_TOWERS)
  return max(count for count in range(1, most + 1) if sequences % count == 0)


def settle(options, sequences, on_cpu=True, recorded=None):
  """Sets those SETTINGS of npu_options.SessionOptions that are None: as the run began, else as suits this machine.

  Args:
    options: SessionOptions.
    sequences: int, how many are computed at a time.
    on_cpu: bool; elsewhere there is one tower.
    recorded: dict of name to int, the settings of a run that goes on, or None.

  Raises:
    UserError: so many towers as were asked for do not divide the sequences evenly.
  """
  recorded, cores = recorded or {}, available()
  # Runs from before there were towers had one.
  before = recorded.get('cpu_towers', 1) if recorded else None
  options.cpu_towers = _towers(options.cpu_towers, sequences, before) if on_cpu else _one_tower(options.cpu_towers)
  if options.intra_op_parallelism_threads is None:
    kept = recorded.get('intra_op_parallelism_threads') if options.cpu_towers == before or not on_cpu else None
    options.intra_op_parallelism_threads = kept or (1 if options.cpu_towers >= cores else cores)
  if options.inter_op_parallelism_threads is None:
    options.inter_op_parallelism_threads = recorded.get('inter_op_parallelism_threads') or cores
  if options.cpu_towers > 1:
    _LOG.info('%d towers of %d sequences side by side, on %d cores', options.cpu_towers,
              sequences // options.cpu_towers, cores)


def _towers(asked, sequences, before):
  """As asked, else as before if that divides the sequences, else as suits the cores. before: int or None."""
  if asked and sequences % asked:
    raise UserError('SessionOptions.cpu_towers: expected a divisor of the {} sequences that are computed at a time, '
                    'found {}; leave it out'.format(sequences, asked))
  return asked or (before if before and sequences % before == 0 else choose_towers(sequences))


def _one_tower(asked):
  if asked:
    _LOG.info('SessionOptions.cpu_towers is ignored off the CPU')
  return 1
