"""How the cores of a CPU share the work of a step. Needs no TensorFlow.

TensorFlow divides each operation among the cores, and each time waits for the slowest of them. So the sequences are
computed in towers side by side, whose operations have a core to themselves; see micro_batches.
"""

import collections
import os

from albert.common.errors import UserError

# Settings of SessionOptions, ints. Sums depend on them, so a run keeps what it began with.
Cores = collections.namedtuple('Cores', [
    'cpu_towers', 'intra_op_parallelism_threads', 'inter_op_parallelism_threads'])
# Each tower is a graph of its own, to be built and compiled. More than two were never measured.
_MOST_TOWERS = 8


def available(processes=1):
  """How many cores this process may use. processes: int, those of this machine that share them."""
  return max(1, len(os.sched_getaffinity(0)) // processes)


def choose_towers(sequences, cores=None):
  """The largest number of towers that divides the sequences evenly and leaves a core for each.

  Args:
    sequences: int, computed at a time.
    cores: int; None: those of this machine.
  """
  most = min(cores or available(), _MOST_TOWERS)
  return max(count for count in range(1, most + 1) if sequences % count == 0)


def choose(options, sequences, on_cpu=True, recorded=None, processes=1):
  """Chooses the Cores: as the options say, else as the run began, else for this machine.

  Args:
    options: SessionOptions.
    sequences: int, computed at a time.
    on_cpu: bool; elsewhere there is one tower.
    recorded: dict of name to int, the settings of a run that goes on, or None.
    processes: int, those of this machine that share its cores.

  Raises:
    UserError: the towers of the options do not divide the sequences evenly.
  """
  recorded, cores = recorded or {}, available(processes)
  # Runs from before there were towers had one.
  before = recorded.get('cpu_towers', 1) if recorded else None
  towers = _towers(options.cpu_towers, sequences, before, cores) if on_cpu else 1
  kept = recorded.get('intra_op_parallelism_threads') if towers == before or not on_cpu else None
  return Cores(
      cpu_towers=towers,
      intra_op_parallelism_threads=options.intra_op_parallelism_threads or kept or (1 if towers >= cores else cores),
      inter_op_parallelism_threads=(options.inter_op_parallelism_threads
                                    or recorded.get('inter_op_parallelism_threads') or cores))


def describe(chosen, sequences, processes=1):
  """One line for the log, or None with one tower. chosen: Cores. sequences, processes: as for choose()."""
  if chosen.cpu_towers == 1:
    return None
  return '{} towers of {} sequences side by side, on {} cores'.format(
      chosen.cpu_towers, sequences // chosen.cpu_towers, available(processes))


def _towers(wanted, sequences, before, cores):
  """The wanted number, else that from before if it divides the sequences, else one for these cores. int or None."""
  if wanted and sequences % wanted:
    raise UserError('SessionOptions.cpu_towers: expected a divisor of the {} sequences that are computed at a time, '
                    'found {}; leave it out'.format(sequences, wanted))
  return wanted or (before if before and sequences % before == 0 else choose_towers(sequences, cores))
