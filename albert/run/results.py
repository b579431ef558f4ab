"""results.json and its like: the figures of a run for people and programs."""

import collections
import json
import os

from albert.common import files
from albert.run import names


def read(output_dir):
  """results.json as a dict, empty if there is none."""
  path = os.path.join(output_dir, names.RESULTS_FILE)
  if not os.path.exists(path):
    return {}
  with open(path, encoding='utf-8') as source:
    return json.load(source)


def keep_evaluation(output_dir, **figures):
  """Writes evaluation.json, and results.json unless a training with evaluation wrote it. Returns what was written."""
  figures = collections.OrderedDict(sorted(figures.items()))
  files.write_atomically(os.path.join(output_dir, names.EVALUATION_FILE), json.dumps(figures, indent=1) + '\n')
  results = read(output_dir)
  if 'train' not in results or 'heldout' not in results:
    update(output_dir, **figures)
  return figures


def update(output_dir, **figures):
  """Replaces top-level entries of results.json."""
  results = collections.OrderedDict(sorted(dict(read(output_dir), **figures).items()))
  files.write_atomically(os.path.join(output_dir, names.RESULTS_FILE), json.dumps(results, indent=1) + '\n')


def write_performance(output_dir, figures):
  """Writes performance.json; figures: dict of floats."""
  files.write_atomically(os.path.join(output_dir, names.PERFORMANCE_FILE),
                         json.dumps(figures, indent=1, sort_keys=True) + '\n')
