"""results.json and its like: the figures of a run for people and programs."""

import logging
import os

from albert.run import names
from albert.run import small_files

# The entry of a run that has diverged; it goes when a later evaluation is finite.
DIVERGED = 'diverged'

_LOG = logging.getLogger('albert')


def read(output_dir):
  """results.json as a dict, empty if there is none or a damaged one."""
  path = os.path.join(output_dir, names.RESULTS_FILE)
  results, problem = small_files.read_json(path, small_files.is_results)
  if problem:
    _LOG.warning('%s counts as absent: %s; it is written again with the next results', path, problem)
  return results or {}


def keep_evaluation(output_dir, **figures):
  """Writes evaluation.json, and results.json unless a training with evaluation wrote it. Returns the paths written."""
  written = [os.path.join(output_dir, names.EVALUATION_FILE)]
  small_files.write_json(written[0], figures)
  results = read(output_dir)
  if 'train' not in results or 'heldout' not in results:
    update(output_dir, **figures)
    written.append(os.path.join(output_dir, names.RESULTS_FILE))
  return written


def update(output_dir, without=(), **figures):
  """Replaces top-level entries of results.json, and drops those whose names are in `without`."""
  results = {name: value for name, value in dict(read(output_dir), **figures).items() if name not in without}
  small_files.write_json(os.path.join(output_dir, names.RESULTS_FILE), results)


def write_performance(output_dir, figures):
  """Writes performance.json; figures: dict of floats."""
  small_files.write_json(os.path.join(output_dir, names.PERFORMANCE_FILE), figures)
